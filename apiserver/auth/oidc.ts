// OpenID Connect: ID tokens of configured issuers as bearer tokens. A token is verified once; what it says is then kept for
// as long as it is valid.
import type { Clock } from '../../lib/clock.ts';
import type { Identity } from './identity.ts';
import { type ParsedJws, parseJws, SIGNING_ALGORITHMS } from './jws.ts';
import { type Compile, identityOfClaims } from './oidc-claims.ts';
import type { JwtAuthenticator } from './oidc-config.ts';
import { distributedClaims } from './oidc-distributed.ts';
import { type Fetch, httpsFetch, OidcKeys } from './oidc-keys.ts';
import { KeysUnavailable, verifyIdToken } from './oidc-verify.ts';
import { forServerOnly, hashToken, type TokenAnswer, type TokenAuthenticator } from './token-authenticator.ts';

const CACHED_TOKENS = 4096;
/** What other servers said of a bearer is asked again after this. */
const EXPANDED_MS = 10_000;

export const noExpressions: Compile = (text) => {
  throw new Error(`expressions are not supported here: ${text}`);
};

export function oidcAuthenticator(
  config: JwtAuthenticator,
  options: { serverAudiences: readonly string[]; clock: Clock; compile?: Compile; fetch?: Fetch },
): TokenAuthenticator {
  const { clock, compile = noExpressions } = options;
  const { issuer } = config;
  const fetch = options.fetch ?? httpsFetch(issuer.certificateAuthority);
  const keys = new OidcKeys({ issuer: issuer.url, discoveryUrl: issuer.discoveryURL, fetch, clock });
  const identify = identityOfClaims(config, compile);
  const algorithms = config.signingAlgorithms ?? SIGNING_ALGORITHMS;
  const rules = { audiences: issuer.audiences, algorithms, clock };
  const expand = distributedClaims({ ...rules, claim: config.claimMappings.groups?.claim, fetch });
  const verify = (parsed: ParsedJws) =>
    verifyIdToken(parsed, { ...rules, keys }).catch((error: Error) => {
      const what = error instanceof KeysUnavailable ? 'authenticator not initialized' : 'verify token';
      throw new Error(`oidc: ${what}: ${error.message}`);
    });
  const verified = new Map<string, { user: Identity; expiresMs: number }>();

  async function find(token: string): Promise<Identity | TokenAnswer> {
    const parsed = parseJws(token);
    if (parsed?.payload.iss !== issuer.url) return undefined;
    const hash = hashToken(token);
    const known = verified.get(hash);
    if (known && known.expiresMs > clock.now()) return known.user;
    verified.delete(hash);
    let user: Identity;
    let expiresMs = Number(parsed.payload.exp) * 1000;
    try {
      await verify(parsed);
      const claims = await expand(parsed.payload);
      user = identify(claims);
      if (claims !== parsed.payload) expiresMs = Math.min(expiresMs, clock.now() + EXPANDED_MS);
    } catch (error) {
      return { ok: false, error: (error as Error).message };
    }
    if (verified.size >= CACHED_TOKENS) verified.delete(verified.keys().next().value as string);
    verified.set(hash, { user, expiresMs });
    return user;
  }

  return forServerOnly(options.serverAudiences, find);
}
