// Reads static pods from a file or a directory, again when something there changes (inotify) and every 20 seconds besides.
//   a file that cannot be read or is wrong is said in the log, and leaves the pods that it held alone
import { existsSync, type FSWatcher, readdirSync, readFileSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { parseYaml } from '../../api/yaml.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { staticPodOf } from './static-pods.ts';

const REREAD_MS = 20_000;
/** An editor writes a file in several steps. */
const SETTLE_MS = 100;

export interface StaticSourceOptions {
  path: string;
  nodeName: string;
  /** Fills in what the API server would. */
  setDefaults(pod: Pod): void;
  /** All static pods there are now. */
  onPods(pods: readonly Pod[]): void;
  clock: Clock;
  log: Logger;
}

export class StaticSource {
  #options: StaticSourceOptions;
  /** By file: its text and the pod in it. */
  #known = new Map<string, { text: string; pod: Pod | undefined }>();
  #timer: Timer | undefined;
  #watcher: FSWatcher | undefined;

  constructor(options: StaticSourceOptions) {
    this.#options = options;
  }

  start(): void {
    this.#read();
    this.#watch();
    this.#rearm(REREAD_MS);
  }

  close(): void {
    this.#timer?.cancel();
    this.#watcher?.close();
  }

  #watch(): void {
    const { path, log } = this.#options;
    if (this.#watcher || !existsSync(path)) return;
    try {
      this.#watcher = watch(path, { persistent: false }, () => this.#rearm(SETTLE_MS));
      this.#watcher.on('error', () => {
        this.#watcher?.close();
        this.#watcher = undefined;
      });
    } catch (err) {
      log.warn({ err, path }, 'cannot watch static pods; reading them every 20 seconds');
    }
  }

  #rearm(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.after(
      ms,
      () => {
        this.#read();
        this.#watch();
        this.#rearm(REREAD_MS);
      },
      { background: true },
    );
  }

  #read(): void {
    const { path, log, onPods } = this.#options;
    let files: string[];
    try {
      files = filesOf(path);
    } catch (err) {
      log.warn({ err, path }, 'cannot read static pods');
      return;
    }
    for (const file of this.#known.keys()) if (!files.includes(file)) this.#known.delete(file);
    for (const file of files) this.#readFile(file);
    onPods([...this.#known.values()].map((each) => each.pod).filter((each) => each !== undefined));
  }

  #readFile(file: string): void {
    const { nodeName, clock, log, setDefaults } = this.#options;
    const known = this.#known.get(file);
    try {
      const text = readFileSync(file, 'utf8');
      if (known?.text === text) return;
      this.#known.set(file, { text, pod: known?.pod });
      const object: unknown = text.trimStart().startsWith('{') ? JSON.parse(text) : parseYaml(text).value;
      const pod = staticPodOf(object, text, file, nodeName, clock.now());
      setDefaults(pod);
      this.#known.set(file, { text, pod });
    } catch (err) {
      log.error({ err, file }, 'not a static pod');
    }
  }
}

function filesOf(path: string): string[] {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found) return [];
  if (!found.isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true })
    .filter((each) => !each.name.startsWith('.') && !each.isDirectory())
    .map((each) => join(path, each.name))
    .sort();
}
