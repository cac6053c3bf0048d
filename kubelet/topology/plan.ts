// What the containers of a pod that is admitted get for themselves: processors (CPU manager, policy static), memory of certain nodes (memory
// manager, policy Static), both where the topology manager's policy wants them. Pure.
import type { Container, Pod } from '../../api/types/core-v1.ts';
import { bytesOf, milliOf } from '../containers/amounts.ts';
import { qosClassOf } from '../containers/qos.ts';
import { allContainers, isSidecar } from '../pods/containers-of.ts';
import { assignCpus, type AssignOptions, coreSize } from './assign-cpus.ts';
import { assignMemory, type MemoryBlock, memoryHints } from './assign-memory.ts';
import { decidePlace, type Hints, hintsWhere, type TopologyPolicy } from './hints.ts';
import type { Machine } from './machine.ts';

export interface TopologySettings {
  cpuPolicy: 'none' | 'static';
  cpuOptions: AssignOptions;
  memoryPolicy: 'None' | 'Static';
  policy: TopologyPolicy;
  scope: 'container' | 'pod';
}

export interface Assignment {
  cpus?: number[];
  memory?: MemoryBlock[];
}

/** By pod uid, by container name. */
export type Assignments = Record<string, Record<string, Assignment>>;

export interface PlanFacts {
  settings: TopologySettings;
  machine: Machine;
  /** Processors that nobody may have alone. */
  reservedCpus: ReadonlySet<number>;
  /** The nodes' memory less what is reserved of it. */
  memoryNodes: Machine['nodes'];
  taken: Assignments;
}

export type PlanResult =
  | { kind: 'ok'; containers: Record<string, Assignment> }
  | { kind: 'refused'; reason: string; message: string };

export function planPod(facts: PlanFacts, pod: Pod): PlanResult {
  const uid = pod.metadata.uid ?? '';
  const others = Object.entries(facts.taken).flatMap(([owner, each]) => (owner === uid ? [] : Object.values(each)));
  const plan = new PodPlan(facts, pod, others);
  const { policy, scope } = facts.settings;
  let podPlace: readonly number[] | undefined;
  if (policy !== 'none' && scope === 'pod') {
    const wanted = plan.ofPod();
    const decision = plan.place(wanted.cpus, wanted.memory);
    if (!decision.admitted) return AFFINITY;
    podPlace = decision.hint.nodes;
  }
  for (const container of allContainers(pod)) {
    const [cpus, memory] = [plan.cpusOf(container), plan.memoryOf(container)];
    let place = podPlace;
    if (policy !== 'none' && scope === 'container') {
      const decision = plan.place(cpus, memory);
      if (!decision.admitted) return AFFINITY;
      place = decision.hint.nodes;
    }
    const refusal = plan.assign(container, cpus, memory, place);
    if (refusal) return refusal;
  }
  return { kind: 'ok', containers: plan.containers };
}

const AFFINITY: PlanResult = {
  kind: 'refused',
  reason: 'TopologyAffinityError',
  message: 'Resources cannot be allocated with Topology locality',
};

const unexpected = (problem: string): PlanResult => ({
  kind: 'refused',
  reason: 'UnexpectedAdmissionError',
  message: `Allocate failed due to ${problem}, which is unexpected`,
});

const smt = (problem: string): PlanResult => ({
  kind: 'refused',
  reason: 'SMTAlignmentError',
  message: `SMT Alignment Error: ${problem}`,
});

class PodPlan {
  readonly containers: Record<string, Assignment> = {};
  #facts: PlanFacts;
  #pod: Pod;
  #isGuaranteed: boolean;
  #free: Set<number>;
  #blocks: MemoryBlock[];
  /** What ordinary init containers had: theirs who come after. */
  #handedOn = { cpus: new Set<number>(), memory: [] as MemoryBlock[] };

  constructor(facts: PlanFacts, pod: Pod, others: readonly Assignment[]) {
    this.#facts = facts;
    this.#pod = pod;
    // Resources of the pod as a whole are not divided among containers.
    this.#isGuaranteed = qosClassOf(pod) === 'Guaranteed' && !pod.spec?.resources;
    const taken = new Set(others.flatMap((each) => each.cpus ?? []));
    this.#free = new Set(
      facts.machine.cpus.map((each) => each.id).filter((id) => !taken.has(id) && !facts.reservedCpus.has(id)),
    );
    this.#blocks = others.flatMap((each) => each.memory ?? []);
  }

  /** Whole processors that the container is to have alone; 0: it shares. */
  cpusOf(container: Container): number {
    if (!this.#isGuaranteed || this.#facts.settings.cpuPolicy !== 'static') return 0;
    const milli = milliOf(container.resources?.requests?.['cpu'] ?? container.resources?.limits?.['cpu']);
    return milli % 1000 === 0 ? milli / 1000 : 0;
  }

  memoryOf(container: Container): Map<string, number> {
    if (!this.#isGuaranteed || this.#facts.settings.memoryPolicy !== 'Static') return new Map();
    const amounts = { ...container.resources?.limits, ...container.resources?.requests };
    const own = Object.entries(amounts).filter(([name]) => name === 'memory' || name.startsWith('hugepages-'));
    return new Map(
      own.map(([name, amount]): [string, number] => [name, bytesOf(amount)]).filter(([, bytes]) => bytes > 0),
    );
  }

  /** All together at its fullest: containers and sidecars, or an init container with the sidecars before it. */
  ofPod(): { cpus: number; memory: Map<string, number> } {
    const init = this.#pod.spec?.initContainers ?? [];
    const peak = (of: (container: Container) => number) => {
      let [sidecars, largest] = [0, 0];
      for (const each of init) {
        largest = Math.max(largest, sidecars + of(each));
        if (isSidecar(each)) sidecars += of(each);
      }
      const main = (this.#pod.spec?.containers ?? []).reduce((total, each) => total + of(each), 0);
      return Math.max(largest, sidecars + main);
    };
    const resources = new Set(allContainers(this.#pod).flatMap((each) => [...this.memoryOf(each).keys()]));
    const memory = [...resources].map((name): [string, number] => [
      name,
      peak((each) => this.memoryOf(each).get(name) ?? 0),
    ]);
    return { cpus: peak((each) => this.cpusOf(each)), memory: new Map(memory) };
  }

  place(cpus: number, memory: ReadonlyMap<string, number>) {
    const { machine, memoryNodes, settings } = this.#facts;
    const nodes = machine.nodes.map((each) => each.id);
    const within = (set: readonly number[], among: (id: number) => boolean) =>
      machine.cpus.filter((each) => set.includes(each.node) && among(each.id)).length;
    const hints: Hints[] = [...memory].map(([name, bytes]) => memoryHints(memoryNodes, this.#blocksNow(), name, bytes));
    if (cpus > 0) {
      const all = (set: readonly number[]) => within(set, () => true) >= cpus;
      hints.push(hintsWhere(nodes, all, (set) => within(set, (id) => this.#isFree(id)) >= cpus));
    }
    return decidePlace(settings.policy, nodes, hints);
  }

  assign(
    container: Container,
    cpus: number,
    memory: ReadonlyMap<string, number>,
    place: readonly number[] | undefined,
  ): PlanResult | undefined {
    const assignment: Assignment = {};
    if (cpus > 0) {
      const found = this.#assignCpus(cpus, place);
      if (!Array.isArray(found)) return found;
      assignment.cpus = found;
    }
    if (memory.size > 0) {
      const nodes = assignMemory(this.#facts.memoryNodes, this.#blocksNow(), memory, place);
      if (!nodes) {
        return unexpected(
          '[memorymanager] failed to get the default NUMA affinity, no NUMA nodes with enough memory is available',
        );
      }
      assignment.memory = [...memory].map(([resource, bytes]) => ({ nodes, resource, bytes }));
    }
    if (Object.keys(assignment).length === 0) return undefined;
    this.containers[container.name] = assignment;
    const isPassing = (this.#pod.spec?.initContainers ?? []).includes(container) && !isSidecar(container);
    for (const id of assignment.cpus ?? []) {
      this.#free.delete(id);
      if (isPassing) this.#handedOn.cpus.add(id);
      else this.#handedOn.cpus.delete(id);
    }
    // An init container's memory is free again when it has ended, before anything else runs.
    if (!isPassing) this.#blocks.push(...(assignment.memory ?? []));
    return undefined;
  }

  #isFree(id: number): boolean {
    return this.#free.has(id) || this.#handedOn.cpus.has(id);
  }

  #blocksNow(): MemoryBlock[] {
    return this.#blocks;
  }

  #assignCpus(count: number, place: readonly number[] | undefined): number[] | PlanResult {
    const { machine, settings, reservedCpus } = this.#facts;
    const { cpuOptions } = settings;
    const free = new Set(machine.cpus.map((each) => each.id).filter((id) => this.#isFree(id)));
    if (cpuOptions.fullCores) {
      const size = coreSize(machine);
      if (count % size !== 0) return smt(`requested ${count} cpus not multiple cpus per core = ${size}`);
      const wholeCores = machine.cpus.filter((cpu) =>
        machine.cpus.every((each) => each.core !== cpu.core || (free.has(each.id) && !reservedCpus.has(each.id))),
      ).length;
      if (count > wholeCores) {
        return smt(
          `not enough free physical CPUs: available physical CPUs = ${wholeCores}, requested CPUs = ${count}, CPUs per core = ${size}`,
        );
      }
    }
    if (count > free.size) {
      return unexpected(`not enough cpus available to satisfy request: requested=${count}, available=${free.size}`);
    }
    // First what the pod has had, then what is in the place, then any.
    const tiers = [
      (id: number) => this.#handedOn.cpus.has(id),
      (id: number) => !place || place.includes(machine.cpus.find((each) => each.id === id)?.node ?? -1),
      () => true,
    ];
    const taken = new Set<number>();
    for (const tier of tiers) {
      const among = new Set([...free].filter((id) => !taken.has(id) && tier(id)));
      const wanted = Math.min(count - taken.size, cpuOptions.fullCores ? wholeIn(machine, among) : among.size);
      if (wanted <= 0) continue;
      for (const id of assignCpus(machine, among, wanted, cpuOptions) ?? []) taken.add(id);
    }
    if (taken.size < count) {
      return unexpected(`not enough cpus available to satisfy request: requested=${count}, available=${taken.size}`);
    }
    return [...taken].sort((a, b) => a - b);
  }
}

/** Processors of cores that are in the set as a whole. */
function wholeIn({ cpus }: Machine, among: ReadonlySet<number>): number {
  return cpus.filter((cpu) => cpus.every((each) => each.core !== cpu.core || among.has(each.id))).length;
}
