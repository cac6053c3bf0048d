// Two machines, two commands: `sampan token create` on the one prints what makes the other a node. Each machine is a network namespace with a
// runtime of its own; a wire joins them.
import { execFileSync } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Node } from '../../api/types/core-v1.ts';
import { root, TestCluster, TestHost, tool } from './harness.ts';

const sampan = join(root, 'scripts/sampan');
let first: TestHost;
let second: TestHost;
let cluster: TestCluster;
let joined: ChildProcess | undefined;

beforeAll(async () => {
  first = new TestHost('join-a');
  second = new TestHost('join-b');
  const ip = (...args: string[]) => execFileSync('ip', args);
  ip('link', 'add', 'wire0', 'netns', first.netns, 'type', 'veth', 'peer', 'name', 'wire0', 'netns', second.netns);
  for (const [host, address] of [
    [first, '10.9.0.1/24'],
    [second, '10.9.0.2/24'],
  ] as const) {
    ip('-n', host.netns, 'addr', 'add', address, 'dev', 'wire0');
    ip('-n', host.netns, 'link', 'set', 'wire0', 'up');
  }
  cluster = new TestCluster(first, { args: ['--advertise-address', '10.9.0.1', '--node-ip', '10.9.0.1'] });
  await cluster.start();
}, 120_000);

async function leave(): Promise<void> {
  const child = joined;
  joined = undefined;
  if (!child || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise<void>((done) => child.once('exit', () => done()));
  child.kill('SIGINT');
  await ended;
}

afterAll(async () => {
  await leave();
  if (second) await second.run([sampan, 'down', '--data-dir', second.dataDir]);
  await cluster?.stop();
  expect([second?.dispose(), first?.dispose()]).toEqual([{}, {}]);
}, 60_000);

function runJoin(...args: string[]): Promise<void> {
  const own = ['--node-name', 'node-2', '--node-ip', '10.9.0.2', '--data-dir', second.dataDir];
  joined = second.spawn([sampan, ...args, ...own, '--cgroup-root', second.cgroup], 'join.log');
  return new Promise((done, fail) => {
    let text = '';
    joined?.stderr?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes('has joined')) done();
    });
    joined?.once('exit', (code) => fail(new Error(`sampan join ended with ${code}: ${text}`)));
  });
}

const log = () => {
  const path = join(second.dir, 'join.log');
  return existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(-40).join('\n') : '';
};

test('a machine joins with the printed command, runs pods, and comes back without the token', async () => {
  const { stdout, stderr } = await cluster.host.run([
    sampan,
    'token',
    'create',
    '--data-dir',
    first.dataDir,
    '--server',
    'https://10.9.0.1:6443',
  ]);
  expect(stderr).toBe('');
  const words = stdout.trim().split(' ');
  expect(words.slice(0, 3)).toEqual(['sampan', 'join', 'https://10.9.0.1:6443']);
  expect(stdout).toContain('--pod-cidr 10.244.1.0/24');

  const wrong = words.slice(1).map((word) => (word.startsWith('sha256:') ? `sha256:${'0'.repeat(64)}` : word));
  const refused = await second.run([sampan, ...wrong, '--data-dir', second.dataDir]);
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('not the cluster that was meant')]);

  await runJoin(...words.slice(1));
  await expect.poll(async () => (await cluster.kubectl('get', 'node', 'node-2')).code, { timeout: 20_000 }).toBe(0);
  const ready = await cluster.kubectl('wait', '--for=condition=Ready', 'node/node-2', '--timeout=40s');
  expect(ready.code, `${ready.stderr}\n${log()}`).toBe(0);
  const node = await cluster.get<Node>('node', 'node-2');
  expect(node.spec?.podCIDR).toBe('10.244.1.0/24');

  const context = join(second.dir, 'image');
  mkdirSync(context);
  cpSync(tool('busybox'), join(context, 'busybox'));
  writeFileSync(
    join(context, 'Dockerfile'),
    'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\nENV PATH=/bin\n',
  );
  const build = [sampan, 'image', 'build', '--data-dir', second.dataDir, '-t', 'localhost/tools:1', context];
  expect((await second.run(build)).code, log()).toBe(0);
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: there}
spec:
  nodeName: node-2
  terminationGracePeriodSeconds: 0
  containers: [{name: c, image: 'localhost/tools:1', command: [sh, -c, 'echo far away; exec sleep 1000']}]
`);
  await cluster.must('wait', '--for=condition=Ready', 'pod/there', '--timeout=30s');
  // The API server trusts the node's certificate: it was signed for it.
  await expect
    .poll(async () => (await cluster.kubectl('logs', 'there')).stdout, { timeout: 20_000 })
    .toBe('far away\n');
  expect(await cluster.must('exec', 'there', '--', 'hostname', '-i')).toMatch(/^10\.244\.1\.\d+\n$/);

  // Again, without the token: the node has a certificate by now, and its pod has not noticed.
  const started = (await cluster.get<{ status: { containerStatuses: { containerID: string }[] } }>('pod', 'there'))
    .status;
  await leave();
  await runJoin('join', 'https://10.9.0.1:6443', '--pod-cidr', '10.244.1.0/24');
  await cluster.must('wait', '--for=condition=Ready', 'node/node-2', '--timeout=40s');
  await expect
    .poll(async () => (await cluster.kubectl('logs', 'there')).stdout, { timeout: 20_000 })
    .toBe('far away\n');
  const later = (await cluster.get<{ status: { containerStatuses: { containerID: string }[] } }>('pod', 'there'))
    .status;
  expect(later.containerStatuses[0]?.containerID).toBe(started.containerStatuses[0]?.containerID);
  await cluster.must('delete', 'pod', 'there', '--timeout=20s');
}, 180_000);
