import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import { isPodActive, isPodReady } from '../../api/pod-conditions.ts';
import type { ControllerRevision, StatefulSet } from '../../api/types/apps-v1.ts';
import type { PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { claimRef, controllerRevisionRef, statefulSetRef } from '../parts/workload-refs.ts';
import { type Harness, readyStatus, seededRandom, startHarness } from '../testing/harness.ts';
import { runStatefulSetController } from './controller.ts';

type Spec = NonNullable<StatefulSet['spec']>;
const db = (more: Partial<Spec> = {}): StatefulSet => ({
  metadata: { name: 'db', namespace: 'default' },
  spec: {
    replicas: 3,
    serviceName: 'db',
    selector: { matchLabels: { app: 'db' } },
    template: { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'c', image: 'i:1' }] } },
    ...more,
  },
});
const start = (options?: Parameters<typeof startHarness>[1]) => startHarness([runStatefulSetController], options);
const get = (harness: Harness) => harness.client.object<StatefulSet>(statefulSetRef, 'default/db') as StatefulSet;
const pods = (harness: Harness) => harness.client.objects<Pod>(podKind);
const names = (harness: Harness) =>
  pods(harness)
    .map((pod) => pod.metadata.name)
    .sort();
const images = (harness: Harness) => pods(harness).map((pod) => pod.spec?.containers[0]?.image);
const edit = (harness: Harness, change: (spec: Spec) => void) =>
  harness.client.change<StatefulSet>(statefulSetRef, 'default/db', (set) => {
    change(set.spec as Spec);
    return set;
  });
const setImage = (harness: Harness, image: string) =>
  edit(harness, (spec) => {
    for (const container of spec.template.spec?.containers ?? []) container.image = image;
  });
function makeReady(harness: Harness): void {
  for (const pod of pods(harness))
    if (isPodActive(pod) && !isPodReady(pod))
      harness.client.change<Pod>(podKind, keyOf(pod), (each) => readyStatus(each, harness.clock.now()));
}
async function ready(harness: Harness, rounds = 12): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await harness.run(500);
    makeReady(harness);
  }
  await harness.run();
}

describe('a StatefulSet', () => {
  it('comes up in order and goes down in reverse, one at a time', async () => {
    const harness = start();
    await harness.create(statefulSetRef, db());
    for (const expected of [['db-0'], ['db-0', 'db-1'], ['db-0', 'db-1', 'db-2']]) {
      await harness.run(5_000);
      expect(names(harness)).toEqual(expected);
      makeReady(harness);
    }
    await harness.run();
    const pod = pods(harness)[1] as Pod;
    expect(pod.metadata.labels).toEqual({
      app: 'db',
      'statefulset.kubernetes.io/pod-name': 'db-1',
      'apps.kubernetes.io/pod-index': '1',
      'controller-revision-hash': get(harness).status?.currentRevision,
    });
    expect(pod.spec).toMatchObject({ hostname: 'db-1', subdomain: 'db' });
    expect(get(harness).status).toMatchObject({
      replicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      currentReplicas: 3,
      updatedReplicas: 3,
    });
    expect(harness.messages()).toContain('SuccessfulCreate: create Pod db-2 in StatefulSet db successful');
    harness.takeWrites();
    await harness.run(60_000);
    expect(harness.takeWrites()).toEqual([]);
    edit(harness, (spec) => void (spec.replicas = 1));
    await harness.run();
    const deleted = harness.client.writes.filter((each) => each.verb === 'delete').map((each) => each.name);
    expect(deleted).toEqual(['db-2', 'db-1']);
    await harness.stop();
    expect(harness.clock.pending).toBe(0);
  });

  it('in Parallel does not wait; ordinals may start elsewhere', async () => {
    const harness = start();
    await harness.create(statefulSetRef, db({ podManagementPolicy: 'Parallel', ordinals: { start: 5 } }));
    await harness.run();
    expect(names(harness)).toEqual(['db-5', 'db-6', 'db-7']);
    await harness.stop();
  });

  it('is updated from the last to the partition, and rolled back to the old revision', async () => {
    const harness = start();
    await harness.create(
      statefulSetRef,
      db({ updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } } }),
    );
    await ready(harness);
    const before = get(harness).status?.currentRevision;
    setImage(harness, 'i:2');
    for (let i = 0; i < 20; i++) {
      await harness.run(200);
      expect(pods(harness).filter(isPodReady).length).toBeGreaterThanOrEqual(2);
      makeReady(harness);
    }
    expect(images(harness)).toEqual(['i:1', 'i:2', 'i:2']);
    expect(get(harness).status).toMatchObject({ currentRevision: before, currentReplicas: 1, updatedReplicas: 2 });
    harness.client.change<Pod>(podKind, 'default/db-0', () => undefined);
    await ready(harness);
    expect(images(harness)).toEqual(['i:1', 'i:2', 'i:2']);
    edit(harness, (spec) => void (spec.updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 0 } }));
    await ready(harness, 20);
    expect(images(harness)).toEqual(['i:2', 'i:2', 'i:2']);
    expect(get(harness).status?.currentRevision).toBe(get(harness).status?.updateRevision);
    setImage(harness, 'i:1');
    await ready(harness, 20);
    expect(images(harness)).toEqual(['i:1', 'i:1', 'i:1']);
    expect(get(harness).status?.currentRevision).toBe(before);
    expect(harness.client.objects<ControllerRevision>(controllerRevisionRef)).toHaveLength(2);
    await harness.stop();
  });

  it('creates claims first, and finds them again; recreates a pod that failed', async () => {
    const harness = start();
    const claims = [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }];
    const retention = { whenDeleted: 'Delete', whenScaled: 'Retain' };
    await harness.create(
      statefulSetRef,
      db({ replicas: 1, volumeClaimTemplates: claims, persistentVolumeClaimRetentionPolicy: retention }),
    );
    await ready(harness);
    const [found] = harness.client.objects<PersistentVolumeClaim>(claimRef) as [PersistentVolumeClaim];
    expect(found.metadata).toMatchObject({
      name: 'data-db-0',
      labels: { app: 'db' },
      ownerReferences: [{ kind: 'StatefulSet' }],
    });
    expect(pods(harness)[0]?.spec?.volumes).toEqual([
      { name: 'data', persistentVolumeClaim: { claimName: 'data-db-0' } },
    ]);
    const uid = pods(harness)[0]?.metadata.uid;
    harness.client.change<Pod>(podKind, 'default/db-0', (pod) => ({ ...pod, status: { phase: 'Failed' } }));
    await ready(harness);
    expect(pods(harness)).toHaveLength(1);
    expect(pods(harness)[0]?.metadata.uid).not.toBe(uid);
    expect(harness.messages()).toContain('RecreatingFailedPod: StatefulSet default/db is recreating failed Pod db-0');
    await harness.stop();
  });

  it('gives a claim to the pod that is scaled away, when told to', async () => {
    const harness = start();
    const claims = [{ metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } }];
    const retention = { whenDeleted: 'Delete', whenScaled: 'Delete' };
    await harness.create(
      statefulSetRef,
      db({ replicas: 2, volumeClaimTemplates: claims, persistentVolumeClaimRetentionPolicy: retention }),
    );
    await ready(harness);
    const uid = pods(harness)[1]?.metadata.uid;
    edit(harness, (spec) => void (spec.replicas = 1));
    await ready(harness);
    const owners = harness.client
      .objects<PersistentVolumeClaim>(claimRef)
      .map((each) => [each.metadata.name, each.metadata.ownerReferences?.map((owner) => owner.uid)]);
    expect(owners).toEqual([
      ['data-db-0', [get(harness).metadata.uid]],
      ['data-db-1', [uid]],
    ]);
    await harness.stop();
  });

  it('ends right, whatever fails', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 1_000_000 }), fc.boolean(), async (seed, parallel) => {
        const random = seededRandom(seed);
        let faulty = false;
        const fault = (resource: string) => {
          if (faulty && resource !== 'events' && random() < 0.1) throw new NetworkError('lost');
        };
        const harness = start({
          seed,
          watchDelayMs: random() < 0.5 ? 150 : 0,
          before: ({ ref }) => fault(ref.resource),
          after: ({ ref }) => fault(ref.resource),
        });
        await harness.create(statefulSetRef, db(parallel ? { podManagementPolicy: 'Parallel' } : {}));
        for (let round = 0; round < 12; round++) {
          faulty = true;
          await ready(harness, 2);
          if (random() < 0.4) setImage(harness, `i:${Math.floor(random() * 3)}`);
          if (random() < 0.3) edit(harness, (spec) => void (spec.replicas = Math.floor(random() * 5)));
          const victim = pods(harness)[Math.floor(random() * 4)];
          if (victim && random() < 0.4) harness.client.change<Pod>(podKind, keyOf(victim), () => undefined);
          if (random() < 0.3) harness.client.dropWatches();
          if (random() < 0.3) harness.client.duplicateEvents(3);
          if (random() < 0.2) harness.client.compact();
        }
        faulty = false;
        edit(harness, (spec) => void (spec.replicas = 3));
        setImage(harness, 'i:last');
        for (let round = 0; round < 12; round++) {
          await harness.run(70_000);
          await ready(harness, 3);
        }
        expect(names(harness)).toEqual(['db-0', 'db-1', 'db-2']);
        expect(images(harness)).toEqual(['i:last', 'i:last', 'i:last']);
        expect(get(harness).status).toMatchObject({ availableReplicas: 3, updatedReplicas: 3, currentReplicas: 3 });
        harness.takeWrites();
        await harness.run(120_000);
        expect(harness.takeWrites()).toEqual([]);
        await harness.stop();
      }),
      { numRuns: 12 },
    );
  }, 30_000);
});
