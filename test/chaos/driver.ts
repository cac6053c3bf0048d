// Carries a plan out: asks the API until it has answered, kills, and starts again what it killed, as a supervisor does.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { ApiError } from '../../api/errors.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { type Client, type Informer, NetworkError, refs } from '../../client/index.ts';
import { type CriClient, CriError } from '../../kubelet/cri/client.ts';
import { labels } from '../../kubelet/cri/labels.ts';
import type { TestHost } from '../e2e/harness.ts';
import { pidsBelow } from '../e2e/observe.ts';
import type { SeparateCluster } from '../e2e/separate.ts';
import type { Expected } from './ledger.ts';
import type { Operation, Victim } from './plan.ts';
import { IMAGE } from './shapes.ts';

/** An API server that is away for longer does not come back. */
const PATIENCE_MS = 60_000;

export class ChaosDriver {
  /** By pod name; deleted pods are not in it. */
  readonly expected = new Map<string, Expected>();
  /** What must not happen and did. */
  readonly broken: string[] = [];
  readonly counts: Record<string, number> = {};
  #host: TestHost;
  #cluster: SeparateCluster;
  #client: Client;
  #cri: CriClient;
  #pods: Informer<Pod>;
  #restarts = new Map<Victim, Promise<void>>();
  #killed = new WeakSet<object>();

  constructor(parts: {
    host: TestHost;
    cluster: SeparateCluster;
    client: Client;
    cri: CriClient;
    pods: Informer<Pod>;
  }) {
    this.#host = parts.host;
    this.#cluster = parts.cluster;
    this.#client = parts.client;
    this.#cri = parts.cri;
    this.#pods = parts.pods;
    for (const each of ['apiserver', 'kubelet', 'runtime'] as const) this.#supervise(each);
  }

  async run(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      this.counts[operation.do] = (this.counts[operation.do] ?? 0) + 1;
      await this.#execute(operation);
      await pause(operation.pauseMs);
    }
    await Promise.all(this.#restarts.values());
  }

  async #execute(operation: Operation): Promise<void> {
    const pods = this.#client.resource<Pod>(refs.pods, 'default');
    switch (operation.do) {
      case 'create':
        this.expected.set(operation.pod.metadata.name ?? '', { shape: operation.shape, hit: false, changed: false });
        return this.#ask(`create ${operation.pod.metadata.name}`, () => pods.create(operation.pod), [409]);
      case 'label': {
        const { name, value } = operation;
        await this.#ask(`label ${name}`, () => pods.patch(name, 'merge', { metadata: { labels: { touched: value } } }));
        this.#of(name).label = value;
        return;
      }
      case 'image': {
        const { name, container, image } = operation;
        this.#of(name).changed = true;
        const containers = [{ name: container, image }];
        return this.#ask(`image of ${name}`, () => pods.patch(name, 'strategic', { spec: { containers } }));
      }
      case 'resize': {
        const { name, container, memory } = operation;
        const containers = [{ name: container, resources: { limits: { memory } } }];
        return this.#ask(`resize ${name}`, () =>
          pods.patch(name, 'strategic', { spec: { containers } }, { subresource: 'resize' }),
        );
      }
      case 'debug': {
        const { name, container } = operation;
        const ephemeralContainers = [
          { name: container, image: IMAGE, command: ['sh', '-c', 'echo looking; exec sleep 100000'] },
        ];
        return this.#ask(`debug ${name}`, () =>
          pods.patch(name, 'strategic', { spec: { ephemeralContainers } }, { subresource: 'ephemeralcontainers' }),
        );
      }
      case 'delete': {
        const { name, graceSeconds } = operation;
        this.expected.delete(name);
        return this.#ask(
          `delete ${name}`,
          () => pods.delete(name, { gracePeriodSeconds: graceSeconds } as never),
          [404],
        );
      }
      case 'kill-process': {
        const name = this.#runningInsteadOf(operation.name, operation.draw);
        const uid = this.#pods.get(`default/${name}`)?.metadata.uid;
        return this.#killOneOf(name, uid ? pidsBelow(this.#host.cgroup, uid) : [], operation.draw);
      }
      case 'kill-shim': {
        const name = this.#runningInsteadOf(operation.name, operation.draw);
        return this.#killOneOf(name, await this.#shimsOf(name), operation.draw);
      }
      case 'kill-launcher':
        return this.#killLauncher();
      case 'kill':
        for (const victim of operation.victims) await this.#kill(victim, operation.downMs);
    }
  }

  /** The pod, or another that has got further: the machine may be slower than the plan. */
  #runningInsteadOf(name: string, draw: number): string {
    const isRunning = (each: string) => this.#pods.get(`default/${each}`)?.status?.phase === 'Running';
    if (isRunning(name)) return name;
    const others = [...this.expected].flatMap(([each, { hit, changed }]) =>
      !hit && !changed && isRunning(each) ? [each] : [],
    );
    return others[Math.floor(draw * others.length)] ?? name;
  }

  #of(name: string): Expected {
    const expected = this.expected.get(name);
    if (!expected) throw new Error(`the plan speaks of ${name}, which is deleted`);
    return expected;
  }

  /** Until the server has answered; `fine` are codes that an answer lost on the way, and asked for again, may have. */
  async #ask(what: string, call: () => Promise<unknown>, fine: number[] = []): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
      try {
        await call();
        return;
      } catch (error) {
        const away =
          error instanceof NetworkError || (error instanceof ApiError && [429, 500, 503, 504].includes(error.code));
        if (error instanceof ApiError && fine.includes(error.code)) return;
        if (!away || Date.now() > deadline) {
          this.broken.push(`${what}: ${error instanceof ApiError ? `${error.code} ` : ''}${(error as Error).message}`);
          return;
        }
        await pause(50);
      }
    }
  }

  #killOneOf(name: string, pids: number[], draw: number): void {
    const pid = pids[Math.floor(draw * pids.length)];
    this.#of(name).hit = true;
    if (pid === undefined) return;
    this.counts['processes killed'] = (this.counts['processes killed'] ?? 0) + 1;
    killIfThere(pid);
  }

  async #shimsOf(name: string): Promise<number[]> {
    const selector = { labelSelector: { [labels.podName]: name } };
    const { containers = [] } = await this.#cri.call('ListContainers', { filter: selector }).catch((error: unknown) => {
      if (error instanceof CriError) return { containers: [] };
      throw error;
    });
    return containers.flatMap(({ id = '' }) => {
      try {
        const facts = readFileSync(join(this.#host.dataDir, 'runtime/launcher/containers', id, 'facts'), 'utf8');
        const pid = Number(/^shim=(\d+)/m.exec(facts)?.[1]);
        return readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith('sampan-shim') ? [pid] : [];
      } catch {
        return [];
      }
    });
  }

  /** The resident launcher and whatever it is doing at that moment. */
  #killLauncher(): void {
    const socket = join(this.#host.dataDir, 'runtime');
    for (const pid of readdirSync('/proc').filter((each) => /^\d+$/.test(each))) {
      try {
        const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
        const name = readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
        // Not the `sampan-init` of a container that waits for its start: that one is the container.
        if (command.startsWith(`sampan-launcher serve ${socket}`) && name !== 'sampan-init') killIfThere(Number(pid));
      } catch {
        // It has ended meanwhile.
      }
    }
  }

  async #kill(victim: Victim, downMs: number): Promise<void> {
    const child = this.#cluster.processOf(victim);
    if (!child || this.#killed.has(child)) return;
    this.#killed.add(child);
    await this.#cluster.killOne(victim);
    const back = async () => {
      await pause(downMs);
      this.#cluster.spawnOne(victim);
      this.#supervise(victim);
    };
    this.#restarts.set(victim, back());
  }

  #supervise(victim: Victim): void {
    const child = this.#cluster.processOf(victim);
    child?.once('exit', (code, signal) => {
      if (this.#killed.has(child)) return;
      this.broken.push(`${victim} ended by itself with ${code ?? signal}`);
      this.#killed.add(child);
    });
  }

  /** From now on components may end. */
  async release(): Promise<void> {
    await Promise.all(this.#restarts.values());
    for (const each of ['apiserver', 'kubelet', 'runtime'] as const) {
      const child = this.#cluster.processOf(each);
      if (child) this.#killed.add(child);
    }
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
