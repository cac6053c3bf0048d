// What a client certificate says of who is on the other end of a connection.
import { createHash, X509Certificate } from 'node:crypto';
import { authenticated, type Identity } from './identity.ts';

export type PeerCertificate =
  | { kind: 'none' }
  | { kind: 'invalid' }
  /** Verified against the cluster CA, with client authentication among its usages. */
  | { kind: 'valid'; user: Identity; untilMs: number }
  /** Verified against the CA of the proxies in front of the server: it may name users, it is none. */
  | { kind: 'proxy'; commonName: string };

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/**
 * Reads user and groups from a certificate that TLS has already verified (`authorized`) against the cluster CA or one of
 * `proxyAuthorities`; which of them it was decides what the certificate is good for.
 */
export function peerCertificate(
  certificate: X509Certificate | undefined,
  authorized: boolean,
  proxyAuthorities: readonly X509Certificate[] = [],
): PeerCertificate {
  if (!certificate) return { kind: 'none' };
  const usages = certificate.keyUsage as readonly string[] | undefined;
  if (!authorized || (usages !== undefined && !usages.includes(CLIENT_AUTH))) return { kind: 'invalid' };
  let commonName = '';
  const organizations: string[] = [];
  // One attribute per line; Node escapes newlines inside a value, so a value cannot forge a line.
  for (const line of certificate.subject?.split('\n') ?? []) {
    if (line.startsWith('CN=')) commonName = line.slice(3);
    else if (line.startsWith('O=')) organizations.push(line.slice(2));
  }
  if (isIssuedByAny(certificate, proxyAuthorities)) return { kind: 'proxy', commonName };
  if (commonName === '') return { kind: 'none' };
  const fingerprint = createHash('sha256').update(certificate.raw).digest('hex');
  const user = authenticated({
    name: commonName,
    groups: organizations,
    extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${fingerprint}`] },
  });
  return { kind: 'valid', user, untilMs: certificate.validToDate?.getTime() ?? Date.parse(certificate.validTo) };
}

/** By the chain that the peer has sent: each certificate knows its issuer. */
function isIssuedByAny(certificate: X509Certificate, authorities: readonly X509Certificate[]): boolean {
  if (authorities.length === 0) return false;
  let at: X509Certificate | undefined = certificate;
  for (let depth = 0; at && depth < 8; depth++) {
    const child: X509Certificate = at;
    if (authorities.some((each) => child.checkIssued(each) && child.verify(each.publicKey))) return true;
    at = (child as { issuerCertificate?: X509Certificate }).issuerCertificate;
  }
  return false;
}

/** The certificates of a bundle. */
export function certificatesOf(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => new X509Certificate(block));
}
