// A KMS v2 provider: values are encrypted here, with keys made of a seed that only the plugin can read. The seed is made once per
// key of the plugin and kept in memory; with each value is stored what the plugin made of it (kmsv2 envelope, KEP-3299):
//
//   k8s:enc:kms:v2:NAME:  EncryptedObject { data: info (32) ‖ nonce (12) ‖ ciphertext ‖ tag (16), key id, encrypted seed }
//
// The key of a value is HKDF-Expand(seed, info). The plugin is asked for its status once a minute; another key id means another
// seed. Without an answer for three minutes nothing is written any more; what was read before stays readable.
import { createHash, createHmac, randomBytes, randomUUID } from 'node:crypto';
import { sleep } from '../../../lib/abort.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Logger } from '../../../lib/log.ts';
import { DEFAULT_KMS_METRICS, type KmsMetrics } from './kms-metrics.ts';
import { KmsError, type KmsService } from './kms-client.ts';
import { DEK_KEY, DEK_SEED, type DekSource, decodeObject, encodeObject } from './kms-messages.ts';
import { StoreUnavailableError } from '../port.ts';
import { aesGcm, type Cipher } from './transformer.ts';

export interface KmsOptions {
  name: string;
  service: KmsService;
  clock: Clock;
  log: Logger;
  metrics?: KmsMetrics | undefined;
}

interface State {
  source: DekSource;
  cipher: Cipher;
  /** Until then it may write. */
  untilMs: number;
}

const SEED_BYTES = 32;
const INFO_BYTES = 32;
const WRITABLE_MS = 3 * 60_000;
const HEALTHY_MS = 60_000;
const UNHEALTHY_MS = 10_000;
const STARTING_MS = 1_000;
const SOURCE_LIMIT = 1024;
const KEY_ID_LIMIT = 1024;
const ANNOTATIONS_LIMIT = 32 * 1024;
/** Seeds that are remembered: one per key id and start of a server, unless values are never written anew. */
const KNOWN_SEEDS = 10_000;

export class KmsProvider {
  readonly name: string;
  #options: KmsOptions;
  #metrics: KmsMetrics;
  #state: State | undefined;
  /** By the digest of what their keys are found by. */
  #ciphers = new Map<string, Cipher>();
  #asking = new Map<string, Promise<void>>();
  #stop = new AbortController();
  #problem: string | undefined = 'the plugin has not been asked yet';
  #running: Promise<void> | undefined;

  constructor(options: KmsOptions) {
    this.name = options.name;
    this.#options = options;
    this.#metrics = options.metrics ?? DEFAULT_KMS_METRICS;
  }

  /** Settles after the first answer, whatever it says; asks again from time to time until `stop`. */
  async start(): Promise<void> {
    await this.#look();
    this.#running = this.#follow(this.#stop.signal);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    this.#options.service.close();
  }

  /** What is wrong with the plugin; undefined: nothing. */
  get problem(): string | undefined {
    return this.#problem;
  }

  get keyId(): string | undefined {
    return this.#state?.source.keyId;
  }

  /** Asks the plugin now. Throws what is wrong. */
  async check(): Promise<void> {
    const { name } = this;
    const status = await this.#call('Status', () => this.#options.service.status());
    if (status.healthz !== 'ok') {
      throw new Error(`got unexpected healthz status: ${status.healthz}, expected KMSv2 plugin ${name} to be ok`);
    }
    if (status.version !== 'v2' && status.version !== 'v2beta1') {
      throw new Error(`expected KMSv2 API version v2, got ${JSON.stringify(status.version)}`);
    }
    this.#metrics.keyIdSeen(name, status.keyId, keyIdProblem(status.keyId));
    const wrong = keyIdProblem(status.keyId);
    if (wrong) throw new Error(`got invalid KMSv2 KeyID: ${wrong}`);
    await this.#rotate(status.keyId);
  }

  encrypt(storeKey: string, value: Uint8Array): Buffer {
    const state = this.#state;
    if (!state) throw new StoreUnavailableError(`kms plugin ${this.name}: ${this.#problem ?? 'not ready'}`);
    const nowMs = this.#options.clock.now();
    if (nowMs > state.untilMs) {
      const since = new Date(state.untilMs).toISOString();
      throw new StoreUnavailableError(`kms plugin ${this.name}: its key expired at ${since}: ${this.#problem ?? ''}`);
    }
    this.#metrics.keyUsed(this.name, 'to_storage', state.source.keyId, nowMs);
    return encodeObject({ source: state.source, data: state.cipher.encrypt(storeKey, value) });
  }

  /** `prepare` must have been called for the value. */
  decrypt(storeKey: string, value: Uint8Array): Uint8Array {
    const { source, data } = decoded(value);
    const cipher = this.#ciphers.get(digestOf(source));
    if (!cipher) throw new Error('the key of the value is not known');
    this.#metrics.keyUsed(this.name, 'from_storage', source.keyId, this.#options.clock.now());
    return cipher.decrypt(storeKey, data);
  }

  isStale(value: Uint8Array): boolean {
    const { source } = decoded(value);
    return source.keyId !== this.#state?.source.keyId || source.type !== this.#state.source.type;
  }

  /** Has the plugin decrypt what the keys of these values are made of. Rejects with StoreUnavailableError. */
  prepare(values: readonly Uint8Array[]): Promise<void> | undefined {
    const missing = new Map<string, DekSource>();
    for (const value of values) {
      let source: DekSource;
      try {
        source = decoded(value).source;
      } catch {
        // Told when it is read.
        continue;
      }
      const digest = digestOf(source);
      if (!this.#ciphers.has(digest)) missing.set(digest, source);
    }
    if (missing.size === 0) return undefined;
    return Promise.all([...missing].map(([digest, source]) => this.#learn(digest, source))).then(() => {});
  }

  #learn(digest: string, source: DekSource): Promise<void> {
    let asking = this.#asking.get(digest);
    if (!asking) {
      this.#metrics.cacheMissed();
      asking = this.#decryptSource(digest, source).finally(() => this.#asking.delete(digest));
      this.#asking.set(digest, asking);
    }
    return asking;
  }

  async #decryptSource(digest: string, { encrypted, keyId, annotations, type }: DekSource): Promise<void> {
    try {
      const question = { ciphertext: encrypted, uid: randomUUID(), keyId, annotations };
      const secret = await this.#call('Decrypt', () => this.#options.service.decrypt(question));
      this.#know(digest, cipherOf(secret, type));
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new StoreUnavailableError(`kms plugin ${this.name}: failed to decrypt DEK, error: ${why}`, {
        cause: error,
      });
    }
  }

  #know(digest: string, cipher: Cipher): void {
    if (this.#ciphers.size >= KNOWN_SEEDS) this.#ciphers.delete(this.#ciphers.keys().next().value as string);
    this.#ciphers.set(digest, cipher);
  }

  /** The seed of the key that the plugin has now; the one that is there may be used for longer. */
  async #rotate(keyId: string): Promise<void> {
    const { clock, service, log } = this.#options;
    // Counted from before the call: the plugin's key may change while it answers.
    const untilMs = clock.now() + WRITABLE_MS;
    if (this.#state?.source.keyId === keyId) {
      this.#state.untilMs = untilMs;
      return;
    }
    const seed = randomBytes(SEED_BYTES);
    const answer = await this.#call('Encrypt', () => service.encrypt(randomUUID(), seed)).catch((error) => {
      this.#metrics.keyMade(false);
      throw new Error(`failed to encrypt DEK, error: ${(error as Error).message}`, { cause: error });
    });
    const source = {
      keyId: answer.keyId,
      encrypted: answer.ciphertext,
      annotations: answer.annotations,
      type: DEK_SEED,
    };
    const wrong = sourceProblem(source);
    if (wrong) throw new Error(wrong);
    if (answer.keyId !== keyId && this.#state) {
      throw new Error(`the key ID of Status and Encrypt differ: ${shown(keyId)} and ${shown(answer.keyId)}`);
    }
    const cipher = cipherOf(seed, DEK_SEED);
    this.#know(digestOf(source), cipher);
    this.#state = { source, cipher, untilMs };
    this.#metrics.keyMade(true);
    log.info({ kms: this.name, keyId: shown(answer.keyId) }, 'a new key of the KMS plugin is in use');
  }

  async #look(): Promise<void> {
    const before = this.#problem;
    try {
      await this.check();
      this.#problem = undefined;
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error);
      if (this.#problem !== before)
        this.#options.log.error({ err: error, kms: this.name }, 'KMS plugin is not healthy');
    }
  }

  async #follow(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const pause = this.#problem === undefined ? HEALTHY_MS : this.#state ? UNHEALTHY_MS : STARTING_MS;
      await sleep(this.#options.clock, pause, signal);
      if (!signal.aborted) await this.#look();
    }
  }

  async #call<T>(method: string, call: () => Promise<T>): Promise<T> {
    const started = performance.now();
    let code = 'OK';
    try {
      return await call();
    } catch (error) {
      code = error instanceof KmsError ? error.code : 'unknown-non-grpc';
      throw error;
    } finally {
      this.#metrics.called(this.name, method, code, (performance.now() - started) / 1000);
    }
  }
}

function decoded(value: Uint8Array) {
  return decodeObject(Buffer.from(value.buffer, value.byteOffset, value.byteLength));
}

const digestOf = (source: DekSource): string =>
  createHash('sha256')
    .update(encodeObject({ source, data: Buffer.alloc(0) }))
    .digest('base64');

/** Key ids name keys in somebody's vault: only their digest is shown. */
const shown = (keyId: string) => `sha256:${createHash('sha256').update(keyId).digest('hex')}`;

function cipherOf(secret: Buffer, type: number): Cipher {
  if (type === DEK_KEY) return aesGcm(secret);
  if (type !== DEK_SEED) throw new Error(`unknown encryptedDEKSourceType: ${type}`);
  if (secret.length < SEED_BYTES) throw new Error(`invalid seed length ${secret.length} used for key generation`);
  // HKDF's second step alone; one block of SHA-256 is a whole key.
  const derived = (info: Uint8Array) =>
    aesGcm(
      createHmac('sha256', secret)
        .update(info)
        .update(Buffer.from([1]))
        .digest(),
    );
  return {
    encrypt(storeKey, value) {
      const info = randomBytes(INFO_BYTES);
      return Buffer.concat([info, derived(info).encrypt(storeKey, value)]);
    },
    decrypt(storeKey, value) {
      if (value.length < INFO_BYTES) throw new Error('the stored data was shorter than the required size');
      return derived(value.subarray(0, INFO_BYTES)).decrypt(storeKey, value.subarray(INFO_BYTES));
    },
  };
}

function keyIdProblem(keyId: string): string | undefined {
  if (keyId === '') return 'keyID is empty';
  const size = Buffer.byteLength(keyId);
  return size > KEY_ID_LIMIT ? `keyID is ${size} bytes, which exceeds the max size of ${KEY_ID_LIMIT}` : undefined;
}

/** An annotation is named like a domain with dots. */
const DOMAIN = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/;

function sourceProblem({ encrypted, keyId, annotations }: DekSource): string | undefined {
  const source = 'failed to validate encrypted DEK source: encrypted DEK source is';
  if (encrypted.length === 0) return `${source} empty`;
  if (encrypted.length > SOURCE_LIMIT) {
    return `${source} ${encrypted.length} bytes, which exceeds the max size of ${SOURCE_LIMIT}`;
  }
  const wrong = keyIdProblem(keyId);
  if (wrong) return `failed to validate key id: ${wrong}`;
  let size = 0;
  for (const [key, value] of Object.entries(annotations)) {
    if (!DOMAIN.test(key)) {
      return `failed to validate annotations: ${JSON.stringify(key)}: should be a domain with at least two segments separated by dots`;
    }
    size += Buffer.byteLength(key) + value.length;
  }
  if (size <= ANNOTATIONS_LIMIT) return undefined;
  return `failed to validate annotations: total size of annotations is ${size}, which exceeds the max size of ${ANNOTATIONS_LIMIT}`;
}
