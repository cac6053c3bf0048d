// The connection that writes the embedded store's file: one request, one transaction, one fsync.
import { DatabaseSync, type StatementSync } from 'node:sqlite';

export interface WriteRow {
  revision: number;
  key: string;
  createRevision: number;
  /** Where the value is in the payload; length -1: deleted. */
  offset: number;
  length: number;
  expiresAtMs: number | null;
}

export interface WriteRequest {
  kind: 'write';
  rows: WriteRow[];
  /** The values one after another. */
  payload: ArrayBuffer;
  /** Revisions of versions to forget. */
  drops: number[];
  compactRevision: number | undefined;
}

/** Free pages given back to the file system in one transaction. */
const VACUUM_PAGES = 256;

/** The settings of every connection that writes. */
export function configure(db: DatabaseSync): void {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA journal_size_limit = 16777216');
}

export class FileWriter {
  #db: DatabaseSync;
  #insert: StatementSync;
  #drop: StatementSync;
  #setCompacted: StatementSync;
  #freePages: StatementSync;

  constructor(path: string) {
    this.#db = new DatabaseSync(path, { timeout: 5000 });
    configure(this.#db);
    this.#insert = this.#db.prepare('INSERT INTO versions VALUES (?, ?, ?, ?, ?)');
    this.#drop = this.#db.prepare('DELETE FROM versions WHERE revision = ?');
    this.#setCompacted = this.#db.prepare("UPDATE meta SET value = ? WHERE name = 'compact_revision'");
    this.#freePages = this.#db.prepare('PRAGMA freelist_count');
  }

  /** On disk when it returns; nothing of it when it throws. */
  write(request: WriteRequest): void {
    const payload = new Uint8Array(request.payload);
    this.#db.exec('BEGIN IMMEDIATE');
    try {
      for (const row of request.rows) {
        const value = row.length < 0 ? null : payload.subarray(row.offset, row.offset + row.length);
        this.#insert.run(row.revision, row.key, row.createRevision, value, row.expiresAtMs);
      }
      if (request.compactRevision !== undefined) this.#setCompacted.run(request.compactRevision);
      for (const revision of request.drops) this.#drop.run(revision);
      this.#db.exec('COMMIT');
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK');
      throw error;
    }
    if (request.drops.length > 0) this.#shrink();
  }

  close(): void {
    this.#db.close();
  }

  #shrink(): void {
    const { freelist_count: free } = this.#freePages.get() as { freelist_count: number };
    if (free > 4 * VACUUM_PAGES) this.#db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
  }
}
