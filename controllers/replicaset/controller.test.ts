import { describe, expect, it } from 'vitest';
import { errors } from '../../api/errors.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { replicaSet as replicaSetKind } from '../../api/kinds/replica-set.ts';
import type { ReplicaSet } from '../../api/types/apps-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { startHarness } from '../testing/harness.ts';
import { runReplicaSetController } from './controller.ts';

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
