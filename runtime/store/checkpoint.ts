// One JSON file per sandbox or container, replaced atomically: a reader after a crash sees the old or the new content.
// There is no fsync here on purpose: the file outlives `kill -9`, and after a power loss the processes it describes are
// gone anyway; a torn record is then treated like a half-made one.
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

export class CheckpointDirectory<T> {
  readonly root: string;
  #file: string;

  /** `root`/`id`/`file` holds the record of `id`; the directory is free for the owner's other files. */
  constructor(root: string, file: string) {
    this.root = root;
    this.#file = file;
    mkdirSync(root, { recursive: true, mode: 0o700 });
  }

  directory(id: string): string {
    return join(this.root, id);
  }

  write(id: string, record: T): void {
    const directory = this.directory(id);
    mkdirSync(directory, { recursive: true, mode: 0o711 });
    const path = join(directory, this.#file);
    const fd = openSync(`${path}.tmp`, 'w', 0o600);
    try {
      writeSync(fd, JSON.stringify(record));
    } finally {
      closeSync(fd);
    }
    renameSync(`${path}.tmp`, path);
  }

  remove(id: string): void {
    try {
      unlinkSync(join(this.directory(id), this.#file));
    } catch {
      // Not there, or not a file: the next line takes it or throws.
    }
    rmSync(this.directory(id), { recursive: true, force: true });
  }

  /** Every record that can be read, and the ids of directories whose record is missing or torn. */
  load(): { records: T[]; torn: string[] } {
    const records: T[] = [];
    const torn: string[] = [];
    for (const id of readdirSync(this.root)) {
      try {
        records.push(JSON.parse(readFileSync(join(this.directory(id), this.#file), 'utf8')) as T);
      } catch {
        torn.push(id);
      }
    }
    return { records, torn };
  }
}
