// Signs certificate requests with the cluster CA: whoever holds its key, and nobody else. Subject and names are the
// request's; usages and duration are what the signer allows (upstream's PermissiveSigningPolicy).
import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { parseSigningRequest, signingRequestProblem } from '../../api/pkcs10.ts';
import { ALGORITHM, importKey, serialText } from './issue.ts';
import type { KeyPair } from './pki.ts';

const BACKDATE_MS = 5 * 60 * 1000;
/** From here on the backdating is a hundredth of the life of the certificate: it is taken off its end. */
const SHORT_MS = 8 * 3600 * 1000;

const KEY_USAGES: Readonly<Record<string, number>> = {
  signing: x509.KeyUsageFlags.digitalSignature,
  'digital signature': x509.KeyUsageFlags.digitalSignature,
  'content commitment': x509.KeyUsageFlags.nonRepudiation,
  'key encipherment': x509.KeyUsageFlags.keyEncipherment,
  'key agreement': x509.KeyUsageFlags.keyAgreement,
  'data encipherment': x509.KeyUsageFlags.dataEncipherment,
  'cert sign': x509.KeyUsageFlags.keyCertSign,
  'crl sign': x509.KeyUsageFlags.cRLSign,
  'encipher only': x509.KeyUsageFlags.encipherOnly,
  'decipher only': x509.KeyUsageFlags.decipherOnly,
};

const EXTENDED_USAGES: Readonly<Record<string, string>> = {
  any: '2.5.29.37.0',
  'server auth': '1.3.6.1.5.5.7.3.1',
  'client auth': '1.3.6.1.5.5.7.3.2',
  'code signing': '1.3.6.1.5.5.7.3.3',
  'email protection': '1.3.6.1.5.5.7.3.4',
  's/mime': '1.3.6.1.5.5.7.3.4',
  'ipsec end system': '1.3.6.1.5.5.7.3.5',
  'ipsec tunnel': '1.3.6.1.5.5.7.3.6',
  'ipsec user': '1.3.6.1.5.5.7.3.7',
  timestamping: '1.3.6.1.5.5.7.3.8',
  'ocsp signing': '1.3.6.1.5.5.7.3.9',
  'microsoft sgc': '1.3.6.1.4.1.311.10.3.3',
  'netscape sgc': '2.16.840.1.113730.4.1',
};

/** `request` is base64 of PEM, as in a CertificateSigningRequest; the answer is PEM. Throws when it cannot be signed. */
export async function signRequest(
  authority: KeyPair,
  request: string,
  options: { usages: readonly string[]; durationMs: number; nowMs: number },
): Promise<string> {
  const problem = signingRequestProblem(request);
  if (problem) throw new Error(`unable to verify certificate request signature: ${problem}`);
  const parsed = parseSigningRequest(request);
  const { usages, durationMs, nowMs } = options;
  let keyUsage = 0;
  const extended: string[] = [];
  for (const usage of usages) {
    const flag = KEY_USAGES[usage];
    const id = EXTENDED_USAGES[usage];
    if (flag === undefined && id === undefined) throw new Error(`unrecognized usage value: ${JSON.stringify(usage)}`);
    if (flag !== undefined) keyUsage |= flag;
    if (id !== undefined && !extended.includes(id)) extended.push(id);
  }
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const endMs = nowMs + (durationMs >= SHORT_MS ? durationMs - BACKDATE_MS : durationMs);
  const names = [
    ...parsed.dnsNames.map((value) => ({ type: 'dns', value }) as const),
    ...parsed.emailAddresses.map((value) => ({ type: 'email', value }) as const),
    ...parsed.ipAddresses.map((value) => ({ type: 'ip', value }) as const),
    ...parsed.uris.map((value) => ({ type: 'url', value }) as const),
  ];
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialText(randomBytes(16)),
      subject: new x509.Name(new Uint8Array(parsed.subject)),
      issuer: issuer.subjectName,
      notBefore: new Date(nowMs - BACKDATE_MS),
      notAfter: new Date(Math.min(endMs, issuer.notAfter.getTime())),
      signingAlgorithm: ALGORITHM,
      publicKey: new x509.PublicKey(new Uint8Array(parsed.publicKey)),
      signingKey: await importKey(authority.keyPem),
      extensions: [
        ...(keyUsage ? [new x509.KeyUsagesExtension(keyUsage, true)] : []),
        ...(extended.length > 0 ? [new x509.ExtendedKeyUsageExtension(extended)] : []),
        // Whatever the request asks for, it does not become an authority.
        new x509.BasicConstraintsExtension(false, undefined, true),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto as never),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ],
    },
    webcrypto as never,
  );
  return `${certificate.toString('pem')}\n`;
}
