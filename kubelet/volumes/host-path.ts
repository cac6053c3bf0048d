// hostPath volumes: the type's promise is checked (or made true) before a container sees the path.
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { VolumeError } from './payload.ts';

export function prepareHostPath(path: string, type: string): void {
  switch (type) {
    case '':
      // No promise; what is missing becomes a directory, as bind mounts need something.
      if (!existsSync(path)) mkdirSync(path, { recursive: true, mode: 0o755 });
      return;
    case 'DirectoryOrCreate':
      if (!existsSync(path)) mkdirSync(path, { recursive: true, mode: 0o755 });
      return check(path, 'a directory', (stat) => stat.isDirectory());
    case 'Directory':
      return check(path, 'a directory', (stat) => stat.isDirectory());
    case 'FileOrCreate':
      if (!existsSync(path)) writeFileSync(path, '', { mode: 0o644 });
      return check(path, 'a file', (stat) => stat.isFile());
    case 'File':
      return check(path, 'a file', (stat) => stat.isFile());
    case 'Socket':
      return check(path, 'a socket file', (stat) => stat.isSocket());
    case 'CharDevice':
      return check(path, 'a character device', (stat) => stat.isCharacterDevice());
    case 'BlockDevice':
      return check(path, 'a block device', (stat) => stat.isBlockDevice());
    default:
      throw new VolumeError(`hostPath type check failed: ${type} is an invalid volume type`);
  }
}

function check(path: string, what: string, holds: (stat: ReturnType<typeof statSync> & object) => boolean): void {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (!stat || !holds(stat)) throw new VolumeError(`hostPath type check failed: ${path} is not ${what}`);
}
