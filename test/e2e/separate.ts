// A cluster whose components run in processes of their own, each of which a test can kill -9 and start again.
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root, TestCluster, type TestHost } from './harness.ts';

const sampan = join(root, 'scripts/sampan');

export type Component = 'apiserver' | 'scheduler' | 'controller-manager' | 'runtime' | 'kubelet' | 'proxy';
const order: Component[] = ['apiserver', 'scheduler', 'controller-manager', 'runtime', 'kubelet', 'proxy'];

export class SeparateCluster extends TestCluster {
  #store: string;
  #processes = new Map<Component, ChildProcess>();

  constructor(host: TestHost, store = 'embedded') {
    super(host, { store });
    this.#store = store;
  }

  override async start(): Promise<void> {
    for (const component of order) await this.startOne(component);
    await this.must('wait', '--for=condition=Ready', 'node/node-1', '--timeout=30s');
  }

  #argsOf(component: Component): string[] {
    const { host } = this;
    const node = ['--node-name', 'node-1'];
    switch (component) {
      case 'apiserver':
        return ['--store', this.#store, ...node, '--advertise-address', '10.244.0.1'];
      case 'runtime':
        return ['--cgroup-root', host.cgroup];
      case 'kubelet':
        return node;
      case 'proxy':
        return node;
      default:
        return [];
    }
  }

  /** Starts the component and waits for nothing. */
  spawnOne(component: Component): ChildProcess {
    const child = this.host.spawn(
      [sampan, component, '--data-dir', this.host.dataDir, ...this.#argsOf(component)],
      `${component}.log`,
    );
    this.#processes.set(component, child);
    return child;
  }

  /** Resolves when the component has said that it serves; those that serve nothing are given no time. */
  async startOne(component: Component): Promise<void> {
    const child = this.spawnOne(component);
    if (component !== 'apiserver' && component !== 'runtime') {
      // `kubectl wait` after `start` needs the Node object to exist.
      if (component === 'kubelet') await this.#nodeExists();
      return;
    }
    await new Promise<void>((done, fail) => {
      let text = '';
      child.stderr?.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        if (/ready at/.test(text)) done();
      });
      child.once('exit', (code, signal) => fail(new Error(`${component} ended with ${code ?? signal}: ${text}`)));
    });
  }

  async #nodeExists(): Promise<void> {
    while ((await this.kubectl('get', 'node', 'node-1')).code !== 0);
  }

  /** The process that was started last. */
  processOf(component: Component): ChildProcess | undefined {
    return this.#processes.get(component);
  }

  /** Kills with SIGKILL and waits until the process is gone. */
  async killOne(component: Component): Promise<void> {
    await this.#end(component, 'SIGKILL');
  }

  async #end(component: Component, signal: NodeJS.Signals): Promise<void> {
    const child = this.#processes.get(component);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill(signal);
    await ended;
  }

  /** Ends all components, then cleans the node up as a user does after a crash: with `sampan down`. */
  override async stop(): Promise<void> {
    for (const component of order.toReversed()) await this.#end(component, 'SIGTERM');
    const down = await this.sampan('down');
    if (down.code !== 0) throw new Error(`sampan down: ${down.stderr}`);
  }

  override logs(): string {
    return order
      .map((name) => join(this.host.dir, `${name}.log`))
      .filter((path) => existsSync(path))
      .map((path) => `--- ${path}\n${readFileSync(path, 'utf8').split('\n').slice(-25).join('\n')}`)
      .join('\n');
  }
}
