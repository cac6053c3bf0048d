// OpenID Connect: ID tokens of configured issuers as bearer tokens. A token is verified once; what it says is then kept for
// as long as it is valid.
import type { Clock } from '../../lib/clock.ts';
import type { Identity } from './identity.ts';
import { type ParsedJws, parseJws, SIGNING_ALGORITHMS, verifyJws } from './jws.ts';
import { type Compile, identityOfClaims } from './oidc-claims.ts';
import type { JwtAuthenticator } from './oidc-config.ts';
import { type Fetch, httpsFetch, OidcKeys } from './oidc-keys.ts';
import { forServerOnly, hashToken, type TokenAnswer, type TokenAuthenticator } from './token-authenticator.ts';

const CACHED_TOKENS = 4096;
/** Clocks differ; go-oidc allows the same for `nbf`. */
const NOT_BEFORE_LEEWAY_SECONDS = 300;

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
  const verified = new Map<string, { user: Identity; expiresMs: number }>();

  async function find(token: string): Promise<Identity | TokenAnswer> {
    const parsed = parseJws(token);
    if (parsed?.payload.iss !== issuer.url) return undefined;
    const hash = hashToken(token);
    const known = verified.get(hash);
    if (known && known.expiresMs > clock.now()) return known.user;
    verified.delete(hash);
    let user: Identity;
    try {
      await verifyToken(parsed, keys, algorithms);
      checkAudience(parsed, issuer.audiences);
      checkTimes(parsed, clock.now());
      user = identify(parsed.payload);
    } catch (error) {
      return { ok: false, error: (error as Error).message };
    }
    if (verified.size >= CACHED_TOKENS) verified.delete(verified.keys().next().value as string);
    verified.set(hash, { user, expiresMs: Number(parsed.payload.exp) * 1000 });
    return user;
  }

  return forServerOnly(options.serverAudiences, find);
}

async function verifyToken(parsed: ParsedJws, keys: OidcKeys, algorithms: readonly string[]): Promise<void> {
  const { alg, kid } = parsed.header;
  if (typeof alg !== 'string' || !algorithms.includes(alg)) {
    throw new Error(
      `oidc: verify token: oidc: id token signed with unsupported algorithm, expected [${algorithms.join(' ')}] got ${JSON.stringify(alg ?? '')}`,
    );
  }
  const candidates = await keys.candidates(typeof kid === 'string' ? kid : undefined).catch((error: Error) => {
    throw new Error(`oidc: authenticator not initialized: ${error.message}`);
  });
  if (!candidates.some((key) => verifyJws(parsed, key))) {
    throw new Error('oidc: verify token: failed to verify signature: failed to verify id token signature');
  }
}

function checkAudience({ payload: { aud } }: ParsedJws, wanted: readonly string[]): void {
  const named = (Array.isArray(aud) ? aud : [aud]).filter((each) => typeof each === 'string');
  if (named.some((each) => wanted.includes(each))) return;
  const list = (values: readonly string[]) => `[${values.map((each) => JSON.stringify(each)).join(' ')}]`;
  const expected = wanted.length === 1 ? `audience ${JSON.stringify(wanted[0])}` : `audience in ${list(wanted)}`;
  throw new Error(`oidc: verify token: oidc: expected ${expected} got ${list(named)}`);
}

function checkTimes({ payload: { exp, nbf } }: ParsedJws, nowMs: number): void {
  const nowSeconds = nowMs / 1000;
  if (typeof exp !== 'number' || nowSeconds > exp) {
    const when = typeof exp === 'number' ? new Date(exp * 1000).toISOString() : 'none';
    throw new Error(`oidc: verify token: oidc: token is expired (Token Expiry: ${when})`);
  }
  if (typeof nbf === 'number' && nowSeconds + NOT_BEFORE_LEEWAY_SECONDS < nbf) {
    throw new Error('oidc: verify token: oidc: current time is before the nbf (not before) time of the token');
  }
}
