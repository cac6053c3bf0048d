// Who sent a request: a proxy in front that names somebody, a client certificate, a bearer token, or nobody (anonymous).
// The first that knows decides. Wrong credentials are 401, unless others are right; none at all is the anonymous user.
import type { IncomingHttpHeaders } from 'node:http';
import { errors } from '../../api/errors.ts';
import { ANONYMOUS, authenticated, type Identity } from './identity.ts';
import type { PeerCertificate } from './peer-certificate.ts';
import { type RequestHeaderConfig, requestHeaderUser } from './request-header.ts';
import { authenticateToken, type TokenAuthenticator, type TokenResult } from './token-authenticator.ts';
import { websocketToken } from './websocket-token.ts';

export interface Authenticator {
  /** Throws 401. `path` is the request's, for servers where anonymous users may see some paths only. */
  authenticate(peer: PeerCertificate, headers: IncomingHttpHeaders, path: string): Promise<Identity> | Identity;
  /** For TokenReview; never throws. */
  reviewToken(token: string, audiences: readonly string[]): Promise<TokenResult>;
}

export interface AuthenticatorOptions {
  tokens: readonly TokenAuthenticator[];
  /** Audiences of the API server itself. */
  audiences: readonly string[];
  /** Undefined: no proxy is trusted. */
  requestHeaders?: RequestHeaderConfig | undefined;
  /** Default: everywhere. */
  anonymous?: { enabled: boolean; paths?: readonly string[] } | undefined;
}

export function createAuthenticator(options: AuthenticatorOptions): Authenticator {
  const { tokens, requestHeaders, anonymous = { enabled: true } } = options;

  function reviewToken(token: string, audiences: readonly string[]): Promise<TokenResult> {
    return authenticateToken(tokens, token, audiences.length > 0 ? audiences : options.audiences);
  }

  async function byToken(token: string): Promise<Identity> {
    const result = await reviewToken(token, []);
    if (!result.ok) throw errors.unauthorized();
    return result.user;
  }

  function nobody(path: string): Identity {
    if (!anonymous.enabled) throw errors.unauthorized();
    if (anonymous.paths && !anonymous.paths.includes(path)) throw errors.unauthorized();
    return ANONYMOUS;
  }

  return {
    reviewToken,
    authenticate(peer, headers, path) {
      if (peer.kind === 'proxy' && requestHeaders) {
        const user = requestHeaderUser(requestHeaders, peer.commonName, headers);
        if (user) return authenticated(user);
      }
      if (peer.kind === 'valid') return peer.user;
      const token = bearerToken(headers.authorization) ?? websocketToken(headers);
      if (token !== undefined) return byToken(token);
      // A certificate that is not ours is a wrong credential, and nothing else was shown.
      if (peer.kind === 'invalid' || (peer.kind === 'proxy' && !requestHeaders)) throw errors.unauthorized();
      return nobody(path);
    },
  };
}

/** Undefined for another scheme, or `Bearer` without a token: as upstream, that is no credential at all. */
function bearerToken(authorization: string | undefined): string | undefined {
  return authorization === undefined ? undefined : /^bearer +(\S+) *$/i.exec(authorization)?.[1];
}
