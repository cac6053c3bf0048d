import { describe, expect, it } from 'vitest';
import { configMap as configMapKind } from '../../api/kinds/config-map.ts';
import { namespace as namespaceKind } from '../../api/kinds/namespace.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { secret as secretKind } from '../../api/kinds/secret.ts';
import type { Namespace, Pod } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { seededRandom, startHarness } from '../testing/harness.ts';
import { runNamespaceController } from './controller.ts';
import { namespaceConditions } from './plan.ts';

describe('a terminating namespace', () => {
  it('is emptied, pods first, and goes at the moment when the last object is gone', async () => {
    const harness = startHarness([runNamespaceController], { gracefulPods: true });
    await harness.create(namespaceKind, { metadata: { name: 'dev' } });
    await harness.create(namespaceKind, { metadata: { name: 'other' } });
    for (const namespace of ['dev', 'other']) {
      await harness.create(configMapKind, { metadata: { name: 'c', namespace } });
      await harness.create<Pod>(podKind, {
        metadata: { name: 'p', namespace },
        spec: { containers: [], nodeName: 'node-a' },
      });
    }
    await harness.create(secretKind, { metadata: { name: 's', namespace: 'dev', finalizers: ['test/hold'] } });
    await harness.run();
    await harness.client.resource(namespaceKind).delete('dev');
    await harness.run();
    const dev = () => harness.client.object<Namespace>(namespaceKind, 'dev');
    expect(harness.client.object(configMapKind, 'dev/c')).toBeDefined(); // the pod is still ending
    expect(dev()?.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'NamespaceContentRemaining',
        status: 'True',
        message: 'Some resources are remaining: pods. has 1 resource instances',
      }),
    );
    harness.client.change(podKind, 'dev/p', () => undefined);
    await harness.run();
    expect(harness.client.object(configMapKind, 'dev/c')).toBeUndefined();
    expect(dev()?.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'NamespaceFinalizersRemaining',
        status: 'True',
        message: 'Some content in the namespace has finalizers remaining: test/hold in 1 resource instances',
      }),
    );
    const startMs = harness.clock.now();
    await harness.client.resource(secretKind, 'dev').patch('s', 'merge', { metadata: { finalizers: null } });
    await harness.run(10);
    expect(harness.clock.now() - startMs).toBeLessThan(20);
    expect(dev()).toBeUndefined();
    expect(harness.client.objects(podKind).map((each) => each.metadata.namespace)).toEqual(['other']);
    expect(harness.client.object(configMapKind, 'other/c')).toBeDefined();
    await harness.stop();
  });

  it('goes through faults too', async () => {
    for (let seed = 1; seed < 15; seed++) {
      const faults = seededRandom(seed);
      let requests = 0;
      const lose = ({ verb }: { verb: string }) => {
        if (++requests < 100 && verb !== 'watch' && verb !== 'create' && faults() < 0.2) throw new NetworkError('lost');
      };
      const harness = startHarness([runNamespaceController], { before: lose, after: lose });
      await harness.create(namespaceKind, { metadata: { name: 'dev' } });
      for (let i = 0; i < 5; i++)
        await harness.create(configMapKind, { metadata: { name: `c${i}`, namespace: 'dev' } });
      await harness.run();
      harness.client.change<Namespace>(namespaceKind, 'dev', (each) => ({
        ...each,
        metadata: { ...each.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' },
      }));
      for (let i = 0; i < 3; i++) await harness.run(60_000);
      expect(harness.client.object(namespaceKind, 'dev')).toBeUndefined();
      expect(harness.client.objects(configMapKind)).toEqual([]);
      await harness.stop();
    }
  });
});

describe('its conditions', () => {
  it('keep their time while they stay the same', () => {
    const first = namespaceConditions([], [], 'boom', 0);
    expect(first.find((each) => each.type === 'NamespaceDeletionContentFailure')).toMatchObject({
      status: 'True',
      reason: 'ContentDeletionFailed',
    });
    expect(namespaceConditions(first, [], 'boom', 5_000)).toEqual(first);
    const after = namespaceConditions(first, [{ resource: 'pods.', count: 2, finalizers: [] }], undefined, 5_000);
    expect(after.map((each) => [each.type, each.status, each.lastTransitionTime?.slice(17, 19)])).toEqual([
      ['NamespaceDeletionDiscoveryFailure', 'False', '00'],
      ['NamespaceDeletionGroupVersionParsingFailure', 'False', '00'],
      ['NamespaceDeletionContentFailure', 'False', '05'],
      ['NamespaceContentRemaining', 'True', '05'],
      ['NamespaceFinalizersRemaining', 'False', '00'],
    ]);
  });
});
