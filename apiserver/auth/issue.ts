// Issues X.509 certificates. Imported lazily by pki.ts: the library costs tens of milliseconds to load.
import 'reflect-metadata';
import { KeyObject, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import * as x509 from '@peculiar/x509';
import type { KeyPair } from './pki.ts';

export interface CertificateSpec {
  commonName: string;
  organization?: string;
  usage: 'server' | 'client';
  /** DNS names and IP addresses. */
  sans: readonly string[];
  days: number;
}

export const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const DAY_MS = 24 * 3600 * 1000;
/** Clocks of hosts differ, and one that is set back by hours goes on with its own certificates: they are valid from a day ago. */
const BACKDATE_MS = 24 * 3600 * 1000;

/** A self-signed certificate authority. `serial` is 16 random bytes. */
export async function issueAuthority(options: {
  commonName: string;
  days: number;
  nowMs: number;
  serial: Uint8Array;
}): Promise<KeyPair> {
  const keys = await generateKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: serialText(options.serial),
      name: [{ CN: [options.commonName] }],
      notBefore: new Date(options.nowMs - BACKDATE_MS),
      notAfter: new Date(options.nowMs + options.days * DAY_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        new x509.KeyUsagesExtension(
          x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign | x509.KeyUsageFlags.digitalSignature,
          true,
        ),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto as never),
      ],
    },
    webcrypto as never,
  );
  return { certificatePem: `${certificate.toString('pem')}\n`, keyPem: keyPem(keys.privateKey) };
}

/** A leaf certificate with its own new key, signed by `authority`. */
export async function issueCertificate(
  spec: CertificateSpec,
  authority: KeyPair,
  nowMs: number,
  serial: Uint8Array,
): Promise<KeyPair> {
  const keys = await generateKeys();
  const issuer = new x509.X509Certificate(authority.certificatePem);
  const notAfter = Math.min(nowMs + spec.days * DAY_MS, issuer.notAfter.getTime());
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: serialText(serial),
      subject: [...(spec.organization ? [{ O: [spec.organization] }] : []), { CN: [spec.commonName] }],
      issuer: issuer.subjectName,
      notBefore: new Date(nowMs - BACKDATE_MS),
      notAfter: new Date(notAfter),
      signingAlgorithm: ALGORITHM,
      publicKey: keys.publicKey,
      signingKey: await importKey(authority.keyPem),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([
          spec.usage === 'server' ? x509.ExtendedKeyUsage.serverAuth : x509.ExtendedKeyUsage.clientAuth,
        ]),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto as never),
        ...(spec.sans.length > 0
          ? [
              new x509.SubjectAlternativeNameExtension(
                spec.sans.map((san) => ({ type: isIP(san) ? 'ip' : 'dns', value: san }) as const),
              ),
            ]
          : []),
      ],
    },
    webcrypto as never,
  );
  return { certificatePem: `${certificate.toString('pem')}\n`, keyPem: keyPem(keys.privateKey) };
}

function generateKeys() {
  return webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
}

function keyPem(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }) as string;
}

export function importKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64');
  return webcrypto.subtle.importKey('pkcs8', der, ALGORITHM, false, ['sign']);
}

/** Hex of a positive integer: the top bit is cleared, so that no sign byte is needed. */
export function serialText(bytes: Uint8Array): string {
  const copy = Buffer.from(bytes);
  copy[0] = ((copy[0] as number) & 0x7f) | 0x01;
  return copy.toString('hex');
}
