// ContainerStats, ListContainerStats, PodSandboxStats, ListPodSandboxStats and their streams. The rate of CPU use is
// taken between two readings at least a second apart; disk usage is read at most every ten seconds.
import { readFileSync } from 'node:fs';
import type {
  ContainerStats,
  ContainerStatsFilter,
  CpuUsage,
  IoUsage,
  MemoryUsage,
  NetworkInterfaceUsage,
  PodSandboxStats,
  PodSandboxStatsFilter,
  PsiData,
  PsiStats,
  SwapUsage,
} from '../../proto/cri-types.ts';
import type { Pressure, PressureLine } from '../cgroups/pressure.ts';
import type { CgroupStats } from '../launch/port.ts';
import { type ContainerRecord, containerState, type SandboxRecord, sandboxState } from '../store/records.ts';
import { type Call, type CriContext, nowNs, requireContainer, requireSandbox, type StreamCall } from './context.ts';
import { inPages } from './pages.ts';
import { labelsMatch } from './status-of.ts';

const rateWindowNs = 1e9;
const diskAgeMs = 10_000;

export const containerStats: Call<'ContainerStats'> = async (context, request) => ({
  stats: await statsOf(context, requireContainer(context, request.containerId)),
});

export const listContainerStats: Call<'ListContainerStats'> = async (context, request) => ({
  stats: await matchingContainers(context, request.filter),
});

export const streamContainerStats: StreamCall<'StreamContainerStats'> = async function* (context, request) {
  for (const page of inPages(await matchingContainers(context, request.filter))) yield { containerStats: page };
};

export const podSandboxStats: Call<'PodSandboxStats'> = async (context, request) => ({
  stats: await sandboxStatsOf(context, requireSandbox(context, request.podSandboxId)),
});

export const listPodSandboxStats: Call<'ListPodSandboxStats'> = async (context, request) => ({
  stats: await matchingSandboxes(context, request.filter),
});

export const streamPodSandboxStats: StreamCall<'StreamPodSandboxStats'> = async function* (context, request) {
  for (const page of inPages(await matchingSandboxes(context, request.filter))) yield { podSandboxStats: page };
};

function matchingContainers(
  context: CriContext,
  filter: ContainerStatsFilter | null | undefined,
): Promise<ContainerStats[]> {
  return Promise.all(
    context.store.containers
      .list()
      .filter((c) => c.pid !== undefined)
      .filter((c) => !filter?.id || c.id.startsWith(filter.id))
      .filter((c) => !filter?.podSandboxId || c.sandboxId.startsWith(filter.podSandboxId))
      .filter((c) => labelsMatch(filter?.labelSelector, c.config.labels))
      .map((c) => statsOf(context, c)),
  );
}

function matchingSandboxes(
  context: CriContext,
  filter: PodSandboxStatsFilter | null | undefined,
): Promise<PodSandboxStats[]> {
  return Promise.all(
    context.store.sandboxes
      .list()
      .filter((s) => sandboxState(s) === 'SANDBOX_READY')
      .filter((s) => !filter?.id || s.id.startsWith(filter.id))
      .filter((s) => labelsMatch(filter?.labelSelector, s.config.labels))
      .map((s) => sandboxStatsOf(context, s)),
  );
}

async function statsOf(context: CriContext, container: ContainerRecord): Promise<ContainerStats> {
  const { id, config } = container;
  const stats: ContainerStats = {
    attributes: {
      id,
      metadata: config.metadata ?? null,
      labels: config.labels ?? {},
      annotations: config.annotations ?? {},
    },
  };
  if (containerState(container) === 'CONTAINER_RUNNING') {
    const cgroup = await readCgroup(context, container.cgroup);
    if (cgroup) {
      stats.cpu = cpuUsage(context, id, cgroup);
      stats.memory = memoryUsage(context, cgroup);
      stats.swap = swapUsage(context, cgroup);
      stats.io = ioUsage(context, cgroup);
    }
  }
  const usage = await writableLayer(context, id);
  stats.writableLayer = {
    timestamp: nowNs(context),
    fsId: { mountpoint: context.images.snapshots.upperDir(id) },
    usedBytes: { value: usage.bytes },
    inodesUsed: { value: usage.inodes },
  };
  return stats;
}

async function sandboxStatsOf(context: CriContext, sandbox: SandboxRecord): Promise<PodSandboxStats> {
  const containers = context.store.containersOf(sandbox.id).filter((c) => containerState(c) === 'CONTAINER_RUNNING');
  const cgroup =
    sandboxState(sandbox) === 'SANDBOX_READY' ? await readCgroup(context, sandbox.cgroupParent) : undefined;
  const timestamp = nowNs(context);
  const pid = sandbox.handle?.pausePid ?? containers[0]?.pid;
  const interfaces = sandbox.hostNetwork || pid === undefined ? [] : networkUsage(pid);
  return {
    attributes: {
      id: sandbox.id,
      metadata: sandbox.config.metadata ?? null,
      labels: sandbox.config.labels ?? {},
      annotations: sandbox.config.annotations ?? {},
    },
    linux: {
      cpu: cgroup ? cpuUsage(context, sandbox.id, cgroup) : null,
      memory: cgroup ? memoryUsage(context, cgroup) : null,
      io: cgroup ? ioUsage(context, cgroup) : null,
      network:
        interfaces.length > 0
          ? {
              timestamp,
              defaultInterface: interfaces.find((i) => i.name === 'eth0') ?? null,
              interfaces: interfaces.filter((i) => i.name !== 'eth0'),
            }
          : null,
      process: cgroup ? { timestamp, processCount: { value: cgroup.pids } } : null,
      containers: await Promise.all(containers.map((c) => statsOf(context, c))),
    },
  };
}

/** Undefined when the cgroup has just gone. */
async function readCgroup(context: CriContext, cgroup: string): Promise<CgroupStats | undefined> {
  try {
    return await context.launcher.stats(cgroup);
  } catch (error) {
    context.log.debug({ cgroup, err: error }, 'cgroup statistics are not readable');
    return undefined;
  }
}

function cpuUsage(context: CriContext, key: string, cgroup: CgroupStats): CpuUsage {
  const atNs = nowNs(context);
  const last = context.cpuSamples.get(key);
  let nanoCores = last?.nanoCores;
  if (!last || atNs - last.atNs >= rateWindowNs) {
    if (last) nanoCores = Math.max(0, Math.round(((cgroup.cpuUsageNs - last.usageNs) / (atNs - last.atNs)) * 1e9));
    context.cpuSamples.set(key, { atNs, usageNs: cgroup.cpuUsageNs, nanoCores });
  }
  return {
    timestamp: atNs,
    usageCoreNanoSeconds: { value: cgroup.cpuUsageNs },
    usageNanoCores: nanoCores === undefined ? null : { value: nanoCores },
    psi: psiOf(cgroup.pressures.cpu),
  };
}

function memoryUsage(context: CriContext, cgroup: CgroupStats): MemoryUsage {
  const limit = cgroup.memoryLimitBytes;
  return {
    timestamp: nowNs(context),
    workingSetBytes: { value: cgroup.memoryWorkingSetBytes },
    usageBytes: { value: cgroup.memoryUsageBytes },
    rssBytes: { value: cgroup.memoryRssBytes },
    availableBytes: limit === undefined ? null : { value: Math.max(0, limit - cgroup.memoryWorkingSetBytes) },
    pageFaults: { value: cgroup.pageFaults },
    majorPageFaults: { value: cgroup.majorPageFaults },
    psi: psiOf(cgroup.pressures.memory),
  };
}

function swapUsage(context: CriContext, { swapUsageBytes, swapLimitBytes }: CgroupStats): SwapUsage {
  return {
    timestamp: nowNs(context),
    swapUsageBytes: { value: swapUsageBytes },
    swapAvailableBytes: swapLimitBytes === undefined ? null : { value: Math.max(0, swapLimitBytes - swapUsageBytes) },
  };
}

/** CRI's io figures are its pressure; bytes and operations are metrics. */
function ioUsage(context: CriContext, { pressures }: CgroupStats): IoUsage | null {
  return pressures.io ? { timestamp: nowNs(context), psi: psiOf(pressures.io) } : null;
}

function psiOf(pressure: Pressure | undefined): PsiStats | null {
  const line = ({ avg10, avg60, avg300, totalNs }: PressureLine): PsiData => ({
    Total: totalNs,
    Avg10: avg10,
    Avg60: avg60,
    Avg300: avg300,
  });
  return pressure ? { Full: line(pressure.full), Some: line(pressure.some) } : null;
}

export async function writableLayer(context: CriContext, id: string): Promise<{ bytes: number; inodes: number }> {
  const known = context.diskSamples.get(id);
  if (known && context.clock.monotonic() - known.atMs < diskAgeMs) return known.usage;
  const usage = await context.images.snapshots.usage(id);
  context.diskSamples.set(id, { atMs: context.clock.monotonic(), usage });
  return usage;
}

/** Counters of the network namespace a process lives in, without the loopback. */
function networkUsage(pid: number): NetworkInterfaceUsage[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/net/dev`, 'utf8');
  } catch {
    return [];
  }
  return text
    .split('\n')
    .map((line) => /^\s*([^:\s]+):\s*(.*)$/.exec(line))
    .filter((match) => match !== null)
    .map(([, name, rest]) => ({ name: name as string, values: (rest as string).trim().split(/\s+/).map(Number) }))
    .filter(({ name }) => name !== 'lo')
    .map(({ name, values }) => ({
      name,
      rxBytes: { value: values[0] ?? 0 },
      rxErrors: { value: values[2] ?? 0 },
      txBytes: { value: values[8] ?? 0 },
      txErrors: { value: values[10] ?? 0 },
    }));
}
