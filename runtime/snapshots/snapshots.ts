// Layers unpacked once per chain id (`root`/layers/<chain>/fs) and a writable upper directory per container
// (`root`/active/<id>). A layer directory that has its final name is whole: it is unpacked under a temporary name,
// flushed, and renamed. Temporary names are swept at start.
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf } from '../images/digest.ts';
import { ImageError } from '../images/errors.ts';
import { fromOverlay, type OverlayLayer, toOverlay } from './layer.ts';
import { readProgram, runProgram } from './process.ts';
import type { IdShift } from './shift.ts';
import { TarError } from './tar.ts';
import { type DiskUsage, diskUsage } from './usage.ts';
import { type LayerDirectory, RootfsView } from './view.ts';

/** `damaged-<n>-<name>`: a layer that was set aside. */
const DAMAGED = 'damaged-';

interface LayerRecord extends OverlayLayer {
  chainId: string;
  diffId: string;
}

/** Chain ids of a stack of layers, lowest first (OCI image-spec, config.md). */
export function chainIds(diffIds: readonly string[]): string[] {
  const chain: string[] = [];
  for (const diffId of diffIds) {
    const parent = chain.at(-1);
    chain.push(parent === undefined ? diffId : digestOf(`${parent} ${diffId}`));
  }
  return chain;
}

export class Snapshots {
  #layers: string;
  #active: string;
  #sequence = 0;
  #unpacking = new Map<string, Promise<void>>();
  #records = new Map<string, LayerRecord>();

  /** Where layers are. */
  get directory(): string {
    return this.#layers;
  }

  /** With `readOnly` it looks at what another process works with, and makes or sweeps nothing. */
  constructor(root: string, { readOnly = false } = {}) {
    this.#layers = join(root, 'layers');
    this.#active = join(root, 'active');
    if (readOnly) return;
    mkdirSync(this.#layers, { recursive: true, mode: 0o700 });
    mkdirSync(this.#active, { recursive: true, mode: 0o700 });
    for (const name of readdirSync(this.#layers)) {
      if (name.startsWith('tmp-')) rmSync(join(this.#layers, name), { recursive: true, force: true });
    }
  }

  /** It is unpacked, and nothing that it cannot do without is missing. What became of single files in it is not looked at. */
  has(chainId: string): boolean {
    return existsSync(join(this.#directory(chainId), 'fs')) && this.#load(this.#name(chainId)) !== undefined;
  }

  /**
   * Unpacks one layer: `open` gives its tar (already decompressed), which must have the digest `diffId`. The same
   * layer asked for twice at once is unpacked once.
   */
  unpack(chainId: string, diffId: string, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    if (this.has(chainId)) return Promise.resolve();
    const running = this.#unpacking.get(chainId);
    if (running) return running;
    const work = this.#unpack(chainId, diffId, open).finally(() => this.#unpacking.delete(chainId));
    this.#unpacking.set(chainId, work);
    return work;
  }

  async #unpack(chainId: string, diffId: string, open: () => AsyncIterable<Uint8Array>): Promise<void> {
    const temporary = join(this.#layers, `tmp-${this.#sequence++}`);
    const fs = join(temporary, 'fs');
    mkdirSync(fs, { recursive: true });
    // A layer need not name its root: 0755 whatever the umask.
    chmodSync(fs, 0o755);
    try {
      const hash = createHash('sha256');
      const hashed = (async function* () {
        for await (const chunk of open()) {
          hash.update(chunk);
          yield chunk;
        }
      })();
      const content: OverlayLayer = { opaque: [], size: 0, entries: 0 };
      await runProgram('tar', [...extractOptions, `--directory=${fs}`], toOverlay(hashed, content));
      const digest = `sha256:${hash.digest('hex')}`;
      if (digest !== diffId) {
        throw new ImageError('corrupt', `layer unpacks to ${digest}, the image's config says ${diffId}`);
      }
      const record: LayerRecord = { ...content, chainId, diffId };
      writeFileSync(join(temporary, 'layer.json'), JSON.stringify(record));
      await runProgram('sync', ['-f', temporary]);
      this.#setAside(this.#name(chainId));
      renameSync(temporary, this.#directory(chainId));
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      if (error instanceof TarError)
        throw new ImageError('invalid', `layer ${diffId}: ${error.message}`, { cause: error });
      throw error;
    }
  }

  /** A damaged layer makes room for a whole one; containers that stand on it keep what is left of it. */
  #setAside(name: string): void {
    const from = join(this.#layers, name);
    if (!existsSync(from)) return;
    let n = 0;
    while (existsSync(join(this.#layers, `${DAMAGED}${n}-${name}`))) n++;
    renameSync(from, join(this.#layers, `${DAMAGED}${n}-${name}`));
    this.#records.delete(name);
  }

  /** Overlay lower directories for a stack of layers given lowest first; the result is topmost first. */
  lowerDirs(chain: readonly string[]): string[] {
    return [...chain].reverse().map((id) => join(this.#directory(id), 'fs'));
  }

  view(chain: readonly string[], extra: readonly LayerDirectory[] = []): RootfsView {
    const layers = [...chain].reverse().map((id) => ({
      directory: join(this.#directory(id), 'fs'),
      opaque: new Set(this.#record(id).opaque),
    }));
    return new RootfsView([...extra, ...layers]);
  }

  /** Fresh upper and work directories for a container. Its root has the mode and owner of the image's. */
  prepare(id: string, chain: readonly string[]): { upperDir: string; workDir: string } {
    const directory = join(this.#active, id);
    const upperDir = join(directory, 'upper');
    const workDir = join(directory, 'work');
    mkdirSync(upperDir, { recursive: true });
    mkdirSync(workDir, { mode: 0o700 });
    const top = chain.at(-1);
    const root = top === undefined ? undefined : lstatSync(join(this.#directory(top), 'fs'));
    chmodSync(upperDir, root ? root.mode & 0o7777 : 0o755);
    if (root && (root.uid !== 0 || root.gid !== 0)) chownSync(upperDir, root.uid, root.gid);
    return { upperDir, workDir };
  }

  upperDir(id: string): string {
    return join(this.#active, id, 'upper');
  }

  /** Removes a container's directories; fine when they are gone. */
  async release(id: string): Promise<void> {
    await rm(join(this.#active, id), { recursive: true, force: true });
  }

  /** What a container wrote, as a layer without the paths in `omit`: the same change gives the same bytes. */
  async *diff(
    id: string,
    mtime: number,
    omit: ReadonlySet<string>,
    owners?: IdShift,
  ): AsyncGenerator<Buffer, void, undefined> {
    const tar = readProgram('tar', [...createOptions, `--directory=${this.upperDir(id)}`, '.']);
    yield* fromOverlay(tar, mtime, omit, owners);
  }

  usage(id: string): Promise<DiskUsage> {
    return diskUsage(this.upperDir(id));
  }

  /** Bytes of file content and number of entries of all layers, and what is written below `active`. */
  layersUsage(): DiskUsage {
    let bytes = 0;
    let inodes = 0;
    for (const name of readdirSync(this.#layers)) {
      const record = this.#load(name);
      bytes += record?.size ?? 0;
      inodes += record?.entries ?? 0;
    }
    return { bytes, inodes };
  }

  activeUsage(): Promise<DiskUsage> {
    return diskUsage(this.#active);
  }

  active(): string[] {
    return readdirSync(this.#active);
  }

  /** Removes layers whose chain id is not in `keep`, and damaged ones that no container stands on: not in `inUse`. Nothing may be unpacking. */
  async sweep(keep: ReadonlySet<string>, inUse: ReadonlySet<string> = new Set()): Promise<string[]> {
    const removed: string[] = [];
    const standing = new Set([...inUse].map((chainId) => this.#name(chainId)));
    for (const name of readdirSync(this.#layers)) {
      const record = this.#load(name);
      if (name.startsWith('tmp-')) continue;
      if (name.startsWith(DAMAGED) ? standing.has(name.split('-')[2] ?? '') : record && keep.has(record.chainId))
        continue;
      const doomed = join(this.#layers, `tmp-${this.#sequence++}`);
      renameSync(join(this.#layers, name), doomed);
      await rm(doomed, { recursive: true, force: true });
      this.#records.delete(name);
      if (record) removed.push(record.chainId);
    }
    return removed;
  }

  get isUnpacking(): boolean {
    return this.#unpacking.size > 0;
  }

  // 128 bits of the chain id: short names keep overlay's mount options within a page.
  #name(chainId: string): string {
    return chainId.slice('sha256:'.length, 'sha256:'.length + 32);
  }

  #directory(chainId: string): string {
    return join(this.#layers, this.#name(chainId));
  }

  #record(chainId: string): LayerRecord {
    const record = this.#load(this.#name(chainId));
    if (!record) throw new ImageError('not-found', `layer ${chainId} is not unpacked`);
    return record;
  }

  #load(name: string): LayerRecord | undefined {
    const known = this.#records.get(name);
    if (known) return known;
    try {
      const record = JSON.parse(readFileSync(join(this.#layers, name, 'layer.json'), 'utf8')) as LayerRecord;
      this.#records.set(name, record);
      return record;
    } catch {
      return undefined;
    }
  }
}

// GNU tar delays symbolic links that are absolute or hold `..` to the end of the archive, so that nothing is written
// through them; names with `..` never reach it.
const extractOptions = [
  '--extract',
  '--file=-',
  '--numeric-owner',
  '--same-owner',
  '--same-permissions',
  '--delay-directory-restore',
  '--xattrs',
  '--xattrs-include=*',
  '--warning=no-timestamp',
];

const createOptions = [
  '--create',
  '--file=-',
  '--format=pax',
  '--sort=name',
  '--numeric-owner',
  '--xattrs',
  '--xattrs-include=*',
  '--pax-option=delete=atime,delete=ctime',
  '--warning=no-file-ignored',
];
