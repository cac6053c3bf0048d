import { expect, it } from 'vitest';
import { horizontalPodAutoscaler as autoscalerKind } from '../../api/kinds/horizontal-pod-autoscaler.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { errors } from '../../api/errors.ts';
import type { HorizontalPodAutoscaler } from '../../api/types/autoscaling-v2.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import { readyStatus, startHarness } from '../testing/harness.ts';
import { runHorizontalPodAutoscaler } from './controller.ts';

it('asks for the scale and the metrics every 15 seconds, scales, and tells', async () => {
  const harness = startHarness([runHorizontalPodAutoscaler]);
  const { client, clock } = harness;
  let replicas = 2;
  let usage = '200m';
  const asked: string[] = [];
  Object.assign(client, {
    async request(method: string, path: string, body: { spec: { replicas: number } }) {
      asked.push(`${method} ${path}`);
      if (path === '/apis/apps/v1/namespaces/default/deployments/web/scale') {
        if (method === 'PUT') replicas = body.spec.replicas;
        return { metadata: { name: 'web' }, spec: { replicas }, status: { replicas, selector: 'app=web' } };
      }
      if (!path.startsWith('/apis/metrics.k8s.io/v1beta1/namespaces/default/pods?labelSelector=app%3Dweb'))
        throw errors.notFound({ group: 'apps', resource: 'deployments' }, 'gone');
      const items = client.objects<Pod>(podKind).map(({ metadata }) => ({
        metadata: { name: metadata.name },
        timestamp: new Date(clock.now()).toISOString(),
        window: '15s',
        containers: [{ name: 'c', usage: { cpu: usage } }],
      }));
      return { items };
    },
  });
  for (const name of ['a', 'b']) {
    const pod: Pod = {
      metadata: { name, namespace: 'default', labels: { app: 'web' } },
      spec: { containers: [{ name: 'c', image: 'i', resources: { requests: { cpu: '100m' } } }] },
    };
    const ready = readyStatus(pod, clock.now() - 3_600_000);
    await harness.create<Pod>(podKind, {
      ...ready,
      status: { ...ready.status, startTime: new Date(clock.now() - 3_600_000).toISOString() },
    });
  }
  const of = (name: string, target: string): HorizontalPodAutoscaler => ({
    metadata: { name, namespace: 'default' },
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: target },
      maxReplicas: 7,
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } },
      ],
    },
  });
  await harness.create(autoscalerKind, of('web', 'web'));
  await harness.run();
  expect(replicas).toBe(4); // twice is the most at one time
  const statusOf = (name: string) => client.object<HorizontalPodAutoscaler>(autoscalerKind, `default/${name}`)?.status;
  expect(statusOf('web')).toMatchObject({ currentReplicas: 2, desiredReplicas: 4, lastScaleTime: expect.any(String) });
  await harness.run(15_000);
  expect(replicas).toBe(7);
  expect(harness.messages()).toContain(
    'SuccessfulRescale: New size: 7; reason: cpu resource utilization (percentage of request) above target',
  );
  usage = '10m';
  await harness.run(200_000);
  expect(replicas).toBe(7); // five minutes are not over
  await harness.run(150_000);
  expect(replicas).toBe(1);

  await harness.create(autoscalerKind, of('lost', 'gone'));
  await harness.run();
  expect(statusOf('lost')?.conditions).toMatchObject([
    {
      type: 'AbleToScale',
      status: 'False',
      reason: 'FailedGetScale',
      message: 'the HPA controller was unable to get the target\'s current scale: deployments.apps "gone" not found',
    },
  ]);
  replicas = 9;
  const measured = () => asked.filter((each) => each.includes('metrics.k8s.io')).length;
  const measuredBefore = measured();
  await harness.run(15_000);
  expect([replicas, measured()]).toEqual([7, measuredBefore]); // too many are too many, whatever they use
  const before = asked.length;
  await harness.run(15_000);
  expect(asked.length - before).toBeLessThanOrEqual(6); // two looks, and none for its own status
  await harness.stop();
});
