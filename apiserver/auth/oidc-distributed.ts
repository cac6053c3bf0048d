// Distributed claims (OpenID Connect Core 5.6.2): an ID token that does not say its bearer's groups but who knows them. What that
// endpoint answers is an ID token too, verified with the keys of the issuer that it names, which may be another one.
import { type ParsedJws, parseJws } from './jws.ts';
import type { Claims } from './oidc-claims.ts';
import { type Fetch, OidcKeys } from './oidc-keys.ts';
import { type IdTokenRules, KeysUnavailable, verifyIdToken } from './oidc-verify.ts';

/** Issuers whose keys are kept. */
const MAX_ISSUERS = 64;

type Strings = Record<string, unknown>;

/**
 * Gives back the claims with `claim` among them when an endpoint has it; the same object when there is nothing to ask. Rejects with
 * upstream's words. `claim` undefined or empty: never asks.
 */
export function distributedClaims(
  options: IdTokenRules & { claim: string | undefined; fetch: Fetch },
): (claims: Claims) => Promise<Claims> {
  const { claim, fetch, clock } = options;
  const issuers = new Map<string, OidcKeys>();

  function keysOf(issuer: string): OidcKeys {
    let keys = issuers.get(issuer);
    if (!keys) {
      if (issuers.size >= MAX_ISSUERS) issuers.delete(issuers.keys().next().value as string);
      issuers.set(issuer, (keys = new OidcKeys({ issuer, fetch, clock })));
    }
    return keys;
  }

  async function resolve(name: string, url: string, accessToken: string): Promise<unknown> {
    const text = await fetch(url, accessToken).catch((error: Error) => {
      throw new Error(`while getting distributed claim ${JSON.stringify(name)}: ${error.message}`);
    });
    const parsed: ParsedJws | undefined = parseJws(text.trim());
    const issuer = parsed?.payload.iss;
    if (!parsed || typeof issuer !== 'string') {
      throw new Error(
        `getting untrusted issuer from endpoint ${url} failed for claim ${JSON.stringify(name)}: malformed token`,
      );
    }
    await verifyIdToken(parsed, { ...options, keys: keysOf(issuer) }).catch((error: Error) => {
      throw error instanceof KeysUnavailable
        ? new Error(`verifying untrusted issuer ${issuer} failed: ${error.message}`)
        : new Error(`verify distributed claim token: ${error.message}`);
    });
    if (parsed.payload[name] === undefined) {
      throw new Error(
        `jwt returned by distributed claim endpoint ${JSON.stringify(url)} did not contain claim: ${name}`,
      );
    }
    return parsed.payload[name];
  }

  return async (claims) => {
    if (!claim || claims[claim] !== undefined || claims['_claim_names'] === undefined) return claims;
    try {
      const endpoint = endpointOf(claims, claim);
      if (!endpoint) return claims;
      return { ...claims, [claim]: await resolve(claim, endpoint.url, endpoint.accessToken) };
    } catch (error) {
      throw new Error(`oidc: could not expand distributed claims: ${(error as Error).message}`, { cause: error });
    }
  };
}

/** Undefined when nobody is named, or one without an endpoint: an aggregated claim, which upstream passes over too. */
function endpointOf(claims: Claims, claim: string): { url: string; accessToken: string } | undefined {
  const names = objectOf(claims['_claim_names'], 'oidc: error parsing distributed claim names');
  if (claims['_claim_sources'] === undefined) throw new Error('oidc: no claim sources');
  const sources = objectOf(claims['_claim_sources'], 'oidc: could not parse claim sources');
  if (!Object.hasOwn(names, claim)) return undefined;
  const source = String(names[claim]);
  if (!Object.hasOwn(sources, source)) {
    throw new Error(`id token _claim_names contained a source ${source} missing in _claims_sources`);
  }
  const { endpoint = '', access_token: accessToken = '' } = objectOf(
    sources[source],
    'oidc: could not parse claim sources',
  );
  if (typeof endpoint !== 'string' || typeof accessToken !== 'string') {
    throw new Error('oidc: could not parse claim sources: not a string');
  }
  return endpoint === '' ? undefined : { url: endpoint, accessToken };
}

function objectOf(value: unknown, what: string): Strings {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Strings;
  throw new Error(`${what}: not an object`);
}
