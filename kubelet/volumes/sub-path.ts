// subPath: one file or directory of a volume, reached without ever following a symlink out of the volume, even when a
// container changes the volume at the same moment: the path is walked by file descriptors, and what is mounted is the
// descriptor that was checked.
import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import type { Mounter } from './mounter.ts';
import { VolumeError } from './payload.ts';

/** O_PATH: a handle that neither reads nor writes. The same number on x86-64 and arm64. */
export const O_PATH = 0o10000000;

/** Binds `<volume>/<subPath>` to `target` and returns `target`. What is missing is made as a directory. */
export async function bindSubPath(mounter: Mounter, volume: string, subPath: string, target: string): Promise<string> {
  if (subPath.startsWith('/') || subPath.split('/').includes('..')) {
    throw new VolumeError(`subPath "${subPath}" must be relative and must not contain '..'`);
  }
  const root = realpathSync(volume);
  const fd = openInside(root, resolveInside(root, subPath));
  try {
    const isDirectory = fstatSync(fd).isDirectory();
    if (isDirectory) mkdirSync(target, { recursive: true });
    else {
      mkdirSync(dirname(target), { recursive: true });
      if (!statSync(target, { throwIfNoEntry: false })) writeFileSync(target, '');
    }
    if (mounter.below(target).length > 0) await mounter.unmount(target);
    await mounter.bind(`/proc/${process.pid}/fd/${fd}`, target);
    return target;
  } finally {
    closeSync(fd);
  }
}

/** Longer files of environment variables are refused. */
const MAX_FILE_BYTES = 2 ** 20;

/** The text of a file in a volume; undefined when it is not there. Throws VolumeError for what is not a file of the volume. */
export function readInside(volume: string | undefined, name: string, path: string): string | undefined {
  if (volume === undefined) throw new VolumeError(`cannot find the volume "${name}" referenced by FileKeyRef`);
  const root = realpathSync(volume);
  const inside = resolveInside(root, path);
  if (!lstatSync(join(root, inside), { throwIfNoEntry: false })) return undefined;
  const fd = openInside(root, inside);
  try {
    const stat = fstatSync(fd);
    // A pipe would be waited for.
    if (!stat.isFile()) throw new VolumeError(`"${path}" is not a file`);
    if (stat.size > MAX_FILE_BYTES) throw new VolumeError(`"${path}" is larger than ${MAX_FILE_BYTES} bytes`);
    return readFileSync(`/proc/self/fd/${fd}`, 'utf8');
  } finally {
    closeSync(fd);
  }
}

/** Follows the symlinks that are there now (configMap files are links) and refuses those that lead outside. */
export function resolveInside(root: string, subPath: string): string {
  const parts = subPath.split('/').filter((each) => each !== '' && each !== '.');
  let existing = root;
  for (const [index, part] of parts.entries()) {
    const next = join(existing, part);
    if (!lstatSync(next, { throwIfNoEntry: false })) return join(relative(root, existing), ...parts.slice(index));
    existing = realpathSync(next);
    if (existing !== root && !existing.startsWith(`${root}/`)) {
      throw new VolumeError(`subPath "${subPath}" leads outside of its volume`);
    }
  }
  return relative(root, existing);
}

function openInside(root: string, path: string): number {
  let fd = openSync(root, O_PATH | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  const mode = fstatSync(fd).mode & 0o777;
  for (const part of path.split('/').filter((each) => each !== '')) {
    const child = `/proc/self/fd/${fd}/${part}`;
    try {
      if (!lstatSync(child, { throwIfNoEntry: false })) mkdirSync(child, { mode });
      const next = openSync(child, O_PATH | constants.O_NOFOLLOW);
      if (fstatSync(next).isSymbolicLink()) {
        closeSync(next);
        throw new VolumeError(`subPath component "${part}" is a symlink`);
      }
      closeSync(fd);
      fd = next;
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  }
  return fd;
}
