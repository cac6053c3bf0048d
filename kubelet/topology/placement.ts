// Keeps what containers have for themselves: gives it at admission, writes it down, tells the runtime, takes it back. Containers with
// nothing of their own share the other processors: which these are changes while they run, and each is told then.
//   <stateDir>/cpu_manager_state       {"policyName":"static","defaultCpuSet":"0,4-7","entries":{"<pod uid>":{"<container>":"1-3"}}}
//   <stateDir>/memory_manager_state    {"policyName":"Static","entries":{"<pod uid>":{"<container>":[{"numaAffinity":[0],"type":"memory","size":1}]}}}
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Pod } from '../../api/types/core-v1.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
import { writeFileAtomic } from '../../lib/files.ts';
import type { Logger } from '../../lib/log.ts';
import type { LinuxContainerResources } from '../../proto/cri-types.ts';
import { assignCpus } from './assign-cpus.ts';
import { formatCpus, type Machine, parseCpus } from './machine.ts';
import { type Assignments, planPod, type TopologySettings } from './plan.ts';

export interface PlacementOptions {
  stateDir: string;
  machine: Machine;
  settings: TopologySettings;
  /** Ids kept from containers; else so many as these thousandths come to. */
  reservedCpus: { ids: readonly number[] } | { milli: number };
  /** Reserved processors are nobody's, not even of containers that share. */
  strict: boolean;
  /** Bytes by node id and resource. */
  reservedMemory: ReadonlyMap<number, Record<string, number>>;
  /** Containers that run or are about to, with their pods' uids. */
  containers(): Iterable<{ id: string; uid: string; name: string }>;
  update(containerId: string, linux: LinuxContainerResources): Promise<void>;
  clock: Clock;
  log: Logger;
}

const RETRY_MS = 10_000;

export class Placement {
  #options: PlacementOptions;
  #reserved: ReadonlySet<number>;
  #memoryNodes: Machine['nodes'];
  #taken: Assignments = {};
  /** What the runtime has been told, by container id. */
  #told = new Map<string, string>();
  #isWorking = false;
  #isStale = false;
  #timer: Timer | undefined;

  /** Throws when the settings cannot be met on this machine, or the files are another policy's. */
  constructor(options: PlacementOptions) {
    this.#options = options;
    const { machine, settings, reservedCpus, reservedMemory } = options;
    const all = machine.cpus.map((each) => each.id);
    const ids =
      'ids' in reservedCpus
        ? reservedCpus.ids
        : (assignCpus(machine, new Set(all), Math.ceil(reservedCpus.milli / 1000)) ?? all);
    this.#reserved = new Set(ids);
    if (settings.cpuPolicy === 'static' && this.#reserved.size === 0) {
      throw new Error('the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero');
    }
    const strange = ids.filter((id) => !all.includes(id));
    if (strange.length > 0) throw new Error(`reservedSystemCPUs: ${formatCpus(strange)} are not online`);
    this.#memoryNodes = machine.nodes.map(({ id, capacity }) => ({
      id,
      capacity: Object.fromEntries(
        Object.entries(capacity).map(([name, bytes]) => [
          name,
          Math.max(0, bytes - (reservedMemory.get(id)?.[name] ?? 0)),
        ]),
      ),
    }));
    this.#restore();
  }

  /** Gives the pod what its containers are to have alone; what keeps it from having that. */
  admit(pod: Pod): { reason: string; message: string } | undefined {
    const { settings, machine } = this.#options;
    const result = planPod(
      { settings, machine, reservedCpus: this.#reserved, memoryNodes: this.#memoryNodes, taken: this.#taken },
      pod,
    );
    if (result.kind === 'refused') return { reason: result.reason, message: result.message };
    if (Object.keys(result.containers).length === 0) return undefined;
    this.#taken[pod.metadata.uid ?? ''] = result.containers;
    this.#changed();
    return undefined;
  }

  release(uid: string): void {
    if (!Object.hasOwn(this.#taken, uid)) return;
    delete this.#taken[uid];
    this.#changed();
  }

  keepOnly(uids: ReadonlySet<string>): void {
    for (const uid of Object.keys(this.#taken)) if (!uids.has(uid)) this.release(uid);
    this.reconcile();
  }

  /** Where the container runs, for its CRI configuration. */
  resourcesOf(uid: string, container: string): LinuxContainerResources {
    const own = this.#taken[uid]?.[container];
    const mems = [...new Set((own?.memory ?? []).flatMap((each) => each.nodes))];
    const cpus = this.#cpusOf(uid, container);
    return {
      ...(cpus && { cpusetCpus: cpus }),
      ...(mems.length > 0 && { cpusetMems: formatCpus(mems) }),
      // What has its processors alone may use all of them: a quota would only take time away.
      ...(own?.cpus && { cpuQuota: -1 }),
    };
  }

  /** The container has been created with what `resourcesOf` said then. */
  created(id: string, cpus: string | undefined): void {
    if (cpus !== undefined) this.#told.set(id, cpus);
    this.reconcile();
  }

  /** Tells the runtime of every container whose processors have changed. */
  reconcile(): void {
    if (this.#options.settings.cpuPolicy !== 'static') return;
    this.#isStale = true;
    if (!this.#isWorking) void this.#work();
  }

  close(): void {
    this.#timer?.cancel();
  }

  async #work(): Promise<void> {
    const { containers, update, clock, log } = this.#options;
    this.#isWorking = true;
    while (this.#isStale) {
      this.#isStale = false;
      const present = [...containers()];
      const ids = new Set(present.map((each) => each.id));
      for (const id of this.#told.keys()) if (!ids.has(id)) this.#told.delete(id);
      for (const { id, uid, name } of present) {
        const cpus = this.#cpusOf(uid, name);
        if (!cpus || this.#told.get(id) === cpus) continue;
        try {
          await update(id, { cpusetCpus: cpus });
          this.#told.set(id, cpus);
        } catch (err) {
          log.warn({ err, container: name, uid, cpus }, 'cannot tell a container its processors; trying again');
          this.#timer?.cancel();
          this.#timer = clock.after(RETRY_MS, () => this.reconcile());
        }
      }
    }
    this.#isWorking = false;
  }

  #cpusOf(uid: string, container: string): string {
    if (this.#options.settings.cpuPolicy !== 'static') return '';
    return formatCpus(this.#taken[uid]?.[container]?.cpus ?? this.#shared());
  }

  #shared(): number[] {
    const { machine, strict } = this.#options;
    const alone = new Set(
      Object.values(this.#taken).flatMap((each) => Object.values(each).flatMap((one) => one.cpus ?? [])),
    );
    const ids = machine.cpus.map((each) => each.id).filter((id) => !alone.has(id));
    return strict ? ids.filter((id) => !this.#reserved.has(id)) : ids;
  }

  #changed(): void {
    this.#store();
    this.reconcile();
  }

  // --- files -----------------------------------------------------------------------------------------------------

  get #files() {
    const { stateDir } = this.#options;
    return { cpu: join(stateDir, 'cpu_manager_state'), memory: join(stateDir, 'memory_manager_state') };
  }

  #store(): void {
    const { settings } = this.#options;
    const entries = <T>(of: (assignment: Assignments[string][string]) => T | undefined) => {
      const pods = Object.entries(this.#taken).map(([uid, containers]) => {
        const own = Object.entries(containers).map(([name, each]) => [name, of(each)] as const);
        return [uid, Object.fromEntries(own.filter(([, value]) => value !== undefined))] as const;
      });
      return Object.fromEntries(pods.filter(([, each]) => Object.keys(each).length > 0));
    };
    if (settings.cpuPolicy === 'static') {
      const state = {
        policyName: 'static',
        defaultCpuSet: formatCpus(this.#shared()),
        entries: entries((each) => each.cpus && formatCpus(each.cpus)),
      };
      writeFileAtomic(this.#files.cpu, JSON.stringify(state), 0o600);
    }
    if (settings.memoryPolicy === 'Static') {
      const blocks = entries((each) =>
        each.memory?.map(({ nodes, resource, bytes }) => ({ numaAffinity: nodes, type: resource, size: bytes })),
      );
      writeFileAtomic(this.#files.memory, JSON.stringify({ policyName: 'Static', entries: blocks }), 0o600);
    }
  }

  #restore(): void {
    const { settings, machine } = this.#options;
    const { cpu, memory } = this.#files;
    const online = new Set(machine.cpus.map((each) => each.id));
    for (const [uid, containers] of Object.entries(stored<string>(cpu, 'CPU', settings.cpuPolicy))) {
      for (const [name, text] of Object.entries(containers)) {
        const cpus = parseCpus(text);
        if (!cpus.every((id) => online.has(id))) {
          throw new Error(`${cpu}: processors ${text} are not online any more: drain this node and delete the file`);
        }
        ((this.#taken[uid] ??= {})[name] ??= {}).cpus = cpus;
      }
    }
    type Block = { numaAffinity: number[]; type: string; size: number };
    for (const [uid, containers] of Object.entries(stored<Block[]>(memory, 'memory', settings.memoryPolicy))) {
      for (const [name, blocks] of Object.entries(containers)) {
        const found = blocks.map(({ numaAffinity, type, size }) => ({
          nodes: numaAffinity,
          resource: type,
          bytes: size,
        }));
        ((this.#taken[uid] ??= {})[name] ??= {}).memory = found;
      }
    }
    this.#store();
  }
}

/** The entries of a state file; throws when another policy has left it. */
function stored<T>(file: string, manager: string, policy: string): Record<string, Record<string, T>> {
  if (!existsSync(file)) return {};
  const { policyName, entries = {} } = JSON.parse(readFileSync(file, 'utf8')) as {
    policyName?: string;
    entries?: Record<string, Record<string, T>>;
  };
  if (policyName !== policy) {
    throw new Error(
      `could not restore state from checkpoint: configured policy "${policy}" differs from state checkpoint policy "${policyName}", please drain this node and delete the ${manager} manager checkpoint file "${file}" before restarting Kubelet`,
    );
  }
  return entries;
}
