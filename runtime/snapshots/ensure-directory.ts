// Makes a directory in a container's upper layer, as the merged tree would have it: parents that exist below are
// copied up with their mode and owner, new ones are 0755 root.
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { RootfsView } from './view.ts';

/** Does nothing when `path` exists in `view`; links are resolved inside the root. */
export function ensureDirectory(view: RootfsView, upperDir: string, path: string): void {
  if (path === '/' || view.find(path)) return;
  const resolved = view.resolve(path);
  let made = '';
  for (const part of resolved.split('/').filter((p) => p !== '')) {
    made += `/${part}`;
    const below = view.find(made);
    if (below && !below.stats.isDirectory()) return;
    const target = join(upperDir, made);
    try {
      mkdirSync(target);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') continue;
      throw error;
    }
    chmodSync(target, below ? below.stats.mode & 0o7777 : 0o755);
    if (below) chownSync(target, below.stats.uid, below.stats.gid);
  }
}
