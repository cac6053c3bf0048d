import { describe, expect, it } from 'vitest';
import { errors } from '../../api/errors.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { replicaSet as replicaSetKind } from '../../api/kinds/replica-set.ts';
import type { ReplicaSet } from '../../api/types/apps-v1.ts';
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
    for (let i = 0; i < 5 && refusals === 0; i++) await harness.run(1);
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
