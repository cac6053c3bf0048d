// How a stored value is made unreadable and readable again, in kube-apiserver's own formats, so that either can serve the
// same store:
//
//   k8s:enc:aesgcm:v1:KEY:     nonce (12), ciphertext, tag (16); the store key is authenticated with it
//   k8s:enc:aescbc:v1:KEY:     IV (16), ciphertext padded as PKCS #7; not authenticated
//   k8s:enc:secretbox:v1:KEY:  nonce (24), tag (16), ciphertext
//   k8s:enc:kms:v2:NAME:       see kms.ts
//
// A value without a prefix is plain. The first provider's first key writes; all of them read.
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import type { KmsProvider } from './kms.ts';
import { NONCE_BYTES, open, seal } from './secretbox.ts';

export type ProviderName = 'aescbc' | 'aesgcm' | 'secretbox' | 'identity';

export type Provider =
  | { kind: 'identity' }
  | { kind: 'kms'; provider: KmsProvider }
  | { kind: 'aescbc' | 'aesgcm' | 'secretbox'; keys: readonly { name: string; secret: Buffer }[] };

export interface Transformer {
  /** `storeKey` is bound to the value where the cipher authenticates. */
  toStorage(storeKey: string, value: Uint8Array): Buffer;
  /** `isStale`: it was not written by what writes now. Throws DecryptError. */
  fromStorage(storeKey: string, value: Uint8Array): { value: Uint8Array; isStale: boolean };
  /** Has what these values need fetched, before `fromStorage` is asked. Undefined: all is there. */
  prepare?(values: readonly Uint8Array[]): Promise<void> | undefined;
}

export interface Cipher {
  encrypt(storeKey: string, value: Uint8Array): Buffer;
  /** Throws when it is not what was encrypted under that key. */
  decrypt(storeKey: string, value: Uint8Array): Uint8Array;
}

/** A stored value cannot be read; the message holds no part of it. */
export class DecryptError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'DecryptError';
  }
}

const MARK = Buffer.from('k8s:enc:');

interface Entry extends Cipher {
  prefix: Buffer;
  /** Written by what it would not write with now. */
  isStale?(value: Uint8Array): boolean;
  prepare?(values: readonly Uint8Array[]): Promise<void> | undefined;
}

export function createTransformer(providers: readonly Provider[]): Transformer {
  const entries = providers.flatMap(entriesOf);
  const writer = entries[0] as Entry;
  const preparing = entries.filter((each) => each.prepare);
  return {
    ...(preparing.length > 0 && {
      prepare(values: readonly Uint8Array[]) {
        const waits = preparing.flatMap((entry) => {
          const own = values.filter((each) => startsWith(each, entry.prefix));
          return entry.prepare?.(own.map((each) => each.subarray(entry.prefix.length))) ?? [];
        });
        return waits.length > 0 ? Promise.all(waits).then(() => {}) : undefined;
      },
    }),
    toStorage: (storeKey, value) => Buffer.concat([writer.prefix, writer.encrypt(storeKey, value)]),
    fromStorage(storeKey, value) {
      const isMarked = startsWith(value, MARK);
      for (const entry of entries) {
        if (isMarked ? entry.prefix.length === 0 || !startsWith(value, entry.prefix) : entry.prefix.length > 0)
          continue;
        try {
          const rest = value.subarray(entry.prefix.length);
          return {
            value: entry.decrypt(storeKey, rest),
            isStale: entry !== writer || entry.isStale?.(rest) === true,
          };
        } catch (error) {
          throw new DecryptError(`${storeKey}: ${(error as Error).message}`, { cause: error });
        }
      }
      throw new DecryptError(`${storeKey}: no provider and key of the encryption configuration matches`);
    },
  };
}

function entriesOf(provider: Provider): Entry[] {
  if (provider.kind === 'identity') {
    return [{ prefix: Buffer.alloc(0), encrypt: (_, value) => Buffer.from(value), decrypt: (_, value) => value }];
  }
  if (provider.kind === 'kms') {
    const kms = provider.provider;
    return [
      {
        prefix: Buffer.from(`k8s:enc:kms:v2:${kms.name}:`),
        encrypt: (storeKey, value) => kms.encrypt(storeKey, value),
        decrypt: (storeKey, value) => kms.decrypt(storeKey, value),
        isStale: (value) => kms.isStale(value),
        prepare: (values) => kms.prepare(values),
      },
    ];
  }
  const { kind } = provider;
  return provider.keys.map(({ name, secret }) => ({
    prefix: Buffer.from(`k8s:enc:${kind}:v1:${name}:`),
    ...CIPHERS[kind](secret),
  }));
}

export function aesGcm(secret: Buffer): Cipher {
  const algorithm = `aes-${secret.length * 8}-gcm` as 'aes-256-gcm';
  return {
    encrypt(storeKey, value) {
      const nonce = randomBytes(12);
      const cipher = createCipheriv(algorithm, secret, nonce).setAAD(Buffer.from(storeKey));
      return Buffer.concat([nonce, cipher.update(value), cipher.final(), cipher.getAuthTag()]);
    },
    decrypt(storeKey, value) {
      if (value.length < 28) throw new Error('the stored data was shorter than the required size');
      const cipher = createDecipheriv(algorithm, secret, value.subarray(0, 12));
      cipher.setAAD(Buffer.from(storeKey)).setAuthTag(value.subarray(-16));
      return Buffer.concat([cipher.update(value.subarray(12, -16)), cipher.final()]);
    },
  };
}

const CIPHERS: Record<'aescbc' | 'aesgcm' | 'secretbox', (secret: Buffer) => Cipher> = {
  aesgcm: aesGcm,
  aescbc: (secret) => {
    const algorithm = `aes-${secret.length * 8}-cbc`;
    return {
      encrypt(_, value) {
        const iv = randomBytes(16);
        const cipher = createCipheriv(algorithm, secret, iv);
        return Buffer.concat([iv, cipher.update(value), cipher.final()]);
      },
      decrypt(_, value) {
        if (value.length < 32) throw new Error('the stored data was shorter than the required size');
        const cipher = createDecipheriv(algorithm, secret, value.subarray(0, 16));
        return Buffer.concat([cipher.update(value.subarray(16)), cipher.final()]);
      },
    };
  },
  secretbox: (secret) => ({
    encrypt(_, value) {
      const nonce = randomBytes(NONCE_BYTES);
      return Buffer.concat([nonce, seal(value, nonce, secret)]);
    },
    decrypt(_, value) {
      const opened = open(value.subarray(NONCE_BYTES), value.subarray(0, NONCE_BYTES), secret);
      if (!opened) throw new Error('the stored data could not be authenticated with the key');
      return opened;
    },
  }),
};

function startsWith(value: Uint8Array, prefix: Buffer): boolean {
  return value.length >= prefix.length && prefix.compare(value, 0, prefix.length) === 0;
}
