// The thread that writes the embedded store's file: one message, one transaction, one fsync, one answer.
import { DatabaseSync } from 'node:sqlite';
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { configure } from './embedded-file.ts';

export interface WriteRow {
  revision: number;
  key: string;
  createRevision: number;
  /** Where the value is in the payload; length -1: deleted. */
  offset: number;
  length: number;
  expiresAtMs: number | null;
}

export type WorkerRequest =
  | { kind: 'write'; rows: WriteRow[]; payload: ArrayBuffer; drops: number[]; compactRevision: number | undefined }
  | { kind: 'close' };

export type WorkerAnswer = { kind: 'done' } | { kind: 'failed'; message: string } | { kind: 'closed' };

/** Free pages given back to the file system in one transaction. */
const VACUUM_PAGES = 256;

function serve(port: MessagePort, path: string): void {
  const db = new DatabaseSync(path, { timeout: 5000 });
  configure(db);
  const insert = db.prepare('INSERT INTO versions VALUES (?, ?, ?, ?, ?)');
  const drop = db.prepare('DELETE FROM versions WHERE revision = ?');
  const setCompacted = db.prepare("UPDATE meta SET value = ? WHERE name = 'compact_revision'");
  const freePages = db.prepare('PRAGMA freelist_count');

  function write(request: WorkerRequest & { kind: 'write' }): void {
    const payload = new Uint8Array(request.payload);
    db.exec('BEGIN IMMEDIATE');
    try {
      for (const row of request.rows) {
        const value = row.length < 0 ? null : payload.subarray(row.offset, row.offset + row.length);
        insert.run(row.revision, row.key, row.createRevision, value, row.expiresAtMs);
      }
      if (request.compactRevision !== undefined) setCompacted.run(request.compactRevision);
      for (const revision of request.drops) drop.run(revision);
      db.exec('COMMIT');
    } catch (error) {
      if (db.isTransaction) db.exec('ROLLBACK');
      throw error;
    }
    if (request.drops.length === 0) return;
    const { freelist_count: free } = freePages.get() as { freelist_count: number };
    if (free > 4 * VACUUM_PAGES) db.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
  }

  port.on('message', (request: WorkerRequest) => {
    if (request.kind === 'close') {
      db.close();
      port.postMessage({ kind: 'closed' } satisfies WorkerAnswer);
      port.close();
      return;
    }
    try {
      write(request);
      port.postMessage({ kind: 'done' } satisfies WorkerAnswer);
    } catch (error) {
      port.postMessage({ kind: 'failed', message: (error as Error).message } satisfies WorkerAnswer);
    }
  });
}

if (parentPort) serve(parentPort, (workerData as { path: string }).path);
