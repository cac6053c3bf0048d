// Somebody sets the host's clock while a cluster runs on it, by hours, forwards and then back: the node stays Ready, no pod is killed, what
// is written bears the new time. All components see a clock that is preloaded into them.
import { execFileSync } from 'node:child_process';
import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lease } from '../../api/types/coordination-v1.ts';
import type { Event, Node, Pod } from '../../api/types/core-v1.ts';
import { root, TestCluster, TestHost } from './harness.ts';

const HOUR_S = 3600;
const TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';
let host: TestHost;
let cluster: TestCluster;
let offsetS = 0;

/** The clock of the host from now on: the true one, `seconds` ahead. */
function setClock(seconds: number): void {
  offsetS = seconds;
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(BigInt(seconds));
  const fd = openSync(join(host.dir, 'clock'), 'r+');
  writeSync(fd, bytes, 0, 8, 0);
  closeSync(fd);
}

const nowMs = () => Date.now() + offsetS * 1000;
/** How far the time is from the host's clock, in seconds. */
const agoS = (time: string | undefined) => Math.abs(nowMs() - Date.parse(time ?? '')) / 1000;

beforeAll(async () => {
  host = new TestHost('clock');
  writeFileSync(join(host.dir, 'clock'), Buffer.alloc(8));
  const library = join(host.dir, 'set-clock.so');
  execFileSync('gcc', ['-O2', '-shared', '-fPIC', '-o', library, join(root, 'test/e2e/set-clock.c')]);
  cluster = new TestCluster(host, { env: { LD_PRELOAD: library, SAMPAN_TEST_CLOCK: join(host.dir, 'clock') } });
  await cluster.start();
  await cluster.buildTools();
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: steady }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: localhost/tools:1
    command: [sleep, "100000"]
    livenessProbe: { exec: { command: ["true"] }, periodSeconds: 2 }
    readinessProbe: { exec: { command: ["true"] }, periodSeconds: 2 }
---
apiVersion: v1
kind: Pod
metadata: { name: crashing }
spec:
  terminationGracePeriodSeconds: 0
  containers: [{ name: c, image: "localhost/tools:1", command: ["false"] }]
`);
  await cluster.must('wait', '--for=condition=Ready', 'pod/steady', '--timeout=30s');
}, 120_000);

afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

const ready = (node: Node) => node.status?.conditions?.find(({ type }) => type === 'Ready');

test.each([
  ['five hours forwards', 5 * HOUR_S],
  ['back to ten hours before that', -5 * HOUR_S],
])(
  '%s',
  async (_, seconds) => {
    const restarts = async () =>
      (await cluster.get<Pod>('pod', 'crashing')).status?.containerStatuses?.[0]?.restartCount ?? 0;
    const restartsBefore = await restarts();
    const seen: (string | undefined)[] = [];
    const look = async () => {
      const node = await cluster.get<Node>('node', 'node-1');
      seen.push(`${ready(node)?.status} ${JSON.stringify(node.spec?.taints ?? [])}`);
      return node;
    };
    setClock(seconds);

    // The node goes on telling that it lives, by the new time.
    await expect
      .poll(
        async () => {
          await look();
          return agoS((await cluster.get<Lease>('lease', 'node-1', '-n', 'kube-node-lease')).spec?.renewTime);
        },
        { timeout: 30_000, interval: 500 },
      )
      .toBeLessThan(15);
    // The pod's token is good, or is replaced by one that is.
    const whoAmI = async () => {
      const token = await cluster.must('exec', 'steady', '--', 'cat', TOKEN);
      const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
      const { stdout } = await cluster.kubectlWith(
        { input: JSON.stringify(review) },
        ...['create', '-f', '-', '-o', 'jsonpath={.status.user.username}{.status.error}'],
      );
      return stdout;
    };
    await expect.poll(whoAmI, { timeout: 30_000, interval: 500 }).toBe('system:serviceaccount:default:default');

    // New work is done, and bears the new time.
    const name = `after-${seconds > 0 ? 'forwards' : 'back'}`;
    await cluster.must('run', name, '--image=localhost/tools:1', '--restart=Never', '--', 'sh', '-c', 'echo done');
    await cluster.must('wait', '--for=jsonpath={.status.phase}=Succeeded', `pod/${name}`, '--timeout=60s');
    const pod = await cluster.get<Pod>('pod', name);
    expect(agoS(pod.metadata.creationTimestamp)).toBeLessThan(90);
    const { items } = await cluster.get<{ items: Event[] }>(
      'events',
      '--field-selector',
      `involvedObject.name=${name}`,
    );
    expect(items.length).toBeGreaterThan(0);
    for (const event of items) expect(agoS(event.lastTimestamp ?? event.eventTime)).toBeLessThan(90);
    expect(await cluster.must('logs', name)).toBe('done\n');

    // Back-off goes by the time that passes: the next restart is neither put off by hours …
    await expect.poll(restarts, { timeout: 60_000, interval: 500 }).toBeGreaterThan(restartsBefore);
    const steady = await cluster.get<Pod>('pod', 'steady');
    expect(steady.status?.containerStatuses?.[0]).toMatchObject({ ready: true, restartCount: 0 });
    await look();
    expect(new Set(seen)).toEqual(new Set(['True []']));
    // … nor hurried: from 10 s on it doubles.
    expect(await restarts()).toBeLessThan(restartsBefore + 4);
  },
  240_000,
);
