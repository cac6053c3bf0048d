// fsGroup: a volume that the pod's group may use. https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
import { chmodSync, lchownSync, lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

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

function visit(path: string, gid: number, mask: number): void {
  const stat = lstatSync(path);
  lchownSync(path, stat.uid, gid);
  if (stat.isSymbolicLink()) return;
  if (!stat.isDirectory()) {
    chmodSync(path, (stat.mode & 0o7777) | mask);
    return;
  }
  for (const name of readdirSync(path)) visit(join(path, name), gid, mask);
  chmodSync(path, (stat.mode & 0o7777) | mask | EXECUTE | SET_GID);
}
