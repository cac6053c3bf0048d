// ListMetricDescriptors, ListPodSandboxMetrics and StreamPodSandboxMetrics.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import type { Metric, PodSandboxMetrics } from '../../proto/cri-types.ts';
import { type ContainerRecord, containerState, type SandboxRecord, sandboxState } from '../store/records.ts';
import { type Call, type CriContext, nowNs, type StreamCall } from './context.ts';
import {
  BASE_LABELS,
  type MetricFacts,
  METRICS,
  type MetricSample,
  type NetworkFigures,
  samples,
} from './metric-table.ts';
import { inPages } from './pages.ts';
import { writableLayer } from './stats.ts';

const descriptors = METRICS.map(({ name, help, labels }) => ({ name, help, labelKeys: [...BASE_LABELS, ...labels] }));

export const listMetricDescriptors: Call<'ListMetricDescriptors'> = async () => ({ descriptors });

export const listPodSandboxMetrics: Call<'ListPodSandboxMetrics'> = async (context) => ({
  podMetrics: await allMetrics(context),
});

export const streamPodSandboxMetrics: StreamCall<'StreamPodSandboxMetrics'> = async function* (context) {
  for (const page of inPages(await allMetrics(context))) yield { podSandboxMetrics: page };
};

function allMetrics(context: CriContext): Promise<PodSandboxMetrics[]> {
  const ready = context.store.sandboxes.list().filter((each) => sandboxState(each) === 'SANDBOX_READY');
  return Promise.all(ready.map((sandbox) => metricsOf(context, sandbox)));
}

async function metricsOf(context: CriContext, sandbox: SandboxRecord): Promise<PodSandboxMetrics> {
  const running = context.store.containersOf(sandbox.id).filter((c) => containerState(c) === 'CONTAINER_RUNNING');
  const { name: pod = '', namespace = '' } = sandbox.config.metadata ?? {};
  const timestamp = nowNs(context);
  const shown = (list: MetricSample[]): Metric[] =>
    list.map(({ name, type, labels, value }) => ({
      name,
      timestamp,
      metricType: type,
      labelValues: labels,
      value: { value },
    }));
  const pid = sandbox.handle?.pausePid ?? running[0]?.pid;
  const labels = { name: sandbox.id, image: '', container: '', pod, namespace };
  const facts: MetricFacts = {
    ...(await cgroupFacts(context, sandbox.cgroupParent)),
    ...(!sandbox.hostNetwork && pid !== undefined && { network: networkFigures(readProc(`${pid}/net/dev`)) }),
  };
  return {
    podSandboxId: sandbox.id,
    metrics: shown(samples({ id: sandbox.cgroupParent, ...labels }, facts)),
    containerMetrics: await Promise.all(
      running.map(async (container) => {
        const base = {
          ...labels,
          id: container.cgroup,
          name: container.id,
          image: container.imageRef,
          container: container.config.metadata?.name ?? '',
        };
        return { containerId: container.id, metrics: shown(samples(base, await containerFacts(context, container))) };
      }),
    ),
  };
}

async function containerFacts(context: CriContext, container: ContainerRecord): Promise<MetricFacts> {
  const { resources, startedAtNs = 0 } = container;
  const upper = context.images.snapshots.upperDir(container.id);
  const [facts, layer, disk] = await Promise.all([
    cgroupFacts(context, container.cgroup),
    writableLayer(context, container.id),
    statfs(upper).catch(() => undefined),
  ]);
  return {
    ...facts,
    ...(disk && {
      filesystem: {
        usedBytes: layer.bytes,
        limitBytes: disk.blocks * disk.bsize,
        inodes: disk.files,
        inodesFree: disk.ffree,
      },
    }),
    spec: {
      startedAtSeconds: startedAtNs / 1e9,
      cpuShares: resources.cpuShares ?? 0,
      cpuPeriodUs: resources.cpuPeriod || 100_000,
      cpuQuotaUs: resources.cpuQuota ?? 0,
      memoryLimitBytes: resources.memoryLimitInBytes ?? 0,
      memorySwapLimitBytes: resources.memorySwapLimitInBytes ?? 0,
    },
  };
}

/** What can be read of a cgroup and its processes; nothing of one that has just gone. */
async function cgroupFacts(context: CriContext, cgroup: string): Promise<MetricFacts> {
  const nowSeconds = context.clock.now() / 1000;
  try {
    const [stats, details] = await Promise.all([context.launcher.stats(cgroup), context.launcher.details(cgroup)]);
    return { nowSeconds, cgroup: { ...stats, ...details }, processes: processFigures(details.processes) };
  } catch (error) {
    context.log.debug({ cgroup, err: error }, 'cgroup metrics are not readable');
    return { nowSeconds };
  }
}

function processFigures(pids: readonly number[]): NonNullable<MetricFacts['processes']> {
  let descriptors = 0;
  let sockets = 0;
  for (const pid of pids) {
    for (const fd of entries(`/proc/${pid}/fd`)) {
      descriptors++;
      if (linkOf(`/proc/${pid}/fd/${fd}`).startsWith('socket:')) sockets++;
    }
  }
  const limits = pids[0] === undefined ? '' : readProc(`${pids[0]}/limits`);
  const openFiles = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return { count: pids.length, descriptors, sockets, openFilesLimit: Number(openFiles ?? 0) };
}

/** Of /proc/net/dev, without the loopback. */
export function networkFigures(text: string): NetworkFigures[] {
  return text.split('\n').flatMap((line) => {
    const [, name = '', rest = ''] = /^\s*([^:\s]+):\s*(.*)$/.exec(line) ?? [];
    if (name === '' || name === 'lo') return [];
    const figures = rest.trim().split(/\s+/).map(Number);
    const side = (at: number) => ({
      bytes: figures[at] ?? 0,
      packets: figures[at + 1] ?? 0,
      errors: figures[at + 2] ?? 0,
      dropped: figures[at + 3] ?? 0,
    });
    return [{ name, rx: side(0), tx: side(8) }];
  });
}

function readProc(path: string): string {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    return '';
  }
}

function entries(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}
