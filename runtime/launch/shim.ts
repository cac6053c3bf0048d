// One container's shim as a client sees it: its facts as they change, and requests answered by number.
import type { Socket } from 'node:net';
import { LaunchError } from './port.ts';
import { connectUnix } from './server.ts';
import { encodeFrame, FrameReader } from './wire.ts';

/** What a shim records, in memory and in its `facts` file. */
export interface ShimFacts {
  state: 'created' | 'running' | 'exited';
  pid: number;
  pidStart: string;
  startedAtNs: number;
  finishedAtNs: number;
  exitCode: number;
  signal: number;
  oomKilled: boolean;
}

/** Parses `name=value` lines; undefined when they are not all there. */
export function parseFacts(text: string): ShimFacts | undefined {
  const lines = new Map(text.split('\n').map((line) => line.split('=', 2) as [string, string]));
  const state = lines.get('state');
  if ((state !== 'created' && state !== 'running' && state !== 'exited') || !lines.has('oom')) return undefined;
  const number = (name: string) => Number(lines.get(name) ?? 0);
  return {
    state,
    pid: number('pid'),
    pidStart: lines.get('pidStart') ?? '0',
    startedAtNs: number('started'),
    finishedAtNs: number('finished'),
    exitCode: number('code'),
    signal: number('signal'),
    oomKilled: number('oom') === 1,
  };
}

export function printFacts(facts: ShimFacts): string {
  const { state, pid, pidStart, startedAtNs, finishedAtNs, exitCode, signal, oomKilled } = facts;
  return `state=${state}\npid=${pid}\npidStart=${pidStart}\nshim=0\nstarted=${startedAtNs}\nfinished=${finishedAtNs}\ncode=${exitCode}\nsignal=${signal}\noom=${oomKilled ? 1 : 0}\n`;
}

export interface Shim {
  start(): Promise<void>;
  signal(number: number): Promise<void>;
  reopenLog(): Promise<void>;
  resize(width: number, height: number): void;
  /** Resolves when the shim has closed the connection: it has ended. */
  readonly closed: Promise<void>;
  close(): void;
}

/** Connects; rejects with ENOENT or ECONNREFUSED when there is no shim (any more). */
export async function connectShim(socketPath: string, onFacts: (facts: ShimFacts) => void): Promise<Shim> {
  const socket: Socket = await connectUnix(socketPath);
  const frames = new FrameReader();
  const waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  let next = 1;
  const closed = new Promise<void>((resolve) => {
    socket.once('close', () => {
      for (const each of waiting.values())
        each.reject(new LaunchError('shim', 'ECONNRESET', 'the shim ended before it answered'));
      waiting.clear();
      resolve();
    });
  });
  socket.on('error', () => undefined);
  socket.on('data', (bytes: Buffer) => {
    for (const { kind, payload } of frames.push(bytes)) {
      if (kind === 'S') {
        const facts = parseFacts(payload.toString());
        if (facts) onFacts(facts);
      } else if (kind === 'K' || kind === 'E') {
        const id = payload.readUInt32LE(0);
        const request = waiting.get(id);
        waiting.delete(id);
        if (kind === 'K') request?.resolve();
        else {
          const [step = '', errno = '', ...message] = payload.toString('utf8', 4).split('\n');
          request?.reject(new LaunchError(step, errno, message.join('\n')));
        }
      }
    }
  });
  socket.write(encodeFrame('C'));
  const request = (kind: string, value = 0) =>
    new Promise<void>((resolve, reject) => {
      const payload = Buffer.alloc(8);
      payload.writeUInt32LE(next, 0);
      payload.writeUInt32LE(value, 4);
      if (socket.destroyed) return reject(new LaunchError('shim', 'ECONNRESET', 'the shim has ended'));
      waiting.set(next++, { resolve, reject });
      socket.write(encodeFrame(kind, payload));
    });
  return {
    start: () => request('g'),
    signal: (number) => request('k', number),
    reopenLog: () => request('l'),
    resize(width, height) {
      socket.write(encodeFrame('r', sizePayload(width, height)));
    },
    closed,
    close: () => socket.destroy(),
  };
}

export function sizePayload(width: number, height: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt16LE(width & 0xffff, 0);
  payload.writeUInt16LE(height & 0xffff, 2);
  return payload;
}
