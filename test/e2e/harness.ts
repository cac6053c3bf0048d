// A real cluster for end-to-end tests: `sampan up` in a network namespace and data directory of its own, driven by the real
// kubectl. `stop` ends it as a user would, with Ctrl-C, and says what was left behind.
import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { type HostPicture, leaked, takePicture } from '../leaks.ts';

export const root = resolve(import.meta.dirname, '../..');
const sampan = join(root, 'scripts/sampan');

/** A tool that scripts/setup provides, or the host's own. */
export function tool(name: string): string {
  const ours = join(root, '.cache/tools/bin', name);
  return existsSync(ours) ? ours : name;
}

export interface Output {
  code: number;
  stdout: string;
  stderr: string;
}

/** A network namespace that stands for the host. */
export class TestHost {
  readonly netns: string;
  readonly dir: string;
  #before: HostPicture;

  /** `adopted`: one that another process has made and will dispose of. */
  constructor(name: string, adopted?: { netns: string; dir: string }) {
    if (adopted) {
      this.netns = adopted.netns;
      this.dir = adopted.dir;
      this.#before = takePicture([]);
      return;
    }
    this.netns = `sampan-${name}-${process.pid}`;
    this.dir = mkdtempSync(join(tmpdir(), `sampan-${name}-`));
    this.#before = takePicture([this.dir, this.cgroup]);
    execFileSync('ip', ['netns', 'add', this.netns]);
    execFileSync('ip', ['-n', this.netns, 'link', 'set', 'lo', 'up']);
  }

  get dataDir(): string {
    return join(this.dir, 'data');
  }

  /** The cgroup that a node of this host is told to use. */
  get cgroup(): string {
    return `/sampan-e2e-${this.dir.slice(-6).toLowerCase()}`;
  }

  command(...args: string[]): [string, string[]] {
    return ['nsenter', [`--net=/run/netns/${this.netns}`, ...args]];
  }

  spawn(args: string[], log: string, more: Record<string, string> = {}): ChildProcess {
    const [command, rest] = this.command(...args);
    const child = spawn(command, rest, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: this.dir,
      env: { ...process.env, CI: '1', ...more },
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => appendFileSync(join(this.dir, log), chunk));
    return child;
  }

  run(
    args: string[],
    options: { input?: string; timeoutMs?: number; env?: Record<string, string> } = {},
  ): Promise<Output> {
    const [command, rest] = this.command(...args);
    return new Promise((done) => {
      const child = execFile(
        command,
        rest,
        {
          encoding: 'utf8',
          cwd: this.dir,
          timeout: options.timeoutMs ?? 60_000,
          maxBuffer: 64 << 20,
          env: { ...process.env, ...options.env },
        },
        (error, stdout, stderr) => {
          const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
          done({ code, stdout, stderr: error?.killed ? `${stderr}\n(timed out)` : stderr });
        },
      );
      if (options.input !== undefined) child.stdin?.end(options.input);
    });
  }

  /** Deletes the namespace and the files; returns what else is left on the host. */
  dispose(): Partial<HostPicture> {
    execFileSync('ip', ['netns', 'del', this.netns]);
    const left = leaked(this.#before, takePicture([this.dir, this.cgroup]));
    if (Object.keys(left).length === 0) rmSync(this.dir, { recursive: true, force: true });
    return left;
  }
}

export interface ClusterOptions {
  store?: string;
  /** More arguments for `sampan up`. */
  args?: string[];
  /** Its environment, besides the test's own. */
  env?: Record<string, string>;
}

/** `sampan up` and the two ways to talk to it. */
export class TestCluster {
  readonly host: TestHost;
  #options: ClusterOptions;
  #up: ChildProcess | undefined;

  constructor(host: TestHost, options: ClusterOptions = {}) {
    this.host = host;
    this.#options = options;
  }

  /** Starts it, or starts it again on the same data. */
  async start(): Promise<void> {
    const { store = 'embedded', args = [], env } = this.#options;
    const up = this.host.spawn(
      [
        sampan,
        'up',
        '--data-dir',
        this.host.dataDir,
        '--store',
        store,
        '--cgroup-root',
        this.host.cgroup,
        '--node-name',
        'node-1',
        ...args,
      ],
      'up.log',
      env,
    );
    this.#up = up;
    await new Promise<void>((done, fail) => {
      let text = '';
      up.stderr?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (text.includes('The cluster is ready')) done();
      });
      up.once('exit', (code) =>
        fail(new Error(`sampan up ended with ${code} before it was ready:\n${text}\n${this.logs()}`)),
      );
    });
  }

  get pid(): number {
    return this.#up?.pid ?? 0;
  }

  /** Child processes of `sampan up`: the node. */
  children(): number[] {
    return readFileSync(`/proc/${this.pid}/task/${this.pid}/children`, 'utf8')
      .trim()
      .split(' ')
      .filter(Boolean)
      .map(Number);
  }

  /** Ends it as Ctrl-C does and waits until it has ended. */
  async stop(): Promise<void> {
    const up = this.#up;
    if (!up || up.exitCode !== null || up.signalCode !== null) return;
    const ended = new Promise<void>((done) => up.once('exit', () => done()));
    up.kill('SIGINT');
    await ended;
  }

  /** Kills the process of `sampan up` itself, as a crash would. */
  async kill(): Promise<void> {
    const up = this.#up;
    if (!up) return;
    const ended = new Promise<void>((done) => up.once('exit', () => done()));
    up.kill('SIGKILL');
    await ended;
  }

  kubectl(...args: string[]): Promise<Output> {
    return this.kubectlWith({}, ...args);
  }

  kubectlWith(options: { input?: string; binary?: string; timeoutMs?: number }, ...args: string[]): Promise<Output> {
    const env = {
      KUBECONFIG: join(this.host.dataDir, 'kubeconfig'),
      HOME: this.host.dir,
      KUBECACHEDIR: join(this.host.dir, 'kubecache'),
    };
    return this.host.run([options.binary ?? tool('kubectl'), ...args], { ...options, env });
  }

  /** kubectl that has to succeed; its output. */
  async must(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.kubectl(...args);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${code}: ${stderr}${stdout}\n${this.logs()}`);
    return stdout;
  }

  async apply(manifest: string): Promise<string> {
    const { code, stdout, stderr } = await this.kubectlWith({ input: manifest }, 'apply', '-f', '-');
    if (code !== 0) throw new Error(`kubectl apply: ${stderr}`);
    return stdout;
  }

  async get<T>(...args: string[]): Promise<T> {
    return JSON.parse(await this.must('get', ...args, '-o', 'json')) as T;
  }

  sampan(...args: string[]): Promise<Output> {
    const [command = '', ...rest] = args;
    return this.host.run([
      sampan,
      command,
      ...(command === 'image' ? [rest.shift() as string] : []),
      '--data-dir',
      this.host.dataDir,
      ...rest,
    ]);
  }

  /** Builds `localhost/tools:1`: busybox with every applet, and a shell as entrypoint-less image. */
  async buildTools(): Promise<void> {
    const context = join(this.host.dir, 'tools-image');
    mkdirSync(context, { recursive: true });
    cpSync(tool('busybox'), join(context, 'busybox'));
    writeFileSync(
      join(context, 'Dockerfile'),
      'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nENV PATH=/bin\nCMD ["sh"]\n',
    );
    const built = await this.sampan('image', 'build', '-t', 'localhost/tools:1', context);
    if (built.code !== 0) throw new Error(`image build: ${built.stderr}${built.stdout}\n${this.logs()}`);
  }

  /** The ends of all logs, for a failing test's message. */
  logs(): string {
    return ['up.log', 'data/logs/control-plane.log', 'data/logs/node.log']
      .map((name) => join(this.host.dir, name))
      .filter((path) => existsSync(path))
      .map((path) => `--- ${path}\n${readFileSync(path, 'utf8').split('\n').slice(-40).join('\n')}`)
      .join('\n');
  }
}
