import { describe, expect, it } from 'vitest';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { podDisruptionBudget as budgetKind } from '../../api/kinds/pod-disruption-budget.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetSpec } from '../../api/types/policy-v1.ts';
import { startHarness } from '../testing/harness.ts';
import { runDisruptionController } from './controller.ts';
import { countsOf, planBudget, type Scale } from './plan.ts';

const NOW = Date.parse('2026-01-01T00:10:00Z');

const budget = (spec: PodDisruptionBudgetSpec, status?: object) =>
  ({ metadata: { name: 'b', namespace: 'default', generation: 2 }, spec, status }) as PodDisruptionBudget;

const pod = (name: string, ready = true, more: object = {}) =>
  ({
    metadata: { name, namespace: 'default', labels: { app: 'web' }, ...more },
    spec: { containers: [{ name: 'c', image: 'i' }] },
    status: { phase: 'Running', conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  }) as unknown as Pod;

const scale = (uid: string, replicas: number): Scale => ({ kind: 'scale', uid, replicas });

describe('what is expected and wanted healthy', () => {
  const three = [pod('a'), pod('b'), pod('c')];
  it.each<[string, PodDisruptionBudgetSpec, Scale[], { expected: number; desiredHealthy: number } | string]>([
    ['a number of the pods there are', { minAvailable: 2 }, [], { expected: 3, desiredHealthy: 2 }],
    [
      'a percentage of what is meant to be',
      { minAvailable: '50%' },
      [scale('x', 5), scale('x', 5)],
      { expected: 5, desiredHealthy: 3 },
    ],
    ['all but so many', { maxUnavailable: 1 }, [scale('x', 3), scale('y', 4)], { expected: 7, desiredHealthy: 6 }],
    ['all but a percentage', { maxUnavailable: '30%' }, [scale('x', 10)], { expected: 10, desiredHealthy: 7 }],
    ['never fewer than none', { maxUnavailable: 9 }, [scale('x', 3)], { expected: 3, desiredHealthy: 0 }],
    [
      'those without a controller are not counted',
      { maxUnavailable: 1 },
      [{ kind: 'unmanaged' }],
      { expected: 0, desiredHealthy: 0 },
    ],
    ['nothing that cannot be scaled', { maxUnavailable: 1 }, [{ kind: 'unknown', why: 'no' }], 'no'],
  ])('%s', (_, spec, scales, expected) => {
    const outcome = countsOf(budget(spec), three, scales);
    expect(outcome.ok ? outcome.counts : outcome.message).toEqual(expected);
  });
});

describe('the status', () => {
  const plan = (pods: Pod[], desiredHealthy: number, status?: object) =>
    planBudget(budget({}, status), pods, { expected: pods.length, desiredHealthy }, NOW);

  it('counts pods that are ready, stay, and were not just evicted', () => {
    const disruptedPods = { d: '2026-01-01T00:09:00Z', gone: '2026-01-01T00:09:00Z', late: '2026-01-01T00:01:00Z' };
    const pods = [
      pod('a'),
      pod('b', false),
      pod('c', true, { deletionTimestamp: '2026-01-01T00:09:59Z' }),
      pod('d'),
      pod('late'),
    ];
    const { status, recheckAtMs } = plan(pods, 1, { disruptedPods });
    expect(status).toMatchObject({
      currentHealthy: 2,
      desiredHealthy: 1,
      expectedPods: 5,
      disruptionsAllowed: 1,
      observedGeneration: 2,
      disruptedPods: { d: '2026-01-01T00:09:00Z' },
      conditions: [{ type: 'DisruptionAllowed', status: 'True', reason: 'SufficientPods' }],
    });
    expect(recheckAtMs).toBe(Date.parse('2026-01-01T00:11:00Z'));
  });

  it('allows nothing where there is nothing, and says when it says so already', () => {
    const { status } = plan([], 0);
    expect(status).toMatchObject({
      disruptionsAllowed: 0,
      conditions: [{ status: 'False', reason: 'InsufficientPods' }],
    });
    expect(plan([], 0, status).status).toBeUndefined();
  });
});

it('the controller follows the pods and comes to rest', async () => {
  const harness = startHarness([runDisruptionController]);
  const status = () => harness.client.objects<PodDisruptionBudget>(budgetKind)[0]?.status;
  try {
    const spec = { minAvailable: 1, selector: { matchLabels: { app: 'web' } } };
    await harness.create(budgetKind, { metadata: { name: 'b', namespace: 'default' }, spec } as PodDisruptionBudget);
    await harness.create(podKind, pod('a'));
    await harness.create(podKind, pod('b'));
    await harness.run();
    expect(status()).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 1, expectedPods: 2 });
    const pods = harness.client.resource<Pod>(podKind, 'default');
    await pods.update({ ...(await pods.get('a')), status: pod('a', false).status }, { subresource: 'status' });
    await harness.run();
    expect(status()).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0 });
    await pods.delete('a', { gracePeriodSeconds: 0 });
    await harness.run();
    expect(status()).toMatchObject({ currentHealthy: 1, expectedPods: 1 });
    harness.takeWrites();
    await harness.run(5_000);
    expect(harness.takeWrites()).toEqual([]);
  } finally {
    await harness.stop();
  }
});
