// Service-account tokens: JWTs signed with ES256 (RFC 7515, 7518) by the cluster's signing key.
import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

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
    pod?: { name: string; uid: string };
    secret?: { name: string; uid: string };
    node?: { name: string; uid: string };
  };
}

export interface TokenSigner {
  sign(claims: TokenClaims): string;
  /** The claims when the signature is ours, else undefined; times and audiences are the caller's to check. */
  verify(token: string): TokenClaims | undefined;
  /** The public key as a JSON Web Key Set. */
  jwks(): { keys: Record<string, unknown>[] };
}

/** Signs and verifies with one EC P-256 private key (PKCS#8 PEM). */
export function createTokenSigner(privateKeyPem: string): TokenSigner {
  const privateKey = createPrivateKey(privateKeyPem);
  const publicKey = createPublicKey(privateKey);
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  const keyId = createHash('sha256').update(spki).digest('base64url');
  const header = Buffer.from(JSON.stringify({ alg: 'ES256', kid: keyId })).toString('base64url');
  return {
    sign(claims) {
      const signed = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}`;
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' });
      return `${signed}.${signature.toString('base64url')}`;
    },
    verify: (token) => verifyToken(token, publicKey),
    jwks() {
      const jwk = publicKey.export({ format: 'jwk' });
      return { keys: [{ use: 'sig', kid: keyId, alg: 'ES256', ...jwk }] };
    },
  };
}

function verifyToken(token: string, publicKey: KeyObject): TokenClaims | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  const [header = '', payload = '', signature = ''] = parts;
  // The algorithm is ours, never the token's choice.
  if ((parseJson(header) as { alg?: unknown } | undefined)?.alg !== 'ES256') return undefined;
  const bytes = Buffer.from(signature, 'base64url');
  if (bytes.length !== 64) return undefined;
  if (!verify('sha256', Buffer.from(`${header}.${payload}`), { key: publicKey, dsaEncoding: 'ieee-p1363' }, bytes)) {
    return undefined;
  }
  return parseJson(payload) as TokenClaims | undefined;
}

function parseJson(base64url: string): unknown {
  try {
    return JSON.parse(Buffer.from(base64url, 'base64url').toString('utf8'));
  } catch {
    return undefined;
  }
}
