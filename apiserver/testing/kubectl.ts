// Real kubectl against a test server: what a user types, and what they see.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { TestServer } from './server.ts';

export interface Seen {
  code: number;
  out: string;
  err: string;
}

export interface RunOptions {
  input?: string;
  env?: Record<string, string>;
  /** Default 20 s. */
  timeoutMs?: number;
}

export interface Kubectl {
  readonly dir: string;
  /** `args` is a command line: words, or words in single quotes. */
  (args: string, options?: RunOptions): Promise<Seen>;
  /** The output of a command that must succeed. */
  ok(args: string, options?: RunOptions): Promise<string>;
  /** What a command that must fail says. */
  fails(args: string, options?: RunOptions): Promise<string>;
}

/** `binary` as the administrator of `server`, with a home of its own. */
export function kubectlFor(server: TestServer, binary: string): Kubectl {
  const home = join(server.dir, `home-${binary.split('/').at(-1)}`);
  mkdirSync(home, { recursive: true });
  const kubeconfig = join(home, 'kubeconfig');
  writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 });
  const run = (args: string, { input = '', env = {}, timeoutMs = 20_000 }: RunOptions = {}): Promise<Seen> =>
    new Promise((resolve, reject) => {
      const child = spawn(binary, words(args), {
        env: { PATH: process.env['PATH'] ?? '', HOME: home, KUBECONFIG: kubeconfig, ...env },
        cwd: home,
      });
      let out = '';
      let err = '';
      child.stdout.on('data', (chunk: Buffer) => (out += chunk));
      child.stderr.on('data', (chunk: Buffer) => (err += chunk));
      const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      child.on('error', reject);
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        resolve({ code: code ?? 128, out, err: signal ? `${err}\nended by ${signal}` : err });
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input);
    });
  const ok = async (args: string, options?: RunOptions) => {
    const seen = await run(args, options);
    expect(seen.code, `kubectl ${args}\n${seen.err}${seen.out}`).toBe(0);
    return seen.out;
  };
  const fails = async (args: string, options?: RunOptions) => {
    const seen = await run(args, options);
    expect(seen.code, `kubectl ${args} did not fail\n${seen.out}`).not.toBe(0);
    return seen.err;
  };
  return Object.assign(run, { ok, fails, dir: home });
}

function words(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+?)'([^']*)'|\S+/g)].map(
    (match) => match[1] ?? (match[2] !== undefined ? match[2] + (match[3] ?? '') : match[0]),
  );
}
