// Scheduling cycles on 5,000 nodes in memory, without an API: `scripts/node bench/scheduler.ts [nodes] [pods]`. Each case
// places its pods one by one, each assumed before the next. Rates are by CPU time, which other work on the machine does not bend.
import type { PodSpec } from '../api/types/core-v1.ts';
import { SchedulerCache } from '../scheduler/cache.ts';
import { scheduleOne } from '../scheduler/cycle.ts';
import { defaultProfile } from '../scheduler/plugins/index.ts';
import { preempt } from '../scheduler/preemption.ts';
import { podInfoOf } from '../scheduler/resources.ts';
import { aNode, aPod } from '../scheduler/testing.ts';

const nodeCount = Number(process.argv[2] ?? 5_000);
const podCount = Number(process.argv[3] ?? 5_000);
const HOST = 'kubernetes.io/hostname';
const ZONE = 'topology.kubernetes.io/zone';
const labelSelector = { matchLabels: { app: 'bench' } };
const requests = { cpu: '100m', memory: '500Mi' };

interface Case {
  name: string;
  spec: Partial<PodSpec>;
  /** Pods a second that DESIGN asks for. */
  target: number;
  /** Pods there from the start. */
  before?: number;
}

const term = (topologyKey: string) => ({ topologyKey, labelSelector });
const required = 'requiredDuringSchedulingIgnoredDuringExecution' as const;
const preferred = 'preferredDuringSchedulingIgnoredDuringExecution' as const;
const spread = (topologyKey: string, whenUnsatisfiable: string) => ({
  topologyKey,
  whenUnsatisfiable,
  maxSkew: 1,
  labelSelector,
});
const cases: Case[] = [
  { name: 'basic', spec: {}, target: 2_000 },
  { name: 'basic, 50,000 pods there', spec: {}, target: 2_000, before: 50_000 },
  { name: 'pod affinity, zone', spec: { affinity: { podAffinity: { [required]: [term(ZONE)] } } }, target: 1_000 },
  {
    name: 'pod anti-affinity, host',
    spec: { affinity: { podAntiAffinity: { [required]: [term(HOST)] } } },
    target: 1_000,
  },
  {
    name: 'preferred affinity, host',
    spec: { affinity: { podAffinity: { [preferred]: [{ weight: 1, podAffinityTerm: term(HOST) }] } } },
    target: 1_000,
  },
  {
    name: 'preferred anti-affinity, host',
    spec: { affinity: { podAntiAffinity: { [preferred]: [{ weight: 1, podAffinityTerm: term(HOST) }] } } },
    target: 1_000,
  },
  {
    name: 'spread, zone and host, hard',
    spec: { topologySpreadConstraints: [spread(ZONE, 'DoNotSchedule'), spread(HOST, 'DoNotSchedule')] },
    target: 1_000,
  },
  {
    name: 'spread, zone and host, soft',
    spec: { topologySpreadConstraints: [spread(ZONE, 'ScheduleAnyway'), spread(HOST, 'ScheduleAnyway')] },
    target: 1_000,
  },
];

function clusterOf(before: number, priority = 0): SchedulerCache {
  const cache = new SchedulerCache();
  for (let i = 0; i < nodeCount; i++) {
    const labels = { [HOST]: `node-${i}`, [ZONE]: `zone-${i % 3}` };
    cache.setNode(aNode(`node-${i}`, { labels, allocatable: { cpu: '4', memory: '32Gi' } }));
  }
  for (let i = 0; i < before; i++) {
    const pod = aPod(`old-${i}`, { priority }, requests);
    pod.metadata.labels = { app: `old-${i % 500}` };
    cache.setPod(podInfoOf(pod), `node-${i % nodeCount}`);
  }
  return cache;
}

/** CPU milliseconds of `work`, which runs to its end. */
function cpuMs(work: () => void): number {
  const from = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(from);
  return (user + system) / 1_000;
}

const report = (name: string, count: number, ms: number, rest: string) =>
  console.log(
    `${name.padEnd(32)} ${Math.round((count * 1_000) / ms)
      .toString()
      .padStart(7)}/s  ${((ms * 1_000) / count).toFixed(0).padStart(6)} µs CPU a pod  ${rest}`,
  );

for (const { name, spec, target, before = 1_000 } of cases) {
  const cache = clusterOf(before);
  const pods = Array.from({ length: podCount }, (_, i) => {
    const pod = aPod(`pod-${i}`, spec, requests);
    pod.metadata.labels = { app: 'bench' };
    return pod;
  });
  let start = 0;
  let placed = 0;
  const ms = cpuMs(() => {
    for (const pod of pods) {
      const info = podInfoOf(pod);
      const decision = scheduleOne(info, cache, defaultProfile, start, Math.random);
      if (decision.kind === 'none') continue;
      start = (start + decision.evaluated) % nodeCount;
      cache.assume(info, decision.node);
      placed++;
    }
  });
  const met = (podCount * 1_000) / ms >= target ? 'met' : 'MISSED';
  report(name, podCount, ms, `${placed} placed, target ${target}/s ${met}`);
}

const full = clusterOf(40 * nodeCount);
const rounds = 20;
let evicted = 0;
const ms = cpuMs(() => {
  for (let i = 0; i < rounds; i++) {
    const pod = podInfoOf(aPod(`vip-${i}`, { priority: 10 }, { cpu: '1' }));
    const decision = scheduleOne(pod, full, defaultProfile, 0, Math.random);
    if (decision.kind !== 'none') throw new Error('the cluster was to be full');
    const found = preempt(pod, full, defaultProfile, decision.diagnosis, [], Math.random);
    if (found.kind !== 'evict') throw new Error('nothing to preempt');
    evicted += found.victims.length;
    full.nominate(pod, found.node);
  }
});
report('preemption, all nodes full', rounds, ms, `${evicted} victims`);
