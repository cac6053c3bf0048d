// Whether an ID token is what it says: signed by its issuer, for this server, now.
import type { Clock } from '../../lib/clock.ts';
import { type ParsedJws, verifyJws } from './jws.ts';
import type { OidcKeys } from './oidc-keys.ts';

/** Clocks differ; go-oidc allows the same for `nbf`. */
const NOT_BEFORE_LEEWAY_SECONDS = 300;

/** The issuer could not be asked. */
export class KeysUnavailable extends Error {}

export interface IdTokenRules {
  audiences: readonly string[];
  algorithms: readonly string[];
  clock: Clock;
}

/** Rejects with what is wrong, in upstream's words; KeysUnavailable when it cannot be told. */
export async function verifyIdToken(parsed: ParsedJws, rules: IdTokenRules & { keys: OidcKeys }): Promise<void> {
  const { algorithms } = rules;
  const { alg, kid } = parsed.header;
  if (typeof alg !== 'string' || !algorithms.includes(alg)) {
    throw new Error(
      `oidc: id token signed with unsupported algorithm, expected [${algorithms.join(' ')}] got ${JSON.stringify(alg ?? '')}`,
    );
  }
  const candidates = await rules.keys.candidates(typeof kid === 'string' ? kid : undefined).catch((error: Error) => {
    throw new KeysUnavailable(error.message);
  });
  if (!candidates.some((key) => verifyJws(parsed, key))) {
    throw new Error('failed to verify signature: failed to verify id token signature');
  }
  checkAudience(parsed, rules.audiences);
  checkTimes(parsed, rules.clock.now());
}

function checkAudience({ payload: { aud } }: ParsedJws, wanted: readonly string[]): void {
  const named = (Array.isArray(aud) ? aud : [aud]).filter((each) => typeof each === 'string');
  if (named.some((each) => wanted.includes(each))) return;
  const list = (values: readonly string[]) => `[${values.map((each) => JSON.stringify(each)).join(' ')}]`;
  const expected = wanted.length === 1 ? `audience ${JSON.stringify(wanted[0])}` : `audience in ${list(wanted)}`;
  throw new Error(`oidc: expected ${expected} got ${list(named)}`);
}

function checkTimes({ payload: { exp, nbf } }: ParsedJws, nowMs: number): void {
  const nowSeconds = nowMs / 1000;
  if (typeof exp !== 'number' || nowSeconds > exp) {
    const when = typeof exp === 'number' ? new Date(exp * 1000).toISOString() : 'none';
    throw new Error(`oidc: token is expired (Token Expiry: ${when})`);
  }
  if (typeof nbf === 'number' && nowSeconds + NOT_BEFORE_LEEWAY_SECONDS < nbf) {
    throw new Error('oidc: current time is before the nbf (not before) time of the token');
  }
}
