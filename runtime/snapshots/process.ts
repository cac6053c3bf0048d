// Runs one program to its end with a stream in and a stream out. Only for work that happens once per image layer.
import { type ChildProcess, spawn } from 'node:child_process';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

export class ProgramError extends Error {
  constructor(program: string, status: string, stderr: string) {
    super(`${program} failed (${status}): ${stderr.trim().slice(-2000) || 'no message'}`);
    this.name = 'ProgramError';
  }
}

/** Feeds `input` to the program; resolves when it exits with 0. An error of the input wins over the program's. */
export async function runProgram(
  program: string,
  args: readonly string[],
  input?: AsyncIterable<Uint8Array>,
): Promise<void> {
  const child = spawn(program, args, { stdio: ['pipe', 'ignore', 'pipe'], env: programEnv });
  const ended = waitFor(program, child);
  let inputError: unknown;
  const feeding = pipeline(Readable.from(input ?? []), child.stdin).catch((error: NodeJS.ErrnoException) => {
    // The program went away first: its own message says more.
    if (error.code === 'EPIPE' || error.code === 'ERR_STREAM_PREMATURE_CLOSE') return;
    inputError = error;
    child.kill('SIGKILL');
  });
  const results = await Promise.allSettled([feeding, ended]);
  if (inputError !== undefined) throw inputError;
  if (results[1].status === 'rejected') throw results[1].reason;
}

/** The program's output as a stream; it fails when the program does. */
export async function* readProgram(program: string, args: readonly string[]): AsyncGenerator<Buffer, void, undefined> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: programEnv });
  const ended = waitFor(program, child);
  ended.catch(() => {});
  try {
    for await (const chunk of child.stdout) yield chunk as Buffer;
    await ended;
  } finally {
    child.kill('SIGKILL');
  }
}

const programEnv = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' };

function waitFor(program: string, child: ChildProcess): Promise<void> {
  let stderr = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (stderr.length < 65536) stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', (error) => reject(new ProgramError(program, error.message, stderr)));
    child.on('close', (code, signal) =>
      code === 0 ? resolve() : reject(new ProgramError(program, signal ?? `exit ${code}`, stderr)),
    );
  });
}
