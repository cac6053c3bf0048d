// The cgroups of pods under runtimes that leave them to the kubelet (all but ours): the tree by quality of service, each pod's limits, and
// their end. Containers' own cgroups, below, are the runtime's.
//
//   <root>/kubepods                      what all pods together may have: the machine less what is reserved
//          ├── pod<uid>                  Guaranteed
//          ├── burstable/pod<uid>        weighed by what its pods ask for together
//          └── besteffort/pod<uid>       what is left over
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import type { Pod } from '../../api/types/core-v1.ts';
import { findHierarchies, type Hierarchies } from '../../lib/cgroups/hierarchy.ts';
import { type CgroupResources, levels, type Rendered, renderV1, renderV2 } from '../../lib/cgroups/limits.ts';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { bytesOf } from '../containers/amounts.ts';
import { qosClassOf } from '../containers/qos.ts';
import { cpuShares, podCgroup, podResources, podTotals } from '../containers/resources.ts';
import { allContainers } from '../pods/containers-of.ts';

export interface PodCgroupsOptions {
  /** `` or `/sampan`. */
  root: string;
  hierarchies: Hierarchies;
  /** Every mount of a cgroup hierarchy: runtimes use more of them than we do. */
  mounts: readonly string[];
  /** Processes and threads of one pod. */
  pidsLimit: number | undefined;
  /** The pods that take up resources now. */
  pods(): readonly Pod[];
  clock: Clock;
  log: Logger;
}

/** v1: what has limits of a pod's own. cpusets are copied down by the runtime. */
const V1_CONTROLLERS = ['cpu', 'memory', 'pids', 'hugetlb'];
const V2_CONTROLLERS = ['cpuset', 'cpu', 'io', 'memory', 'hugetlb', 'pids'];
const QOS = ['', '/burstable', '/besteffort'];
const REMOVE_TRIES = 20;

/** Those of this host. */
export function podCgroups(options: Omit<PodCgroupsOptions, 'hierarchies' | 'mounts'>): PodCgroups {
  const mountInfo = readFileSync('/proc/self/mountinfo', 'utf8');
  return new PodCgroups({ ...options, hierarchies: findHierarchies(mountInfo), mounts: cgroupMounts(mountInfo) });
}

export class PodCgroups {
  #options: PodCgroupsOptions;
  #kubepods: string;
  #burstableShares: number | undefined;

  constructor(options: PodCgroupsOptions) {
    this.#options = options;
    this.#kubepods = `${options.root.replace(/\/+$/, '')}/kubepods`;
  }

  /** Makes the tree; all pods together get what is not reserved. Throws when cgroups cannot be written. */
  prepare(total: { milliCpu: number; memoryBytes: number }): void {
    for (const qos of QOS) this.#make(this.#kubepods + qos);
    this.#limit(this.#kubepods, { cpuShares: cpuShares(total.milliCpu), memoryLimitBytes: total.memoryBytes });
    this.#limit(`${this.#kubepods}/besteffort`, { cpuShares: cpuShares(0) });
    this.#weigh();
  }

  /** Makes the pod's cgroup, or gives it the limits that the pod has now. */
  apply(pod: Pod): void {
    const cgroup = podCgroup(pod, this.#options.root);
    this.#make(cgroup);
    const { warnings } = this.#limit(cgroup, limitsOf(pod, this.#options.pidsLimit));
    for (const warning of warnings) this.#options.log.warn({ cgroup }, warning);
    this.#weigh();
  }

  /** Nothing of the pod runs any more: what does all the same is killed. */
  async remove(uid: string): Promise<void> {
    for (const qos of QOS)
      for (const mount of this.#options.mounts) await this.#removeTree(`${mount}${this.#kubepods}${qos}/pod${uid}`);
    this.#weigh();
  }

  /** Cgroups of pods that are not there any more. */
  async keepOnly(uids: ReadonlySet<string>): Promise<void> {
    const found = new Set(
      QOS.flatMap((qos) => this.#options.mounts.flatMap((mount) => below(`${mount}${this.#kubepods}${qos}`))),
    );
    for (const name of found) {
      const uid = name.startsWith('pod') ? name.slice('pod'.length) : undefined;
      if (uid === undefined || uids.has(uid)) continue;
      await this.remove(uid).catch((err) => this.#options.log.warn({ err, uid }, 'a former pod has left a cgroup'));
    }
  }

  /** Burstable pods together weigh what they ask for together. */
  #weigh(): void {
    const burstable = this.#options.pods().filter((each) => qosClassOf(each) === 'Burstable');
    const milli = burstable.reduce((total, each) => total + (podTotals(each).requests['cpu'] ?? 0), 0);
    const shares = cpuShares(milli);
    if (shares === this.#burstableShares) return;
    this.#limit(`${this.#kubepods}/burstable`, { cpuShares: shares });
    this.#burstableShares = shares;
  }

  #make(cgroup: string): void {
    const { mode, v1, unified = '' } = this.#options.hierarchies;
    if (mode !== 'v2') {
      const mounts = new Set(V1_CONTROLLERS.flatMap((each) => v1.get(each) ?? []));
      for (const mount of mounts) mkdirSync(mount + cgroup, { recursive: true });
      return;
    }
    mkdirSync(unified + cgroup, { recursive: true });
    const available = new Set(words(`${unified}/cgroup.controllers`));
    const wanted = V2_CONTROLLERS.filter((each) => available.has(each));
    for (const level of ['', ...levels(cgroup).slice(0, -1)]) {
      const path = `${unified}${level}/cgroup.subtree_control`;
      const missing = wanted.filter((each) => !words(path).includes(each));
      if (missing.length > 0) writeFileSync(path, missing.map((each) => `+${each}`).join(' '));
    }
  }

  #limit(cgroup: string, resources: CgroupResources): Rendered {
    const { mode, v1, unified = '' } = this.#options.hierarchies;
    const rendered =
      mode === 'v2'
        ? renderV2(unified + cgroup, new Set(words(`${unified}/cgroup.controllers`)), resources)
        : renderV1(
            (controller, name) => `${v1.get(controller)}${cgroup}/${name}`,
            new Set(v1.keys()),
            resources,
            Number.MAX_SAFE_INTEGER,
          );
    for (const { path, value } of rendered.writes) {
      try {
        writeFileSync(path, value);
      } catch (error) {
        throw new Error(`failed to write "${value}" to ${path}: ${(error as Error).message}`, { cause: error });
      }
    }
    return rendered;
  }

  async #removeTree(path: string): Promise<void> {
    for (let tries = 0; existsSync(path); tries++) {
      try {
        removeBottomUp(path);
      } catch (error) {
        if (tries >= REMOVE_TRIES) throw error;
        for (const pid of processesBelow(path)) kill(pid);
        await sleep(this.#options.clock, 100);
      }
    }
  }
}

function limitsOf(pod: Pod, pidsLimit: number | undefined): CgroupResources {
  const { cpuShares: shares = 0, cpuQuota = 0, cpuPeriod = 0, memoryLimitInBytes = 0 } = podResources(pod);
  const pages = new Map<string, number>();
  for (const { resources } of allContainers(pod)) {
    for (const [name, amount] of Object.entries(resources?.limits ?? {})) {
      if (!name.startsWith('hugepages-')) continue;
      const size = `${name.slice('hugepages-'.length).replace('i', '')}B`;
      pages.set(size, (pages.get(size) ?? 0) + bytesOf(amount));
    }
  }
  return {
    cpuShares: shares,
    cpuPeriodUs: cpuPeriod,
    cpuQuotaUs: cpuQuota || -1,
    memoryLimitBytes: memoryLimitInBytes || -1,
    ...(pidsLimit !== undefined && { pidsLimit }),
    hugepageLimits: [...pages].map(([pageSize, limitBytes]) => ({ pageSize, limitBytes })),
  };
}

/** Mount points of every cgroup hierarchy. `mountInfo` is the text of /proc/self/mountinfo. */
export function cgroupMounts(mountInfo: string): string[] {
  return mountInfo.split('\n').flatMap((line) => {
    const [before, after] = line.split(' - ');
    const path = before?.split(' ')[4];
    return path && /^cgroup2? /.test(after ?? '') ? [path] : [];
  });
}

const words = (path: string) => readFileSync(path, 'utf8').split(/\s+/).filter(Boolean);

function below(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((each) => (each.isDirectory() ? each.name : []));
  } catch {
    return [];
  }
}

function removeBottomUp(path: string): void {
  for (const name of below(path)) removeBottomUp(`${path}/${name}`);
  rmdirSync(path);
}

function processesBelow(path: string): number[] {
  try {
    return [
      ...words(`${path}/cgroup.procs`).map(Number),
      ...below(path).flatMap((name) => processesBelow(`${path}/${name}`)),
    ];
  } catch {
    return [];
  }
}

function kill(pid: number): void {
  try {
    // 0 is a process of another pid namespace.
    if (pid > 0) process.kill(pid, 'SIGKILL');
  } catch {
    // Gone already.
  }
}
