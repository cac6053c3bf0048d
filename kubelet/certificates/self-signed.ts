// A certificate that this node signs itself, to serve with until the cluster has signed one.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { SignedKeys } from './request.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const YEAR_MS = 365 * 24 * 3600_000;

export async function selfSigned(nodeName: string, ips: readonly string[], nowMs: number): Promise<SignedKeys> {
  x509.cryptoProvider.set(webcrypto as never);
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${nodeName}-self-signed`,
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(nowMs - 60_000),
    notAfter: new Date(nowMs + YEAR_MS),
    extensions: [
      new x509.SubjectAlternativeNameExtension([
        { type: 'dns', value: nodeName },
        ...ips.map((value) => ({ type: 'ip' as const, value })),
      ]),
    ],
  });
  const key = (await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)) as ArrayBuffer;
  return { certificatePem: certificate.toString('pem'), keyPem: x509.PemConverter.encode(key, 'PRIVATE KEY') };
}
