// COPY and ADD of local files, as a layer's tar: sorted, without times, so that the same files give the same layer.
import { createReadStream, openSync, readlinkSync, readSync, closeSync } from 'node:fs';
import { posix } from 'node:path';
import { type TarHeader, tarEnd, tarHeader, tarPadding } from '../../snapshots/tar.ts';
import type { RootfsView } from '../../snapshots/view.ts';
import type { BuildContext, ContextFile } from './context.ts';
import { compressionOf } from '../oci.ts';
import { DockerfileError, type Step } from './dockerfile.ts';

export interface Ownership {
  uid: number;
  gid: number;
}

interface Placed {
  /** Relative to the root, without links. */
  target: string;
  file: ContextFile;
}

export function copyLayer(
  step: Step & { kind: 'copy' },
  context: BuildContext,
  view: RootfsView,
  where: { workingDirectory: string; owner: Ownership },
): AsyncGenerator<Buffer, void, undefined> {
  const placed = place(step, context, view, where.workingDirectory);
  const mode = step.chmod === undefined ? undefined : octal(step, step.chmod);
  return writeTar(placed, view, where.owner, mode);
}

function place(
  step: Step & { kind: 'copy' },
  context: BuildContext,
  view: RootfsView,
  workingDirectory: string,
): Placed[] {
  const fail = (message: string) => new DockerfileError(step.line, message);
  const matches: ContextFile[] = [];
  for (const source of step.sources) {
    if (/^[a-z]+:\/\//i.test(source) || source.startsWith('git@'))
      throw fail(`"${source}": only local files can be added`);
    if (source.split('/').includes('..')) throw fail(`"${source}" leaves the build context`);
    let found: ContextFile[];
    try {
      found = context.match(source);
    } catch (error) {
      throw fail((error as Error).message);
    }
    if (found.length === 0) throw fail(`"${source}" is not in the build context`);
    matches.push(...found);
  }
  const { destination } = step;
  const absolute = posix.resolve(workingDirectory, destination);
  const existing = view.find(absolute);
  const intoDirectory =
    destination.endsWith('/') || destination === '.' || matches.length > 1 || existing?.stats.isDirectory();
  const isDirectoryCopy = matches.every((match) => match.stats.isDirectory());
  if (matches.length > 1 && !destination.endsWith('/') && !existing?.stats.isDirectory() && destination !== '.') {
    throw fail('the destination of several sources must be a directory and end with /');
  }
  if (existing && !existing.stats.isDirectory() && isDirectoryCopy) throw fail(`"${destination}" is not a directory`);
  const base = view.resolve(absolute);
  const placed = new Map<string, Placed>();
  const put = (target: string, file: ContextFile) => placed.set(target, { target: target.replace(/^\/+/, ''), file });
  for (const match of matches) {
    if (match.stats.isDirectory()) {
      // A directory's content is copied, not the directory.
      put(base, match);
      for (const file of context.below(match)) put(posix.join(base, posix.relative(match.path, file.path)), file);
      continue;
    }
    if (step.add && isArchive(match))
      throw fail(`"${match.path}" is an archive: unpacking by ADD is not supported, use COPY`);
    put(intoDirectory ? posix.join(base, posix.basename(match.path)) : base, match);
  }
  return [...placed.values()].filter((p) => p.target !== '').sort((a, b) => (a.target < b.target ? -1 : 1));
}

async function* writeTar(
  placed: readonly Placed[],
  view: RootfsView,
  owner: Ownership,
  mode: number | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const directories = new Set<string>();
  const directory = function* (path: string, file: ContextFile | undefined): Generator<Buffer> {
    if (path === '.' || path === '' || directories.has(path)) return;
    yield* directory(posix.dirname(path), undefined);
    directories.add(path);
    // A directory that is there keeps its mode and owner.
    const below = view.find(`/${path}`)?.stats;
    const kept = below?.isDirectory() ? below : undefined;
    yield tarHeader({
      name: `${path}/`,
      type: 'directory',
      mode: kept ? kept.mode & 0o7777 : (mode ?? (file ? file.stats.mode & 0o7777 : 0o755)),
      uid: kept ? kept.uid : owner.uid,
      gid: kept ? kept.gid : owner.gid,
    });
  };
  for (const { target, file } of placed) {
    const { stats } = file;
    if (stats.isDirectory()) {
      yield* directory(target, file);
      continue;
    }
    yield* directory(posix.dirname(target), undefined);
    const header: Pick<TarHeader, 'name' | 'mode' | 'uid' | 'gid'> = {
      name: target,
      mode: mode ?? stats.mode & 0o7777,
      ...owner,
    };
    if (stats.isSymbolicLink()) {
      yield tarHeader({ ...header, mode: 0o777, type: 'symlink', linkname: readlinkSync(file.hostPath) });
    } else if (stats.isFile()) {
      yield tarHeader({ ...header, type: 'file', size: stats.size });
      let size = 0;
      for await (const chunk of createReadStream(file.hostPath)) {
        size += (chunk as Buffer).length;
        yield chunk as Buffer;
      }
      if (size !== stats.size) throw new Error(`"${file.path}" changed while it was copied`);
      yield tarPadding(size);
    } else if (stats.isFIFO()) yield tarHeader({ ...header, type: 'fifo' });
    else throw new Error(`"${file.path}" is a device or socket and cannot be copied`);
  }
  yield tarEnd;
}

function octal(step: Step, text: string): number {
  if (!/^[0-7]{3,4}$/.test(text)) throw new DockerfileError(step.line, `--chmod=${text} is not an octal mode`);
  return Number.parseInt(text, 8);
}

function isArchive(file: ContextFile): boolean {
  if (!file.stats.isFile()) return false;
  const head = Buffer.alloc(512);
  const fd = openSync(file.hostPath, 'r');
  try {
    readSync(fd, head, 0, 512, 0);
  } finally {
    closeSync(fd);
  }
  const isBzip = head.toString('latin1', 0, 3) === 'BZh';
  const isXz = head.toString('latin1', 1, 6) === '7zXZ\0';
  return compressionOf(head) !== 'none' || head.toString('latin1', 257, 262) === 'ustar' || isBzip || isXz;
}
