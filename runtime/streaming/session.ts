// Joins a client's channels with a process in a container, whatever the wire protocol. Output is written at the speed
// of the client; a client that goes away ends the command (or detaches from the container).
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ProcessStreams } from '../launch/port.ts';
import type { Outcome } from './status.ts';

export interface ClientChannels {
  stdin: Readable | undefined;
  /** Resolves when the client takes more. */
  writeStdout: ((data: Uint8Array) => Promise<void>) | undefined;
  writeStderr: ((data: Uint8Array) => Promise<void>) | undefined;
  /** Called with each new size of the client's terminal. */
  onResize(listener: (width: number, height: number) => void): void;
  /** Aborts when the client has gone. */
  gone: AbortSignal;
  /** Tells the outcome and closes. */
  finish(outcome: Outcome): Promise<void>;
}

export async function runSession(
  client: ClientChannels,
  open: () => Promise<ProcessStreams>,
  command: readonly string[] | undefined,
): Promise<void> {
  let streams: ProcessStreams;
  try {
    streams = await open();
  } catch (error) {
    const what = command ? 'error executing command in container' : 'error attaching to container';
    await client.finish({ kind: 'failed', message: `${what}: ${(error as Error).message}` });
    return;
  }
  const leave = () => streams.close();
  client.gone.addEventListener('abort', leave, { once: true });
  if (client.gone.aborted) leave();
  client.onResize((width, height) => streams.resize(width, height));
  try {
    if (client.stdin && streams.stdin) {
      // Ends when the client closes stdin; a process that closed its end first is no error.
      pipeline(client.stdin, streams.stdin).catch(() => {});
    }
    streams.exit.catch(() => {});
    await Promise.all([pump(streams.stdout, client.writeStdout), pump(streams.stderr, client.writeStderr)]);
    const outcome: Outcome = command ? { kind: 'exited', code: await streams.exit, command } : { kind: 'detached' };
    await client.finish(outcome);
  } catch (error) {
    streams.close();
    await client.finish({ kind: 'failed', message: (error as Error).message });
  } finally {
    client.gone.removeEventListener('abort', leave);
  }
}

async function pump(
  source: AsyncIterable<Uint8Array>,
  write: ((data: Uint8Array) => Promise<void>) | undefined,
): Promise<void> {
  for await (const data of source) await write?.(data);
}

/** `{"Width":80,"Height":24}`, as clients send it; undefined for anything else. */
export function parseSize(text: string): { width: number; height: number } | undefined {
  try {
    const { Width: width, Height: height } = JSON.parse(text) as { Width: unknown; Height: unknown };
    if (isSize(width) && isSize(height)) return { width, height };
  } catch {
    // Not JSON: the same as no size.
  }
  return undefined;
}

function isSize(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 && value < 65536;
}
