import { describe, expect, it } from 'vitest';
import type { HorizontalPodAutoscaler, MetricSpec } from '../../api/types/autoscaling-v2.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { rfc3339 } from '../parts/time.ts';
import { type History, limit, NO_HISTORY } from './limits.ts';
import { type Facts, planScale, type Reading } from './plan.ts';

const nowMs = Date.UTC(2026, 0, 1, 12);
const ago = (seconds: number) => rfc3339(nowMs - seconds * 1000);

type PodState = 'ready' | 'unready' | 'pending' | 'failed' | 'young';

const pod = (name: string, state: PodState = 'ready', cpu: string | undefined = '100m'): Pod => ({
  metadata: { name, namespace: 'ns' },
  spec: { containers: [{ name: 'c', ...(cpu && { resources: { requests: { cpu } } }) }] },
  status: {
    phase: state === 'pending' ? 'Pending' : state === 'failed' ? 'Failed' : 'Running',
    startTime: ago(state === 'young' ? 20 : 3600),
    conditions: [
      {
        type: 'Ready',
        status: state === 'unready' ? 'False' : 'True',
        lastTransitionTime: ago(state === 'young' ? 10 : 3595),
      },
    ],
  },
});

const cpuAt = (averageUtilization: number): MetricSpec => ({
  type: 'Resource',
  resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization } },
});

const autoscaler = (more: Partial<HorizontalPodAutoscaler['spec']> = {}): HorizontalPodAutoscaler => ({
  metadata: { name: 'web', namespace: 'ns' },
  spec: {
    scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' },
    minReplicas: 1,
    maxReplicas: 10,
    metrics: [cpuAt(50)],
    ...more,
  },
});

const usage = (values: Record<string, number>): Reading => ({
  pods: new Map(
    Object.entries(values).map(([name, value]) => [name, { value, timestampMs: nowMs - 1000, windowMs: 15_000 }]),
  ),
});

const facts = (more: Partial<Facts>): Facts => ({
  autoscaler: autoscaler(),
  specReplicas: 2,
  statusReplicas: 2,
  selected: { pods: [pod('a'), pod('b')] },
  readings: [usage({ a: 50, b: 50 })],
  history: NO_HISTORY,
  nowMs,
  ...more,
});

const conditionsOf = (plan: ReturnType<typeof planScale>) =>
  Object.fromEntries(
    (plan.status.conditions ?? []).map((each) => [each.type, `${each.status} ${each.reason}: ${each.message}`]),
  );

describe('replicas for CPU utilization', () => {
  it.each<[string, Partial<Facts>, number | undefined, string?]>([
    ['on target', {}, undefined],
    ['within a tenth of the target', { readings: [usage({ a: 54, b: 54 })] }, undefined],
    [
      'above',
      { readings: [usage({ a: 100, b: 100 })] },
      4,
      'cpu resource utilization (percentage of request) above target',
    ],
    ['below', { readings: [usage({ a: 10, b: 10 })] }, undefined, undefined], // stabilized by the first recommendation
    [
      'growing counts unready pods as idle',
      { selected: { pods: [pod('a'), pod('b', 'pending')] }, readings: [usage({ a: 100 })] },
      undefined,
    ],
    [
      'growing counts pods that just began as idle',
      { selected: { pods: [pod('a'), pod('b', 'young')] }, readings: [usage({ a: 150, b: 400 })] },
      3,
    ],
    [
      'growing counts unmeasured pods as idle',
      { selected: { pods: [pod('a'), pod('b')] }, readings: [usage({ a: 150 })] },
      3,
    ],
    [
      'failed pods are left out',
      { selected: { pods: [pod('a'), pod('b', 'failed')] }, readings: [usage({ a: 100, b: 9 })] },
      undefined, // 2 for one pod, as there are
    ],
    ['above the bound', { specReplicas: 12 }, 10, 'Current number of replicas above Spec.MaxReplicas'],
    [
      'below the bound',
      { autoscaler: autoscaler({ minReplicas: 5 }) },
      5,
      'Current number of replicas below Spec.MinReplicas',
    ],
    ['never faster than twice, or four', { readings: [usage({ a: 900, b: 900 })] }, 4],
  ])('%s', (_, more, replicas, reason) => {
    const plan = planScale(facts(more));
    expect(plan.rescale?.replicas).toBe(replicas);
    if (reason) expect(plan.rescale?.reason).toBe(reason);
  });

  it('shrinks when five minutes have recommended no more', () => {
    const history: History = { ...NO_HISTORY, recommendations: [{ replicas: 5, atMs: nowMs - 301_000 }] };
    const shrinking = facts({ readings: [usage({ a: 10, b: 10 })], history });
    expect(planScale(shrinking).rescale).toEqual({ replicas: 1, reason: 'All metrics below target' });
    const recent: History = { ...NO_HISTORY, recommendations: [{ replicas: 2, atMs: nowMs - 299_000 }] };
    const held = planScale(facts({ readings: [usage({ a: 10, b: 10 })], history: recent }));
    expect(held.rescale).toBeUndefined();
    expect(conditionsOf(held)['AbleToScale']).toBe(
      'True ScaleDownStabilized: recent recommendations were higher than current one, applying the highest recent recommendation',
    );
  });

  it('tells in the status what was measured', () => {
    const plan = planScale(facts({ readings: [usage({ a: 40, b: 60 })] }));
    expect(plan.status).toMatchObject({
      currentReplicas: 2,
      desiredReplicas: 2,
      currentMetrics: [
        { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 50, averageValue: '50m' } } },
      ],
    });
    expect(conditionsOf(plan)).toEqual({
      AbleToScale: 'True ReadyForNewScale: recommended size matches current size',
      ScalingActive:
        'True ValidMetricFound: the HPA was able to successfully calculate a replica count from cpu resource utilization (percentage of request)',
      ScalingLimited: 'False DesiredWithinRange: the desired count is within the acceptable range',
    });
  });
});

describe('what stops scaling', () => {
  it.each<[string, Partial<Facts>, string]>([
    [
      'zero replicas',
      { specReplicas: 0 },
      'False ScalingDisabled: scaling is disabled since the replica count of the target is zero',
    ],
    [
      'no metrics API',
      {
        readings: [{ error: 'unable to get metrics for resource cpu: no metrics returned from resource metrics API' }],
      },
      'False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: unable to get metrics for resource cpu: no metrics returned from resource metrics API',
    ],
    [
      'no requests',
      { selected: { pods: [pod('a', 'ready', '')] } },
      'False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: missing request for cpu in container c of Pod a',
    ],
    [
      'no pods',
      { selected: { pods: [] } },
      'False FailedGetResourceMetric: the HPA was unable to compute the replica count: failed to get cpu utilization: no pods returned by selector while calculating replica count',
    ],
    [
      'no selector',
      { selected: { error: { reason: 'InvalidSelector', message: "the HPA target's scale is missing a selector" } } },
      "False InvalidSelector: the HPA target's scale is missing a selector",
    ],
  ])('%s', (_, more, condition) => {
    const plan = planScale(facts(more));
    expect(plan.rescale).toBeUndefined();
    expect(conditionsOf(plan)['ScalingActive']).toBe(condition);
  });

  it('one metric of two that fails stops shrinking, not growing', () => {
    const metrics: MetricSpec[] = [
      cpuAt(50),
      {
        type: 'External',
        external: { metric: { name: 'queue' }, target: { type: 'AverageValue', averageValue: '10' } },
      },
    ];
    const history: History = { ...NO_HISTORY, recommendations: [{ replicas: 2, atMs: nowMs - 400_000 }] };
    const of = (cpu: number) =>
      planScale(
        facts({
          autoscaler: autoscaler({ metrics }),
          readings: [usage({ a: cpu, b: cpu }), { error: 'away' }],
          history,
        }),
      );
    expect(of(100).rescale?.replicas).toBe(4);
    expect(of(10).rescale).toBeUndefined();
    expect(of(10).warnings.map((each) => each.message)).toEqual([
      'failed to get external metric queue: away',
      'invalid metrics (1 invalid out of 2), first error is: failed to get external metric queue: away',
    ]);
  });
});

describe('other metrics', () => {
  it.each<[string, MetricSpec, Reading, number | undefined]>([
    [
      'a value for each pod',
      { type: 'Pods', pods: { metric: { name: 'rps' }, target: { type: 'AverageValue', averageValue: '10' } } },
      usage({ a: 15_000, b: 15_000 }),
      3,
    ],
    [
      'a value of an object',
      {
        type: 'Object',
        object: {
          metric: { name: 'rps' },
          describedObject: { kind: 'Service', name: 'web' },
          target: { type: 'Value', value: '100' },
        },
      },
      { value: 150_000 },
      3,
    ],
    [
      'an external value, shared by the replicas',
      { type: 'External', external: { metric: { name: 'q' }, target: { type: 'AverageValue', averageValue: '30' } } },
      { value: 100_000 },
      4,
    ],
    [
      'memory per pod',
      { type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '100Mi' } } },
      usage({ a: 150 * 2 ** 20 * 1000, b: 150 * 2 ** 20 * 1000 }),
      3,
    ],
  ])('%s', (_, spec, reading, replicas) => {
    const plan = planScale(facts({ autoscaler: autoscaler({ metrics: [spec] }), readings: [reading] }));
    expect(plan.rescale?.replicas).toBe(replicas);
  });
});

describe('behaviors', () => {
  const behavior = (scaleUp: object, scaleDown: object = {}) =>
    autoscaler({
      maxReplicas: 100,
      behavior: {
        scaleUp: { stabilizationWindowSeconds: 0, selectPolicy: 'Max', ...scaleUp },
        scaleDown: {
          stabilizationWindowSeconds: 0,
          selectPolicy: 'Max',
          policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
          ...scaleDown,
        },
      },
    });
  const pods = (value: number, periodSeconds = 60) => ({ type: 'Pods', value, periodSeconds });
  const percent = (value: number, periodSeconds = 60) => ({ type: 'Percent', value, periodSeconds });
  const ups = (...changes: [number, number][]): History => ({
    ...NO_HISTORY,
    ups: changes.map(([change, secondsAgo]) => ({ change, atMs: nowMs - secondsAgo * 1000 })),
  });

  it.each<[string, HorizontalPodAutoscaler, number, number, History, number, string]>([
    ['pods per period', behavior({ policies: [pods(3)] }), 10, 50, NO_HISTORY, 13, 'ScaleUpLimit'],
    ['what was added counts', behavior({ policies: [pods(3)] }), 12, 50, ups([2, 30]), 13, 'ScaleUpLimit'],
    ['what was added before does not', behavior({ policies: [pods(3)] }), 12, 50, ups([2, 90]), 15, 'ScaleUpLimit'],
    ['a share, rounded up', behavior({ policies: [percent(50)] }), 3, 50, NO_HISTORY, 5, 'ScaleUpLimit'],
    ['the larger of two', behavior({ policies: [pods(3), percent(100)] }), 10, 50, NO_HISTORY, 20, 'ScaleUpLimit'],
    [
      'the smaller of two',
      behavior({ policies: [pods(3), percent(100)], selectPolicy: 'Min' }),
      10,
      50,
      NO_HISTORY,
      13,
      'ScaleUpLimit',
    ],
    ['never up', behavior({ policies: [pods(3)], selectPolicy: 'Disabled' }), 10, 50, NO_HISTORY, 10, 'ScaleUpLimit'],
    ['down by pods', behavior({}, { policies: [pods(2)] }), 10, 1, NO_HISTORY, 8, 'ScaleDownLimit'],
    ['down by a share', behavior({}, { policies: [percent(25)] }), 10, 1, NO_HISTORY, 7, 'ScaleDownLimit'],
    ['the bound', behavior({ policies: [percent(900)] }), 50, 500, NO_HISTORY, 100, 'TooManyReplicas'],
  ])('%s', (_, object, current, recommended, history, replicas, reason) => {
    const verdict = limit(object, current, recommended, history, nowMs);
    expect([verdict.replicas, verdict.limited.reason]).toEqual([replicas, reason]);
  });

  it('the lowest recommendation of the window upwards, the highest downwards', () => {
    const object = behavior(
      { stabilizationWindowSeconds: 60, policies: [percent(900)] },
      { stabilizationWindowSeconds: 60 },
    );
    const seen = (...replicas: number[]): History => ({
      ...NO_HISTORY,
      recommendations: replicas.map((each) => ({ replicas: each, atMs: nowMs - 30_000 })),
    });
    const up = limit(object, 5, 20, seen(8, 30), nowMs);
    expect([up.replicas, up.stabilized.reason]).toEqual([8, 'ScaleUpStabilized']);
    const down = limit(object, 20, 5, seen(8, 3), nowMs);
    expect([down.replicas, down.stabilized.reason]).toEqual([8, 'ScaleDownStabilized']);
  });
});
