// The answer of /stats/summary, in the shape of k8s.io/kubelet/pkg/apis/stats/v1alpha1. Pure.
import type { Pod } from '../../api/types/core-v1.ts';
import type { ObservedContainer } from '../pods/observed.ts';
import type { DiskUsage, PodDiskUsage } from './disk-usage.ts';
import type { FsUsage, InterfaceUsage, NodeUsage } from './node-usage.ts';
import type { ContainerUsage, CpuReading, MemoryReading, PodUsage } from './pod-usage.ts';

/** Everything that was read for one answer. */
export interface UsageReading {
  nodeName: string;
  atMs: number;
  cpus: number;
  node: NodeUsage;
  imageFs: { fs: FsUsage; usedBytes: number; inodesUsed: number } | undefined;
  pods: readonly PodReading[];
}

export interface PodReading {
  usage: PodUsage;
  pod: Pod | undefined;
  startedAtMs: number;
  /** Undefined: only CPU and memory were asked for. */
  disk: PodDiskUsage | undefined;
  container(id: string): ObservedContainer | undefined;
  containerStart(usage: ContainerUsage): number | undefined;
}

export const time = (ms: number) => `${new Date(ms).toISOString().slice(0, 19)}Z`;

export function summaryOf(reading: UsageReading, onlyCpuAndMemory: boolean) {
  const { node, atMs, nodeName } = reading;
  const at = time(atMs);
  const basic = {
    nodeName,
    startTime: time(node.bootedAtMs),
    cpu: {
      time: at,
      ...(node.cpuNanoCores !== undefined && { usageNanoCores: node.cpuNanoCores }),
      usageCoreNanoSeconds: node.cpuNanoseconds,
    },
    memory: {
      time: at,
      availableBytes: node.memory.availableBytes,
      usageBytes: node.memory.usageBytes,
      workingSetBytes: node.memory.workingSetBytes,
      rssBytes: node.memory.rssBytes,
      pageFaults: node.memory.pageFaults,
      majorPageFaults: node.memory.majorPageFaults,
    },
    swap: {
      time: at,
      swapAvailableBytes: node.swap.totalBytes - node.swap.usedBytes,
      swapUsageBytes: node.swap.usedBytes,
    },
  };
  const pods = reading.pods.map((each) => podSummary(each, reading, onlyCpuAndMemory));
  if (onlyCpuAndMemory) return { node: basic, pods };
  const image = reading.imageFs;
  const imageFs = image && { ...fsSummary(image.fs, at), usedBytes: image.usedBytes, inodesUsed: image.inodesUsed };
  return {
    node: {
      ...basic,
      network: networkSummary(node.interfaces, node.defaultInterface, at),
      fs: fsSummary(node.fs, at),
      ...(imageFs && { runtime: { imageFs, containerFs: imageFs } }),
      rlimit: { time: at, maxpid: node.maxProcesses, curproc: node.processes },
    },
    pods,
  };
}

function podSummary(reading: PodReading, { node, imageFs, atMs }: UsageReading, onlyCpuAndMemory: boolean) {
  const { usage, disk } = reading;
  const at = time(atMs);
  const basic = {
    podRef: { name: usage.name, namespace: usage.namespace, uid: usage.uid },
    startTime: time(reading.startedAtMs),
    containers: usage.containers.map((each) =>
      containerSummary(each, reading, imageFs?.fs ?? node.fs, disk?.logs.get(each.name), node.fs, at),
    ),
    ...(usage.cpu && { cpu: cpuSummary(usage.cpu) }),
    ...(usage.memory && { memory: memorySummary(usage.memory) }),
    ...(usage.swapBytes !== undefined && { swap: { time: at, swapUsageBytes: usage.swapBytes } }),
  };
  if (onlyCpuAndMemory || !disk) return basic;
  const ephemeral = ephemeralUsage(usage, disk);
  return {
    ...basic,
    ...(usage.network && { network: networkSummary(usage.network.interfaces, usage.network.default, at) }),
    ...(disk.volumes.length > 0 && {
      volume: disk.volumes.map((each) => ({
        ...(each.fs && fsSummary(each.fs, time(disk.atMs))),
        time: time(disk.atMs),
        usedBytes: each.usedBytes,
        inodesUsed: each.inodesUsed,
        name: each.name,
        ...(each.pvcName && { pvcRef: { name: each.pvcName, namespace: usage.namespace } }),
        ...(each.isAbnormal !== undefined && { volumeHealthStats: { abnormal: each.isAbnormal } }),
      })),
    }),
    'ephemeral-storage': { ...fsSummary(node.fs, at), usedBytes: ephemeral.bytes, inodesUsed: ephemeral.inodes },
    ...(usage.processes !== undefined && { process_stats: { process_count: usage.processes } }),
  };
}

/** Writable layers, logs and the volumes that are the pod's own. */
export function ephemeralUsage(usage: PodUsage | undefined, disk: PodDiskUsage): DiskUsage {
  const parts = [
    ...(usage?.containers ?? []).map((each) => ({
      bytes: each.rootfs?.usedBytes ?? 0,
      inodes: each.rootfs?.inodesUsed ?? 0,
    })),
    ...disk.logs.values(),
    ...disk.volumes
      .filter((each) => each.isEphemeral)
      .map((each) => ({ bytes: each.usedBytes, inodes: each.inodesUsed })),
  ];
  return {
    bytes: parts.reduce((total, each) => total + each.bytes, 0),
    inodes: parts.reduce((total, each) => total + each.inodes, 0),
  };
}

function containerSummary(
  usage: ContainerUsage,
  reading: PodReading,
  imageFs: FsUsage,
  logs: DiskUsage | undefined,
  logFs: FsUsage,
  at: string,
) {
  const startedAtMs = reading.containerStart(usage) ?? reading.startedAtMs;
  return {
    name: usage.name,
    startTime: time(startedAtMs),
    ...(usage.cpu && { cpu: cpuSummary(usage.cpu) }),
    ...(usage.memory && { memory: memorySummary(usage.memory) }),
    ...(usage.swapBytes !== undefined && { swap: { time: at, swapUsageBytes: usage.swapBytes } }),
    ...(reading.disk &&
      usage.rootfs && {
        rootfs: { ...fsSummary(imageFs, at), usedBytes: usage.rootfs.usedBytes, inodesUsed: usage.rootfs.inodesUsed },
      }),
    ...(logs && { logs: { ...fsSummary(logFs, at), usedBytes: logs.bytes, inodesUsed: logs.inodes } }),
  };
}

const cpuSummary = ({ atMs, nanoCores, nanoseconds }: CpuReading) => ({
  time: time(atMs),
  ...(nanoCores !== undefined && { usageNanoCores: nanoCores }),
  usageCoreNanoSeconds: nanoseconds,
});

const memorySummary = ({ atMs, availableBytes, ...rest }: MemoryReading) => ({
  time: time(atMs),
  ...(availableBytes !== undefined && { availableBytes }),
  ...rest,
});

const fsSummary = (fs: FsUsage, at: string) => ({
  time: at,
  availableBytes: fs.availableBytes,
  capacityBytes: fs.capacityBytes,
  usedBytes: fs.usedBytes,
  inodesFree: fs.inodesFree,
  inodes: fs.inodes,
  inodesUsed: fs.inodes - fs.inodesFree,
});

function networkSummary(interfaces: readonly InterfaceUsage[], preferred: string | undefined, at: string) {
  const first = interfaces.find((each) => each.name === preferred);
  return { time: at, ...first, interfaces };
}
