import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
const NS = '/api/v1/namespaces/default';

beforeAll(async () => {
  server = await startTestServer({
    admissionPlugins: {
      enable: [
        'AlwaysPullImages',
        'PodNodeSelector',
        'LimitPodHardAntiAffinityTopology',
        'OwnerReferencesPermissionEnforcement',
      ],
      disable: ['DefaultTolerationSeconds'],
    },
  });
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
});
afterAll(() => server.stop());

const pod = (name: string, spec: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'i:1', imagePullPolicy: 'Never' }], ...spec },
});
const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  server.call('POST', path, { body, headers });

describe('plugins that are enabled', () => {
  it('pull always, send pods where their namespace says, and the disabled one is silent', async () => {
    const annotations = { 'scheduler.alpha.kubernetes.io/node-selector': 'disk=ssd' };
    await post('/api/v1/namespaces', { metadata: { name: 'ssd', annotations } });
    await post('/api/v1/namespaces/ssd/serviceaccounts', { metadata: { name: 'default' } });
    const { body } = await post('/api/v1/namespaces/ssd/pods', pod('a'));
    expect(body.spec.containers[0].imagePullPolicy).toBe('Always');
    expect(body.spec.nodeSelector).toEqual({ disk: 'ssd' });
    expect(body.spec.tolerations).toBeUndefined();
    const clash = await post('/api/v1/namespaces/ssd/pods', pod('b', { nodeSelector: { disk: 'hdd' } }));
    expect(clash.body.message).toBe(
      'pods "b" is forbidden: pod node label selector conflicts with its namespace node label selector',
    );
  });

  it('keep nobody off a whole zone', async () => {
    const term = { topologyKey: 'topology.kubernetes.io/zone', labelSelector: { matchLabels: { a: 'b' } } };
    const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
    expect((await post(`${NS}/pods`, pod('z', { affinity }))).body.message).toBe(
      'pods "z" is forbidden: affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey topology.kubernetes.io/zone but only key kubernetes.io/hostname is allowed',
    );
  });

  it('want rights over what an object makes wait', async () => {
    const rbac = '/apis/rbac.authorization.k8s.io/v1/namespaces/default';
    const rule = { apiGroups: [''], resources: ['configmaps'], verbs: ['create', 'delete'] };
    await post(`${rbac}/roles`, { metadata: { name: 'maps' }, rules: [rule] });
    await post(`${rbac}/rolebindings`, {
      metadata: { name: 'maps' },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'maps' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: 'ann' }],
    });
    const owned = (name: string, blockOwnerDeletion: boolean) => ({
      metadata: { name, ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u', blockOwnerDeletion }] },
    });
    const ann = { 'impersonate-user': 'ann' };
    expect((await post(`${NS}/configmaps`, owned('free', false), ann)).code).toBe(201);
    expect((await post(`${NS}/configmaps`, owned('held', true), ann)).body.message).toContain(
      'configmaps "held" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can\'t set finalizers on',
    );
    expect((await post(`${NS}/configmaps`, owned('held', true))).code).toBe(201);
  });
});

it('a name that nobody knows is an error', async () => {
  await expect(startTestServer({ admissionPlugins: { enable: ['Magic'] } })).rejects.toThrow(
    'enable-admission-plugins plugin "Magic" is unknown',
  );
});
