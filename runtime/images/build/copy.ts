// COPY and ADD as a layer's tar: sorted, without times, so that the same files give the same layer.
import { createReadStream, readlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { type TarHeader, tarEnd, tarHeader, tarPadding } from '../../snapshots/tar.ts';
import type { RootfsView } from '../../snapshots/view.ts';
import { isArchive, unpackedEntries } from './archive.ts';
import type { ContextFile, CopySource } from './context.ts';
import { DockerfileError, type Step } from './dockerfile.ts';

export interface Ownership {
  uid: number;
  gid: number;
}

/** A file that is not in the source: a here-document, something downloaded. */
export interface ExtraFile {
  name: string;
  content: Buffer | { hostPath: string; size: number };
  mode: number;
}

export interface CopyRequest {
  /** Variables replaced. */
  step: Step & { kind: 'copy' };
  source: CopySource;
  extra: readonly ExtraFile[];
  /** What the image holds so far. */
  view: RootfsView;
  workingDirectory: string;
  /** Undefined keeps what the source says (COPY --from). */
  owner: Ownership | undefined;
}

type Placed = { target: string } & ({ file: ContextFile } | { extra: ExtraFile } | { archive: ContextFile });

/** Throws DockerfileError before anything is written; the stream may fail when files change. */
export async function copyLayer(request: CopyRequest): Promise<AsyncGenerator<Buffer, void, undefined>> {
  const { step, source } = request;
  const mode = step.chmod === undefined ? undefined : octal(step, step.chmod);
  const fail = (message: string) => new DockerfileError(step.line, message);
  const matches = step.sources.flatMap((each) => matchesOf(each, source, fail));
  const archives = new Set<ContextFile>();
  if (step.add) for (const each of matches) if (await isArchive(each)) archives.add(each);
  return writeTar(place(request, matches, archives, fail), request.view, request.owner, mode);
}

function place(
  { step, source, extra, view, workingDirectory }: CopyRequest,
  matches: readonly ContextFile[],
  archives: ReadonlySet<ContextFile>,
  fail: (message: string) => Error,
): Placed[] {
  const { destination } = step;
  const absolute = posix.resolve(workingDirectory, destination);
  const existing = view.find(absolute);
  const count = matches.length + extra.length;
  const namesDirectory = destination.endsWith('/') || destination === '.' || existing?.stats.isDirectory();
  if (count > 1 && !namesDirectory) throw fail('the destination of several sources must be a directory and end with /');
  const isDirectoryCopy = extra.length === 0 && matches.every((match) => match.stats.isDirectory());
  if (existing && !existing.stats.isDirectory() && isDirectoryCopy) throw fail(`"${destination}" is not a directory`);
  const base = view.resolve(absolute);
  const placed = new Map<string, Placed>();
  const put = (target: string, what: { file: ContextFile } | { extra: ExtraFile } | { archive: ContextFile }) =>
    placed.set('archive' in what ? `${target} ${what.archive.path}` : target, {
      target: target.replace(/^\/+/, ''),
      ...what,
    });
  const within = (name: string) => (namesDirectory || count > 1 ? posix.join(base, posix.basename(name)) : base);
  for (const match of matches) {
    if (match.stats.isDirectory()) {
      // A directory's content is copied, not the directory.
      put(base, { file: match });
      for (const file of source.below(match)) put(posix.join(base, posix.relative(match.path, file.path)), { file });
    } else if (archives.has(match)) put(base, { archive: match });
    else put(within(match.path), { file: match });
  }
  for (const file of extra) put(within(file.name), { extra: file });
  return [...placed.values()]
    .filter((each) => each.target !== '' || 'archive' in each)
    .sort((a, b) => (a.target < b.target ? -1 : 1));
}

function matchesOf(pattern: string, source: CopySource, fail: (message: string) => Error): ContextFile[] {
  if (pattern.split('/').includes('..')) throw fail(`"${pattern}" leaves ${source.name}`);
  let found: ContextFile[];
  try {
    found = source.match(pattern);
  } catch (error) {
    throw fail((error as Error).message);
  }
  if (found.length === 0) throw fail(`"${pattern}" is not in ${source.name}`);
  return found;
}

async function* writeTar(
  placed: readonly Placed[],
  view: RootfsView,
  owner: Ownership | undefined,
  mode: number | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const ownerOf = (file?: ContextFile) => owner ?? { uid: file?.stats.uid ?? 0, gid: file?.stats.gid ?? 0 };
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
      ...(kept ? { uid: kept.uid, gid: kept.gid } : ownerOf(file)),
    });
  };
  for (const each of placed) {
    if ('archive' in each) {
      yield* directory(each.target, undefined);
      yield* unpackedEntries(each.archive, each.target, directories);
      continue;
    }
    const { target } = each;
    if ('extra' in each) {
      const { content, mode: own } = each.extra;
      yield* directory(posix.dirname(target), undefined);
      const bytes = Buffer.isBuffer(content) ? content : undefined;
      const size = Buffer.isBuffer(content) ? content.length : content.size;
      yield tarHeader({ name: target, type: 'file', size, mode: mode ?? own, ...ownerOf() });
      if (bytes) yield bytes;
      else yield* wholeFile((content as { hostPath: string }).hostPath, size, target);
      yield tarPadding(size);
      continue;
    }
    const { file } = each;
    const { stats } = file;
    if (stats.isDirectory()) {
      yield* directory(target, file);
      continue;
    }
    yield* directory(posix.dirname(target), undefined);
    const header: Pick<TarHeader, 'name' | 'mode' | 'uid' | 'gid'> = {
      name: target,
      mode: mode ?? stats.mode & 0o7777,
      ...ownerOf(file),
    };
    if (stats.isSymbolicLink()) {
      yield tarHeader({ ...header, mode: 0o777, type: 'symlink', linkname: readlinkSync(file.hostPath) });
    } else if (stats.isFile()) {
      yield tarHeader({ ...header, type: 'file', size: stats.size });
      yield* wholeFile(file.hostPath, stats.size, file.path);
      yield tarPadding(stats.size);
    } else if (stats.isFIFO()) yield tarHeader({ ...header, type: 'fifo' });
    else throw new Error(`"${file.path}" is a device or socket and cannot be copied`);
  }
  yield tarEnd;
}

async function* wholeFile(hostPath: string, expected: number, path: string): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of createReadStream(hostPath)) {
    size += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  if (size !== expected) throw new Error(`"${path}" changed while it was copied`);
}

function octal(step: Step, text: string): number {
  if (!/^[0-7]{3,4}$/.test(text)) throw new DockerfileError(step.line, `--chmod=${text} is not an octal mode`);
  return Number.parseInt(text, 8);
}
