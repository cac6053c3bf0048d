// A launcher in memory, for tests: containers are facts, processes are functions. Not used by the product.
import { Duplex, PassThrough } from 'node:stream';
import type { Clock } from '../../lib/clock.ts';
import {
  type CgroupDetails,
  type CgroupStats,
  type ContainerFacts,
  type ContainerSpec,
  type ExecSpec,
  type ExitEvent,
  LaunchError,
  type Launcher,
  type ProcessStreams,
  type Resources,
  type SandboxHandle,
  type SandboxSpec,
} from '../launch/port.ts';

export interface FakeProcess {
  stdin: PassThrough;
  stdout: PassThrough;
  stderr: PassThrough;
  sizes: { width: number; height: number }[];
  exit(code: number): void;
  closed: boolean;
}

export class FakeLauncher implements Launcher {
  readonly created: ContainerSpec[] = [];
  readonly sandboxSpecs: SandboxSpec[] = [];
  readonly updates: { cgroup: string; resources: Resources }[] = [];
  readonly kills: { id: string; signal: number }[] = [];
  /** Signals that end a container; SIGKILL always does. */
  obeys = new Set([15]);
  userNamespaceProblem: string | undefined;
  networkProblem: string | undefined;
  failCreateSandbox: Error | undefined;
  failCreateContainer: Error | undefined;
  failStart: Error | undefined;
  onExec: (spec: ExecSpec, process: FakeProcess) => void = (_spec, process) => process.exit(0);
  onDial: (sandboxId: string, port: number) => Duplex = () => {
    throw new LaunchError('connect', 'ECONNREFUSED', 'connection refused');
  };
  #clock: Clock;
  #sandboxes = new Map<string, SandboxHandle>();
  #facts = new Map<string, ContainerFacts>();
  #exitListener: ((event: ExitEvent) => void) | undefined;
  #startListener: ((containerId: string, startedAtNs: number) => void) | undefined;
  #nextPid = 1000;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async createSandbox(spec: SandboxSpec): Promise<SandboxHandle> {
    this.sandboxSpecs.push(spec);
    if (this.failCreateSandbox) throw this.failCreateSandbox;
    const ips = spec.network === 'pod' ? [`10.244.0.${this.sandboxSpecs.length + 1}`] : [];
    const handle = {
      id: spec.id,
      netnsPath: spec.network === 'pod' ? `/fake/${spec.id}` : undefined,
      ips,
      pausePid: undefined,
    };
    this.#sandboxes.set(spec.id, handle);
    return handle;
  }

  async removeSandbox(id: string): Promise<void> {
    this.#sandboxes.delete(id);
  }

  async updateResources(cgroup: string, resources: Resources): Promise<void> {
    this.updates.push({ cgroup, resources });
  }

  async createContainer(spec: ContainerSpec): Promise<{ pid: number; warnings: string[] }> {
    this.created.push(spec);
    if (this.failCreateContainer) throw this.failCreateContainer;
    const pid = this.#nextPid++;
    this.#facts.set(spec.id, { state: 'created', pid });
    return { pid, warnings: [] };
  }

  async startContainer(id: string): Promise<{ startedAtNs: number }> {
    if (this.failStart) throw this.failStart;
    const facts = this.#facts.get(id);
    if (facts?.state !== 'created') throw new Error(`${id} is not created`);
    const startedAtNs = this.#clock.now() * 1e6;
    this.#facts.set(id, { state: 'running', pid: facts.pid, startedAtNs });
    return { startedAtNs };
  }

  /** A start that a runtime which has died meanwhile had asked for. */
  startsLate(id: string): void {
    void this.startContainer(id).then(({ startedAtNs }) => this.#startListener?.(id, startedAtNs));
  }

  async kill(id: string, signal: number): Promise<void> {
    this.kills.push({ id, signal });
    if (signal === 9 || this.obeys.has(signal)) this.exit(id, 128 + signal, { signal });
  }

  /** Ends a running container; nothing happens to one that is not. */
  exit(id: string, exitCode: number, more: { signal?: number; oomKilled?: boolean } = {}): void {
    const facts = this.#facts.get(id);
    if (facts?.state !== 'running') return;
    const exit: ExitEvent = {
      containerId: id,
      exitCode,
      signal: more.signal ?? 0,
      oomKilled: more.oomKilled ?? false,
      finishedAtNs: this.#clock.now() * 1e6,
    };
    this.#facts.set(id, { state: 'exited', startedAtNs: facts.startedAtNs, exit });
    this.#exitListener?.(exit);
  }

  async removeContainer(id: string): Promise<void> {
    this.exit(id, 137, { signal: 9 });
    this.#facts.delete(id);
  }

  async exec(spec: ExecSpec): Promise<ProcessStreams> {
    const { streams, process } = fakeProcess();
    this.onExec(spec, process);
    return streams;
  }

  async attach(containerId: string): Promise<ProcessStreams> {
    return this.exec({ containerId, process: { args: ['<attach>'], env: [], cwd: '/', terminal: false }, stdin: true });
  }

  async reopenLog(): Promise<void> {}

  async dial(sandboxId: string, port: number): Promise<Duplex> {
    return this.onDial(sandboxId, port);
  }

  onStart(callback: (containerId: string, startedAtNs: number) => void): void {
    this.#startListener = callback;
  }

  onExit(callback: (event: ExitEvent) => void): void {
    this.#exitListener = callback;
  }

  /** As if the runtime were gone. */
  forgetListener(): void {
    this.#exitListener = undefined;
  }

  async facts(): Promise<Map<string, ContainerFacts>> {
    return new Map(this.#facts);
  }

  async sandboxes(): Promise<Map<string, SandboxHandle>> {
    return new Map(this.#sandboxes);
  }

  /** As after a reboot. */
  loseEverything(): void {
    this.#sandboxes.clear();
    this.#facts.clear();
  }

  async stats(): Promise<CgroupStats> {
    return {
      cpuUsageNs: 5e8,
      memoryUsageBytes: 3 << 20,
      memoryWorkingSetBytes: 2 << 20,
      memoryRssBytes: 1 << 20,
      memoryLimitBytes: 64 << 20,
      swapUsageBytes: 4096,
      swapLimitBytes: 1 << 20,
      pageFaults: 12,
      majorPageFaults: 1,
      pids: 3,
      pressures: {
        cpu: {
          some: { avg10: 1.5, avg60: 1, avg300: 0.5, totalNs: 9e9 },
          full: { avg10: 0, avg60: 0, avg300: 0, totalNs: 0 },
        },
      },
    };
  }

  async details(): Promise<CgroupDetails> {
    return {
      cpuUserNs: 3e9,
      cpuSystemNs: 2e9,
      cpuPeriods: 10,
      cpuThrottledPeriods: 2,
      cpuThrottledNs: 1e9,
      memoryCacheBytes: 100,
      memoryMappedBytes: 50,
      memoryKernelBytes: 25,
      memoryPeakBytes: 5 << 20,
      memoryFailures: 1,
      oomKills: 0,
      pidsLimit: 100,
      processes: [process.pid],
      hugepages: [{ pageSize: '2MB', usageBytes: 0, peakBytes: 0 }],
      io: [{ major: '8', minor: '0', readBytes: 1, writeBytes: 2, reads: 3, writes: 4 }],
    };
  }

  async userNamespaceObstacle(): Promise<string | undefined> {
    return this.userNamespaceProblem;
  }

  async networkObstacle(): Promise<string | undefined> {
    return this.networkProblem;
  }

  async close(): Promise<void> {}

  async prepareNetwork(): Promise<void> {}

  async teardown(): Promise<void> {
    this.loseEverything();
  }
}

function fakeProcess(): { streams: ProcessStreams; process: FakeProcess } {
  const stdin = new PassThrough();
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  let settle: (code: number) => void = () => {};
  const exit = new Promise<number>((resolve) => {
    settle = resolve;
  });
  const process: FakeProcess = {
    stdin,
    stdout,
    stderr,
    sizes: [],
    closed: false,
    exit(code) {
      stdout.end();
      stderr.end();
      settle(code);
    },
  };
  const streams: ProcessStreams = {
    stdin,
    stdout,
    stderr,
    exit,
    resize: (width, height) => void process.sizes.push({ width, height }),
    close() {
      process.closed = true;
      process.exit(137);
    },
  };
  return { streams, process };
}
