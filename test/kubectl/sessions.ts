// Every kubectl of this machine against one API server: each version works in a namespace and on a node of its own, all at
// the same time, and is held to the same rows. `VERSION` in a row is the version's name, in what is typed and what is seen.
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../apiserver/testing/server.ts';
import { kubectls } from '../kubectls.ts';

/** What must be printed: exactly, by pattern, or as this minor version prints it. */
export type Seen = string | RegExp | ((minor: number) => string | RegExp);

export interface RowOptions {
  /** Given on stdin. */
  input?: string;
  env?: Record<string, string>;
  /** What stderr says of a command that succeeds. */
  err?: Seen;
  /** The first minor version of kubectl that has it. */
  since?: number;
  /** The last minor version that behaves so. */
  until?: number;
  code?: number;
}

/** Command line, what is seen on stdout (on stderr when the command fails), more or just the stdin. `!`: it fails. */
export type Row = [command: string, seen: Seen, options?: RowOptions | string];

export interface Output {
  code: number;
  out: string;
  err: string;
}

export interface Followed {
  printed(): string;
  /** Resolves once what was printed matches; rejects when the command ends without. */
  until(pattern: RegExp): Promise<string>;
  end(): Promise<void>;
}

export interface Session {
  minor: number;
  /** `k1-27`: the namespace; `node-k1-27` is the node. */
  name: string;
  /** Home and working directory. */
  dir: string;
  server: TestServer;
  run(command: string, options?: RowOptions): Promise<Output>;
  /** The output of a command that must succeed. */
  ok(command: string, options?: RowOptions): Promise<string>;
  rows(table: readonly Row[]): Promise<void>;
  /** A command that goes on until it is ended. */
  follow(command: string): Followed;
  write(path: string, content: string | Buffer): void;
}

export interface Sessions {
  rows(title: string, table: readonly Row[]): void;
  work(title: string, work: (session: Session) => Promise<void>): void;
}

/**
 * Who takes part where not all are asked for: of versions that put the same on the wire the older or the newer one, or only the
 * oldest and the newest of all, which differ in everything that those between have in part.
 */
export type Turn = 'older' | 'newer' | 'ends';

const TIMEOUT_MS = 40_000;
/** For a table of rows on a machine that has much else to do. */
const PATIENCE_MS = 600_000;

/** To be called once, at the top of a test file. `prepare` makes what all will find, in the namespace `shared`. */
export function withEveryKubectl(turn: Turn, prepare?: (shared: Session) => Promise<void>): Sessions {
  const found = chosen(kubectls(), turn, process.env['SAMPAN_KUBECTL']);
  const sessions = new Map<string, Session>();
  let server: TestServer;
  beforeAll(async () => {
    server = await startTestServer();
    const [, newest] = found.at(-1) ?? [];
    if (prepare && newest) await prepare(await open(server, 'shared', 'installed', newest));
    for (const [version, binary] of found)
      sessions.set(version, await open(server, `k${version.replace('.', '-')}`, version, binary));
  });
  afterAll(() => server?.stop());

  const work = (title: string, each: (session: Session) => Promise<void>) =>
    describe(title, () => {
      it.concurrent.each(found)('kubectl %s', (version) => each(sessions.get(version) as Session), PATIENCE_MS);
    });
  return { work, rows: (title, table) => work(title, (session) => session.rows(table)) };
}

/**
 * `which`: `every`, versions with commas between, or nothing: one of each group that speaks alike. What differs on the wire:
 * 1.27 validates by OpenAPI v2 and discovers group by group; 1.28 and 1.29 still discover so; 1.30 and 1.31 know aggregated
 * discovery and exec by WebSocket; from 1.32 on typed clients send protobuf.
 */
function chosen(all: [string, string][], turn: Turn, which?: string): [string, string][] {
  if (which === 'every') return all;
  if (which) return all.filter(([version]) => which.split(',').includes(version));
  if (turn === 'ends') return all.filter((_each, index) => index === 0 || index === all.length - 1);
  const groups = Object.values(Object.groupBy(all, ([version]) => speaksLike(minorOf(version))));
  return groups.map((group = []) => group.at(turn === 'older' ? 0 : -1) as [string, string]);
}

const speaksLike = (minor: number) => [28, 30, 32].filter((since) => minor >= since).length;
const minorOf = (version: string) => Number(version.split('.')[1] ?? Number.MAX_SAFE_INTEGER);

async function open(server: TestServer, name: string, version: string, binary: string): Promise<Session> {
  const minor = minorOf(version);
  const dir = join(server.dir, name);
  mkdirSync(dir, { recursive: true });
  const kubeconfig = join(dir, 'kubeconfig');
  writeFileSync(kubeconfig, inNamespace(server.kubeconfig(), name), { mode: 0o600 });

  await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name } } });
  await server.call('POST', `/api/v1/namespaces/${name}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
  await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: `node-${name}` } } });
  await server.call('PATCH', `/api/v1/nodes/node-${name}`, {
    body: { spec: { taints: null } },
    type: 'application/merge-patch+json',
  });

  const start = (command: string, env: Record<string, string> = {}) =>
    spawn(binary, words(command.replaceAll('VERSION', name)), {
      env: { PATH: process.env['PATH'] ?? '', HOME: dir, KUBECONFIG: kubeconfig, ...env },
      cwd: dir,
    });
  const anonymous = (text: string) => text.replaceAll(name, 'VERSION');

  const run = (command: string, { input = '', env }: RowOptions = {}): Promise<Output> =>
    new Promise((resolve, reject) => {
      const child = start(command, env);
      let out = '';
      let err = '';
      child.stdout.on('data', (chunk: Buffer) => (out += chunk));
      child.stderr.on('data', (chunk: Buffer) => (err += chunk));
      const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
      child.on('error', reject);
      child.on('close', (code, signal) => {
        clearTimeout(timer);
        resolve({
          code: code ?? 128,
          out: anonymous(out),
          err: anonymous(signal ? `${err}\nended by ${signal}` : err),
        });
      });
      child.stdin.on('error', () => {});
      child.stdin.end(input.replaceAll('VERSION', name));
    });

  const ok = async (command: string, options?: RowOptions) => {
    const { code, out, err } = await run(command, options);
    expect(code, `kubectl ${command}\n${err}${out}`).toBe(0);
    return out;
  };

  /** All rows are run, whatever the first that fails: one look tells everything that differs. */
  const rows = async (table: readonly Row[]) => {
    const wrong: string[] = [];
    for (const [line, wanted, more = {}] of table) {
      const options = typeof more === 'string' ? { input: more } : more;
      if (minor < (options.since ?? 0) || minor > (options.until ?? Number.MAX_SAFE_INTEGER)) continue;
      const fails = line.startsWith('!');
      const command = fails ? line.slice(1) : line;
      const { code, out, err } = await run(command, options);
      const isAsSeen =
        (options.code === undefined ? (code !== 0) === fails : code === options.code) &&
        matches(fails ? err : out, wanted, minor) &&
        (options.err === undefined || matches(err, options.err, minor));
      if (!isAsSeen) wrong.push(`kubectl ${command}: ${code}, not ${shown(wanted, minor)}\n${out}--- stderr:\n${err}`);
    }
    expect(wrong.join('\n\n')).toBe('');
  };

  const follow = (command: string): Followed => {
    const child = start(command);
    child.stdin.end();
    let printed = '';
    let err = '';
    let look = () => {};
    child.stdout.on('data', (chunk: Buffer) => {
      printed += anonymous(chunk.toString());
      look();
    });
    child.stderr.on('data', (chunk: Buffer) => (err += chunk));
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    return {
      printed: () => printed,
      until: (pattern) =>
        new Promise((resolve, reject) => {
          look = () => pattern.test(printed) && resolve(printed);
          look();
          void ended.then(() => reject(new Error(`kubectl ${command} ended without ${pattern}:\n${printed}${err}`)));
        }),
      end: async () => {
        child.kill();
        await ended;
      },
    };
  };

  const write = (path: string, content: string | Buffer) => {
    mkdirSync(join(dir, path, '..'), { recursive: true });
    const bytes = typeof content === 'string' ? content.replaceAll('VERSION', name) : content;
    writeFileSync(join(dir, path), bytes, { mode: 0o755 });
  };
  return { minor, name, dir, server, run, ok, rows, follow, write };
}

const shown = (seen: Seen, minor: number) => JSON.stringify(String(typeof seen === 'function' ? seen(minor) : seen));

function matches(text: string, seen: Seen, minor: number): boolean {
  const wanted = typeof seen === 'function' ? seen(minor) : seen;
  return typeof wanted === 'string' ? text === wanted : wanted.test(text);
}

const inNamespace = (kubeconfig: string, namespace: string) =>
  kubeconfig.replace(/^ {4}user: /m, `    namespace: ${namespace}\n    user: `);

/** Words, and words with parts in single quotes. */
function words(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^\s'])+/g)].map(([word]) => word.replaceAll("'", ''));
}
