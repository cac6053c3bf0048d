// Who sent a request: a client certificate of the cluster CA, a bearer token, or nobody (anonymous).
// Wrong credentials are 401; none at all is the anonymous user, whom only public paths are open to.
import { createHash, type X509Certificate } from 'node:crypto';
import { errors } from '../../api/errors.ts';
import { ANONYMOUS, authenticated, type Identity } from './identity.ts';
import type { ServiceAccountTokens, TokenResult } from './service-account-token.ts';

/** What the TLS layer knows of the peer. */
export type PeerCertificate =
  | { kind: 'none' }
  | { kind: 'invalid' }
  /** Verified against the cluster CA, with client authentication among its usages. */
  | { kind: 'valid'; commonName: string; organizations: readonly string[]; fingerprint: string };

/** Tokens of `--token-auth-file`: lines `token,user,uid,"group1,group2"`. */
export type StaticTokens = ReadonlyMap<string, Identity>;

export interface Authenticator {
  /** Throws 401. */
  authenticate(peer: PeerCertificate, authorization: string | undefined): Promise<Identity> | Identity;
  /** For TokenReview; never throws. */
  reviewToken(token: string, audiences: readonly string[]): Promise<TokenResult>;
}

export function createAuthenticator(options: {
  tokens?: ServiceAccountTokens;
  staticTokens?: StaticTokens;
  /** Audiences of the API server itself. */
  audiences: readonly string[];
}): Authenticator {
  async function reviewToken(token: string, audiences: readonly string[]): Promise<TokenResult> {
    // The map is keyed by hash, so that the time a look-up takes says nothing about a token.
    const known = options.staticTokens?.get(hashToken(token));
    if (known) {
      const named = audiences.filter((audience) => options.audiences.includes(audience));
      if (audiences.length > 0 && named.length === 0) return { ok: false, error: 'token audiences do not match' };
      return { ok: true, user: authenticated(known), audiences: named };
    }
    if (!options.tokens) return { ok: false, error: 'invalid bearer token' };
    const result = await options.tokens.authenticate(token, audiences.length > 0 ? audiences : options.audiences);
    return result.ok ? { ...result, user: authenticated(result.user) } : result;
  }

  async function byToken(authorization: string): Promise<Identity> {
    const match = /^bearer +(\S+) *$/i.exec(authorization);
    // As upstream: another scheme, or `Bearer` without a token, is no credential at all.
    if (!match) return ANONYMOUS;
    const result = await reviewToken(match[1] as string, []);
    if (!result.ok) throw errors.unauthorized();
    return result.user;
  }

  return {
    reviewToken,
    authenticate(peer, authorization) {
      if (peer.kind === 'invalid') throw errors.unauthorized();
      if (peer.kind === 'valid') {
        return authenticated({
          name: peer.commonName,
          groups: peer.organizations,
          extra: { 'authentication.kubernetes.io/credential-id': [`X509SHA256=${peer.fingerprint}`] },
        });
      }
      return authorization === undefined ? ANONYMOUS : byToken(authorization);
    },
  };
}

const hashToken = (token: string) => createHash('sha256').update(token).digest('base64');

/** Parses a token file; throws with the line number on a malformed line. */
export function parseStaticTokens(text: string): StaticTokens {
  const tokens = new Map<string, Identity>();
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '' || line.startsWith('#')) return;
    const match = /^([^,]+),([^,]+),([^,]*)(?:,"?([^"]*)"?)?\s*$/.exec(line);
    if (!match) throw new Error(`token file line ${index + 1}: expected token,user,uid[,"group1,group2"]`);
    const [, token = '', name = '', uid = '', groups = ''] = match;
    tokens.set(hashToken(token), {
      name,
      ...(uid && { uid }),
      groups: groups.split(',').filter((group) => group !== ''),
    });
  });
  return tokens;
}

const CLIENT_AUTH = '1.3.6.1.5.5.7.3.2';

/** Reads user and groups from a certificate that TLS has already verified (`authorized`). */
export function peerCertificate(certificate: X509Certificate | undefined, authorized: boolean): PeerCertificate {
  if (!certificate) return { kind: 'none' };
  const usages = certificate.keyUsage as readonly string[] | undefined;
  if (!authorized || (usages !== undefined && !usages.includes(CLIENT_AUTH))) return { kind: 'invalid' };
  let commonName = '';
  const organizations: string[] = [];
  // One attribute per line; Node escapes newlines inside a value, so a value cannot forge a line.
  for (const line of certificate.subject.split('\n')) {
    if (line.startsWith('CN=')) commonName = line.slice(3);
    else if (line.startsWith('O=')) organizations.push(line.slice(2));
  }
  if (commonName === '') return { kind: 'invalid' };
  return {
    kind: 'valid',
    commonName,
    organizations,
    fingerprint: createHash('sha256').update(certificate.raw).digest('hex'),
  };
}
