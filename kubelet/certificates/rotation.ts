// A certificate that is kept current: taken from disk while it is good, asked for when it is not, replaced before it ends.
//   <dir>/<name>-current.pem    certificate and key in one file, as upstream keeps them
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../client/port.ts';
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { Logger } from '../../lib/log.ts';
import { isUsable, rotateAtMs } from './lifetime.ts';
import type { SignedKeys, Wanted } from './request.ts';

export interface RotationOptions {
  client: Client;
  wanted: Wanted;
  dir: string;
  /** `kubelet-client`, `kubelet-server`. */
  name: string;
  clock: Clock;
  random: Random;
  log: Logger;
  /** For tests; default: a CertificateSigningRequest. */
  request?(signal: AbortSignal): Promise<SignedKeys>;
}

const LOOK_MS = 10 * 60_000;

export class CertificateRotation {
  #options: RotationOptions;

  constructor(options: RotationOptions) {
    this.#options = options;
  }

  /** What is on disk, if it is still good. */
  stored(): SignedKeys | undefined {
    const { dir, name, clock } = this.#options;
    const path = join(dir, `${name}-current.pem`);
    if (!existsSync(path)) return undefined;
    const text = readFileSync(path, 'utf8');
    const certificatePem = /(-----BEGIN CERTIFICATE-----[\s\S]+-----END CERTIFICATE-----\n?)/.exec(text)?.[1];
    const keyPem = /(-----BEGIN (?:EC )?PRIVATE KEY-----[\s\S]+?-----END (?:EC )?PRIVATE KEY-----\n?)/.exec(text)?.[1];
    if (!certificatePem || !keyPem || !isUsable(certificatePem, clock.now())) return undefined;
    return { certificatePem, keyPem };
  }

  /** Asks until it is signed; undefined when the signal aborts. */
  async obtain(signal: AbortSignal): Promise<SignedKeys | undefined> {
    const { client, wanted, dir, name, clock, random, log, request } = this.#options;
    for (let failures = 1; !signal.aborted; failures++) {
      try {
        // Only nodes that rotate load what makes requests.
        const ask = request ?? (async () => (await import('./request.ts')).requestCertificate(client, wanted, signal));
        const signed = await ask(signal);
        // As it is read back: who compares the two sees no change.
        const keys = { certificatePem: `${signed.certificatePem.trimEnd()}\n`, keyPem: signed.keyPem };
        mkdirSync(dir, { recursive: true, mode: 0o700 });
        writeFileAtomic(join(dir, `${name}-current.pem`), `${keys.certificatePem}${keys.keyPem}\n`, 0o600);
        log.info({ signer: wanted.signerName }, 'a certificate was signed for this node');
        return keys;
      } catch (err) {
        if (signal.aborted) return undefined;
        log.warn({ err, signer: wanted.signerName }, 'no certificate was signed; trying again');
        await sleep(clock, backoffMs({ initialMs: 2000, maxMs: 128_000, jitter: 0.1 }, failures, random), signal);
      }
    }
    return undefined;
  }

  /** Calls `onKeys` with what is good now and with each successor, until the signal aborts. */
  async run(onKeys: (keys: SignedKeys) => void, signal: AbortSignal): Promise<void> {
    const { clock, random } = this.#options;
    let keys = this.stored();
    if (keys) onKeys(keys);
    while (!signal.aborted) {
      if (keys) {
        const atMs = rotateAtMs(keys.certificatePem, random);
        // Not in one wait: the host's clock may be set meanwhile.
        for (let leftMs = atMs - clock.now(); leftMs > 0; leftMs = atMs - clock.now())
          if (!(await sleep(clock, Math.min(leftMs, LOOK_MS), signal))) return;
      }
      keys = await this.obtain(signal);
      if (keys) onKeys(keys);
    }
  }
}
