// What a node does for its pods beyond running them, with real containers: volumes that last, containers added for debugging, resizes.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PersistentVolume, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import { TestCluster, TestHost } from './harness.ts';

let host: TestHost;
let cluster: TestCluster;
let manifests: string;

beforeAll(async () => {
  host = new TestHost('node');
  manifests = join(host.dir, 'manifests');
  mkdirSync(manifests);
  cluster = new TestCluster(host, { args: ['--pod-manifest-path', manifests] });
  await cluster.start();
  await cluster.buildTools();
}, 120_000);

afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

test('the claims of a StatefulSet are provisioned, and what is written outlives the pod', async () => {
  await cluster.apply(`
apiVersion: v1
kind: Service
metadata: {name: db}
spec: {clusterIP: None, selector: {app: db}, ports: [{port: 80}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {runAsUser: 1000, fsGroup: 2000}
      containers:
      - name: db
        image: localhost/tools:1
        command: [sh, -c, 'echo "run by $(hostname)" >> /data/log; exec sleep 1000']
        volumeMounts: [{name: data, mountPath: /data}]
  volumeClaimTemplates:
  - metadata: {name: data}
    spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 10Mi}}}
`);
  await cluster.must('rollout', 'status', 'statefulset/db', '--timeout=30s');
  const claim = await cluster.get<PersistentVolumeClaim>('pvc', 'data-db-0');
  expect(claim).toMatchObject({ spec: { storageClassName: 'standard' }, status: { phase: 'Bound' } });
  await cluster.must('delete', 'pod', 'db-0', '--timeout=20s');
  await cluster.must('rollout', 'status', 'statefulset/db', '--timeout=30s');
  await cluster.must('wait', '--for=condition=Ready', 'pod/db-0', '--timeout=30s');
  expect(await cluster.must('exec', 'db-0', '--', 'cat', '/data/log')).toBe('run by db-0\nrun by db-0\n');
  await cluster.must('delete', 'statefulset', 'db', '--cascade=foreground', '--timeout=20s');
  await cluster.must('delete', 'pvc', 'data-db-0', '--timeout=20s');
  await cluster.must('wait', '--for=delete', `pv/${claim.spec?.volumeName}`, '--timeout=20s');
  expect((await cluster.get<{ items: PersistentVolume[] }>('pv')).items).toEqual([]);
}, 90_000);

test('the API server passes statistics and metrics of the node on', async () => {
  const summary = JSON.parse(await cluster.must('get', '--raw', '/api/v1/nodes/node-1/proxy/stats/summary')) as {
    node: { nodeName: string; memory: { workingSetBytes: number }; fs: { capacityBytes: number } };
  };
  expect(summary.node.nodeName).toBe('node-1');
  expect(summary.node.memory.workingSetBytes).toBeGreaterThan(1e6);
  expect(summary.node.fs.capacityBytes).toBeGreaterThan(1e6);
  const metrics = await cluster.must('get', '--raw', '/api/v1/nodes/node-1/proxy/metrics/resource');
  expect(metrics).toMatch(/^node_memory_working_set_bytes \d/m);
});

test('a file in the manifests makes a pod that kubectl shows, reads and cannot end', async () => {
  writeFileSync(
    join(host.dir, 'static.yaml'),
    `apiVersion: v1
kind: Pod
metadata: {name: static, labels: {from: file}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: 'localhost/tools:1', command: [sh, -c, 'echo from a file; exec sleep 1000']}]
`,
  );
  renameSync(join(host.dir, 'static.yaml'), join(manifests, 'static.yaml'));
  await expect
    .poll(async () => (await cluster.kubectl('get', 'pod', 'static-node-1')).code, { timeout: 10_000 })
    .toBe(0);
  await cluster.must('wait', '--for=condition=Ready', 'pod/static-node-1', '--timeout=20s');
  expect(await cluster.must('logs', 'static-node-1')).toBe('from a file\n');
  const id = (await cluster.get<Pod>('pod', 'static-node-1')).status?.containerStatuses?.[0]?.containerID;
  await cluster.must('delete', 'pod', 'static-node-1', '--timeout=20s');
  await expect
    .poll(async () => (await cluster.kubectl('get', 'pod', 'static-node-1')).code, { timeout: 10_000 })
    .toBe(0);
  await cluster.must('wait', '--for=condition=Ready', 'pod/static-node-1', '--timeout=20s');
  expect((await cluster.get<Pod>('pod', 'static-node-1')).status?.containerStatuses?.[0]?.containerID).toBe(id);
  rmSync(join(manifests, 'static.yaml'));
  await cluster.must('wait', '--for=delete', 'pod/static-node-1', '--timeout=20s');
}, 90_000);

test('what an init container writes into a file is in the environment of the next', async () => {
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: env-file}
spec:
  restartPolicy: Never
  volumes: [{name: env, emptyDir: {}}]
  initContainers:
  - name: write
    image: localhost/tools:1
    command: [sh, -c, "printf \\"GREETING='hello there' # said once\\\\n\\" > /env/app.env"]
    volumeMounts: [{name: env, mountPath: /env}]
  containers:
  - name: read
    image: localhost/tools:1
    command: [sh, -c, 'echo "$GREETING"']
    env: [{name: GREETING, valueFrom: {fileKeyRef: {volumeName: env, path: app.env, key: GREETING}}}]
`);
  await cluster.must('wait', '--for=jsonpath={.status.phase}=Succeeded', 'pod/env-file', '--timeout=30s');
  expect(await cluster.must('logs', 'env-file')).toBe('hello there\n');
});

test('kubectl debug puts a container beside one that runs, and a resize changes it without a restart', async () => {
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: live}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: app, image: 'localhost/tools:1', command: [sh, -c, 'exec sleep 12345'], resources: {limits: {cpu: 200m, memory: 64Mi}}}
`);
  await cluster.must('wait', '--for=condition=Ready', 'pod/live', '--timeout=30s');
  const debug = ['--image=localhost/tools:1', '--target=app', '-c', 'eye', '--profile=general'];
  await cluster.must('debug', 'live', ...debug, '--', 'sh', '-c', 'ps | grep 1234[5]; exec sleep 1000');
  await expect.poll(() => cluster.must('logs', 'live', '-c', 'eye'), { timeout: 20_000 }).toContain('sleep 12345');

  const amounts = { cpu: '300m', memory: '96Mi' };
  const patch = { spec: { containers: [{ name: 'app', resources: { limits: amounts, requests: amounts } }] } };
  await cluster.must('patch', 'pod', 'live', '--subresource=resize', '-p', JSON.stringify(patch));
  const app = async () => (await cluster.get<Pod>('pod', 'live')).status?.containerStatuses?.[0];
  await expect.poll(async () => (await app())?.resources?.limits, { timeout: 20_000 }).toEqual(amounts);
  expect(await app()).toMatchObject({ restartCount: 0, state: { running: {} } });
  await cluster.must('delete', 'pod', 'live', '--timeout=20s');
}, 90_000);

test('a pod that writes more than its emptyDir may hold is evicted, and says why', async () => {
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: hoarder}
spec:
  volumes: [{name: scratch, emptyDir: {sizeLimit: 1Mi}}]
  containers:
  - name: app
    image: localhost/tools:1
    command: [sh, -c, 'dd if=/dev/zero of=/scratch/file bs=1M count=4; exec sleep 1000']
    volumeMounts: [{name: scratch, mountPath: /scratch}]
`);
  const status = async () => (await cluster.get<Pod>('pod', 'hoarder')).status;
  await expect.poll(async () => (await status())?.phase, { timeout: 60_000, interval: 500 }).toBe('Failed');
  expect(await status()).toMatchObject({
    reason: 'Evicted',
    message: 'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi". ',
  });
  await cluster.must('delete', 'pod', 'hoarder', '--timeout=20s');
}, 90_000);

test('hostUsers: false: root inside is nobody outside, its volumes are its own, exec gets in', async () => {
  await cluster.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: words}
data: {greeting: hello}
---
apiVersion: v1
kind: Secret
metadata: {name: hidden}
stringData: {key: secret}
---
apiVersion: v1
kind: Pod
metadata: {name: mapped}
spec:
  hostUsers: false
  terminationGracePeriodSeconds: 0
  securityContext: {fsGroup: 3000}
  containers:
  - name: app
    image: localhost/tools:1
    command: [sh, -c, 'id -u; cat /words/greeting; echo; cat /hidden/key; echo; echo mine > /data/file; cat /var/run/secrets/kubernetes.io/serviceaccount/token > /data/token && echo token; exec sleep 12346']
    volumeMounts: [{name: data, mountPath: /data}, {name: words, mountPath: /words}, {name: hidden, mountPath: /hidden}]
  - name: other
    image: localhost/tools:1
    securityContext: {runAsUser: 1234}
    command: [sh, -c, 'exec sleep 12347']
    volumeMounts: [{name: data, mountPath: /data}, {name: hidden, mountPath: /sub/key, subPath: key}]
  volumes:
  - {name: data, emptyDir: {}}
  - {name: words, configMap: {name: words}}
  - {name: hidden, secret: {secretName: hidden, defaultMode: 0400}}
`);
  await cluster.must('wait', '--for=condition=Ready', 'pod/mapped', '--timeout=30s');
  await expect
    .poll(() => cluster.must('logs', 'mapped', '-c', 'app'), { timeout: 10_000 })
    .toBe('0\nhello\nsecret\ntoken\n');
  const inside = await cluster.must('exec', 'mapped', '-c', 'app', '--', 'cat', '/proc/self/uid_map');
  const [containerId, base, length] = inside.trim().split(/\s+/).map(Number) as [number, number, number];
  expect([containerId, length]).toEqual([0, 65_536]);
  expect(base).toBeGreaterThanOrEqual(65_536);
  const outside = (text: string) =>
    readdirSync('/proc')
      .filter((each) => /^\d+$/.test(each))
      .filter((pid) => readText(`/proc/${pid}/cmdline`).startsWith(text))
      .map((pid) => statSync(`/proc/${pid}`).uid);
  expect(outside('sleep\x0012346')).toEqual([base]);
  expect(outside('sleep\x0012347')).toEqual([base + 1234]);

  // A file that root inside has made is root's inside, and to the volume; fsGroup lets the other container write.
  const other = async (script: string) => cluster.must('exec', 'mapped', '-c', 'other', '--', 'sh', '-c', script);
  expect(
    await other('id -u; cat /data/file /sub/key; echo; echo too > /data/other && ls -n /data/other | cut -c 1-3'),
  ).toBe('1234\nmine\nsecret\n-rw\n');
  const uid = (await cluster.get<Pod>('pod', 'mapped')).metadata.uid as string;
  const onHost = (file: string) => {
    const { uid: owner, gid } = statSync(join(host.dataDir, 'kubelet/pods', uid, 'volumes/data', file));
    return [owner, gid];
  };
  expect([onHost('file'), onHost('other')]).toEqual([
    [0, 3000],
    [1234, 3000],
  ]);
  await cluster.must('delete', 'pod', 'mapped', '--timeout=20s');
  await expect.poll(() => existsSync(join(host.dataDir, 'kubelet/pods', uid)), { timeout: 10_000 }).toBe(false);
}, 90_000);

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
