// A node under pods and registries that do it harm: it stays Ready, says what is wrong in an event or a condition, and the other pods go on.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { Event, Node, Pod } from '../../api/types/core-v1.ts';
import { createCriClient } from '../../kubelet/cri/client.ts';
import { audit, leftBehind, takeNodePicture } from '../chaos/audit.ts';
import { root, TestCluster, TestHost, tool } from './harness.ts';
import { pidsBelow } from './observe.ts';

let host: TestHost;
let cluster: TestCluster;
let registry: ChildProcess | undefined;
let disk = '';

beforeAll(async () => {
  host = new TestHost('robust');
  // Images, layers and what containers write are on a small disk of their own.
  disk = join(host.dataDir, 'runtime');
  mkdirSync(disk, { recursive: true });
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256m,mode=0711', 'small-disk', disk]);
  writeFileSync(
    join(host.dir, 'kubelet.yaml'),
    `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
podPidsLimit: 64
containerLogMaxSize: 1Mi
containerLogMaxFiles: 2
evictionPressureTransitionPeriod: 1s
`,
  );
  cluster = new TestCluster(host, { args: ['--kubelet-config', join(host.dir, 'kubelet.yaml')] });
  await cluster.start();
  await cluster.buildTools();
  await cluster.apply(podOf('steady', 'echo steady; exec sleep 100000'));
  await cluster.must('wait', '--for=condition=Ready', 'pod/steady', '--timeout=30s');
}, 120_000);

afterEach(async () => {
  await cluster.must('delete', 'pods', '-l', 'of=robustness,!keep', '--timeout=50s');
  const { status } = await cluster.get<Node>('node', 'node-1');
  expect(status?.conditions?.find(({ type }) => type === 'Ready')).toMatchObject({ status: 'True' });
  const steady = await cluster.get<Pod>('pod', 'steady');
  expect(steady.status?.containerStatuses?.[0]).toMatchObject({ ready: true, restartCount: 0 });
});

afterAll(async () => {
  registry?.kill();
  await cluster?.stop();
  if (disk) execFileSync('umount', [disk]);
  expect(host.dispose()).toEqual({});
}, 90_000);

function podOf(name: string, script: string, more = '', containerMore = ''): string {
  return `
apiVersion: v1
kind: Pod
metadata: { name: ${name}, labels: { of: robustness${name === 'steady' ? ', keep: here' : ''} } }
spec:
  terminationGracePeriodSeconds: 1
  ${more}
  containers:
  - name: c
    image: localhost/tools:1
    command: [sh, -c, ${JSON.stringify(script)}]
    ${containerMore}
`;
}

const deleted = (name: string) => cluster.must('delete', 'pod', name, '--timeout=30s');

async function messages(pod: string, reason: string): Promise<string> {
  const { items } = await cluster.get<{ items: Event[] }>(
    'events',
    '--field-selector',
    `involvedObject.name=${pod},reason=${reason}`,
  );
  return items.map(({ message }) => message).join('\n');
}

test('a fork bomb ends at the pod’s limit of processes', async () => {
  // Each process makes two and stays: a shell that cannot fork ends, so a bomb of shells alone would soon be over.
  await cluster.apply(podOf('bomb', 'bomb() { bomb & bomb & exec sleep 100000; }; bomb'));
  await expect
    .poll(async () => pidsBelow(host.cgroup, (await cluster.get<Pod>('pod', 'bomb')).metadata.uid ?? '').length, {
      timeout: 30_000,
    })
    .toBeGreaterThan(3);
  // Another pod starts meanwhile.
  await cluster.apply(podOf('beside', 'exec sleep 1000'));
  await cluster.must('wait', '--for=condition=Ready', 'pod/beside', '--timeout=30s');
  const { uid = '' } = (await cluster.get<Pod>('pod', 'bomb')).metadata;
  expect(pidsBelow(host.cgroup, uid).length).toBeLessThanOrEqual(64);
  await deleted('beside');
  await deleted('bomb');
  expect(pidsBelow(host.cgroup, uid)).toEqual([]);
}, 120_000);

test('a container without memory is killed and says so', async () => {
  await cluster.apply(
    podOf(
      'hungry',
      'exec tail /dev/zero',
      'restartPolicy: Never',
      'resources: { requests: { cpu: 1m }, limits: { memory: 24Mi } }',
    ),
  );
  await cluster.must('wait', '--for=jsonpath={.status.phase}=Failed', 'pod/hungry', '--timeout=60s');
  const pod = await cluster.get<Pod>('pod', 'hungry');
  expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
  await deleted('hungry');
}, 90_000);

test('a container that ignores SIGTERM is gone after its grace period', async () => {
  await cluster.apply(podOf('stubborn', `trap '' TERM INT HUP; while :; do sleep 1; done`));
  await cluster.must('wait', '--for=condition=Ready', 'pod/stubborn', '--timeout=30s');
  const begun = Date.now();
  await deleted('stubborn');
  expect(Date.now() - begun).toBeGreaterThan(1000);
  expect(await messages('stubborn', 'Killing')).toBe('Stopping container c');
}, 60_000);

test('a log without end stays within its limit, and can be read', async () => {
  await cluster.apply(podOf('talker', 'yes 0123456789012345678901234567890123456789'));
  await cluster.must('wait', '--for=condition=Ready', 'pod/talker', '--timeout=30s');
  const { uid } = (await cluster.get<Pod>('pod', 'talker')).metadata;
  const directory = join(host.dataDir, 'kubelet/logs', `default_talker_${uid}`, 'c');
  // It has been rotated at least once …
  await expect.poll(() => readdirSync(directory).length, { timeout: 60_000 }).toBeGreaterThan(1);
  const first = readdirSync(directory).toSorted().join();
  await expect.poll(() => readdirSync(directory).toSorted().join(), { timeout: 60_000 }).not.toBe(first);
  // … and no more than two are kept.
  expect(readdirSync(directory).length).toBeLessThanOrEqual(3);
  expect(await cluster.must('logs', 'talker', '--tail=1')).toBe('0123456789012345678901234567890123456789\n');
  await deleted('talker');
}, 150_000);

test('a registry that is away or lies is named, with what it did', async () => {
  const child = host.spawn(
    [join(root, 'scripts/node'), join(root, 'runtime/testing/registry-process.ts')],
    'registry.log',
  );
  registry = child;
  const port = await new Promise<string>((done) =>
    child.stdout?.once('data', (chunk: Buffer) => done(String(chunk).trim())),
  );
  const context = join(host.dir, 'other-image');
  mkdirSync(context);
  cpSync(tool('busybox'), join(context, 'sh'));
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY sh /bin/sh\nCOPY Dockerfile /only-here\n');
  for (const args of [
    ['build', '-t', 'localhost/other:1', context],
    ['push', 'localhost/other:1', `localhost:${port}/other:1`],
    ['rm', 'localhost/other:1'],
  ])
    expect(await cluster.sampan('image', ...args)).toMatchObject({ code: 0 });
  const create = (name: string, image: string) =>
    cluster.apply(podOf(name, 'read forever').replace('localhost/tools:1', image));

  const liars: Record<string, [string, RegExp]> = {
    'other-bytes': [`localhost:${port}/lies/other-bytes/other:1`, /sha256:[0-9a-f]+/],
    'cut-off': [`localhost:${port}/lies/cut-off/other:1`, /./],
    page: [`localhost:${port}/lies/page/other:1`, /text\/html|manifest/],
    broken: [`localhost:${port}/lies/broken/other:1`, /500/],
    away: ['localhost:65001/other:1', /ECONNREFUSED/],
  };
  for (const [name, [image]] of Object.entries(liars)) await create(`pull-${name}`, image);
  for (const [name, [image, what]] of Object.entries(liars)) {
    await expect.poll(() => messages(`pull-${name}`, 'Failed'), { timeout: 60_000 }).toMatch(what);
    expect(await messages(`pull-${name}`, 'Failed')).toContain(`Failed to pull image "${image}"`);
    const pod = await cluster.get<Pod>('pod', `pull-${name}`);
    expect(pod.status?.containerStatuses?.[0]?.state?.waiting?.reason).toMatch(/ErrImagePull|ImagePullBackOff/);
  }
  for (const name of Object.keys(liars)) await deleted(`pull-${name}`);
  // The same bytes, told truly.
  await create('pull-honest', `localhost:${port}/other:1`);
  await cluster.must(
    'wait',
    '--for=jsonpath={.status.containerStatuses[0].imageID}',
    'pod/pull-honest',
    '--timeout=60s',
  );
  await deleted('pull-honest');
}, 180_000);

test('a damaged archive of an image is refused', async () => {
  const path = join(host.dir, 'damaged.tar');
  const context = join(host.dir, 'damaged-image');
  mkdirSync(context);
  writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\nCOPY noise /noise\n');
  writeFileSync(join(context, 'noise'), randomBytes(1 << 20));
  for (const args of [
    ['build', '-t', 'localhost/damaged:1', context],
    ['save', '-o', path, 'localhost/damaged:1'],
    ['rm', 'localhost/damaged:1'],
  ])
    expect(await cluster.sampan('image', ...args)).toMatchObject({ code: 0 });
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes.fill(0x55, middle, middle + 4096);
  writeFileSync(path, bytes);
  const { code, stderr } = await cluster.sampan('image', 'load', path);
  expect(code).not.toBe(0);
  expect(stderr).toMatch(/sha256:[0-9a-f]+/);
}, 60_000);

test('a pod that fills the disk is evicted; the node says that it is full, and then that it is not', async () => {
  const condition = async (type: string) =>
    (await cluster.get<Node>('node', 'node-1')).status?.conditions?.find((each) => each.type === type);
  await cluster.apply(podOf('filler', 'dd if=/dev/zero of=/big bs=1M; exec sleep 100000', 'restartPolicy: Never'));
  await expect
    .poll(() => condition('DiskPressure'), { timeout: 60_000 })
    .toMatchObject({
      status: 'True',
      reason: 'KubeletHasDiskPressure',
      message: 'kubelet has disk pressure',
    });
  await cluster.must('wait', '--for=jsonpath={.status.phase}=Failed', 'pod/filler', '--timeout=60s');
  const { status } = await cluster.get<Pod>('pod', 'filler');
  expect(status).toMatchObject({ reason: 'Evicted', message: expect.stringContaining('ephemeral-storage') });
  await deleted('filler');
  await expect.poll(() => condition('DiskPressure'), { timeout: 60_000 }).toMatchObject({ status: 'False' });
  await expect
    .poll(async () => (await cluster.get<Node>('node', 'node-1')).spec?.taints ?? [], { timeout: 30_000 })
    .toEqual([]);
}, 240_000);

test('110 pods: all run, and nothing of them is left', async () => {
  const cri = createCriClient(join(disk, 'cri.sock'));
  const before = takeNodePicture(host);
  const steady = await cluster.get<Pod>('pod', 'steady');
  await cluster.apply(
    Array.from({ length: 109 }, (_, n) =>
      podOf(`many-${n}`, 'exec sleep 100000').replace('of: robustness', 'of: many'),
    ).join('---'),
  );
  const all = ['wait', '--for=condition=Ready', 'pod', '-l', 'of=many', '--timeout=120s'];
  expect(await cluster.kubectlWith({ timeoutMs: 130_000 }, ...all)).toMatchObject({ code: 0 });
  // The next one does not fit, and says so.
  await cluster.apply(podOf('one-too-many', 'exec sleep 1000'));
  await expect.poll(() => messages('one-too-many', 'FailedScheduling'), { timeout: 20_000 }).toMatch(/Too many pods/);
  const { items } = await cluster.get<{ items: Pod[] }>('pods', '-l', 'of=many');
  expect(new Set(items.map(({ status }) => status?.podIP)).size).toBe(109);
  await deleted('one-too-many');
  await cluster.kubectlWith({ timeoutMs: 180_000 }, 'delete', 'pods', '-l', 'of=many', '--timeout=170s');
  await expect.poll(() => audit(host, cri, [steady]), { timeout: 30_000 }).toEqual([]);
  await expect.poll(() => leftBehind(before, host), { timeout: 15_000 }).toEqual({});
  cri.close();
}, 400_000);
