// The kubectl binaries of this machine. Google's package puts one of each minor version beside the one in the PATH.
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';

/** `1.27` or `installed`, with the path; oldest first. Empty where there is none. */
export function kubectls(): [version: string, path: string][] {
  const unpacked = resolve(import.meta.dirname, '../.cache/tools/bin');
  const installed = [unpacked, ...(process.env['PATH'] ?? '').split(delimiter)]
    .map((directory) => join(directory, 'kubectl'))
    .find((path) => existsSync(path));
  if (!installed) return [];
  const directory = dirname(realpathSync(installed));
  const versions = readdirSync(directory)
    .flatMap((name) => /^kubectl\.1\.(\d+)$/.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
  if (versions.length === 0) return [['installed', installed]];
  return versions.map((minor) => [`1.${minor}`, join(directory, `kubectl.1.${minor}`)]);
}
