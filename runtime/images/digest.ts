// Digests: `sha256:<64 hex>` and `sha512:<128 hex>`.
import { createHash } from 'node:crypto';
import { ImageError } from './errors.ts';

const hexLength = { sha256: 64, sha512: 128 } as const;
type Algorithm = keyof typeof hexLength;

export interface Digest {
  algorithm: Algorithm;
  hex: string;
}

export function parseDigest(text: string): Digest {
  const [algorithm, hex, ...rest] = text.split(':');
  const length = hexLength[algorithm as Algorithm];
  if (length === undefined || rest.length > 0 || hex?.length !== length || !/^[0-9a-f]+$/.test(hex)) {
    throw new ImageError('invalid', `invalid digest "${text}": want sha256:<64 hex> or sha512:<128 hex>`);
  }
  return { algorithm: algorithm as Algorithm, hex };
}

export function isDigest(text: string): boolean {
  try {
    parseDigest(text);
    return true;
  } catch {
    return false;
  }
}

/** The sha256 digest of `bytes`. */
export function digestOf(bytes: Uint8Array | string): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
