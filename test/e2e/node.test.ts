// What a node does for its pods beyond running them, with real containers: volumes that last, containers added for debugging, resizes.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import { TestCluster, TestHost } from './harness.ts';

let host: TestHost;
let cluster: TestCluster;

beforeAll(async () => {
  host = new TestHost('node');
  cluster = new TestCluster(host);
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
