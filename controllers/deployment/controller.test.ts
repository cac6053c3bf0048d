import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deployment as deploymentKind } from '../../api/kinds/deployment.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { replicaSet as replicaSetKind } from '../../api/kinds/replica-set.ts';
import { keyOf } from '../../api/object.ts';
import { isPodActive, isPodReady } from '../../api/pod-conditions.ts';
import type { Deployment, ReplicaSet } from '../../api/types/apps-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/index.ts';
import { runReplicaSetController } from '../replicaset/controller.ts';
import { type Harness, readyStatus, seededRandom, startHarness } from '../testing/harness.ts';
import { runDeploymentController } from './controller.ts';

const web = (more: Partial<NonNullable<Deployment['spec']>> = {}, image = 'web:1'): Deployment => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: 'web' } },
    template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'web', image }] } },
    ...more,
  },
});

const get = (harness: Harness) => harness.client.object<Deployment>(deploymentKind, 'default/web') as Deployment;
const sets = (harness: Harness) => harness.client.objects<ReplicaSet>(replicaSetKind);
const pods = (harness: Harness) => harness.client.objects<Pod>(podKind);
const active = (harness: Harness) => pods(harness).filter(isPodActive);
const condition = (harness: Harness, type: string) =>
  get(harness).status?.conditions?.find((each) => each.type === type);
const edit = (harness: Harness, change: (spec: NonNullable<Deployment['spec']>) => void) =>
  harness.client.change<Deployment>(deploymentKind, 'default/web', (object) => {
    change(object.spec as NonNullable<Deployment['spec']>);
    return object;
  });
const setImage = (harness: Harness, image: string) =>
  edit(harness, (spec) => {
    const [container] = spec.template.spec?.containers ?? [];
    if (container) container.image = image;
  });

/** Lets the pods that run become ready, until nothing changes. */
async function ready(harness: Harness, rounds = 12): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await harness.run(200);
    for (const pod of active(harness)) {
      if (!isPodReady(pod))
        harness.client.change<Pod>(podKind, keyOf(pod), (each) => readyStatus(each, harness.clock.now()));
    }
  }
  await harness.run(200);
}

const start = (options?: Parameters<typeof startHarness>[1]) =>
  startHarness([runDeploymentController, runReplicaSetController], options);

describe('a Deployment', () => {
  it('becomes a ReplicaSet and pods, and tells so as kubectl expects it', async () => {
    const harness = start();
    await harness.create(deploymentKind, web());
    await harness.run();
    const [set] = sets(harness) as [ReplicaSet];
    const hash = set.metadata.labels?.['pod-template-hash'];
    expect(set.metadata.name).toBe(`web-${hash}`);
    expect(hash).toMatch(/^[456789bcdf]{1,10}$/);
    expect(set.metadata.annotations).toEqual({
      'deployment.kubernetes.io/revision': '1',
      'deployment.kubernetes.io/desired-replicas': '3',
      'deployment.kubernetes.io/max-replicas': '4',
    });
    expect(set.spec?.selector.matchLabels).toEqual({ app: 'web', 'pod-template-hash': hash });
    expect(set.metadata.ownerReferences).toEqual([
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        name: 'web',
        uid: get(harness).metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ]);
    expect(pods(harness)).toHaveLength(3);
    expect(pods(harness)[0]?.metadata.labels).toEqual({ app: 'web', 'pod-template-hash': hash });
    expect(condition(harness, 'Available')).toMatchObject({ status: 'False', reason: 'MinimumReplicasUnavailable' });
    expect(condition(harness, 'Progressing')).toMatchObject({
      status: 'True',
      reason: 'ReplicaSetUpdated',
      message: `ReplicaSet "web-${hash}" is progressing.`,
    });
    await ready(harness);
    expect(get(harness).metadata.annotations).toEqual({ 'deployment.kubernetes.io/revision': '1' });
    expect(get(harness).status).toMatchObject({
      observedGeneration: 1,
      replicas: 3,
      updatedReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
    });
    expect(get(harness).status).not.toHaveProperty('unavailableReplicas');
    expect(condition(harness, 'Available')).toMatchObject({ status: 'True', reason: 'MinimumReplicasAvailable' });
    expect(condition(harness, 'Progressing')).toMatchObject({
      status: 'True',
      reason: 'NewReplicaSetAvailable',
      message: `ReplicaSet "web-${hash}" has successfully progressed.`,
    });
    expect(harness.messages()).toContain(`ScalingReplicaSet: Scaled up replica set web-${hash} from 0 to 3`);
    expect(harness.messages().filter((each) => each.startsWith('SuccessfulCreate: Created pod: web-'))).toHaveLength(3);
    await harness.stop();
    expect(harness.clock.pending).toBe(0);
  });

  it('rolls over without ever breaking its bounds, keeps history, and rolls back to the old ReplicaSet', async () => {
    const harness = start();
    await harness.create(
      deploymentKind,
      web({ replicas: 4, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 1 } } }),
    );
    await ready(harness);
    const first = sets(harness)[0]?.metadata.name;
    setImage(harness, 'web:2');
    for (let i = 0; i < 30; i++) {
      await harness.run(100);
      const running = active(harness);
      expect(running.length).toBeLessThanOrEqual(5);
      expect(running.filter(isPodReady).length).toBeGreaterThanOrEqual(3);
      const waiting = running.find((pod) => !isPodReady(pod));
      if (waiting)
        harness.client.change<Pod>(podKind, keyOf(waiting), (each) => readyStatus(each, harness.clock.now()));
    }
    expect(
      sets(harness)
        .map((set) => set.spec?.replicas)
        .sort(),
    ).toEqual([0, 4]);
    expect(get(harness).metadata.annotations?.['deployment.kubernetes.io/revision']).toBe('2');
    expect(condition(harness, 'Progressing')?.reason).toBe('NewReplicaSetAvailable');
    setImage(harness, 'web:1');
    await ready(harness, 30);
    const back = sets(harness).find((set) => set.metadata.name === first);
    expect(back?.spec?.replicas).toBe(4);
    expect(back?.metadata.annotations).toMatchObject({
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    });
    expect(sets(harness)).toHaveLength(2);
    await harness.stop();
  });

  it('with Recreate ends every old pod before the first new one', async () => {
    const harness = start({ gracefulPods: true });
    await harness.create(deploymentKind, web({ strategy: { type: 'Recreate' } }));
    await ready(harness);
    setImage(harness, 'web:2');
    await harness.run();
    expect(pods(harness).every((pod) => pod.metadata.deletionTimestamp)).toBe(true);
    expect(pods(harness)).toHaveLength(3);
    for (const pod of pods(harness)) harness.client.change(podKind, keyOf(pod), () => undefined);
    await harness.run();
    expect(pods(harness).map((pod) => pod.spec?.containers[0]?.image)).toEqual(['web:2', 'web:2', 'web:2']);
    await harness.stop();
  });

  it('does not roll while paused but scales, and goes on when resumed', async () => {
    const harness = start();
    await harness.create(deploymentKind, web());
    await ready(harness);
    edit(harness, (spec) => {
      spec.paused = true;
      spec.replicas = 5;
    });
    setImage(harness, 'web:2');
    await ready(harness);
    expect(sets(harness)).toHaveLength(1);
    expect(active(harness)).toHaveLength(5);
    expect(condition(harness, 'Progressing')).toMatchObject({ status: 'Unknown', reason: 'DeploymentPaused' });
    edit(harness, (spec) => {
      spec.paused = false;
    });
    await ready(harness, 30);
    expect(active(harness).every((pod) => pod.spec?.containers[0]?.image === 'web:2')).toBe(true);
    expect(condition(harness, 'Progressing')?.reason).toBe('NewReplicaSetAvailable');
    await harness.stop();
  });

  it('says when its deadline has passed, at the deadline', async () => {
    const harness = start();
    await harness.create(deploymentKind, web({ progressDeadlineSeconds: 60 }));
    await harness.run(50_000);
    expect(condition(harness, 'Progressing')?.reason).toBe('ReplicaSetUpdated');
    await harness.run(20_000);
    expect(condition(harness, 'Progressing')).toMatchObject({ status: 'False', reason: 'ProgressDeadlineExceeded' });
    await harness.stop();
  });

  it('forgets revisions above its limit', async () => {
    const harness = start();
    await harness.create(deploymentKind, web({ revisionHistoryLimit: 1 }));
    await ready(harness);
    for (const image of ['web:2', 'web:3', 'web:4']) {
      setImage(harness, image);
      await ready(harness, 20);
    }
    expect(
      sets(harness)
        .map((set) => set.metadata.annotations?.['deployment.kubernetes.io/revision'])
        .sort(),
    ).toEqual(['3', '4']);
    await harness.stop();
  });

  it('waits minReadySeconds before it counts a pod as available', async () => {
    const harness = start();
    await harness.create(deploymentKind, web({ minReadySeconds: 30 }));
    await ready(harness, 3);
    expect(get(harness).status?.readyReplicas).toBe(3);
    expect(get(harness).status?.availableReplicas).toBeUndefined();
    await harness.run(40_000);
    expect(get(harness).status?.availableReplicas).toBe(3);
    await harness.stop();
  });

  it('takes another hash when the name belongs to something else', async () => {
    const probe = start();
    await probe.create(deploymentKind, web());
    await probe.run();
    const name = sets(probe)[0]?.metadata.name as string;
    await probe.stop();
    const harness = start();
    await harness.create(replicaSetKind, {
      metadata: { name, namespace: 'default' },
      spec: {
        replicas: 0,
        selector: { matchLabels: { other: 'x' } },
        template: { metadata: { labels: { other: 'x' } }, spec: { containers: [] } },
      },
    } as ReplicaSet);
    await harness.create(deploymentKind, web());
    await harness.run();
    expect(get(harness).status?.collisionCount).toBe(1);
    expect(active(harness)).toHaveLength(3);
    await harness.stop();
  });

  it('adopts orphans it selects and releases what it no longer selects', async () => {
    const harness = start();
    await harness.create(deploymentKind, web({ replicas: 1 }));
    await ready(harness);
    const [pod] = pods(harness) as [Pod];
    harness.client.change<Pod>(podKind, keyOf(pod), (each) => ({
      ...each,
      metadata: { ...each.metadata, labels: { app: 'debug' } },
    }));
    await harness.run();
    expect(harness.client.object<Pod>(podKind, keyOf(pod))?.metadata.ownerReferences ?? []).toEqual([]);
    expect(pods(harness)).toHaveLength(2);
    harness.client.change<Pod>(podKind, keyOf(pod), (each) => ({
      ...each,
      metadata: { ...each.metadata, labels: pod.metadata.labels },
    }));
    await harness.run();
    expect(pods(harness)).toHaveLength(1);
    await harness.stop();
  });

  it('comes to the same end through faults, and then a second reconcile writes nothing', async () => {
    const change = fc.record({
      do: fc.constantFrom(
        'scale' as const,
        'image' as const,
        'drop' as const,
        'duplicate' as const,
        'compact' as const,
        'killPod' as const,
        'pause' as const,
        'wait' as const,
      ),
      n: fc.integer({ min: 0, max: 6 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 8 }), fc.nat(1000), async (changes, seed) => {
        const faults = seededRandom(seed);
        let faulty = true;
        const harness = start({
          seed,
          before: ({ verb, ref }) => {
            if (faulty && verb !== 'watch' && ref.resource !== 'events' && faults() < 0.15)
              throw new NetworkError('lost');
          },
          after: ({ ref }) => {
            if (faulty && ref.resource !== 'events' && faults() < 0.1) throw new NetworkError('answer lost');
          },
        });
        faulty = false;
        await harness.create(deploymentKind, web());
        faulty = true;
        for (const { do: what, n } of changes) {
          if (what === 'scale') edit(harness, (spec) => void (spec.replicas = n));
          else if (what === 'image') setImage(harness, `web:${n}`);
          else if (what === 'drop') harness.client.dropWatches();
          else if (what === 'duplicate') harness.client.duplicateEvents(n);
          else if (what === 'compact') {
            harness.client.compact();
            harness.client.dropWatches();
          } else if (what === 'killPod') {
            const victim = active(harness)[n];
            if (victim) harness.client.change(podKind, keyOf(victim), () => undefined);
          } else if (what === 'pause') edit(harness, (spec) => void (spec.paused = true));
          await ready(harness, n % 3);
        }
        faulty = false;
        edit(harness, (spec) => void (spec.paused = false));
        await harness.run(150_000); // back-offs and expectations run out
        await ready(harness, 40);
        const { spec, status } = get(harness);
        expect(active(harness)).toHaveLength(spec?.replicas ?? 0);
        const image = spec?.template.spec?.containers[0]?.image;
        expect(active(harness).every((pod) => pod.spec?.containers[0]?.image === image)).toBe(true);
        expect([status?.replicas ?? 0, status?.availableReplicas ?? 0, status?.updatedReplicas ?? 0]).toEqual(
          Array(3).fill(spec?.replicas),
        );
        harness.takeWrites();
        harness.client.compact();
        harness.client.dropWatches();
        await harness.run(60_000);
        for (const object of [get(harness), ...sets(harness)]) {
          harness.client.change(
            object.kind === 'Deployment' ? deploymentKind : replicaSetKind,
            keyOf(object),
            (each) => each,
          );
        }
        await harness.run(60_000);
        expect(harness.takeWrites()).toEqual([]);
        await harness.stop();
        expect(harness.clock.pending).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});
