// Our kubelet drives Debian's containerd: pods run, are probed, restarted, read, entered and removed.
import type { ChildProcess } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { createMounter, removeKubeletState } from '../../kubelet/index.ts';
import { Containerd } from './containerd.ts';
import { root, TestCluster, TestHost } from './harness.ts';

let host: TestHost;
let cluster: TestCluster;
let runtime: Containerd;
const running: ChildProcess[] = [];

beforeAll(async () => {
  host = new TestHost('ctrd');
  cluster = new TestCluster(host);
  runtime = new Containerd(host);
  const start = (component: string, ...args: string[]) => {
    const child = host.spawn(
      [join(root, 'scripts/sampan'), component, '--data-dir', host.dataDir, ...args],
      `${component}.log`,
    );
    running.push(child);
    return child;
  };
  const node = ['--node-name', 'node-1'];
  const api = start('apiserver', ...node, '--advertise-address', '127.0.0.1');
  await Promise.all([
    runtime.start(),
    new Promise<void>((done) => api.stderr?.on('data', (chunk: Buffer) => /ready at/.test(String(chunk)) && done())),
  ]);
  start('scheduler');
  start('controller-manager');
  start('kubelet', ...node, '--cri-socket', runtime.socket, '--cgroup-root', host.cgroup, '--node-ip', '127.0.0.1');
  while ((await cluster.kubectl('get', 'node', 'node-1')).code !== 0);
  await cluster.must('wait', '--for=condition=Ready', 'node/node-1', '--timeout=60s');
}, 120_000);

afterAll(async () => {
  await cluster.kubectl('delete', 'pods', '--all', '--timeout=30s');
  for (const child of running.reverse()) {
    if (child.exitCode !== null) continue;
    const ended = new Promise<void>((done) => child.once('exit', () => done()));
    child.kill('SIGTERM');
    await ended;
  }
  await runtime.stop();
  await removeKubeletState(join(host.dataDir, 'kubelet'), createMounter());
  expect(host.dispose()).toEqual({});
}, 60_000);

test('the node says whose containers it runs', async () => {
  const { status } = await cluster.get<Node>('node', 'node-1');
  expect(status?.nodeInfo?.containerRuntimeVersion).toMatch(/^containerd:\/\/1\./);
});

test('a pod runs there with its init container, probes, logs, exec, and restarts', async () => {
  await cluster.apply(`
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {greeting: "hello from a file\\n"}
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  terminationGracePeriodSeconds: 1
  volumes: [{name: conf, configMap: {name: conf}}, {name: work, emptyDir: {}}]
  initContainers:
  - {name: init, image: 'localhost/tools:1', command: [sh, -c, 'echo prepared > /work/state'], volumeMounts: [{name: work, mountPath: /work}]}
  containers:
  - name: app
    image: localhost/tools:1
    command: [sh, -c, 'cat /work/state /conf/greeting; touch /tmp/alive; exec sleep 1000']
    readinessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, timeoutSeconds: 10}
    livenessProbe: {exec: {command: [test, -e, /tmp/alive]}, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: 1}
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}
    volumeMounts: [{name: conf, mountPath: /conf}, {name: work, mountPath: /work}]
`);
  await cluster.must('wait', '--for=condition=Ready', 'pod/web', '--timeout=60s');
  expect(await cluster.must('logs', 'web')).toBe('prepared\nhello from a file\n');
  expect((await cluster.must('exec', 'web', '--', 'hostname')).trim()).toBe('web');
  // What the liveness probe finds missing is brought back by a restart.
  await cluster.must('exec', 'web', '--', 'sh', '-c', 'busybox rm /tmp/alive');
  await expect
    .poll(async () => (await cluster.get<Pod>('pod', 'web')).status?.containerStatuses?.[0]?.restartCount, {
      timeout: 30_000,
    })
    .toBe(1);
  const { status } = await cluster.get<Pod>('pod', 'web');
  expect(status?.containerStatuses?.[0]?.containerID).toMatch(/^containerd:\/\//);
  expect(status?.podIP).toBe('10.88.0.9');
  await cluster.must('delete', 'pod', 'web', '--timeout=30s');
}, 120_000);

/** What the kernel holds of a pod's cgroup, in whichever hierarchy the controller is. */
const limit = (pod: Pod, v1: string, v2: string) => {
  const place = join(host.cgroup, 'kubepods/burstable', `pod${pod.metadata.uid}`);
  const files = [join('/sys/fs/cgroup', v1.split('.')[0] as string, place, v1), join('/sys/fs/cgroup', place, v2)];
  const found = files.find((each) => existsSync(each));
  return found && readFileSync(found, 'utf8').trim();
};

test('the kubelet makes the cgroup of a pod, resizes it with the pod, and takes it away', async () => {
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: limited}
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - name: app
    image: localhost/tools:1
    command: [sh, -c, 'exec sleep 1000']
    resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}
`);
  await cluster.must('wait', '--for=condition=Ready', 'pod/limited', '--timeout=60s');
  const pod = await cluster.get<Pod>('pod', 'limited');
  expect(limit(pod, 'memory.limit_in_bytes', 'memory.max')).toBe(String(64 * 2 ** 20));
  expect(limit(pod, 'cpu.cfs_quota_us', 'cpu.max')).toMatch(/^20000/);
  expect(Number(limit(pod, 'pids.max', 'pids.max'))).toBeGreaterThan(0);
  const resources = { requests: { cpu: '100m', memory: '32Mi' }, limits: { cpu: '300m', memory: '96Mi' } };
  await cluster.must(
    'patch',
    'pod',
    'limited',
    '--subresource=resize',
    '-p',
    JSON.stringify({ spec: { containers: [{ name: 'app', resources }] } }),
  );
  await expect
    .poll(() => limit(pod, 'memory.limit_in_bytes', 'memory.max'), { timeout: 30_000 })
    .toBe(String(96 * 2 ** 20));
  expect(limit(pod, 'cpu.cfs_quota_us', 'cpu.max')).toMatch(/^30000/);
  await expect
    .poll(async () => (await cluster.get<Pod>('pod', 'limited')).status?.containerStatuses?.[0]?.resources?.limits, {
      timeout: 30_000,
    })
    .toEqual(resources.limits);
  await cluster.must('delete', 'pod', 'limited', '--timeout=30s');
  expect(limit(pod, 'memory.limit_in_bytes', 'memory.max')).toBeUndefined();
}, 120_000);
