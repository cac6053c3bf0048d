// What the benches of the API server share: the server as a process whose CPU the kernel counts, and a client over HTTP/2.
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import http2 from 'node:http2';
import { join } from 'node:path';

const MILLIS_PER_TICK = 10;
export const IN_FLIGHT = 16;
const SESSIONS = 4;

export interface Row {
  name: string;
  count: number;
  cpuMillis: number;
  wallMillis: number;
  /** Of upstream, CPU milliseconds per operation. */
  upstream?: number;
  floorMillis?: number;
}

export class Server {
  readonly url: string;
  readonly readyMillis: number;
  #child: ChildProcess;

  constructor(child: ChildProcess, url: string, readyMillis: number) {
    this.#child = child;
    this.url = url;
    this.readyMillis = readyMillis;
  }

  /** User and system time of all its threads. */
  cpuMillis(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    return (Number(fields[11]) + Number(fields[12])) * MILLIS_PER_TICK;
  }

  /** Where its CPU went: JavaScript's main thread, the store's writer and the pool, V8's own. */
  threads(): string {
    const tasks = `/proc/${this.#child.pid}/task`;
    const each = readdirSync(tasks).map((id) => {
      const [head = '', tail = ''] = readFileSync(`${tasks}/${id}/stat`, 'utf8').split(') ');
      const fields = tail.split(' ');
      const [user, system] = [Number(fields[11]) * MILLIS_PER_TICK, Number(fields[12]) * MILLIS_PER_TICK];
      const name = Number(id) === this.#child.pid ? 'main' : head.slice(head.indexOf('(') + 1);
      return { text: `${name} ${user}+${system}`, total: user + system };
    });
    const busy = each.filter(({ total }) => total >= 50).sort((a, b) => b.total - a.total);
    return busy.map(({ text }) => text).join(', ');
  }

  residentBytes(): number {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8'))?.[1]) * 1024;
  }

  memory(): string {
    const text = readFileSync(`/proc/${this.#child.pid}/smaps_rollup`, 'utf8');
    const megabytes = (name: string) =>
      (Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]) / 1024).toFixed(0);
    const threads = readdirSync(`/proc/${this.#child.pid}/task`).length;
    return `${megabytes('Rss')} MB resident (${megabytes('Private_Dirty')} MB of its own), ${threads} threads`;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const gone = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await gone;
  }
}

/** Ready when it says so on its standard error: `... ready at URL`. */
export function startServer(args: readonly string[]): Promise<Server> {
  const startMs = performance.now();
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  return new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (chunk) => {
      said += chunk;
      const url = /ready at (\S+)/.exec(said)?.[1];
      if (url) resolve(new Server(child, url, performance.now() - startMs));
    });
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${said}`)));
  });
}

export class Client {
  readonly #sessions: http2.ClientHttp2Session[];
  #next = 0;

  constructor(url: string, directory: string, sessions = SESSIONS) {
    this.#sessions = Array.from({ length: sessions }, () => connect(url, directory));
  }

  /** The answer's text; throws when it is not a success. */
  must(
    method: string,
    path: string,
    body?: Uint8Array,
    headers: Record<string, string> = {},
  ): Promise<{ status: number; text: string }> {
    const session = this.#sessions[this.#next++ % this.#sessions.length] as http2.ClientHttp2Session;
    const type = body && !headers['content-type'] ? { 'content-type': 'application/json' } : {};
    const length = body && { 'content-length': body.length };
    return new Promise((resolve, reject) => {
      const stream = session.request(
        { ':method': method, ':path': path, ...type, ...length, ...headers },
        { endStream: !body },
      );
      let status = 0;
      const chunks: Buffer[] = [];
      stream.on('response', (answer) => {
        status = answer[':status'] ?? 0;
      });
      stream.on('data', (chunk: Buffer) => chunks.push(chunk));
      stream.on('error', reject);
      stream.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        if (status >= 200 && status < 300) resolve({ status, text });
        else reject(new Error(`${method} ${path}: ${status} ${text}`));
      });
      if (body) stream.end(body);
    });
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
  }
}

export function connect(url: string, directory: string): http2.ClientHttp2Session {
  const read = (name: string) => readFileSync(join(directory, 'pki', name));
  const session = http2.connect(url, {
    ca: read('ca.crt'),
    cert: read('admin.crt'),
    key: read('admin.key'),
    settings: { initialWindowSize: 4 << 20 },
  });
  session.on('connect', () => session.setLocalWindowSize(16 << 20));
  session.on('error', () => {});
  return session;
}

export async function inFlight(count: number, one: (n: number) => Promise<unknown>, width = IN_FLIGHT): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: width }, async () => {
      while (next < count) await one(next++);
    }),
  );
}

export async function measure(
  server: Server,
  name: string,
  count: number,
  one: (n: number) => Promise<unknown>,
  width = IN_FLIGHT,
): Promise<Row> {
  const cpu = server.cpuMillis();
  const startMs = performance.now();
  await inFlight(count, one, width);
  return { name, count, cpuMillis: server.cpuMillis() - cpu, wallMillis: performance.now() - startMs };
}

export function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
