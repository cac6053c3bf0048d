import { afterEach, describe, expect, it } from 'vitest';
import { configMap as configMapKind } from '../../api/kinds/config-map.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { resourceQuota as quotaKind } from '../../api/kinds/resource-quota.ts';
import type { ConfigMap, Pod, ResourceQuota, ResourceQuotaSpec } from '../../api/types/core-v1.ts';
import { type Harness, startHarness } from '../testing/harness.ts';
import { runResourceQuotaController } from './controller.ts';
import { planQuota } from './plan.ts';

const quota = (spec: ResourceQuotaSpec, status?: object) =>
  ({ metadata: { name: 'q', namespace: 'default' }, spec, status }) as ResourceQuota;

const pod = (name: string, cpu?: string, more: object = {}) =>
  ({
    metadata: { name, namespace: 'default' },
    spec: { containers: [{ name: 'c', image: 'i', ...(cpu && { resources: { requests: { cpu } } }) }], ...more },
    status: {},
  }) as unknown as Pod;

describe('the plan', () => {
  const pods = (...items: Pod[]) => [{ kind: { group: '', resource: 'pods' }, items: items as never[] }];

  it('counts what is there, and says zero where nothing is', () => {
    const hard = { pods: '5', 'requests.cpu': '2', 'limits.cpu': '4' };
    expect(planQuota(quota({ hard }), pods(pod('a', '100m'), pod('b', '1')), 0)).toEqual({
      hard,
      used: { pods: '2', 'requests.cpu': '1100m', 'limits.cpu': '0' },
    });
  });

  it('has nothing to say when the quota says it already', () => {
    const hard = { pods: '5' };
    expect(planQuota(quota({ hard }, { hard: { pods: '5' }, used: { pods: '1' } }), pods(pod('a')), 0)).toBeUndefined();
  });

  it('counts what is in scope', () => {
    const spec = { hard: { pods: '5' }, scopes: ['NotBestEffort'] };
    expect(planQuota(quota(spec), pods(pod('a'), pod('b', '1')), 0)?.used).toEqual({ pods: '1' });
  });

  it('leaves out what nobody counts', () => {
    expect(planQuota(quota({ hard: { 'requests.storage': '1Gi' } }), [], 0)).toEqual({
      hard: { 'requests.storage': '1Gi' },
      used: {},
    });
  });
});

describe('the controller', () => {
  let harness: Harness;
  afterEach(() => harness.stop());
  const used = () => harness.client.objects<ResourceQuota>(quotaKind)[0]?.status?.used;

  it('counts a new quota, gives back what goes, and comes to rest', async () => {
    harness = startHarness([runResourceQuotaController]);
    await harness.create(podKind, pod('a', '1'));
    await harness.create(podKind, pod('b', '500m'));
    await harness.create(quotaKind, quota({ hard: { pods: '9', 'requests.cpu': '9', 'count/configmaps': '9' } }));
    await harness.run();
    expect(used()).toEqual({ pods: '2', 'requests.cpu': '1500m', 'count/configmaps': '0' });
    const pods = harness.client.resource<Pod>(podKind, 'default');
    await pods.delete('a', { gracePeriodSeconds: 0 });
    await pods.update({ ...(await pods.get('b')), status: { phase: 'Succeeded' } }, { subresource: 'status' });
    await harness.create(configMapKind, { metadata: { name: 'c', namespace: 'default' } } as ConfigMap);
    await harness.run(3_000);
    expect(used()).toEqual({ pods: '0', 'requests.cpu': '0', 'count/configmaps': '1' });
    await harness.run(5_000);
    harness.takeWrites();
    await harness.run(5_000);
    expect(harness.takeWrites()).toEqual([]);
  });

  it('follows a changed bound', async () => {
    harness = startHarness([runResourceQuotaController]);
    await harness.create(quotaKind, quota({ hard: { pods: '1' } }));
    await harness.run();
    const quotas = harness.client.resource<ResourceQuota>(quotaKind, 'default');
    await quotas.update({ ...(await quotas.get('q')), spec: { hard: { pods: '3', secrets: '1' } } });
    await harness.run();
    expect((await quotas.get('q')).status).toEqual({
      hard: { pods: '3', secrets: '1' },
      used: { pods: '0', secrets: '0' },
    });
  });
});
