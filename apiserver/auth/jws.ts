// JSON Web Signatures in compact form (RFC 7515, 7518) with node's own crypto: what service-account tokens and OpenID
// Connect share. Only asymmetric algorithms exist here: `none` and HMAC cannot be asked for.
import { constants, createHash, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

export interface ParsedJws {
  header: { alg?: unknown; kid?: unknown };
  payload: Record<string, unknown>;
  /** What the signature is over. */
  signed: Buffer;
  signature: Buffer;
}

interface Algorithm {
  hash: string;
  type: 'rsa' | 'ec';
  curve?: string;
  padding?: number;
}

const rsa = (bits: number): Algorithm => ({ hash: `sha${bits}`, type: 'rsa', padding: constants.RSA_PKCS1_PADDING });
const pss = (bits: number): Algorithm => ({
  hash: `sha${bits}`,
  type: 'rsa',
  padding: constants.RSA_PKCS1_PSS_PADDING,
});
const ec = (bits: number, curve: string): Algorithm => ({ hash: `sha${bits}`, type: 'ec', curve });

const ALGORITHMS: Readonly<Record<string, Algorithm>> = {
  RS256: rsa(256),
  RS384: rsa(384),
  RS512: rsa(512),
  PS256: pss(256),
  PS384: pss(384),
  PS512: pss(512),
  ES256: ec(256, 'prime256v1'),
  ES384: ec(384, 'secp384r1'),
  ES512: ec(512, 'secp521r1'),
};

export const SIGNING_ALGORITHMS: readonly string[] = Object.keys(ALGORITHMS);

/** Undefined when `token` is not three parts of which the first two are JSON objects. Nothing is verified. */
export function parseJws(token: string): ParsedJws | undefined {
  const parts = token.split('.');
  if (parts.length !== 3) return undefined;
  const [head = '', body = '', tail = ''] = parts;
  const header = parseObject(head);
  const payload = parseObject(body);
  if (!header || !payload) return undefined;
  return { header, payload, signed: Buffer.from(`${head}.${body}`), signature: Buffer.from(tail, 'base64url') };
}

/** True when `key` made the signature with the algorithm that the header names, and the key is of that kind. */
export function verifyJws({ header, signed, signature }: ParsedJws, key: KeyObject): boolean {
  const algorithm = typeof header.alg === 'string' ? algorithmNamed(header.alg) : undefined;
  if (!algorithm || !fits(algorithm, key)) return false;
  return verify(algorithm.hash, signed, keyOptions(algorithm, key), signature);
}

/** The compact form of `payload`, signed with the algorithm that fits the private key. */
export function signJws(payload: object, key: KeyObject, keyId: string): string {
  const alg = algorithmOf(key);
  const head = base64url({ alg, kid: keyId });
  const signed = Buffer.from(`${head}.${base64url(payload)}`);
  const algorithm = algorithmNamed(alg) as Algorithm;
  return `${signed.toString()}.${sign(algorithm.hash, signed, keyOptions(algorithm, key)).toString('base64url')}`;
}

/** RS256 for RSA, ES256/384/512 by curve; throws for other keys. */
export function algorithmOf(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  for (const name of ['ES256', 'ES384', 'ES512']) if (fits(algorithmNamed(name) as Algorithm, key)) return name;
  throw new Error(`tokens cannot be signed with a key of type ${key.asymmetricKeyType ?? 'unknown'}`);
}

/** Upstream's key id: the hash of the public key's DER. */
export function keyIdOf(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
}

/** A key of a JSON Web Key Set; undefined when it is of a kind that nothing here can use. */
export function keyFromJwk(jwk: Record<string, unknown>): KeyObject | undefined {
  if (jwk.kty !== 'RSA' && jwk.kty !== 'EC') return undefined;
  try {
    return createPublicKey({ key: jwk as never, format: 'jwk' });
  } catch {
    return undefined;
  }
}

const algorithmNamed = (name: string) => (Object.hasOwn(ALGORITHMS, name) ? ALGORITHMS[name] : undefined);

const fits = ({ type, curve }: Algorithm, key: KeyObject) =>
  key.asymmetricKeyType === type && (curve === undefined || key.asymmetricKeyDetails?.namedCurve === curve);

const keyOptions = ({ type, padding }: Algorithm, key: KeyObject) =>
  type === 'ec'
    ? { key, dsaEncoding: 'ieee-p1363' as const }
    : { key, padding, ...(padding === constants.RSA_PKCS1_PSS_PADDING && { saltLength: -1 }) };

const base64url = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'));
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
