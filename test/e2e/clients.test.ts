// What needs pods that run, beyond kubectl.test.ts: top, cp, debug, the proxies, drain, and the JavaScript client library.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestCluster, TestHost } from './harness.ts';

let host: TestHost;
let cluster: TestCluster;
let pod = '';

const MANIFEST = `
apiVersion: apps/v1
kind: Deployment
metadata: { name: web, labels: { app: web } }
spec:
  replicas: 1
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: c
        image: localhost/tools:1
        command: [sh, -c, "mkdir -p /www; hostname > /www/index.html; echo started; exec httpd -f -p 8080 -h /www"]
        ports: [{ name: http, containerPort: 8080 }]
---
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: http }] }
`;

beforeAll(async () => {
  host = new TestHost('clients');
  cluster = new TestCluster(host);
  await cluster.start();
  await cluster.buildTools();
  await cluster.apply(MANIFEST);
  await cluster.must('rollout', 'status', 'deployment/web', '--timeout=60s');
  pod = await cluster.must('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[0].metadata.name}');
}, 90_000);
afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

test('top shows nodes, pods and containers', async () => {
  // A rate needs two samples: a moment after a start there is none yet.
  const shown = (...what: string[]) =>
    expect.poll(async () => (await cluster.kubectl('top', ...what)).stdout, { timeout: 30_000 });
  await shown('nodes').toMatch(/node-1 +\d+m +\d+% +\d+Mi +\d+%/);
  await shown('pods', '--containers').toMatch(new RegExp(`${pod} +c +\\d+m +\\d+Mi`));
});

test('cp carries files both ways', async () => {
  writeFileSync(join(host.dir, 'there.txt'), 'carried');
  await cluster.must('cp', join(host.dir, 'there.txt'), `${pod}:/www/there.txt`);
  expect(await cluster.must('exec', pod, '--', 'cat', '/www/there.txt')).toBe('carried');
  await cluster.must('cp', `${pod}:/www/there.txt`, join(host.dir, 'back.txt'));
  expect(readFileSync(join(host.dir, 'back.txt'), 'utf8')).toBe('carried');
});

test('pods, services and nodes answer through the API server', async () => {
  const get = (path: string) => cluster.must('get', '--raw', path);
  await cluster.must('wait', '--for=jsonpath={.subsets[0].addresses[0].ip}', 'endpoints/web', '--timeout=30s');
  expect(await get(`/api/v1/namespaces/default/pods/${pod}/proxy/index.html`)).toBe(`${pod}\n`);
  expect(await get(`/api/v1/namespaces/default/pods/${pod}:8080/proxy/index.html`)).toBe(`${pod}\n`);
  expect(await get('/api/v1/namespaces/default/services/web:http/proxy/index.html')).toBe(`${pod}\n`);
  expect(await get('/api/v1/nodes/node-1/proxy/healthz')).toBe('ok');
});

test('the JavaScript client library execs, copies, follows a log and forwards a port', async () => {
  const directory = join(host.dir, 'client-node');
  mkdirSync(directory);
  const node = resolve(import.meta.dirname, '../../scripts/node');
  const session = resolve(import.meta.dirname, 'client-node-session.ts');
  const kubeconfig = join(host.dataDir, 'kubeconfig');
  const command = `cd ${directory} && exec timeout 40 ${node} ${session} ${kubeconfig} default ${pod} ${directory}`;
  const seen = await host.run(['sh', '-c', command]);
  expect(seen.code, seen.stderr).toBe(0);
  expect(JSON.parse(seen.stdout)).toEqual({
    echoed: { out: 'over there\n', status: 'Success' },
    failed: { out: '', status: 'Failure', code: '7' },
    arrived: 'dear pod',
    reply: 'dear client\n',
    log: 'started\n',
    page: expect.stringMatching(/^HTTP\/1\.[01] 200 OK/),
    phase: 'Running',
  });
});

test('drain moves what it can off the node', async () => {
  expect(await cluster.must('drain', 'node-1', '--ignore-daemonsets', '--timeout=60s')).toContain(`pod/${pod} evicted`);
  await cluster.must('uncordon', 'node-1');
  await cluster.must('rollout', 'status', 'deployment/web', '--timeout=60s');
});
