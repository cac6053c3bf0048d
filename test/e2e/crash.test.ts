// kill -9 of the API server, the kubelet or the runtime while pods run: containers go on, the cluster converges after the
// restart, nothing acknowledged is lost, no container is doubled.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ConfigMap, Pod } from '../../api/types/core-v1.ts';
import { TestHost } from './harness.ts';
import { pidsBelow } from './observe.ts';
import { type Component, SeparateCluster } from './separate.ts';

let host: TestHost;
let cluster: SeparateCluster;

beforeAll(async () => {
  host = new TestHost('crash');
  cluster = new SeparateCluster(host);
  await cluster.start();
  await cluster.buildTools();
  writeFileSync(
    join(host.dir, 'steady.yaml'),
    `
apiVersion: apps/v1
kind: Deployment
metadata: { name: steady }
spec:
  replicas: 3
  selector: { matchLabels: { app: steady } }
  template:
    metadata: { labels: { app: steady } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - { name: c, image: "localhost/tools:1", command: [sh, -c, "echo $HOSTNAME started; exec sleep 100000"] }
`,
  );
  await cluster.must('apply', '-f', join(host.dir, 'steady.yaml'));
  await cluster.must('rollout', 'status', 'deployment/steady', '--timeout=60s');
}, 90_000);

afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

interface Running {
  name: string;
  uid: string;
  restarts: number;
  containerID: string;
  pids: number[];
}

async function running(): Promise<Running[]> {
  const { items } = await cluster.get<{ items: Pod[] }>('pods', '-l', 'app=steady');
  return items
    .map((pod) => ({
      name: pod.metadata.name ?? '',
      uid: pod.metadata.uid ?? '',
      restarts: pod.status?.containerStatuses?.[0]?.restartCount ?? -1,
      containerID: pod.status?.containerStatuses?.[0]?.containerID ?? '',
      pids: pidsBelow(host.cgroup, pod.metadata.uid ?? '').toSorted((a, b) => a - b),
    }))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1));
}

/** A pod made after a crash runs: the whole chain works again. */
async function proveItWorks(name: string): Promise<void> {
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  terminationGracePeriodSeconds: 0
  containers: [{ name: c, image: "localhost/tools:1", command: [sleep, "1000"] }]
`);
  await cluster.must('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=30s');
  await cluster.must('delete', 'pod', name, '--timeout=30s');
}

test.each<Component>(['apiserver', 'kubelet', 'runtime'])(
  'kill -9 of the %s',
  async (component) => {
    const before = await running();
    expect(before).toHaveLength(3);
    for (const each of before) expect(each.pids.length).toBeGreaterThan(0);

    await cluster.killOne(component);
    for (const each of before) expect(pidsBelow(host.cgroup, each.uid).toSorted((a, b) => a - b)).toEqual(each.pids);
    await cluster.startOne(component);
    await cluster.must('wait', '--for=condition=Ready', 'node/node-1', '--timeout=60s');
    await proveItWorks(`after-${component}`);
    expect(await running()).toEqual(before);
  },
  120_000,
);

test('kubelet and runtime killed together while a container exits: its end is not lost', async () => {
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: short }
spec:
  restartPolicy: Never
  containers: [{ name: c, image: "localhost/tools:1", command: [sh, -c, "sleep 2; exit 42"] }]
`);
  await cluster.must('wait', '--for=jsonpath={.status.phase}=Running', 'pod/short', '--timeout=30s');
  await Promise.all([cluster.killOne('kubelet'), cluster.killOne('runtime')]);
  const { uid } = (await cluster.get<Pod>('pod', 'short')).metadata;
  while (pidsBelow(host.cgroup, uid ?? '').length > 0) await host.run(['sleep', '0.1']);
  await cluster.startOne('runtime');
  await cluster.startOne('kubelet');
  await cluster.must('wait', '--for=jsonpath={.status.phase}=Failed', 'pod/short', '--timeout=30s');
  const pod = await cluster.get<Pod>('pod', 'short');
  expect(pod.status?.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(42);
  await cluster.must('delete', 'pod', 'short');
}, 90_000);

test('every write acknowledged before kill -9 of the API server is there afterwards', async () => {
  const script = Array.from(
    { length: 40 },
    (_, n) => `kubectl create configmap kept-${n} --from-literal=n=${n} -o name`,
  ).join(' && ');
  const env = { KUBECONFIG: join(host.dataDir, 'kubeconfig'), HOME: host.dir };
  let acknowledged = '';
  const writing = host.run(['sh', '-c', `${script} 2>&1`], { env }).then(({ stdout }) => {
    acknowledged = stdout;
  });
  await cluster.must('wait', '--for=create', 'configmap/kept-3', '--timeout=30s').catch(() => undefined);
  await cluster.killOne('apiserver');
  await writing;
  await cluster.startOne('apiserver');
  const names = acknowledged
    .split('\n')
    .flatMap((line) => (line.startsWith('configmap/') ? [line.slice('configmap/'.length)] : []));
  expect(names.length).toBeGreaterThan(0);
  const { items } = await cluster.get<{ items: ConfigMap[] }>('configmaps');
  const present = items.map((each) => each.metadata.name);
  for (const name of names) expect(present).toContain(name);
}, 90_000);

test('a pod deleted while the node agent was dead is gone after its restart', async () => {
  const [victim] = await running();
  await cluster.killOne('kubelet');
  await cluster.must('delete', 'pod', victim?.name ?? '', '--wait=false');
  await cluster.startOne('kubelet');
  await cluster.must('wait', '--for=delete', `pod/${victim?.name}`, '--timeout=30s');
  // Without grace the object is gone at once; the processes go when the node agent is back.
  while (pidsBelow(host.cgroup, victim?.uid ?? '').length > 0) await host.run(['sleep', '0.1']);
  await cluster.must('rollout', 'status', 'deployment/steady', '--timeout=60s');
}, 90_000);
