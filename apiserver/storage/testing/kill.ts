// Runs testing/writer.ts and kills it; returns what it had acknowledged.
import { spawn } from 'node:child_process';

export interface Acknowledged {
  value: string;
  revision: number;
}

/** Starts a writer, lets it acknowledge `writes` more, then SIGKILLs it. The newest acknowledged value of each key. */
export async function writeAndKill(args: readonly string[], writes: number): Promise<Map<string, Acknowledged>> {
  const script = new URL('./writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let lines = 0;
  let problem = '';
  child.stderr.on('data', (chunk: Buffer) => {
    problem += chunk.toString();
  });
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
    for (const byte of chunk) if (byte === 10) lines++;
    if (lines >= writes) child.kill('SIGKILL');
  });
  await new Promise<void>((resolve) => child.once('close', () => resolve()));
  if (lines < writes) throw new Error(`the writer ended by itself after ${lines} writes: ${problem}`);
  const acknowledged = new Map<string, Acknowledged>();
  for (const line of output.split('\n').slice(0, -1)) {
    const [, key, value, revision] = line.split(' ') as [string, string, string, string];
    acknowledged.set(key, { value, revision: Number(revision) });
  }
  return acknowledged;
}
