// Reads a container's log as `kubectl logs` asks for it: the last lines, since a time, following, bounded. Follows by
// inotify on the log's directory, across rotation; never polls.
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { constants, statSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parseLogLine } from './log-format.ts';

export interface LogOptions {
  tailLines: number | undefined;
  sinceMs: number | undefined;
  timestamps: boolean;
  limitBytes: number | undefined;
  follow: boolean;
  stream: 'stdout' | 'stderr' | undefined;
}

const CHUNK_BYTES = 64 * 1024;
/** A pod that may write where logs are kept does not get other files of the host read by putting a link there. */
const READ = constants.O_RDONLY | constants.O_NOFOLLOW;

/** The log's bytes. While following, it ends when `isRunning` says so and everything is read, or the signal aborts. */
export async function* readLog(
  path: string,
  options: LogOptions,
  following: { isRunning(): boolean; onStopped(callback: () => void): () => void },
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let budget = options.limitBytes ?? Number.POSITIVE_INFINITY;
  const format = formatter(options);
  const changes = options.follow ? new Changes(path, following, signal) : undefined;
  try {
    let handle = await open(path, READ);
    try {
      const rotated = options.tailLines === undefined || options.follow ? await rotatedBefore(path) : [];
      if (options.tailLines === undefined) {
        for (const old of rotated) {
          for await (const bytes of wholeFile(old, format)) {
            const part = bytes.subarray(0, budget);
            budget -= part.length;
            if (part.length > 0) yield part;
            if (budget <= 0) return;
          }
        }
      }
      const { size } = await handle.stat();
      // Without following the log ends where it ended when it was asked for, however fast its container writes.
      const end = options.follow ? Number.POSITIVE_INFINITY : size;
      let position = options.tailLines === undefined ? 0 : await tailStart(handle, options.tailLines, size);
      let rest: Buffer = Buffer.alloc(0);
      let isDrained = false;
      for (;;) {
        // Asked before reading: what was written before the container stopped is then read for certain.
        const wasRunning = following.isRunning();
        const ticket = changes?.ticket() ?? 0;
        for (;;) {
          const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
          const { bytesRead } = await handle.read(buffer, 0, Math.min(CHUNK_BYTES, end - position), position);
          if (bytesRead === 0) break;
          position += bytesRead;
          const { lines, left } = split(rest, buffer.subarray(0, bytesRead));
          rest = left;
          const out = format(lines).subarray(0, budget);
          budget -= out.length;
          if (out.length > 0) yield out;
          if (budget <= 0 || signal.aborted) return;
        }
        if (!changes || signal.aborted) return;
        const now = statSync(path, { throwIfNoEntry: false });
        const current = await handle.stat();
        if (now && now.ino !== current.ino) {
          // Rotated: what was written between the last read and the rename comes first.
          if (!isDrained) {
            isDrained = true;
            continue;
          }
          await handle.close();
          handle = await open(path, READ);
          position = 0;
          rest = Buffer.alloc(0);
          isDrained = false;
          continue;
        }
        if (now && now.size < position) position = 0;
        if (!wasRunning || !now) return;
        await changes.after(ticket);
      }
    } finally {
      await handle.close().catch(() => {});
    }
  } finally {
    changes?.close();
  }
}

/** Wake-ups of a follower: the log directory changed, the container stopped, the reader left. */
class Changes {
  #count = 0;
  #wake: (() => void) | undefined;
  #closers: (() => void)[] = [];

  constructor(path: string, following: { onStopped(callback: () => void): () => void }, signal: AbortSignal) {
    const bump = () => {
      this.#count++;
      this.#wake?.();
    };
    const watcher = watch(dirname(path), { persistent: false }, bump);
    watcher.on('error', bump);
    signal.addEventListener('abort', bump, { once: true });
    this.#closers = [() => watcher.close(), following.onStopped(bump), () => signal.removeEventListener('abort', bump)];
  }

  ticket(): number {
    return this.#count;
  }

  /** Resolves when something has happened since the ticket was taken. */
  async after(ticket: number): Promise<void> {
    if (this.#count !== ticket) return;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
  }

  close(): void {
    for (const close of this.#closers) close();
  }
}

/** Rotated, uncompressed predecessors (`0.log.20260102-030405`), oldest first. */
async function rotatedBefore(path: string): Promise<string[]> {
  const prefix = `${basename(path)}.`;
  const names = await readdir(dirname(path)).catch(() => []);
  return names
    .filter((name) => name.startsWith(prefix) && !name.endsWith('.gz') && !name.endsWith('.tmp'))
    .sort()
    .map((name) => join(dirname(path), name));
}

async function* wholeFile(path: string, format: (lines: Buffer[]) => Buffer): AsyncGenerator<Buffer> {
  const handle = await open(path, READ).catch(() => undefined);
  if (!handle) return;
  try {
    let rest: Buffer = Buffer.alloc(0);
    for (let position = 0; ; ) {
      const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
      const { bytesRead } = await handle.read(buffer, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      const { lines, left } = split(rest, buffer.subarray(0, bytesRead));
      rest = left;
      yield format(lines);
    }
  } finally {
    await handle.close();
  }
}

function split(rest: Buffer, more: Buffer): { lines: Buffer[]; left: Buffer } {
  const bytes = rest.length > 0 ? Buffer.concat([rest, more]) : more;
  const lines: Buffer[] = [];
  let start = 0;
  for (let at = bytes.indexOf(0x0a); at >= 0; at = bytes.indexOf(0x0a, start)) {
    lines.push(bytes.subarray(start, at));
    start = at + 1;
  }
  return { lines, left: Buffer.from(bytes.subarray(start)) };
}

/** Lines as they are shown. A partial line is joined to what follows it and carries one timestamp. */
function formatter(options: LogOptions): (lines: Buffer[]) => Buffer {
  let isContinuation = false;
  return (lines) => {
    const out: Buffer[] = [];
    for (const raw of lines) {
      const line = parseLogLine(raw);
      if (!line || (options.stream && line.stream !== options.stream)) continue;
      if (options.sinceMs !== undefined && Date.parse(line.timestamp) < options.sinceMs) continue;
      if (options.timestamps && !isContinuation) out.push(Buffer.from(`${line.timestamp} `));
      out.push(line.content);
      if (!line.isPartial) out.push(Buffer.from('\n'));
      isContinuation = line.isPartial;
    }
    return Buffer.concat(out);
  };
}

/** Where the last `count` lines begin; partial lines count as the line they belong to. */
async function tailStart(handle: FileHandle, count: number, size: number): Promise<number> {
  if (count <= 0) return size;
  let position = size;
  let text: Buffer = Buffer.alloc(0);
  while (position > 0) {
    const length = Math.min(CHUNK_BYTES, position);
    const buffer = Buffer.allocUnsafe(length);
    await handle.read(buffer, 0, length, position - length);
    position -= length;
    text = Buffer.concat([buffer, text]);
    const start = lastLines(text, count, position === 0);
    if (start !== undefined) return position + start;
  }
  return 0;
}

/** Offset of the last `count` whole lines in `text`, or undefined when they reach before it. */
function lastLines(text: Buffer, count: number, isWhole: boolean): number | undefined {
  const ends: number[] = [];
  for (let at = text.indexOf(0x0a); at >= 0; at = text.indexOf(0x0a, at + 1)) ends.push(at);
  let found = 0;
  for (let index = ends.length - 1; index >= 0; index--) {
    const start = index === 0 ? 0 : (ends[index - 1] as number) + 1;
    if (index === 0 && !isWhole) return undefined;
    // A line begins a new one unless the line before it was cut.
    const before =
      index === 0
        ? undefined
        : parseLogLine(text.subarray(index === 1 ? 0 : (ends[index - 2] as number) + 1, ends[index - 1]));
    if (before?.isPartial) continue;
    if (++found === count) return start;
  }
  return isWhole ? 0 : undefined;
}
