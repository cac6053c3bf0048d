// Events as JSON lines in a file that is set aside when it is full. The file is only its owner's to read: it may hold objects.
import { closeSync, fstatSync, mkdirSync, openSync, readdirSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { basename, dirname, extname, join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';

export interface LogFileOptions {
  /** `-`: standard output. */
  path: string;
  /** Bytes after which a new one is begun. 0: never. */
  maxBytes: number;
  /** Those set aside are deleted when older; 0: never. */
  maxAgeDays: number;
  /** How many are kept; 0: all. */
  maxBackups: number;
  clock: Clock;
}

export class LogFile {
  #options: LogFileOptions;
  #fd: number | undefined;
  #bytes = 0;

  /** Throws when the file cannot be written. */
  constructor(options: LogFileOptions) {
    this.#options = options;
    if (options.path === '-') this.#fd = 1;
    else {
      mkdirSync(dirname(options.path), { recursive: true, mode: 0o700 });
      this.#open();
    }
  }

  /** Throws when it cannot. */
  write(lines: string): void {
    const bytes = Buffer.from(lines);
    const { maxBytes, path } = this.#options;
    if (path !== '-' && maxBytes > 0 && this.#bytes > 0 && this.#bytes + bytes.length > maxBytes) this.#rotate();
    if (this.#fd === undefined) this.#open();
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd as number, bytes, at);
    this.#bytes += bytes.length;
  }

  close(): void {
    if (this.#fd !== undefined && this.#fd !== 1) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(): void {
    this.#fd = openSync(this.#options.path, 'a', 0o600);
    this.#bytes = fstatSync(this.#fd).size;
  }

  #rotate(): void {
    this.close();
    const { path, clock } = this.#options;
    const stamp = new Date(clock.now()).toISOString().slice(0, -1).replaceAll(':', '-');
    const extension = extname(path);
    const stem = path.slice(0, path.length - extension.length);
    renameSync(path, `${stem}-${stamp}${extension}`);
    this.#open();
    this.#prune();
  }

  #prune(): void {
    const { path, maxBackups, maxAgeDays, clock } = this.#options;
    const extension = extname(path);
    const prefix = `${basename(path, extension)}-`;
    const backups = readdirSync(dirname(path))
      .filter((name) => name.startsWith(prefix) && name.endsWith(extension) && stampOf(name, prefix) !== undefined)
      .sort()
      .reverse();
    const oldest = maxAgeDays > 0 ? clock.now() - maxAgeDays * 86_400_000 : Number.NEGATIVE_INFINITY;
    backups.forEach((name, index) => {
      const isSpare = maxBackups > 0 && index >= maxBackups;
      if (isSpare || (stampOf(name, prefix) as number) < oldest) unlinkSync(join(dirname(path), name));
    });
  }
}

/** When a backup was set aside; undefined for a file of somebody else. */
function stampOf(name: string, prefix: string): number | undefined {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d)-(\d\d)-(\d\d\.\d{3})/.exec(name.slice(prefix.length));
  return match ? Date.parse(`${match[1]}T${match[2]}:${match[3]}:${match[4]}Z`) : undefined;
}
