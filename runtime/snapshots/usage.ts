// Disk usage of a directory tree: bytes allocated and inodes, hard links counted once, other file systems too.
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

export interface DiskUsage {
  bytes: number;
  inodes: number;
}

/** What vanishes while it is counted is not counted. */
export async function diskUsage(root: string): Promise<DiskUsage> {
  const seen = new Set<string>();
  const total: DiskUsage = { bytes: 0, inodes: 0 };
  const todo = [root];
  for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
    try {
      const stats = await lstat(path);
      if (stats.nlink > 1 && !stats.isDirectory()) {
        const key = `${stats.dev}:${stats.ino}`;
        if (seen.has(key)) continue;
        seen.add(key);
      }
      total.bytes += stats.blocks * 512;
      total.inodes++;
      if (stats.isDirectory()) for (const name of await readdir(path)) todo.push(join(path, name));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
  return total;
}
