import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

let spaces = 0;

/** A namespace of its own, with the account that pods run as. */
async function space(labels: Record<string, string> = {}): Promise<string> {
  const name = `space-${++spaces}`;
  await post('/api/v1/namespaces', { metadata: { name, labels } });
  await post(`/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: 'default' } });
  return `/api/v1/namespaces/${name}`;
}

const post = (path: string, body: object) => server.call('POST', path, { body });
const merge = (path: string, body: object) =>
  server.call('PATCH', path, { body, type: 'application/merge-patch+json' });

const pod = (name: string, spec: object = {}, container: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'i', ...container }], ...spec },
});

async function quota(ns: string, hard: Record<string, string>, spec: object = {}, name = 'q') {
  const used = Object.fromEntries(Object.keys(hard).map((each) => [each, '0']));
  await post(`${ns}/resourcequotas`, { metadata: { name }, spec: { hard, ...spec } });
  await merge(`${ns}/resourcequotas/${name}/status`, { status: { hard, used } });
}
const usedOf = async (ns: string, name = 'q') =>
  (await server.call('GET', `${ns}/resourcequotas/${name}`)).body.status.used;

describe('quotas', () => {
  it('are never exceeded, however many ask at once, and every write that was let go is charged', async () => {
    const ns = await space();
    await quota(ns, { configmaps: '20', 'count/configmaps': '100' }, {}, 'q');
    await quota(ns, { 'count/configmaps': '35' }, {}, 'r');
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, i) => post(`${ns}/configmaps`, { metadata: { name: `m-${i}` } })),
    );
    const made = answers.filter((each) => each.code === 201).length;
    expect(made).toBe(20);
    const refused = answers.find((each) => each.code === 403);
    expect(refused?.body.message).toMatch(
      /^configmaps "m-\d+" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=20, limited: configmaps=20$/,
    );
    expect(await usedOf(ns)).toEqual({ configmaps: '20', 'count/configmaps': '20' });
    expect(await usedOf(ns, 'r')).toEqual({ 'count/configmaps': '20' });
  });

  it('are charged once for a name that is generated, and not for a dry run', async () => {
    const ns = await space();
    await quota(ns, { configmaps: '1' });
    const body = { metadata: { generateName: 'g-' } };
    expect((await post(`${ns}/configmaps?dryRun=All`, body)).code).toBe(201);
    expect(await usedOf(ns)).toEqual({ configmaps: '0' });
    expect((await post(`${ns}/configmaps`, body)).code).toBe(201);
    expect((await post(`${ns}/configmaps?dryRun=All`, body)).code).toBe(403);
  });

  it('see a quota that was raised a moment ago', async () => {
    const ns = await space();
    await quota(ns, { configmaps: '0' });
    expect((await post(`${ns}/configmaps`, { metadata: { name: 'a' } })).code).toBe(403);
    await merge(`${ns}/resourcequotas/q/status`, { status: { hard: { configmaps: '1' } } });
    expect((await post(`${ns}/configmaps`, { metadata: { name: 'a' } })).code).toBe(201);
  });

  it('want to know what is limited', async () => {
    const ns = await space();
    await quota(ns, { 'requests.cpu': '1', 'limits.memory': '1Gi' });
    expect((await post(`${ns}/pods`, pod('p'))).body.message).toBe(
      'pods "p" is forbidden: failed quota: q: must specify limits.memory for: c; requests.cpu for: c',
    );
    const resources = { requests: { cpu: '600m' }, limits: { memory: '256Mi' } };
    expect((await post(`${ns}/pods`, pod('p', {}, { resources }))).code).toBe(201);
    expect((await post(`${ns}/pods`, pod('r', {}, { resources }))).body.message).toBe(
      'pods "r" is forbidden: exceeded quota: q, requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1',
    );
  });

  it('charge the change of a service', async () => {
    const ns = await space();
    await quota(ns, { 'services.nodeports': '1' });
    const service = (type: string) => ({ metadata: { name: 's' }, spec: { type, ports: [{ port: 80 }] } });
    const made = await post(`${ns}/services`, service('ClusterIP'));
    expect(made.code).toBe(201);
    expect((await merge(`${ns}/services/s`, { spec: { type: 'NodePort' } })).code).toBe(200);
    expect(await usedOf(ns)).toEqual({ 'services.nodeports': '1' });
  });
});

describe('limit ranges', () => {
  const range = (ns: string, ...limits: object[]) =>
    post(`${ns}/limitranges`, { metadata: { name: 'l' }, spec: { limits } });

  it('complete containers and note it', async () => {
    const ns = await space();
    await range(ns, { type: 'Container', default: { cpu: '200m', memory: '64Mi' }, defaultRequest: { cpu: '100m' } });
    const { body } = await post(
      `${ns}/pods`,
      pod('p', { initContainers: [{ name: 'i', image: 'i' }] }, { resources: { limits: { cpu: '1' } } }),
    );
    expect(body.spec.containers[0].resources).toEqual({
      limits: { cpu: '1', memory: '64Mi' },
      requests: { cpu: '1', memory: '64Mi' },
    });
    expect(body.metadata.annotations['kubernetes.io/limit-ranger']).toBe(
      'LimitRanger plugin set: memory request for container c; memory limit for container c; cpu, memory request for init container i; cpu, memory limit for init container i',
    );
  });

  it.each<[string, object, object, string]>([
    [
      'above the maximum',
      { max: { cpu: '1' } },
      { limits: { cpu: '2' } },
      'maximum cpu usage per Container is 1, but limit is 2',
    ],
    [
      'below the minimum',
      { min: { memory: '1Gi' } },
      { requests: { memory: '1Mi' }, limits: { memory: '2Gi' } },
      'minimum memory usage per Container is 1Gi, but request is 1Mi',
    ],
    [
      'too uneven',
      { maxLimitRequestRatio: { cpu: '2' } },
      { requests: { cpu: '100m' }, limits: { cpu: '300m' } },
      'cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000',
    ],
    [
      'wrong in several ways',
      { max: { cpu: '1', memory: '1Gi' } },
      { limits: { cpu: '2', memory: '2Gi' } },
      '[maximum cpu usage per Container is 1, but limit is 2, maximum memory usage per Container is 1Gi, but limit is 2Gi]',
    ],
  ])('refuse what is %s', async (_, limit, resources, message) => {
    const ns = await space();
    await range(ns, { type: 'Container', ...limit });
    const { code, body } = await post(`${ns}/pods`, pod('p', {}, { resources }));
    expect(code).toBe(403);
    expect(body.message).toBe(`pods "p" is forbidden: ${message}`);
  });

  it('bound pods and claims', async () => {
    const ns = await space();
    await range(
      ns,
      { type: 'Pod', max: { cpu: '1' } },
      { type: 'PersistentVolumeClaim', min: { storage: '1Gi' }, max: { storage: '2Gi' } },
    );
    expect((await post(`${ns}/pods`, pod('p'))).body.message).toBe(
      'pods "p" is forbidden: maximum cpu usage per Pod is 1.  No limit is specified',
    );
    const claim = (storage: string) => ({
      metadata: { name: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } },
    });
    expect((await post(`${ns}/persistentvolumeclaims`, claim('3Gi'))).body.message).toBe(
      'persistentvolumeclaims "c" is forbidden: maximum storage usage per PersistentVolumeClaim is 2Gi, but request is 3Gi',
    );
    const made = await post(`${ns}/persistentvolumeclaims`, claim('2Gi'));
    expect(made.code).toBe(201);
    expect(made.body.metadata.finalizers).toEqual(['kubernetes.io/pvc-protection']);
  });
});

describe('pod security', () => {
  const enforce = (level: string) => ({ 'pod-security.kubernetes.io/enforce': level });

  it('refuses pods, warns of templates', async () => {
    const ns = await space(enforce('baseline'));
    const { code, body } = await post(`${ns}/pods`, pod('p', { hostNetwork: true }));
    expect(code).toBe(403);
    expect(body.message).toBe(
      'pods "p" is forbidden: violates PodSecurity "baseline:latest": host namespaces (hostNetwork=true)',
    );
    const template = { metadata: { labels: { a: 'b' } }, spec: { ...pod('').spec, hostPID: true } };
    const apps = ns.replace('/api/v1', '/apis/apps/v1');
    const made = await post(`${apps}/deployments`, {
      metadata: { name: 'd' },
      spec: { selector: { matchLabels: { a: 'b' } }, template },
    });
    expect(made.code).toBe(201);
    expect(made.headers.warning).toContain(
      'would violate PodSecurity \\"baseline:latest\\": host namespaces (hostPID=true)',
    );
  });

  it('tells of pods that are there already, and refuses labels that mean nothing', async () => {
    const ns = await space();
    for (const name of ['b', 'a', 'c']) await post(`${ns}/pods`, pod(name));
    const changed = await merge(ns, { metadata: { labels: enforce('restricted') } });
    expect(changed.code).toBe(200);
    const name = ns.split('/').at(-1);
    expect(changed.headers.warning).toBe(
      `299 - "existing pods in namespace \\"${name}\\" violate the new PodSecurity enforce level \\"restricted:latest\\"", ` +
        '299 - "a (and 2 other pods): allowPrivilegeEscalation != false, unrestricted capabilities, runAsNonRoot != true, seccompProfile"',
    );
    const bad = await merge(ns, { metadata: { labels: enforce('strict') } });
    expect(bad.code).toBe(422);
    expect(bad.body.message).toBe(
      `Namespace "${name}" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "strict": must be one of privileged, baseline, restricted`,
    );
  });
});

describe('classes', () => {
  const annotated = (name: string, annotation: string, more: object) => ({
    metadata: { name, annotations: { [annotation]: 'true' } },
    ...more,
  });

  it('by default, of storage and of ingresses', async () => {
    const ns = await space();
    await post(
      '/apis/storage.k8s.io/v1/storageclasses',
      annotated('fast', 'storageclass.kubernetes.io/is-default-class', { provisioner: 'x' }),
    );
    const claim = {
      metadata: { name: 'c' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    };
    expect((await post(`${ns}/persistentvolumeclaims`, claim)).body.spec.storageClassName).toBe('fast');
    await merge(`${ns}/persistentvolumeclaims/c/status`, { status: { phase: 'Bound' } });
    const grow = await merge(`${ns}/persistentvolumeclaims/c`, {
      spec: { resources: { requests: { storage: '2Gi' } } },
    });
    expect(grow.body.message).toBe(
      'persistentvolumeclaims "c" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
    );
    const classes = '/apis/networking.k8s.io/v1/ingressclasses';
    const ingresses = `${ns.replace('/api/v1', '/apis/networking.k8s.io/v1')}/ingresses`;
    const ingress = (name: string) => ({
      metadata: { name },
      spec: { defaultBackend: { service: { name: 's', port: { number: 80 } } } },
    });
    const isDefault = 'ingressclass.kubernetes.io/is-default-class';
    await post(classes, annotated('one', isDefault, { spec: { controller: 'x.y/z' } }));
    expect((await post(ingresses, ingress('a'))).body.spec.ingressClassName).toBe('one');
    await post(classes, annotated('two', isDefault, { spec: { controller: 'x.y/z' } }));
    expect((await post(ingresses, ingress('b'))).body.message).toBe(
      'ingresses.networking.k8s.io "b" is forbidden: 2 default IngressClasses were found, only 1 allowed',
    );
  });

  it('of runtimes bring their overhead and scheduling', async () => {
    const ns = await space();
    await post('/apis/node.k8s.io/v1/runtimeclasses', {
      metadata: { name: 'vm' },
      handler: 'vm',
      overhead: { podFixed: { memory: '120Mi' } },
      scheduling: { nodeSelector: { vm: 'yes' }, tolerations: [{ key: 'vm', operator: 'Exists' }] },
    });
    const { body } = await post(`${ns}/pods`, pod('p', { runtimeClassName: 'vm' }));
    expect(body.spec).toMatchObject({ overhead: { memory: '120Mi' }, nodeSelector: { vm: 'yes' } });
    expect(body.spec.tolerations).toContainEqual({ key: 'vm', operator: 'Exists' });
    expect((await post(`${ns}/pods`, pod('q', { runtimeClassName: 'no' }))).body.message).toBe(
      'pods "q" is forbidden: pod rejected: RuntimeClass "no" not found',
    );
    const clash = { runtimeClassName: 'vm', nodeSelector: { vm: 'no' } };
    expect((await post(`${ns}/pods`, pod('q', clash))).body.message).toBe(
      'pods "q" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no',
    );
    expect((await post(`${ns}/pods`, pod('q', { overhead: { cpu: '1' } }))).body.message).toBe(
      'pods "q" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
    );
  });

  it('of priority: one default', async () => {
    const classes = '/apis/scheduling.k8s.io/v1/priorityclasses';
    const value = (name: string, number: number, globalDefault = false) => ({
      metadata: { name },
      value: number,
      globalDefault,
    });
    expect((await post(classes, value('usual', 7, true))).code).toBe(201);
    expect((await post(classes, value('other', 8, true))).body.message).toBe(
      'priorityclasses.scheduling.k8s.io "other" is forbidden: PriorityClass usual is already marked as default. Only one default can exist',
    );
    const ns = await space();
    expect((await post(`${ns}/pods`, pod('p'))).body.spec).toMatchObject({ priority: 7, priorityClassName: 'usual' });
    expect((await post(`${ns}/pods`, pod('q', { priorityClassName: 'none' }))).body.message).toBe(
      'pods "q" is forbidden: no PriorityClass with name none was found',
    );
    await server.call('DELETE', `${classes}/usual`);
  });
});

describe('namespaces and nodes', () => {
  it('nothing is created in what is not there, and some are not deleted', async () => {
    expect((await post('/api/v1/namespaces/nowhere/configmaps', { metadata: { name: 'x' } })).body.message).toBe(
      'namespaces "nowhere" not found',
    );
    expect((await server.call('DELETE', '/api/v1/namespaces/kube-system')).body.message).toBe(
      'namespaces "kube-system" is forbidden: this namespace may not be deleted',
    );
  });

  it('nothing is created in what is going away', async () => {
    const ns = await space();
    const name = ns.split('/').at(-1);
    await server.call('DELETE', ns);
    const { code, body } = await post(`${ns}/configmaps`, { metadata: { name: 'x' } });
    expect(code).toBe(403);
    expect(body.message).toBe(
      `configmaps "x" is forbidden: unable to create new content in namespace ${name} because it is being terminated`,
    );
    expect(body.details.causes).toEqual([
      { reason: 'NamespaceTerminating', message: `namespace ${name} is being terminated`, field: 'metadata.namespace' },
    ]);
  });

  it('a new node is tainted, and its pods learn its topology', async () => {
    const labels = { 'topology.kubernetes.io/zone': 'z1', other: 'x' };
    const node = await post('/api/v1/nodes', { metadata: { name: 'n1', labels } });
    expect(node.body.spec.taints).toEqual([{ key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' }]);
    const ns = await space();
    await post(`${ns}/pods`, pod('p'));
    expect(
      (await post(`${ns}/pods/p/binding`, { metadata: { name: 'p' }, target: { kind: 'Node', name: 'n1' } })).code,
    ).toBe(201);
    const { body } = await server.call('GET', `${ns}/pods/p`);
    expect(body.spec.nodeName).toBe('n1');
    expect(body.metadata.labels).toEqual({ 'topology.kubernetes.io/zone': 'z1' });
  });
});
