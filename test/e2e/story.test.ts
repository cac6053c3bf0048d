// The whole story, on the embedded store and on a real etcd: a YAML file becomes processes in namespaces and cgroups that
// answer through a Service, and nothing of it stays when it is deleted.
import type { ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, cpSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Pod } from '../../api/types/core-v1.ts';
import { root, TestCluster, TestHost, tool } from './harness.ts';
import { httpGet, pidsBelow, startEtcd } from './observe.ts';

describe.each(['embedded', 'etcd'])('with the %s store', (store) => {
  let host: TestHost;
  let cluster: TestCluster;
  let etcd: ChildProcess | undefined;

  beforeAll(async () => {
    host = new TestHost(`story-${store}`);
    if (store === 'etcd') etcd = await startEtcd(host);
    cluster = new TestCluster(host, { store: etcd ? 'http://127.0.0.1:2379' : store });
    await cluster.start();
    await cluster.buildTools();
    const context = join(host.dir, 'hello');
    cpSync(join(root, 'examples/hello/image'), context, { recursive: true });
    cpSync(tool('busybox'), join(context, 'busybox'));
    const built = await cluster.sampan('image', 'build', '-t', 'localhost/hello:1.0', context);
    expect(built.stderr + built.stdout, built.stderr).toContain('localhost/hello:1.0');
  }, 120_000);

  afterAll(async () => {
    await cluster?.stop();
    if (etcd) {
      const ended = new Promise((done) => etcd?.once('exit', done));
      etcd.kill('SIGTERM');
      await ended;
    }
    expect(host.dispose()).toEqual({});
  }, 60_000);

  test('apply, rollout, and the Service answers with the Secret that a pod read from its volume', async () => {
    const applied = await cluster.must('apply', '-f', join(root, 'examples/hello/hello.yaml'));
    expect(applied.trim().split('\n')).toEqual([
      'namespace/hello created',
      'secret/greeting created',
      'deployment.apps/hello created',
      'service/hello created',
    ]);
    expect(await cluster.must('rollout', 'status', 'deployment/hello', '-n', 'hello', '--timeout=60s')).toContain(
      'successfully rolled out',
    );
    const address = await cluster.must('get', 'service', 'hello', '-n', 'hello', '-o', 'jsonpath={.spec.clusterIP}');
    const answer = await httpGet(host, `http://${address}/`);
    expect(answer).toContain('ahoy from a Secret');
    expect(answer).toMatch(/answered by pod hello-\S+ \(10\.244\.0\.\d+\) on node node-1, as user 1000/);
    const again = await cluster.must('apply', '-f', join(root, 'examples/hello/hello.yaml'));
    expect(again).toContain('deployment.apps/hello unchanged');
  });

  test('the process is in namespaces and a cgroup of its own, without privileges', async () => {
    const { items } = await cluster.get<{ items: Pod[] }>('pods', '-n', 'hello');
    const uid = items[0]?.metadata.uid ?? '';
    const pids = pidsBelow(host.cgroup, uid);
    expect(pids.length).toBeGreaterThan(0);
    const httpd = pids.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('httpd')) ?? 0;
    for (const namespace of ['pid', 'mnt', 'net', 'ipc', 'uts', 'cgroup']) {
      expect(readlinkSync(`/proc/${httpd}/ns/${namespace}`), namespace).not.toBe(
        readlinkSync(`/proc/self/ns/${namespace}`),
      );
    }
    const status = readFileSync(`/proc/${httpd}/status`, 'utf8');
    expect(status).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    expect(status).toMatch(/^Seccomp:\t2$/m);
    expect(memoryLimitOf(httpd)).toBe(String(32 << 20));
  });

  test('kill -9 of the node process: it comes back by itself, the containers have not noticed', async () => {
    const { items } = await cluster.get<{ items: Pod[] }>('pods', '-n', 'hello');
    const pidsOf = () => items.map((pod) => pidsBelow(host.cgroup, pod.metadata.uid ?? '').toSorted());
    const before = pidsOf();
    const [node] = cluster.children();
    process.kill(node as number, 'SIGKILL');
    const name = items[0]?.metadata.name ?? '';
    // Refused while the node is away.
    while ((await cluster.kubectl('exec', '-n', 'hello', name, '--', 'true')).code !== 0)
      await host.run(['sleep', '0.1']);
    expect(cluster.children()).not.toContain(node);
    expect(pidsOf()).toEqual(before);
    const again = await cluster.get<{ items: Pod[] }>('pods', '-n', 'hello');
    expect(again.items.map((pod) => pod.status?.containerStatuses?.[0]?.restartCount)).toEqual([0, 0]);
  });

  test('the memory limit kills: OOMKilled, exit code 137', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: hungry }
spec:
  restartPolicy: Never
  containers:
  - name: c
    image: localhost/tools:1
    command: [tail, /dev/zero]
    resources: { limits: { memory: 24Mi } }
`);
    await cluster.must('wait', 'pod/hungry', '--for=jsonpath={.status.phase}=Failed', '--timeout=30s');
    const pod = await cluster.get<Pod>('pod', 'hungry');
    expect(pod.status?.containerStatuses?.[0]?.state?.terminated).toMatchObject({ reason: 'OOMKilled', exitCode: 137 });
    await cluster.must('delete', 'pod', 'hungry');
  });

  test('a crashed container restarts, and then backs off', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: { name: crasher }
spec:
  terminationGracePeriodSeconds: 1
  containers:
  - { name: c, image: "localhost/tools:1", command: [sh, -c, "echo run; exit 3"] }
`);
    await cluster.must(
      'wait',
      'pod/crasher',
      '--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=CrashLoopBackOff',
      '--timeout=30s',
    );
    const pod = await cluster.get<Pod>('pod', 'crasher');
    const status = pod.status?.containerStatuses?.[0];
    expect(status?.restartCount).toBeGreaterThanOrEqual(1);
    expect(status?.state?.waiting?.message).toMatch(
      /^back-off \d+s restarting failed container=c pod=crasher_default\(/,
    );
    expect(status?.lastState?.terminated).toMatchObject({ exitCode: 3, reason: 'Error' });
    expect(await cluster.must('logs', 'crasher', '--previous')).toBe('run\n');
    await cluster.must('delete', 'pod', 'crasher');
  });

  test('a deleted Deployment leaves no process, mount, namespace, cgroup, veth or rule', async () => {
    await cluster.must('delete', '-f', join(root, 'examples/hello/hello.yaml'), '--timeout=60s');
    await cluster.must('wait', '--for=delete', 'namespace/hello', '--timeout=60s');
    const links = (await host.run(['ip', '-brief', 'link'])).stdout;
    expect(links.split('\n').filter((line) => /veth/.test(line))).toEqual([]);
    expect(
      readFileSync('/proc/self/mountinfo', 'utf8')
        .split('\n')
        .filter((line) => line.includes(host.dir) && /overlay|pods\//.test(line)),
    ).toEqual([]);
    expect(podCgroups(host.cgroup)).toEqual([]);
    const rules = (await host.run(['nft', 'list', 'ruleset'])).stdout;
    expect(rules).not.toMatch(/8080/);
  });
});

/** The limit of the memory cgroup that the process is in, under v1 and v2. */
function memoryLimitOf(pid: number): string {
  const lines = readFileSync(`/proc/${pid}/cgroup`, 'utf8').trim().split('\n');
  const v1 = lines.find((line) => line.split(':')[1]?.split(',').includes('memory'))?.split(':')[2];
  if (v1 !== undefined) return readFileSync(join('/sys/fs/cgroup/memory', v1, 'memory.limit_in_bytes'), 'utf8').trim();
  const v2 = lines.find((line) => line.startsWith('0::'))?.slice(3) ?? '';
  return readFileSync(join('/sys/fs/cgroup', v2, 'memory.max'), 'utf8').trim();
}

function podCgroups(cgroup: string): string[] {
  const found: string[] = [];
  for (const hierarchy of ['', ...readdirSync('/sys/fs/cgroup')]) {
    for (const qos of ['', 'burstable', 'besteffort']) {
      const directory = join('/sys/fs/cgroup', hierarchy, cgroup, 'kubepods', qos);
      if (!existsSync(directory)) continue;
      found.push(
        ...readdirSync(directory)
          .filter((name) => name.startsWith('pod'))
          .map((name) => join(directory, name)),
      );
    }
  }
  return found;
}
