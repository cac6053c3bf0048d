// What the pods of the node use, as their runtime says. One reading serves summaries, metrics and evictions.
import type { ContainerStats, PodSandboxStats, UInt64Value } from '../../proto/cri-types.ts';
import { type CriClient, CriError } from '../cri/client.ts';
import { labels } from '../cri/labels.ts';
import type { InterfaceUsage } from './node-usage.ts';

export interface CpuReading {
  atMs: number;
  nanoseconds: number;
  nanoCores: number | undefined;
}

export interface MemoryReading {
  atMs: number;
  usageBytes: number;
  workingSetBytes: number;
  rssBytes: number;
  availableBytes: number | undefined;
  pageFaults: number;
  majorPageFaults: number;
}

export interface ContainerUsage {
  name: string;
  containerId: string;
  cpu: CpuReading | undefined;
  memory: MemoryReading | undefined;
  swapBytes: number | undefined;
  /** The container's writable layer. */
  rootfs: { usedBytes: number; inodesUsed: number } | undefined;
}

export interface PodUsage {
  uid: string;
  name: string;
  namespace: string;
  sandboxId: string;
  cpu: CpuReading | undefined;
  memory: MemoryReading | undefined;
  swapBytes: number | undefined;
  network: { default: string | undefined; interfaces: InterfaceUsage[] } | undefined;
  processes: number | undefined;
  containers: ContainerUsage[];
}

/** Of sandboxes when the runtime knows those, else of containers, added up. */
export async function readPodUsage(cri: CriClient, signal?: AbortSignal): Promise<PodUsage[]> {
  const options = { timeoutMs: 10_000, ...(signal && { signal }) };
  try {
    const { stats = [] } = await cri.call('ListPodSandboxStats', {}, options);
    return stats.map(podUsage).filter((each) => each !== undefined);
  } catch (error) {
    if (!(error instanceof CriError) || !['other', 'unimplemented'].includes(error.code)) throw error;
  }
  const { stats = [] } = await cri.call('ListContainerStats', {}, options);
  return addedUp(stats);
}

const value = (of: UInt64Value | null | undefined): number | undefined => of?.value;
const milliseconds = (nanoseconds: number | undefined) => Math.floor((nanoseconds ?? 0) / 1e6);

function podUsage(stats: PodSandboxStats): PodUsage | undefined {
  const identity = identityOf(stats.attributes?.labels);
  if (!identity) return undefined;
  const { cpu, memory, network, process, containers } = stats.linux ?? {};
  const first = network?.defaultInterface;
  const all = [...(first ? [first] : []), ...(network?.interfaces ?? []).filter((each) => each.name !== first?.name)];
  return {
    ...identity,
    sandboxId: stats.attributes?.id ?? '',
    cpu: cpuReading(cpu),
    memory: memoryReading(memory),
    swapBytes: sumOf((containers ?? []).map((each) => value(each.swap?.swapUsageBytes))),
    network: network
      ? {
          default: first?.name,
          interfaces: all.map((each) => ({
            name: each.name ?? '',
            rxBytes: value(each.rxBytes) ?? 0,
            rxErrors: value(each.rxErrors) ?? 0,
            txBytes: value(each.txBytes) ?? 0,
            txErrors: value(each.txErrors) ?? 0,
          })),
        }
      : undefined,
    processes: value(process?.processCount),
    containers: (containers ?? []).map(containerUsage),
  };
}

function containerUsage(stats: ContainerStats): ContainerUsage {
  const { writableLayer: layer } = stats;
  return {
    name: stats.attributes?.labels?.[labels.containerName] ?? stats.attributes?.metadata?.name ?? '',
    containerId: stats.attributes?.id ?? '',
    cpu: cpuReading(stats.cpu),
    memory: memoryReading(stats.memory),
    swapBytes: value(stats.swap?.swapUsageBytes),
    rootfs: layer ? { usedBytes: value(layer.usedBytes) ?? 0, inodesUsed: value(layer.inodesUsed) ?? 0 } : undefined,
  };
}

function cpuReading(cpu: ContainerStats['cpu']): CpuReading | undefined {
  if (!cpu) return undefined;
  return {
    atMs: milliseconds(cpu.timestamp),
    nanoseconds: value(cpu.usageCoreNanoSeconds) ?? 0,
    nanoCores: value(cpu.usageNanoCores),
  };
}

function memoryReading(memory: ContainerStats['memory']): MemoryReading | undefined {
  if (!memory) return undefined;
  const workingSetBytes = value(memory.workingSetBytes) ?? 0;
  return {
    atMs: milliseconds(memory.timestamp),
    usageBytes: value(memory.usageBytes) ?? workingSetBytes,
    workingSetBytes,
    rssBytes: value(memory.rssBytes) ?? 0,
    availableBytes: value(memory.availableBytes),
    pageFaults: value(memory.pageFaults) ?? 0,
    majorPageFaults: value(memory.majorPageFaults) ?? 0,
  };
}

function identityOf(from: Record<string, string> | undefined) {
  const uid = from?.[labels.podUid];
  if (!uid) return undefined;
  return { uid, name: from[labels.podName] ?? '', namespace: from[labels.podNamespace] ?? '' };
}

function addedUp(stats: readonly ContainerStats[]): PodUsage[] {
  const pods = new Map<string, PodUsage>();
  for (const each of stats) {
    const identity = identityOf(each.attributes?.labels);
    if (!identity) continue;
    let pod = pods.get(identity.uid);
    if (!pod) {
      const unknown = {
        cpu: undefined,
        memory: undefined,
        swapBytes: undefined,
        network: undefined,
        processes: undefined,
      };
      pod = { ...identity, sandboxId: '', ...unknown, containers: [] };
      pods.set(identity.uid, pod);
    }
    pod.containers.push(containerUsage(each));
  }
  for (const pod of pods.values()) {
    const cpus = pod.containers.map((each) => each.cpu).filter((each) => each !== undefined);
    const memories = pod.containers.map((each) => each.memory).filter((each) => each !== undefined);
    const total = <T>(list: readonly T[], of: (each: T) => number | undefined) => sumOf(list.map(of)) ?? 0;
    if (cpus.length > 0) {
      pod.cpu = {
        atMs: Math.max(...cpus.map((each) => each.atMs)),
        nanoseconds: total(cpus, (each) => each.nanoseconds),
        nanoCores: sumOf(cpus.map((each) => each.nanoCores)),
      };
    }
    if (memories.length > 0) {
      pod.memory = {
        atMs: Math.max(...memories.map((each) => each.atMs)),
        usageBytes: total(memories, (each) => each.usageBytes),
        workingSetBytes: total(memories, (each) => each.workingSetBytes),
        rssBytes: total(memories, (each) => each.rssBytes),
        availableBytes: undefined,
        pageFaults: total(memories, (each) => each.pageFaults),
        majorPageFaults: total(memories, (each) => each.majorPageFaults),
      };
    }
  }
  return [...pods.values()];
}

/** Undefined when nothing is known. */
function sumOf(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((each) => each !== undefined);
  return known.length === 0 ? undefined : known.reduce((total, each) => total + each, 0);
}
