// `sampan up` with networks made by CNI plugins: until there is a configuration that works the node says what is wrong; then pods have the
// plugin's addresses, and plugins that map ports are told which.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { TestCluster, TestHost } from './harness.ts';

const NODE_IP = '192.0.2.7';

let host: TestHost;
let cluster: TestCluster;
let ready: Promise<void>;
const conf = () => join(host.dir, 'net.d');

/** Makes a link into the pod, writes down what it was asked. */
const plugin = () => `#!/bin/sh
input=$(cat)
echo "$CNI_COMMAND $CNI_ARGS $input" >> ${host.dir}/asked
case $CNI_COMMAND in
ADD)
  n=$(( $(cat ${host.dir}/next 2>/dev/null || echo 1) + 1 )); echo $n > ${host.dir}/next
  ip link add cni$n type veth peer name "$CNI_IFNAME" netns "$CNI_NETNS" && ip link set cni$n up && ip addr add 10.99.$n.1/24 dev cni$n || exit 1
  nsenter --net="$CNI_NETNS" sh -c "ip addr add 10.99.$n.2/24 dev $CNI_IFNAME && ip link set $CNI_IFNAME up" || exit 1
  echo "{\\"cniVersion\\":\\"1.1.0\\",\\"ips\\":[{\\"address\\":\\"10.99.$n.2/24\\"}]}" ;;
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.1.0"]}' ;;
esac
`;

function configure(type: string, name = '10-test.conflist'): void {
  const list = { cniVersion: '1.1.0', name: 'test', plugins: [{ type, capabilities: { portMappings: true } }] };
  writeFileSync(join(conf(), 'new'), JSON.stringify(list));
  renameSync(join(conf(), 'new'), join(conf(), name));
}

beforeAll(async () => {
  host = new TestHost('cni');
  mkdirSync(conf());
  mkdirSync(join(host.dir, 'bin'));
  writeFileSync(join(host.dir, 'bin/pointtopoint'), plugin(), { mode: 0o755 });
  execFileSync('ip', ['-n', host.netns, 'addr', 'add', `${NODE_IP}/32`, 'dev', 'lo']);
  cluster = new TestCluster(host, {
    args: ['--cni-conf-dir', conf(), '--cni-bin-dir', join(host.dir, 'bin'), '--node-ip', NODE_IP],
  });
  ready = cluster.start();
  ready.catch(() => {});
}, 60_000);

afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

const readyCondition = async () => {
  const { code, stdout } = await cluster.kubectl('get', 'node', 'node-1', '-o', 'json');
  if (code !== 0) return undefined;
  return (JSON.parse(stdout) as Node).status?.conditions?.find(({ type }) => type === 'Ready');
};

test('the node says what its network lacks, and is Ready when it lacks nothing', async () => {
  const says = async (what: RegExp) =>
    expect
      .poll(readyCondition, { timeout: 60_000, interval: 500 })
      .toMatchObject({ status: 'False', reason: 'KubeletNotReady', message: expect.stringMatching(what) });
  await says(/NetworkReady=false reason:NetworkPluginNotReady message:.*cni plugin not initialized/);
  configure('nobody-has-it');
  await says(/plugin nobody-has-it is not in /);
  writeFileSync(join(conf(), '00-broken.conflist'), '{');
  await says(/00-broken\.conflist/);
  writeFileSync(join(conf(), '00-broken.conflist'), '');
  configure('pointtopoint', '00-broken.conflist');
  await expect
    .poll(readyCondition, { timeout: 60_000, interval: 500 })
    .toMatchObject({ status: 'True', reason: 'KubeletReady' });
  await ready;
}, 240_000);

test('a pod has the plugin’s address; ports of the host are the plugin’s to map', async () => {
  await cluster.buildTools();
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: web }
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: localhost/tools:1
    command: [sh, -c, "ip addr show eth0; exec sleep 1000"]
    ports: [{ containerPort: 80, hostPort: 30081, hostIP: 127.0.0.1 }]
`);
  await cluster.must('wait', '--for=condition=Ready', 'pod/web', '--timeout=60s');
  const pod = await cluster.get<Pod>('pod', 'web');
  expect(pod.status?.podIP).toMatch(/^10\.99\.\d+\.2$/);
  expect(await cluster.must('logs', 'web')).toContain(`inet ${pod.status?.podIP}/24`);
  // The cluster's DNS answers at the node.
  expect(await cluster.must('exec', 'web', '--', 'cat', '/etc/resolv.conf')).toContain(`nameserver ${NODE_IP}`);
  expect(readFileSync(join(host.dataDir, 'logs/node.log'), 'utf8')).not.toContain('cluster DNS ended');
  await cluster.must('delete', 'pod', 'web', '--timeout=30s');
  const asked = () => readFileSync(join(host.dir, 'asked'), 'utf8').split('\n');
  const add = asked().find((line) => line.startsWith('ADD ')) ?? '';
  expect(add).toContain('K8S_POD_NAMESPACE=default;K8S_POD_NAME=web');
  expect(JSON.parse(add.slice(add.indexOf('{')))).toMatchObject({
    runtimeConfig: {
      portMappings: [{ hostPort: 30_081, containerPort: 80, protocol: 'tcp', hostIP: '127.0.0.1' }],
    },
  });
  // Without a grace period the object is gone before its network.
  await expect.poll(() => asked().some((line) => line.startsWith('DEL ')), { timeout: 20_000 }).toBe(true);
}, 120_000);
