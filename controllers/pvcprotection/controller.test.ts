import { describe, expect, it } from 'vitest';
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import { startHarness } from '../testing/harness.ts';
import { runPvcProtection, runPvProtection } from './controller.ts';
import { planClaim, planVolume } from './plan.ts';

const deleted = '2026-01-01T00:00:00Z';
const claim = (finalizers: string[], deletionTimestamp?: string) =>
  ({ metadata: { name: 'data', namespace: 'default', finalizers, deletionTimestamp } }) as PersistentVolumeClaim;
const user = (nodeName?: string) =>
  ({
    metadata: { name: 'web', namespace: 'default' },
    spec: { containers: [], nodeName, volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
  }) as unknown as Pod;

describe('the plan', () => {
  const own = 'kubernetes.io/pvc-protection';
  it.each<[string, PersistentVolumeClaim, Pod[], string]>([
    ['protects what is new', claim([]), [], 'add'],
    ['leaves what is protected', claim([own]), [user('a')], 'nothing'],
    ['keeps what a pod uses', claim([own], deleted), [user('a')], 'nothing'],
    ['lets go of what no pod uses', claim([own], deleted), [], 'remove'],
    ['lets go of what only a pod without a node names', claim([own], deleted), [user()], 'remove'],
    ['does not protect what goes anyway', claim(['other'], deleted), [], 'nothing'],
  ])('%s', (_, of, users, expected) => {
    expect(planClaim(of, users)).toBe(expected);
  });

  it('keeps a volume while it is bound', () => {
    const volume = (phase: string) =>
      ({
        metadata: { name: 'v', finalizers: ['kubernetes.io/pv-protection'], deletionTimestamp: deleted },
        status: { phase },
      }) as PersistentVolume;
    expect(planVolume(volume('Bound'))).toBe('nothing');
    expect(planVolume(volume('Released'))).toBe('remove');
  });
});

it('a claim goes when the last pod that uses it has gone', async () => {
  const harness = startHarness([runPvcProtection, runPvProtection]);
  try {
    await harness.create(claimKind, claim([]));
    await harness.create(podKind, user('node-a'));
    await harness.create(volumeKind, { metadata: { name: 'v' }, spec: {} } as PersistentVolume);
    await harness.run();
    const claims = harness.client.resource<PersistentVolumeClaim>(claimKind, 'default');
    expect((await claims.get('data')).metadata.finalizers).toEqual(['kubernetes.io/pvc-protection']);
    await claims.delete('data');
    await harness.run();
    expect((await claims.get('data')).metadata.deletionTimestamp).toBeDefined();
    await harness.client.resource(podKind, 'default').delete('web', { gracePeriodSeconds: 0 });
    await harness.run();
    expect(harness.client.objects(claimKind)).toEqual([]);
    await harness.client.resource(volumeKind).delete('v');
    await harness.run();
    expect(harness.client.objects(volumeKind)).toEqual([]);
    harness.takeWrites();
    await harness.run(5_000);
    expect(harness.takeWrites()).toEqual([]);
  } finally {
    await harness.stop();
  }
});
