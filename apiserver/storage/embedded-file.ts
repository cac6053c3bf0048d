// The embedded store's SQLite file: schema, lock and first read. One row per version, appended:
//
//   versions  revision (primary key) · key · create_revision · value (NULL: deleted) · expires_at_ms
//   meta      compact_revision
//
// The present state is the newest row of each key. Everything else is history until it is compacted.
import { closeSync, existsSync, fsyncSync, openSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { configure } from './embedded-writer.ts';
import type { Version } from './mvcc.ts';
import { StoreUnavailableError } from './port.ts';

const FORMAT = 1;
/** "Smpn": what file(1) and our own check know the file by. */
const APPLICATION_ID = 0x536d706e;

export interface StoredVersion extends Version {
  /** Milliseconds since the epoch, or null. */
  expiresAtMs: number | null;
}

export interface OpenedFile {
  versions: StoredVersion[];
  revision: number;
  compactRevision: number;
  /** Superseded rows that an interrupted compaction left. */
  leftovers: number[];
  /** Lets another process open the file. */
  unlock(): void;
}

/**
 * Opens or creates the file, takes its lock for this process and reads it. Throws StoreUnavailableError when another
 * process has it, when it is not ours or cannot be read.
 */
export function openFile(path: string): OpenedFile {
  const unlock = lock(path);
  try {
    const isNew = !existsSync(path);
    const db = new DatabaseSync(path, { timeout: 1000 });
    try {
      prepare(db, path);
      if (isNew) syncDirectory(path);
      return { ...read(db), unlock };
    } finally {
      db.close();
    }
  } catch (error) {
    unlock();
    if (error instanceof StoreUnavailableError) throw error;
    throw new StoreUnavailableError(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** The kernel drops SQLite's file lock with the process, however it ends; a lock file of ours would stay behind. */
function lock(path: string): () => void {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(`${path}-lock`, { timeout: 0 });
    db.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  } catch (error) {
    db?.close();
    if (/locked/.test((error as Error).message)) {
      throw new StoreUnavailableError(`${path} is in use by another process`, { cause: error });
    }
    throw new StoreUnavailableError(`${path}: ${(error as Error).message}`, { cause: error });
  }
  return () => db.close();
}

function prepare(db: DatabaseSync, path: string): void {
  const { application_id: application } = db.prepare('PRAGMA application_id').get() as { application_id: number };
  const { user_version: format } = db.prepare('PRAGMA user_version').get() as { user_version: number };
  const { n: tables } = db.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number };
  if (tables > 0 && application !== APPLICATION_ID) throw new StoreUnavailableError(`${path} is not a Sampan store`);
  if (format > FORMAT)
    throw new StoreUnavailableError(`${path} has format ${format}, this version reads up to ${FORMAT}`);
  if (tables > 0) return configure(db);
  db.exec('PRAGMA auto_vacuum = INCREMENTAL');
  configure(db);
  db.exec(`
    BEGIN;
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${FORMAT};
    CREATE TABLE versions (
      revision INTEGER PRIMARY KEY,
      key TEXT NOT NULL,
      create_revision INTEGER NOT NULL,
      value BLOB,
      expires_at_ms INTEGER
    );
    CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO meta VALUES ('compact_revision', 0);
    COMMIT;
  `);
}

interface Row {
  revision: number;
  key: string;
  create_revision: number;
  value: Uint8Array | null;
  expires_at_ms: number | null;
}

function read(db: DatabaseSync): Omit<OpenedFile, 'unlock'> {
  const meta = db.prepare("SELECT value FROM meta WHERE name = 'compact_revision'").get() as { value: number };
  const compactRevision = meta.value;
  const versions: StoredVersion[] = [];
  const leftovers: number[] = [];
  /** Newest row at or before the compaction, by key: index in `versions`. */
  const bases = new Map<string, number>();
  let revision = Math.max(1, compactRevision);
  const rows = db.prepare(
    'SELECT revision, key, create_revision, value, expires_at_ms FROM versions ORDER BY revision',
  );
  for (const each of rows.iterate()) {
    const row = each as unknown as Row;
    revision = Math.max(revision, row.revision);
    const version: StoredVersion = {
      key: row.key,
      revision: row.revision,
      createRevision: row.create_revision,
      value: row.value,
      expiresAtMs: row.expires_at_ms,
    };
    if (row.revision <= compactRevision) {
      const older = bases.get(row.key);
      if (older !== undefined) {
        leftovers.push((versions[older] as StoredVersion).revision);
        versions[older] = undefined as unknown as StoredVersion;
        bases.delete(row.key);
      }
      if (row.value === null) {
        leftovers.push(row.revision);
        continue;
      }
      bases.set(row.key, versions.length);
    }
    versions.push(version);
  }
  return { versions: leftovers.length > 0 ? versions.filter(Boolean) : versions, revision, compactRevision, leftovers };
}

function syncDirectory(path: string): void {
  const directory = openSync(dirname(resolve(path)), 'r');
  try {
    fsyncSync(directory);
  } finally {
    closeSync(directory);
  }
}
