// /stats/summary from the runtime's own figures, and a small /metrics.
import type { CriClient } from '../cri/client.ts';
import type { ContainerStats } from '../../proto/cri-types.ts';
import { labels } from '../cri/labels.ts';
import type { Pods } from '../pods/pods.ts';
import type { Clock } from '../../lib/clock.ts';

export interface StatsSource {
  nodeName: string;
  cri: CriClient;
  pods: Pods;
  clock: Clock;
}

const time = (nanoseconds: number | undefined) =>
  new Date(Math.floor((nanoseconds ?? 0) / 1e6)).toISOString().replace(/\.\d+Z$/, 'Z');

export async function statsSummary({ cri, nodeName, pods, clock }: StatsSource) {
  const answer = await cri.call('ListContainerStats', {});
  const byPod = new Map<string, ContainerStats[]>();
  for (const each of answer.stats ?? []) {
    const uid = each.attributes?.labels?.[labels.podUid];
    if (uid) byPod.set(uid, [...(byPod.get(uid) ?? []), each]);
  }
  const now = new Date(clock.now()).toISOString();
  return {
    node: { nodeName, startTime: now },
    pods: [...byPod].map(([uid, containers]) => {
      const identity = pods.worker(uid)?.identity;
      const sum = (of: (each: ContainerStats) => number | undefined) =>
        containers.reduce((total, each) => total + (of(each) ?? 0), 0);
      return {
        podRef: { name: identity?.name ?? '', namespace: identity?.namespace ?? '', uid },
        startTime: pods.worker(uid)?.status?.startTime ?? now,
        containers: containers.map(containerSummary),
        cpu: { time: now, usageCoreNanoSeconds: sum((each) => each.cpu?.usageCoreNanoSeconds?.value) },
        memory: {
          time: now,
          usageBytes: sum((each) => each.memory?.usageBytes?.value),
          workingSetBytes: sum((each) => each.memory?.workingSetBytes?.value),
        },
      };
    }),
  };
}

function containerSummary(stats: ContainerStats) {
  const { cpu, memory } = stats;
  return {
    name: stats.attributes?.metadata?.name ?? '',
    cpu: { time: time(cpu?.timestamp), usageCoreNanoSeconds: cpu?.usageCoreNanoSeconds?.value ?? 0 },
    memory: {
      time: time(memory?.timestamp),
      usageBytes: memory?.usageBytes?.value ?? 0,
      workingSetBytes: memory?.workingSetBytes?.value ?? 0,
      rssBytes: memory?.rssBytes?.value ?? 0,
    },
  };
}

export function metricsText({ pods }: Pick<StatsSource, 'pods'>): string {
  const workers = pods.all();
  const running = workers.filter((each) => each.status?.phase === 'Running').length;
  return [
    '# HELP kubelet_active_pods Pods that this kubelet looks after.',
    '# TYPE kubelet_active_pods gauge',
    `kubelet_active_pods ${workers.length}`,
    '# HELP kubelet_running_pods Pods in phase Running.',
    '# TYPE kubelet_running_pods gauge',
    `kubelet_running_pods ${running}`,
    '# HELP process_resident_memory_bytes Resident memory of this process.',
    '# TYPE process_resident_memory_bytes gauge',
    `process_resident_memory_bytes ${process.memoryUsage.rss()}`,
    '',
  ].join('\n');
}
