// The resident launcher as a client sees it: one connection per request. When none answers, one is started, detached,
// so that it outlives us; it holds nothing that matters, and may be killed at any time.
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, basename } from 'node:path';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { LaunchError } from './port.ts';
import { printPlan, type Step, step } from './steps.ts';
import { decodeRecords, encodePlan, PROTOCOL } from './wire.ts';

export interface Answer {
  warnings: string[];
  /** Of a `clone` or `enter`. */
  pid: number | undefined;
  pidStart: string | undefined;
  values: Map<string, string>;
}

/** A plan that has been executed: what each step took, by its place; those after a process waits or has exec'ed are not known. */
export type OnTrace = (steps: readonly Step[], timesNs: ReadonlyMap<number, number>) => void;

export interface LauncherServer {
  /** Runs a plan; rejects with LaunchError naming the step that failed. */
  run(steps: readonly Step[]): Promise<Answer>;
  /** Runs a plan whose connection stays open afterwards and carries a stream. */
  open(steps: readonly Step[]): Promise<{ answer: Answer; socket: Socket }>;
  /** Ends the resident launcher. */
  quit(): Promise<void>;
  close(): void;
}

export interface ServerOptions {
  binary: string;
  socketPath: string;
  stateDir: string;
  clock: Clock;
  log: Logger;
  /** Called after each plan. */
  onTrace?: OnTrace | undefined;
  /** For tests: what is executed instead of a plan. */
  tamper?: ((steps: readonly Step[]) => readonly Step[]) | undefined;
}

const GONE = new Set(['ENOENT', 'ECONNREFUSED']);

/** Connects to a unix socket by its directory's descriptor: the path may then be longer than 107 bytes. */
export function connectUnix(path: string, options: { allowHalfOpen?: boolean } = {}): Promise<Socket> {
  return new Promise((resolve, reject) => {
    let directory: number;
    try {
      directory = openSync(dirname(path), 'r');
    } catch (error) {
      return reject(error);
    }
    const socket = connect({ path: `/proc/self/fd/${directory}/${basename(path)}`, ...options });
    // connect(2) on a unix socket is done when connect() returns; the directory is not needed after that.
    closeSync(directory);
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

/** The launcher died between taking our connection and looking at it: nothing was done. */
class NotTaken extends Error {}

/** Reads exactly one message, leaving what follows in the socket. */
function readMessage(socket: Socket): Promise<string[][]> {
  return new Promise((resolve, reject) => {
    let taken = false;
    let length = -1;
    const done = () => {
      socket.off('readable', read);
      socket.off('close', closed);
      socket.off('end', closed);
    };
    const closed = () => {
      done();
      reject(taken ? new LaunchError('', 'ECONNRESET', 'the launcher ended without an answer') : new NotTaken());
    };
    const read = () => {
      taken ||= socket.read(1) !== null;
      if (!taken) return;
      if (length < 0) {
        const head = socket.read(4) as Buffer | null;
        if (!head) return;
        length = head.readUInt32LE(0);
      }
      const body = socket.read(length) as Buffer | null;
      if (!body) return;
      done();
      try {
        resolve(decodeRecords(body));
      } catch (error) {
        reject(error);
      }
    };
    socket.on('readable', read);
    socket.once('close', closed);
    socket.once('end', closed);
    socket.on('error', () => undefined);
  });
}

export function createLauncherServer(options: ServerOptions): LauncherServer {
  const { clock, log } = options;
  let starting: Promise<void> | undefined;
  let checked = false;

  const start = async () => {
    // Its errors go to a file: holding our own stderr would keep a pipe open after we have ended.
    const errors = openSync(`${options.stateDir}/launcher.log`, 'a', 0o600);
    // Reads nothing from us and is of its own session: it lives on when we end.
    const child = spawn(options.binary, ['serve', options.socketPath, options.stateDir], {
      detached: true,
      stdio: ['ignore', 'ignore', errors],
      env: {},
    });
    closeSync(errors);
    const failed = new Promise<Error>((resolve) => child.once('error', resolve));
    let failure: Error | undefined;
    void failed.then((error) => {
      failure = error;
    });
    child.unref();
    for (let waited = 0; waited < 5000; waited += 2) {
      if (failure) throw new LaunchError('serve', 'ENOENT', `cannot start ${options.binary}: ${failure.message}`);
      try {
        (await connectUnix(options.socketPath)).destroy();
        log.info({ pid: child.pid, socket: options.socketPath }, 'launcher started');
        return;
      } catch {
        await sleep(clock, 2);
      }
    }
    throw new LaunchError('serve', 'ETIMEDOUT', `${options.binary} does not answer on ${options.socketPath}`);
  };

  const ask = async (
    message: Buffer,
    halfOpen = false,
    attempt = 1,
  ): Promise<{ socket: Socket; records: string[][] }> => {
    let socket: Socket;
    try {
      socket = await connectUnix(options.socketPath, { allowHalfOpen: halfOpen });
    } catch (error) {
      if (!GONE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      starting ??= start().finally(() => {
        starting = undefined;
      });
      await starting;
      socket = await connectUnix(options.socketPath, { allowHalfOpen: halfOpen });
    }
    socket.write(message);
    try {
      return { socket, records: await readMessage(socket) };
    } catch (error) {
      if (!(error instanceof NotTaken)) throw error;
      if (attempt >= 5) throw new LaunchError('', 'ECONNRESET', 'the launcher ends before it takes a request');
      return ask(message, halfOpen, attempt + 1);
    }
  };

  // One of an older version may still be resident: it is asked to go, its containers do not notice.
  const check = async () => {
    if (checked) return;
    const { socket, records } = await ask(encodePlan([step('ping', [], '')]));
    socket.destroy();
    if (records[0]?.[0] === 'pong' && records[0][1] !== PROTOCOL) {
      log.warn({ theirs: records[0][1], ours: PROTOCOL }, 'replacing a launcher of another version');
      const quit = await ask(encodePlan([step('quit', [], '')]));
      quit.socket.destroy();
    }
    checked = true;
  };

  const request = async (given: readonly Step[], halfOpen: boolean) => {
    const steps = options.tamper?.(given) ?? given;
    await check();
    const before = options.onTrace ? [step('trace', [], '')] : [];
    const { socket, records } = await ask(encodePlan([...before, ...steps]), halfOpen);
    const timesNs = new Map<number, number>();
    const answer: Answer = { warnings: [], pid: undefined, pidStart: undefined, values: new Map() };
    for (const [kind, ...rest] of records) {
      if (kind === 'error') {
        socket.destroy();
        const failed = steps[Number(rest[0]) - before.length];
        throw new LaunchError(
          failed ? printPlan([failed]).trim() : '',
          rest[1] ?? '',
          rest[2] ?? 'the launcher refused',
        );
      }
      if (kind === 'warning' && rest[0]) answer.warnings.push(rest[0]);
      else if (kind === 'pid') [answer.pid, answer.pidStart] = [Number(rest[0]), rest[1]];
      else if (kind === 'trace') timesNs.set(Number(rest[0]) - before.length, Number(rest[1]));
      else if (kind) answer.values.set(kind, rest[0] ?? '');
    }
    options.onTrace?.(steps, timesNs);
    return { socket, answer };
  };

  return {
    async run(steps) {
      const { socket, answer } = await request(steps, false);
      socket.destroy();
      return answer;
    },
    open: (steps) => request(steps, true),
    async quit() {
      try {
        const socket = await connectUnix(options.socketPath);
        socket.on('error', () => undefined);
        socket.write(encodePlan([step('quit', [], '')]));
        await new Promise<void>((resolve) => socket.resume().once('close', () => resolve()));
      } catch (error) {
        if (!GONE.has((error as NodeJS.ErrnoException).code ?? '')) throw error;
      }
    },
    close: () => undefined,
  };
}
