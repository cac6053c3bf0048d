// The runtime's memory: sandboxes and containers, with their names reserved. A change is one synchronous transaction:
// read, decide, checkpoint to disk, then visible to everybody.
import { join } from 'node:path';
import { type Logger, silentLogger } from '../../lib/log.ts';
import { CheckpointDirectory } from './checkpoint.ts';
import { type ContainerRecord, containerName, type SandboxRecord, sandboxName } from './records.ts';

export class NameReservedError extends Error {
  constructor(kind: string, name: string, id: string) {
    super(`${kind} name "${name}" is reserved for "${id}"`);
    this.name = 'NameReservedError';
  }
}

export type Lookup<T> = { kind: 'found'; value: T } | { kind: 'none' } | { kind: 'ambiguous' };

class Table<T extends { id: string }> {
  readonly files: CheckpointDirectory<T>;
  #kind: string;
  #log: Logger;
  #rows = new Map<string, T>();
  #names = new Map<string, string>();
  #nameOf: (row: T) => string;

  constructor(kind: string, files: CheckpointDirectory<T>, log: Logger, nameOf: (row: T) => string) {
    this.#log = log;
    this.#kind = kind;
    this.files = files;
    this.#nameOf = nameOf;
  }

  /** Adds a new row; throws NameReservedError when another row has its name. */
  add(row: T): void {
    const name = this.#nameOf(row);
    const holder = this.#names.get(name);
    if (holder !== undefined) throw new NameReservedError(this.#kind, name, holder);
    this.files.write(row.id, row);
    this.#names.set(name, row.id);
    this.#rows.set(row.id, row);
  }

  /** Applies `change` to the current row and returns the new one; undefined when the row is gone. */
  update(id: string, change: (row: T) => Partial<T>): T | undefined {
    const row = this.#rows.get(id);
    if (!row) return undefined;
    const next = { ...row, ...change(row) };
    this.files.write(id, next);
    this.#rows.set(id, next);
    return next;
  }

  /**
   * `update` for what has happened already and is told again by the launcher after a restart: it holds even when the
   * disk is full and does not take it.
   */
  note(id: string, change: (row: T) => Partial<T>): T | undefined {
    const row = this.#rows.get(id);
    if (!row) return undefined;
    const next = { ...row, ...change(row) };
    this.#rows.set(id, next);
    try {
      this.files.write(id, next);
    } catch (err) {
      this.#log.error({ err, id, kind: this.#kind }, 'a record could not be written; it is kept in memory');
    }
    return next;
  }

  remove(id: string): void {
    this.#rows.delete(id);
    for (const [name, holder] of this.#names) if (holder === id) this.#names.delete(name);
    this.files.remove(id);
  }

  get(id: string): T | undefined {
    return this.#rows.get(id);
  }

  /** By whole id or unambiguous prefix. */
  find(idOrPrefix: string): Lookup<T> {
    const exact = this.#rows.get(idOrPrefix);
    if (exact) return { kind: 'found', value: exact };
    if (idOrPrefix === '') return { kind: 'none' };
    let match: T | undefined;
    for (const [id, row] of this.#rows) {
      if (!id.startsWith(idOrPrefix)) continue;
      if (match) return { kind: 'ambiguous' };
      match = row;
    }
    return match ? { kind: 'found', value: match } : { kind: 'none' };
  }

  list(): T[] {
    return [...this.#rows.values()];
  }

  /** Puts rows read from disk back; a row whose name is taken by an earlier one is returned. */
  restore(rows: readonly T[]): T[] {
    const doubled: T[] = [];
    for (const row of rows) {
      const name = this.#nameOf(row);
      if (this.#names.has(name)) {
        doubled.push(row);
        continue;
      }
      this.#names.set(name, row.id);
      this.#rows.set(row.id, row);
    }
    return doubled;
  }
}

export class Store {
  readonly sandboxes: Table<SandboxRecord>;
  readonly containers: Table<ContainerRecord>;

  /** Records live in `stateDir`/sandboxes/<id>/ and `stateDir`/containers/<id>/. */
  constructor(stateDir: string, log: Logger = silentLogger) {
    this.sandboxes = new Table(
      'sandbox',
      new CheckpointDirectory(join(stateDir, 'sandboxes'), 'sandbox.json'),
      log,
      (s) => sandboxName(s.config),
    );
    this.containers = new Table(
      'container',
      new CheckpointDirectory(join(stateDir, 'containers'), 'container.json'),
      log,
      (c) => containerName(c.config, this.sandboxes.get(c.sandboxId)?.config ?? { metadata: { uid: c.sandboxId } }),
    );
  }

  containersOf(sandboxId: string): ContainerRecord[] {
    return this.containers.list().filter((c) => c.sandboxId === sandboxId);
  }
}
