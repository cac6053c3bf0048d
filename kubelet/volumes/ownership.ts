// fsGroup: a volume that the pod's group may use. https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fstatSync,
  lchownSync,
  lstatSync,
  openSync,
  readdirSync,
} from 'node:fs';
import { O_PATH } from './sub-path.ts';

const READ_WRITE = 0o660;
const READ_ONLY = 0o440;
const EXECUTE = 0o110;
const SET_GID = 0o2000;

/**
 * Gives everything below `root` to group `gid`, readable (and writable unless `readOnly`) for it. With
 * `onRootMismatch` nothing is done when the root already is as it should be.
 */
export function applyFsGroup(root: string, gid: number, readOnly: boolean, onRootMismatch = false): void {
  const mask = readOnly ? READ_ONLY : READ_WRITE;
  const top = lstatSync(root);
  const wanted = mask | EXECUTE | SET_GID;
  if (onRootMismatch && top.gid === gid && (top.mode & wanted) === wanted) return;
  visit(root, gid, mask);
}

/**
 * By descriptors: a container that uses the volume at the same time may put a link where a file or a directory was, and nothing behind it
 * may change.
 */
function visit(path: string, gid: number, mask: number): void {
  const fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  try {
    const stat = fstatSync(fd);
    if (stat.isSymbolicLink()) return lchownSync(path, stat.uid, gid);
    const itself = `/proc/self/fd/${fd}`;
    chownSync(itself, stat.uid, gid);
    const isDirectory = stat.isDirectory();
    if (isDirectory) for (const name of readdirSync(itself)) visit(`${itself}/${name}`, gid, mask);
    chmodSync(itself, (stat.mode & 0o7777) | mask | (isDirectory ? EXECUTE | SET_GID : 0));
  } finally {
    closeSync(fd);
  }
}
