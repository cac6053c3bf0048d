// Random clusters: the fast filters and the slow oracle agree on every node, after every kind of change.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Node, Pod, PodAffinityTerm, TopologySpreadConstraint } from '../api/types/core-v1.ts';
import { SchedulerCache } from './cache.ts';
import { PodFilters, scheduleOne } from './cycle.ts';
import { forbidden, type World } from './oracle.ts';
import type { PodInfo } from './framework.ts';
import { defaultProfile } from './plugins/index.ts';
import { preempt } from './preemption.ts';
import { podInfoOf } from './resources.ts';
import { aNode, aPod } from './testing.ts';

const namespaces = { a: { team: 'x' }, b: { team: 'y' }, c: {} };
const app = fc.constantFrom('web', 'db', 'cache');
const key = fc.constantFrom('zone', 'host', 'rack');
const labelSelector = fc.oneof(
  app.map((value) => ({ matchLabels: { app: value } })),
  app.map((value) => ({ matchExpressions: [{ key: 'app', operator: 'NotIn', values: [value] }] })),
  fc.constant({}),
  fc.constant(undefined),
);
const term: fc.Arbitrary<PodAffinityTerm> = fc.record({
  topologyKey: key,
  labelSelector,
  namespaces: fc.option(fc.constantFrom(['a'], ['b', 'c']), { nil: undefined }),
  namespaceSelector: fc.option(fc.constantFrom({}, { matchLabels: { team: 'x' } }), { nil: undefined }),
});
const spread: fc.Arbitrary<TopologySpreadConstraint> = fc.record({
  topologyKey: key,
  labelSelector,
  maxSkew: fc.integer({ min: 1, max: 2 }),
  minDomains: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  nodeAffinityPolicy: fc.constantFrom(undefined, 'Honor', 'Ignore'),
  whenUnsatisfiable: fc.constant('DoNotSchedule'),
});
const aRandomPod = fc
  .record({
    namespace: fc.constantFrom('a', 'b', 'c'),
    app,
    cpu: fc.constantFrom('100m', '700m'),
    affinity: fc.array(term, { maxLength: 2 }),
    anti: fc.array(term, { maxLength: 2 }),
    spreads: fc.array(spread, { maxLength: 2 }),
    zone: fc.option(fc.constantFrom('z0', 'z1'), { nil: undefined, freq: 5 }),
    terminating: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
    kind: fc.constantFrom('affinity', 'anti', 'spread', 'plain'),
  })
  .map(({ namespace, app, cpu, affinity, anti, spreads, zone, terminating, kind }): Pod => {
    const pod = aPod(
      'p',
      {
        ...(zone && { nodeSelector: { zone } }),
        ...(kind === 'affinity' && {
          affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: affinity } },
        }),
        ...(kind === 'anti' && {
          affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: anti } },
        }),
        ...(kind === 'spread' && { topologySpreadConstraints: spreads }),
      },
      { cpu, memory: '100Mi' },
    );
    pod.metadata = { ...pod.metadata, namespace, labels: { app } };
    if (terminating) pod.metadata.deletionTimestamp = '2026-01-01T00:00:00Z';
    return pod;
  });
const labels = fc.record({
  zone: fc.constantFrom(undefined, 'z0', 'z1', 'z2'),
  rack: fc.constantFrom(undefined, 'r0', 'r1'),
});
const nodeNames = ['n0', 'n1', 'n2', 'n3', 'n4'];

type Step =
  | { kind: 'node'; name: string; labels: { zone?: string; rack?: string } }
  | { kind: 'node-gone'; name: string }
  | { kind: 'pod'; pod: Pod; name: string }
  | { kind: 'pod-gone'; at: number }
  | { kind: 'ask'; pod: Pod };
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('node'), name: fc.constantFrom(...nodeNames), labels }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('node-gone'), name: fc.constantFrom(...nodeNames) }) },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('pod'), pod: aRandomPod, name: fc.constantFrom(...nodeNames) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('pod-gone'), at: fc.nat(20) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('ask'), pod: aRandomPod }) },
) as fc.Arbitrary<Step>;

const nodeOf = (name: string, { zone, rack }: { zone?: string; rack?: string }): Node =>
  aNode(name, { labels: { host: name, ...(zone && { zone }), ...(rack && { rack }) }, allocatable: { pods: '6' } });

test('filters and oracle agree on every node, whatever happened before', () => {
  let allowed = 0;
  let refused = 0;
  let evictions = 0;
  fc.assert(
    fc.property(fc.array(step, { minLength: 5, maxLength: 40 }), (steps) => {
      const cache = new SchedulerCache();
      for (const [name, each] of Object.entries(namespaces)) cache.setNamespace(name, each);
      const nodes = new Map(nodeNames.slice(0, 3).map((name, i) => [name, nodeOf(name, { zone: `z${i % 2}` })]));
      for (const node of nodes.values()) cache.setNode(node);
      const pods: Pod[] = [];
      let placed = 0;
      for (const each of steps) {
        if (each.kind === 'node') {
          nodes.set(each.name, nodeOf(each.name, each.labels));
          cache.setNode(nodeOf(each.name, each.labels));
        } else if (each.kind === 'node-gone') {
          nodes.delete(each.name);
          cache.deleteNode(each.name);
        } else if (each.kind === 'pod') {
          const pod = structuredClone(each.pod);
          pod.metadata.uid = `placed-${++placed}`;
          pod.spec = { ...pod.spec, nodeName: each.name, containers: pod.spec?.containers ?? [] };
          pods.push(pod);
          cache.setPod(podInfoOf(pod), each.name);
        } else if (each.kind === 'pod-gone') {
          const [gone] = pods.splice(each.at, 1);
          if (gone) cache.deletePod(gone.metadata.uid ?? '');
        } else {
          delete each.pod.metadata.deletionTimestamp;
          const world: World = { nodes: [...nodes.values()], pods, namespaces };
          const pod = podInfoOf(each.pod);
          const filters = new PodFilters(pod, cache, defaultProfile.filters);
          for (const node of cache.nodes) {
            const expected = forbidden(each.pod, node.node, world);
            const found = filters.refuse(node);
            if (expected) refused++;
            else allowed++;
            expect([node.name, found === undefined], `${expected} / ${found?.reasons.join()}`).toEqual([
              node.name,
              expected === undefined,
            ]);
          }
          const decision = scheduleOne(pod, cache, defaultProfile, 0, () => 0.5);
          if (decision.kind === 'node') {
            expect(forbidden(each.pod, nodes.get(decision.node) as Node, world)).toBeUndefined();
            continue;
          }
          for (const node of nodes.values()) expect(forbidden(each.pod, node, world)).toBeDefined();
          const vip = { ...pod, priority: 10 };
          const found = preempt(vip, cache, defaultProfile, decision.diagnosis, [], () => 0.5);
          if (found.kind !== 'evict') continue;
          evictions++;
          // With the victims gone the pod fits; with any one of them back it does not: nobody is evicted in vain.
          const node = nodes.get(found.node) as Node;
          const without = (gone: readonly PodInfo[]): World => ({
            ...world,
            pods: pods.filter((one) => !gone.some((victim) => victim.uid === one.metadata.uid)),
          });
          expect(forbidden(each.pod, node, without(found.victims))).toBeUndefined();
          // Under spreading one pod's return can make room for another's: the first sight decides, as upstream.
          if (each.pod.spec?.topologySpreadConstraints) continue;
          for (const spared of found.victims) {
            const others = found.victims.filter((one) => one !== spared);
            expect(forbidden(each.pod, node, without(others))).toBeDefined();
          }
        }
      }
    }),
    { numRuns: 1_000, endOnFailure: true },
  );
  // A generator that never lets a pod through, or never refuses one, would prove nothing.
  expect(Math.min(allowed, refused)).toBeGreaterThan(1_000);
  expect(evictions).toBeGreaterThan(50);
});
