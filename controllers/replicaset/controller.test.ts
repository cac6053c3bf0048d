import { describe, expect, it } from 'vitest';
import { errors } from '../../api/errors.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { replicaSet as replicaSetKind } from '../../api/kinds/replica-set.ts';
import { replicationController as replicationControllerKind } from '../../api/kinds/replication-controller.ts';
import type { ReplicaSet } from '../../api/types/apps-v1.ts';
import type { Pod, ReplicationController } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { readyStatus, startHarness } from '../testing/harness.ts';
import { runReplicaSetController, runReplicationController } from './controller.ts';

const web = (replicas: number): ReplicaSet => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  },
});

describe('a ReplicaSet that is refused its pods', () => {
  it('tries in growing batches, says why, and recovers', async () => {
    let quota = 3;
    let refusals = 0;
    const harness = startHarness([runReplicaSetController], {
      before: ({ verb, ref }) => {
        if (verb !== 'create' || ref.resource !== 'pods' || quota-- > 0) return;
        refusals++;
        throw errors.forbidden(ref, '', 'exceeded quota');
      },
    });
    await harness.create(replicaSetKind, web(50));
    await harness.run(1);
    expect(refusals).toBeLessThanOrEqual(8); // 1 + 2 succeed, the batch of 4 ends it; not 47 failures
    expect(harness.client.objects(podKind)).toHaveLength(3);
    const status = () => harness.client.object<ReplicaSet>(replicaSetKind, 'default/web')?.status;
    expect(status()?.conditions).toMatchObject([
      {
        type: 'ReplicaFailure',
        status: 'True',
        reason: 'FailedCreate',
        message: expect.stringContaining('exceeded quota'),
      },
    ]);
    expect(
      harness
        .messages()
        .some((each) => each.startsWith('FailedCreate: Error creating: pods is forbidden: exceeded quota')),
    ).toBe(true);
    quota = 1_000;
    await harness.run(60_000);
    expect(harness.client.objects(podKind)).toHaveLength(50);
    expect(status()?.conditions).toBeUndefined();
    await harness.stop();
  });

  it('gives up quietly in a namespace that is going away', async () => {
    let tries = 0;
    const harness = startHarness([runReplicaSetController], {
      before: ({ verb, ref }) => {
        if (verb !== 'create' || ref.resource !== 'pods') return;
        tries++;
        const error = errors.forbidden(
          ref,
          '',
          'unable to create new content in namespace default because it is being terminated',
        );
        throw error;
      },
    });
    await harness.create(replicaSetKind, web(3));
    await harness.run(60_000);
    expect(tries).toBe(1);
    await harness.stop();
  });
});

describe('a ReplicaSet whose watches lag behind', () => {
  it('creates and deletes each pod once', async () => {
    const harness = startHarness([runReplicaSetController], { watchDelayMs: 400 });
    await harness.run();
    await harness.create(replicaSetKind, web(7));
    const touch = () => harness.client.change<ReplicaSet>(replicaSetKind, 'default/web', (each) => each);
    for (let i = 0; i < 20; i++) {
      touch();
      await harness.run(100);
    }
    const count = (verb: string) =>
      harness.client.writes.filter((write) => write.ref.resource === 'pods' && write.verb === verb).length;
    expect([count('create'), count('delete')]).toEqual([7, 0]);
    harness.client.change<ReplicaSet>(replicaSetKind, 'default/web', (each) => {
      (each.spec as { replicas: number }).replicas = 4;
      return each;
    });
    for (let i = 0; i < 20; i++) {
      touch();
      await harness.run(100);
    }
    expect([count('create'), count('delete')]).toEqual([7, 3]);
    expect(harness.client.objects(podKind)).toHaveLength(4);
    await harness.stop();
  });

  it('does not create a pod twice when only the answer got lost', async () => {
    let losing = true;
    const harness = startHarness([runReplicaSetController], {
      watchDelayMs: 400,
      after: ({ verb, ref }) => {
        if (losing && verb === 'create' && ref.resource === 'pods') throw new NetworkError('answer lost');
      },
    });
    await harness.run();
    await harness.create(replicaSetKind, web(5));
    await harness.run(3_000);
    losing = false;
    await harness.run(120_000);
    expect(harness.client.writes.filter((write) => write.verb === 'delete')).toEqual([]);
    expect(harness.client.objects(podKind)).toHaveLength(5);
    await harness.stop();
  });
});

describe('a ReplicationController', () => {
  it('keeps its pods, adopts what its selector finds, releases what it no longer does, and tells in its status', async () => {
    const harness = startHarness([runReplicationController]);
    const { client } = harness;
    const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    await harness.create<Pod>(podKind, {
      metadata: { name: 'orphan', namespace: 'default', labels: { app: 'web' } },
      spec: template.spec,
    });
    await harness.create<ReplicationController>(replicationControllerKind, {
      metadata: { name: 'web', namespace: 'default' },
      spec: { replicas: 3, selector: { app: 'web' }, template },
    });
    await harness.run();
    const pods = () => client.objects<Pod>(podKind);
    expect(pods()).toHaveLength(3);
    const ownerOf = (name: string) => client.object<Pod>(podKind, `default/${name}`)?.metadata.ownerReferences;
    expect(ownerOf('orphan')).toMatchObject([
      { apiVersion: 'v1', kind: 'ReplicationController', name: 'web', controller: true, blockOwnerDeletion: true },
    ]);
    for (const [index, pod] of pods().entries())
      client.change<Pod>(podKind, `default/${pod.metadata.name}`, (each) =>
        readyStatus(each, harness.clock.now(), index + 1),
      );
    await harness.run();
    const status = () => client.object<ReplicationController>(replicationControllerKind, 'default/web')?.status;
    expect(status()).toEqual({
      replicas: 3,
      fullyLabeledReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      observedGeneration: 1,
    });
    client.change<Pod>(podKind, 'default/orphan', (each) => {
      each.metadata.labels = { app: 'other' };
      return each;
    });
    await harness.run();
    expect([pods().length, ownerOf('orphan')]).toEqual([4, []]);
    harness.takeWrites();
    await harness.run();
    expect(harness.takeWrites()).toEqual([]);
    await harness.stop();
  });

  it('says in a condition that a quota refuses its pods', async () => {
    let quota = 2;
    const harness = startHarness([runReplicationController], {
      before: ({ verb, ref }) => {
        if (verb === 'create' && ref.resource === 'pods' && quota-- <= 0)
          throw errors.forbidden(ref, '', 'exceeded quota');
      },
    });
    await harness.create<ReplicationController>(replicationControllerKind, {
      metadata: { name: 'rc', namespace: 'default' },
      spec: { replicas: 3, selector: { app: 'rc' }, template: { metadata: { labels: { app: 'rc' } } } },
    });
    await harness.run(1);
    const status = () => harness.client.object<ReplicationController>(replicationControllerKind, 'default/rc')?.status;
    expect(status()?.conditions).toMatchObject([{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate' }]);
    harness.client.change<ReplicationController>(replicationControllerKind, 'default/rc', (each) => {
      (each.spec as { replicas: number }).replicas = 2;
      return each;
    });
    await harness.run(1);
    expect(status()?.conditions).toBeUndefined();
    await harness.stop();
  });
});
