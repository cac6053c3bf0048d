// The cluster's own tokens: signed with one key, verified with any of several, so that the signing key can be rotated.
import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { algorithmOf, keyIdOf, parseJws, signJws, verifyJws } from './jws.ts';

export interface BoundReference {
  name: string;
  uid?: string;
}

/** Of a bound service-account token. */
export interface TokenClaims {
  iss: string;
  sub: string;
  aud: string[];
  /** Seconds since the epoch. */
  exp: number;
  iat: number;
  nbf: number;
  jti: string;
  'kubernetes.io': {
    namespace: string;
    serviceaccount: { name: string; uid: string };
    pod?: BoundReference;
    secret?: BoundReference;
    node?: BoundReference;
    /** When a token that lives longer than was asked for would have expired. */
    warnafter?: number;
  };
}

/** Of a token kept in a Secret: it does not expire, it ends with the Secret. */
export interface LegacyClaims {
  iss: string;
  sub: string;
  'kubernetes.io/serviceaccount/namespace': string;
  'kubernetes.io/serviceaccount/secret.name': string;
  'kubernetes.io/serviceaccount/service-account.name': string;
  'kubernetes.io/serviceaccount/service-account.uid': string;
}

export interface TokenSigner {
  sign(claims: TokenClaims | LegacyClaims): string;
  /** The claims when the signature is ours, else undefined; times and audiences are the caller's to check. */
  verify(token: string): Record<string, unknown> | undefined;
  /** The public keys as a JSON Web Key Set. */
  jwks(): { keys: Record<string, unknown>[] };
  /** Of the keys, for the discovery document. */
  algorithms(): string[];
}

/**
 * `privateKeyPem` signs; `verificationPems` are more keys (public, or private ones to take the public from) whose tokens are
 * still good. Throws when a PEM cannot be read.
 */
export function createTokenSigner(privateKeyPem: string, verificationPems: readonly string[] = []): TokenSigner {
  const privateKey = createPrivateKey(privateKeyPem);
  const keys = new Map<string, KeyObject>();
  for (const key of [createPublicKey(privateKey), ...verificationPems.flatMap(publicKeysOf)]) {
    algorithmOf(key);
    keys.set(keyIdOf(key), key);
  }
  const signingId = keys.keys().next().value as string;
  return {
    sign: (claims) => signJws(claims, privateKey, signingId),
    verify(token) {
      const parsed = parseJws(token);
      if (!parsed) return undefined;
      const named = typeof parsed.header.kid === 'string' ? keys.get(parsed.header.kid) : undefined;
      for (const key of named ? [named] : keys.values()) {
        // The algorithm is the key's, never the token's choice.
        if (parsed.header.alg === algorithmOf(key) && verifyJws(parsed, key)) return parsed.payload;
      }
      return undefined;
    },
    jwks: () => ({
      keys: [...keys].map(([kid, key]) => ({
        use: 'sig',
        kid,
        alg: algorithmOf(key),
        ...key.export({ format: 'jwk' }),
      })),
    }),
    algorithms: () => [...new Set([...keys.values()].map(algorithmOf))].sort(),
  };
}

/** A file may hold several keys one after the other. */
function publicKeysOf(pem: string): KeyObject[] {
  const blocks = pem.match(/-----BEGIN [^-]+-----[^-]+-----END [^-]+-----/g) ?? [];
  if (blocks.length === 0) throw new Error('no PEM block with a key');
  return blocks.map((block) => createPublicKey(block));
}
