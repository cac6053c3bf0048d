// A directory of small files that changes as a whole: files live in a timestamped directory, `..data` points to it, and
// names point through `..data`. A reader sees the old or the new set, never a mixture (upstream's AtomicWriter layout).
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

export interface FileContent {
  data: Buffer;
  mode: number;
  /** Owner, when not the kubelet's user. */
  uid?: number;
}

/** Relative path to content. */
export type Payload = Map<string, FileContent>;

export class PathError extends Error {
  constructor(path: string, why: string) {
    super(`invalid path "${path}": ${why}`);
    this.name = 'PathError';
  }
}

/** Refuses paths that would leave the volume or collide with the machinery. */
export function checkPath(path: string): void {
  if (path === '') throw new PathError(path, 'must not be empty');
  if (path.startsWith('/')) throw new PathError(path, 'must be relative');
  const parts = path.split('/');
  if (parts.includes('..')) throw new PathError(path, "must not contain '..'");
  if ((parts[0] as string).startsWith('..')) throw new PathError(path, "must not start with '..'");
}

/** Writes `payload` below `target`; returns false when it was already exactly that. `gid` owns the files when given. */
export function writeAtomically(target: string, payload: Payload, nowMs: number, gid?: number): boolean {
  for (const path of payload.keys()) checkPath(path);
  mkdirSync(target, { recursive: true, mode: 0o755 });
  const dataLink = join(target, '..data');
  const current = readLink(dataLink);
  if (current && isSame(join(target, current), payload)) {
    exposeNames(target, payload);
    return false;
  }

  let directory = '';
  for (let attempt = 0; directory === '' || existsSync(join(target, directory)); attempt++) {
    directory = `..${new Date(nowMs).toISOString().replace(/[-:T]/g, '_').slice(0, 19)}.${nowMs}${attempt}`;
  }
  const root = join(target, directory);
  mkdirSync(root, { mode: 0o755 });
  chmodSync(root, 0o755);
  for (const [path, content] of payload) {
    const file = join(root, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o755 });
    writeFileSync(file, content.data, { mode: content.mode });
    // The umask does not decide what a container may read.
    chmodSync(file, content.mode);
    if (content.uid !== undefined || gid !== undefined) chownSync(file, content.uid ?? 0, gid ?? 0);
  }

  const temporaryLink = join(target, '..data_tmp');
  rmSync(temporaryLink, { force: true });
  symlinkSync(directory, temporaryLink);
  renameSync(temporaryLink, dataLink);
  exposeNames(target, payload);
  if (current && current !== directory) rmSync(join(target, current), { recursive: true, force: true });
  return true;
}

/** Links the top-level names to `..data/<name>` and removes those that are no longer there. */
function exposeNames(target: string, payload: Payload): void {
  const names = new Set([...payload.keys()].map((path) => path.split('/')[0] as string));
  for (const name of names) {
    const link = join(target, name);
    if (readLink(link) === join('..data', name)) continue;
    rmSync(link, { recursive: true, force: true });
    symlinkSync(join('..data', name), link);
  }
  for (const name of readdirSync(target)) {
    if (!name.startsWith('..') && !names.has(name)) rmSync(join(target, name), { recursive: true, force: true });
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function isSame(root: string, payload: Payload): boolean {
  const present = listFiles(root);
  if (!present || present.length !== payload.size) return false;
  return present.every((path) => {
    const wanted = payload.get(path);
    if (!wanted) return false;
    const file = join(root, path);
    return (lstatSync(file).mode & 0o777) === (wanted.mode & 0o777) && readFileSync(file).equals(wanted.data);
  });
}

function listFiles(root: string): string[] | undefined {
  try {
    return readdirSync(root, { recursive: true, withFileTypes: true })
      .filter((each) => !each.isDirectory())
      .map((each) => join(each.parentPath, each.name).slice(root.length + 1));
  } catch {
    return undefined;
  }
}
