// Reading a root file system that is not mounted: lookups through the layers as overlayfs would do them, with
// symbolic links resolved inside the root.
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';
import { join } from 'node:path';

export interface LayerDirectory {
  /** Absolute. */
  directory: string;
  /** Relative paths of opaque directories. */
  opaque: ReadonlySet<string>;
}

export interface Found {
  /** The path in the root after links were followed, absolute. */
  path: string;
  /** Where it is on the host. */
  hostPath: string;
  stats: Stats;
}

const maxLinks = 40;

export class RootfsView {
  #layers: readonly LayerDirectory[];

  /** Layers topmost first. */
  constructor(layers: readonly LayerDirectory[]) {
    this.#layers = layers;
  }

  /** Follows links, the last one too; undefined when absent. */
  find(path: string): Found | undefined {
    return this.#walk(path).found;
  }

  /** The entry at a path whose parents are no links; itself it may be one. */
  at(path: string): Found | undefined {
    return this.#at(path.split('/').filter((part) => part !== ''));
  }

  /** Names in a directory, sorted, links to it followed; none when it is no directory. */
  list(path: string): string[] {
    const found = this.find(path);
    if (!found?.stats.isDirectory()) return [];
    const parts = found.path.split('/').filter((part) => part !== '');
    const names = new Set<string>();
    for (const layer of this.#layers) {
      const directory = join(layer.directory, ...parts);
      if (lstatOrUndefined(directory)?.isDirectory()) for (const name of readdirSync(directory)) names.add(name);
    }
    return [...names].filter((name) => this.#at([...parts, name])).sort();
  }

  /** Resolves the links of as much of `path` as exists; the rest is appended as it is. */
  resolve(path: string): string {
    const { found, missing, parent } = this.#walk(path);
    return found ? found.path : join(parent, ...missing);
  }

  /** The content of a regular file, or undefined when it is absent, not regular or larger than `limit` bytes. */
  readText(path: string, limit = 1 << 20): string | undefined {
    const found = this.find(path);
    if (!found?.stats.isFile()) return undefined;
    const fd = openSync(found.hostPath, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    try {
      const size = fstatSync(fd).size;
      if (size > limit) return undefined;
      const bytes = Buffer.alloc(size);
      return bytes.toString('utf8', 0, readSync(fd, bytes, 0, size, 0));
    } finally {
      closeSync(fd);
    }
  }

  #walk(path: string): { found: Found | undefined; missing: string[]; parent: string } {
    let todo = path.split('/').filter((part) => part !== '' && part !== '.');
    let done: string[] = [];
    let links = 0;
    for (;;) {
      const part = todo[0];
      if (part === undefined) {
        const found = this.#at(done);
        return { found, missing: [], parent: `/${done.join('/')}` };
      }
      if (part === '..') {
        todo = todo.slice(1);
        done = done.slice(0, -1);
        continue;
      }
      const here = this.#at([...done, part]);
      if (!here) return { found: undefined, missing: todo, parent: `/${done.join('/')}` };
      if (here.stats.isSymbolicLink()) {
        if (++links > maxLinks) return { found: undefined, missing: todo, parent: `/${done.join('/')}` };
        const target = readlinkSync(here.hostPath);
        todo = [...target.split('/').filter((p) => p !== '' && p !== '.'), ...todo.slice(1)];
        if (target.startsWith('/')) done = [];
        continue;
      }
      if (todo.length > 1 && !here.stats.isDirectory()) {
        return { found: undefined, missing: todo, parent: `/${done.join('/')}` };
      }
      done = [...done, part];
      todo = todo.slice(1);
    }
  }

  /** What the merged tree holds at a path none of whose parents is a link. */
  #at(parts: readonly string[]): Found | undefined {
    const path = parts.join('/');
    layer: for (const layer of this.#layers) {
      let hidesBelow = layer.opaque.has('');
      for (let depth = 1; depth <= parts.length; depth++) {
        const prefix = parts.slice(0, depth).join('/');
        const stats = lstatOrUndefined(join(layer.directory, prefix));
        if (!stats) {
          if (hidesBelow) return undefined;
          continue layer;
        }
        if (isWhiteout(stats)) return undefined;
        if (depth < parts.length && !stats.isDirectory()) return undefined;
        if (depth < parts.length && layer.opaque.has(prefix)) hidesBelow = true;
      }
      const hostPath = join(layer.directory, path);
      const stats = lstatOrUndefined(hostPath);
      if (stats) return { path: `/${path}`, hostPath, stats };
    }
    return undefined;
  }
}

export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}

function lstatOrUndefined(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}
