// Volumes that are directories of this node, made for claims of the built-in provisioner: made when first mounted, removed when their
// PersistentVolume is gone from the API. Each is called after its volume.
//   <dir>/pvc-<claim uid>/
import { chmodSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { ApiError } from '../../api/errors.ts';
import type { PersistentVolume } from '../../api/types/core-v1.ts';
import type { Client } from '../../client/port.ts';
import { refs } from '../../client/refs.ts';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';

/** On the Node object: where the provisioner is to put such volumes. */
export const LOCAL_VOLUMES_ANNOTATION = 'sampan.dev/local-volumes';

const SWEEP_MS = 60_000;

export class LocalVolumes {
  readonly dir: string;
  #client: Client;
  #clock: Clock;
  #log: Logger;

  constructor(options: { dir: string; client: Client; clock: Clock; log: Logger }) {
    this.dir = options.dir;
    this.#client = options.client;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Makes the directory if it is one of ours; any user of a container may write to it, as in an emptyDir. */
  prepare(path: string): void {
    if (dirname(path) !== this.dir || existsSync(path)) return;
    mkdirSync(this.dir, { recursive: true, mode: 0o711 });
    mkdirSync(path, { mode: 0o777 });
    chmodSync(path, 0o777);
  }

  /** Until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    do {
      await this.sweep(signal).catch((err) => this.#log.warn({ err }, 'cannot look after local volumes'));
    } while (await sleep(this.#clock, SWEEP_MS, signal));
  }

  /** Removes what belongs to no volume any more. Only a clear "not found" of the API server counts. */
  async sweep(signal?: AbortSignal): Promise<void> {
    const names = existsSync(this.dir) ? readdirSync(this.dir).filter((each) => each.startsWith('pvc-')) : [];
    for (const name of names) {
      try {
        await this.#client.resource<PersistentVolume>(refs.persistentVolumes).get(name, { ...(signal && { signal }) });
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 404 || error.status.details?.name !== name) continue;
        await rm(join(this.dir, basename(name)), { recursive: true, force: true });
        this.#log.info({ volume: name }, 'removed the data of a volume that is gone');
      }
    }
  }
}
