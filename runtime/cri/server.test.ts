// The CRI server over a real unix socket, with containers in memory.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { status } from '../../lib/grpc/status.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ContainerConfig, ContainerEventResponse, PodSandboxConfig } from '../../proto/cri-types.ts';
import type { FakeLauncher } from '../testing/fake-launcher.ts';
import { networkFigures } from './metrics.ts';
import { buildTestImage, type Harness, startHarness } from '../testing/harness.ts';

let h: Harness<FakeLauncher>;
const image = 'example.com/app:1';

beforeEach(async () => {
  h = await startHarness();
  await buildTestImage(h, image, {
    'bin/app': 'app',
    'etc/passwd': 'root:x:0:0::/root:/bin/sh\nweb:x:33:34::/home/web:/bin/sh\n',
    'etc/group': 'root:x:0:\nweb:x:34:\nextra:x:50:web\n',
  });
});

afterEach(() => h.stop());

function pod(name: string, more: Partial<PodSandboxConfig> = {}): PodSandboxConfig {
  return {
    metadata: { name, namespace: 'default', uid: `uid-${name}`, attempt: 0 },
    hostname: name,
    logDirectory: join(h.directory, 'logs', name),
    dnsConfig: { servers: ['10.96.0.10'], searches: ['svc.cluster.local'], options: ['ndots:5'] },
    labels: { pod: name },
    linux: { cgroupParent: `/kubepods/pod-${name}` },
    ...more,
  };
}

function container(name: string, more: Partial<ContainerConfig> = {}): ContainerConfig {
  return {
    metadata: { name, attempt: 0 },
    image: { image },
    logPath: `${name}/0.log`,
    labels: { container: name },
    ...more,
  };
}

async function runPod(name: string, more?: Partial<PodSandboxConfig>): Promise<string> {
  return (await h.client.call('RunPodSandbox', { config: pod(name, more) })).podSandboxId as string;
}

async function runContainer(sandbox: string, name: string, more?: Partial<ContainerConfig>): Promise<string> {
  const { containerId } = await h.client.call('CreateContainer', {
    podSandboxId: sandbox,
    config: container(name, more),
  });
  await h.client.call('StartContainer', { containerId });
  return containerId as string;
}

async function statusOf(containerId: string) {
  return (await h.client.call('ContainerStatus', { containerId })).status;
}

test('a pod lives from run to removal and leaves nothing', async () => {
  const sandbox = await runPod('a');
  const created = await h.client.call('CreateContainer', { podSandboxId: sandbox, config: container('main') });
  const id = created.containerId as string;
  expect((await statusOf(id))?.state).toBe('CONTAINER_CREATED');
  await h.client.call('StartContainer', { containerId: id });
  const running = await statusOf(id);
  expect(running).toMatchObject({
    state: 'CONTAINER_RUNNING',
    logPath: join(h.directory, 'logs/a/main/0.log'),
    imageRef: expect.stringMatching(/^sha256:/),
  });
  expect(running?.startedAt).toBeGreaterThan(1e18);
  const spec = h.launcher.created[0];
  expect(spec?.process.args).toEqual(['/bin/app']);
  expect(spec?.mounts.map((mount) => mount.target)).toEqual([
    '/etc/hostname',
    '/etc/hosts',
    '/etc/resolv.conf',
    '/dev/shm',
  ]);
  expect(spec?.cgroup).toBe(`/kubepods/pod-a/${id}`);
  const files = join(h.directory, 'state/sandboxes', sandbox);
  expect(readFileSync(join(files, 'resolv.conf'), 'utf8')).toBe(
    'search svc.cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n',
  );
  expect(readFileSync(join(files, 'hosts'), 'utf8')).toContain('10.244.0.2\ta\n');

  await h.client.call('StopContainer', { containerId: id, timeout: 5 });
  expect(h.launcher.kills).toEqual([{ id, signal: 15 }]);
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 143, reason: 'Error' });
  await h.client.call('StopPodSandbox', { podSandboxId: sandbox });
  expect((await h.client.call('PodSandboxStatus', { podSandboxId: sandbox })).status?.state).toBe('SANDBOX_NOTREADY');
  await h.client.call('RemovePodSandbox', { podSandboxId: sandbox });
  expect((await h.client.call('ListContainers')).containers).toEqual([]);
  expect((await h.client.call('ListPodSandbox')).items).toEqual([]);
  for (const left of ['state/sandboxes', 'state/containers', 'state/images/snapshots/active', 'shm']) {
    expect(readdirSync(join(h.directory, left))).toEqual([]);
  }
  expect((await h.launcher.facts()).size + (await h.launcher.sandboxes()).size).toBe(0);
});

test('the socket can be opened by its owner only', () => {
  expect(statSync(join(h.directory, 'cri.sock')).mode & 0o777).toBe(0o600);
});

test('stop and remove of what is not there succeed, status is NotFound', async () => {
  await h.client.call('StopContainer', { containerId: 'none' });
  await h.client.call('RemoveContainer', { containerId: 'none' });
  await h.client.call('StopPodSandbox', { podSandboxId: 'none' });
  await h.client.call('RemovePodSandbox', { podSandboxId: 'none' });
  await h.client.call('RemoveImage', { image: { image: 'none' } });
  await expect(h.client.call('ContainerStatus', { containerId: 'none' })).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
  await expect(h.client.call('PodSandboxStatus', { podSandboxId: 'none' })).rejects.toMatchObject({
    code: status.NOT_FOUND,
  });
  expect((await h.client.call('ImageStatus', { image: { image: 'none' } })).image).toBeNull();
});

test('a name is reserved until its holder is removed', async () => {
  const sandbox = await runPod('a');
  await expect(runPod('a')).rejects.toMatchObject({
    code: status.ALREADY_EXISTS,
    details: expect.stringContaining(sandbox),
  });
  const id = await runContainer(sandbox, 'main');
  await expect(runContainer(sandbox, 'main')).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
  await h.client.call('RemoveContainer', { containerId: id });
  await runContainer(sandbox, 'main');
});

test.each([
  [0, {}, 'Completed'],
  [3, {}, 'Error'],
  [137, { oomKilled: true, signal: 9 }, 'OOMKilled'],
])('exit %i %o has the reason %s', async (code, more, reason) => {
  const id = await runContainer(await runPod('a'), 'main');
  h.launcher.exit(id, code, more);
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: code, reason });
});

test('a command that cannot be executed is a StartError with code 128', async () => {
  const sandbox = await runPod('a');
  h.launcher.failStart = new Error('exec /bin/app: no such file or directory');
  const { containerId = '' } = await h.client.call('CreateContainer', {
    podSandboxId: sandbox,
    config: container('main'),
  });
  await expect(h.client.call('StartContainer', { containerId })).rejects.toMatchObject({
    details: expect.stringContaining('no such file'),
  });
  expect(await statusOf(containerId)).toMatchObject({
    state: 'CONTAINER_EXITED',
    exitCode: 128,
    reason: 'StartError',
    startedAt: 0,
  });
});

test('what fails half-way leaves nothing, and its name is free again', async () => {
  h.launcher.failCreateSandbox = new Error('no network');
  await expect(runPod('a')).rejects.toMatchObject({ details: 'no network' });
  h.launcher.failCreateSandbox = undefined;
  const sandbox = await runPod('a');
  h.launcher.failCreateContainer = new Error('no mount');
  await expect(runContainer(sandbox, 'main')).rejects.toMatchObject({ details: 'no mount' });
  expect(readdirSync(join(h.directory, 'state/containers'))).toEqual([]);
  expect(readdirSync(join(h.directory, 'state/images/snapshots/active'))).toEqual([]);
  h.launcher.failCreateContainer = undefined;
  await runContainer(sandbox, 'main');
});

test('a container that ignores the stop signal is killed', async () => {
  h.launcher.obeys.clear();
  const id = await runContainer(await runPod('a'), 'main', { stopSignal: 'SIGQUIT' });
  await h.client.call('StopContainer', { containerId: id, timeout: 1 });
  expect(h.launcher.kills.map((kill) => kill.signal)).toEqual([3, 9]);
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 137 });
});

test('lists are filtered by id, state, sandbox and labels', async () => {
  const [a, b] = [await runPod('a'), await runPod('b')];
  const one = await runContainer(a, 'one');
  const two = await runContainer(b, 'two');
  h.launcher.exit(two, 0);
  const ids = async (filter: object) =>
    (await h.client.call('ListContainers', { filter })).containers?.map((c) => c.id);
  expect(await ids({ id: one.slice(0, 12) })).toEqual([one]);
  expect(await ids({ state: { state: 'CONTAINER_EXITED' } })).toEqual([two]);
  expect(await ids({ podSandboxId: b })).toEqual([two]);
  expect(await ids({ labelSelector: { container: 'one' } })).toEqual([one]);
  const pods = async (filter: object) => (await h.client.call('ListPodSandbox', { filter })).items?.map((s) => s.id);
  expect(await pods({ labelSelector: { pod: 'b' } })).toEqual([b]);
  await h.client.call('StopPodSandbox', { podSandboxId: a });
  expect(await pods({ state: { state: 'SANDBOX_READY' } })).toEqual([b]);
});

test('events come in order and carry the state after them', async () => {
  const events: ContainerEventResponse[] = [];
  const stream = h.client.stream('GetContainerEvents');
  stream.on('error', () => {});
  const seen = new Promise<void>((resolve) =>
    stream.on('data', (event: ContainerEventResponse) => events.push(event) === 6 && resolve()),
  );
  await h.client.call('Version');
  const sandbox = await runPod('a');
  const id = await runContainer(sandbox, 'main');
  h.launcher.exit(id, 7);
  await h.client.call('RemoveContainer', { containerId: id });
  await seen;
  stream.cancel();
  expect(events.map((e) => [e.containerId === id ? 'container' : 'sandbox', e.containerEventType])).toEqual([
    ['sandbox', 'CONTAINER_CREATED_EVENT'],
    ['sandbox', 'CONTAINER_STARTED_EVENT'],
    ['container', 'CONTAINER_CREATED_EVENT'],
    ['container', 'CONTAINER_STARTED_EVENT'],
    ['container', 'CONTAINER_STOPPED_EVENT'],
    ['container', 'CONTAINER_DELETED_EVENT'],
  ]);
  expect(events[4]?.containersStatuses?.[0]).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 7 });
});

test('unsupported fields are refused by name', async () => {
  const sandbox = await runPod('a');
  const refused = async (more: Partial<ContainerConfig>, field: string) =>
    expect(runContainer(sandbox, 'main', more)).rejects.toMatchObject({
      code: status.INVALID_ARGUMENT,
      details: expect.stringContaining(field),
    });
  await refused({ CDIDevices: [{ name: 'x' }] }, 'config.CDI_devices');
  await refused(
    { linux: { securityContext: { apparmor: { profileType: 'Localhost', localhostRef: 'x' } } } },
    'apparmor',
  );
  await refused({ linux: { securityContext: { privileged: true } } }, 'privileged');
  await refused({ mounts: [{ hostPath: 'relative', containerPath: '/x' }] }, 'config.mounts[0].host_path');
  await refused({ linux: { securityContext: { capabilities: { addCapabilities: ['NOPE'] } } } }, 'add_capabilities');
  await expect(h.client.call('CheckpointContainer', { containerId: 'x' })).rejects.toMatchObject({
    code: status.UNIMPLEMENTED,
  });
  await expect(h.client.call('RunPodSandbox', { config: pod('b'), runtimeHandler: 'kata' })).rejects.toMatchObject({
    details: expect.stringContaining('runtime_handler'),
  });
});

test('exec runs with a time limit and returns both outputs', async () => {
  const id = await runContainer(await runPod('a'), 'main');
  h.launcher.onExec = (spec, process) => {
    process.stdout.write(spec.process.args.join(' '));
    process.stderr.write('warn');
    process.exit(4);
  };
  const done = await h.client.call('ExecSync', { containerId: id, cmd: ['ls', '/'], timeout: 5 });
  expect([String(done.stdout), String(done.stderr), done.exitCode]).toEqual(['ls /', 'warn', 4]);
  h.launcher.onExec = () => {};
  await expect(h.client.call('ExecSync', { containerId: id, cmd: ['sleep'], timeout: 1 })).rejects.toMatchObject({
    code: status.DEADLINE_EXCEEDED,
  });
  h.launcher.exit(id, 0);
  await expect(h.client.call('ExecSync', { containerId: id, cmd: ['ls'] })).rejects.toMatchObject({
    code: status.FAILED_PRECONDITION,
  });
});

test('output of exec beyond 16 MiB is cut off', async () => {
  const id = await runContainer(await runPod('a'), 'main');
  h.launcher.onExec = (_spec, process) => {
    process.stdout.end(Buffer.alloc(17 << 20, 'x'));
    process.stderr.end();
    setImmediate(() => process.exit(0));
  };
  const done = await h.client.call('ExecSync', { containerId: id, cmd: ['yes'] });
  expect((done.stdout as Buffer).length).toBe(16 << 20);
});

test('after a restart running containers go on and exits of the meantime are events', async () => {
  const sandbox = await runPod('a');
  const [goesOn, ended, created] = [await runContainer(sandbox, 'one'), await runContainer(sandbox, 'two'), 'three'];
  const { containerId: waiting } = await h.client.call('CreateContainer', {
    podSandboxId: sandbox,
    config: container(created),
  });
  h.launcher.forgetListener();
  h.launcher.exit(ended, 9);
  await h.restart();
  expect((await statusOf(goesOn))?.state).toBe('CONTAINER_RUNNING');
  expect(await statusOf(ended)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 9 });
  expect((await statusOf(waiting as string))?.state).toBe('CONTAINER_CREATED');
  const stream = h.client.stream('GetContainerEvents');
  stream.on('error', () => {});
  const event = await new Promise<ContainerEventResponse>((resolve) => stream.once('data', resolve));
  stream.cancel();
  expect(event).toMatchObject({ containerId: ended, containerEventType: 'CONTAINER_STOPPED_EVENT' });
  await expect(runPod('a')).rejects.toMatchObject({ code: status.ALREADY_EXISTS });
  h.launcher.exit(goesOn, 1);
  expect(await statusOf(goesOn)).toMatchObject({ exitCode: 1 });
});

test('a start that was under way when the runtime died is told when it is done', async () => {
  const sandbox = await runPod('a');
  const { containerId: id = '' } = await h.client.call('CreateContainer', {
    podSandboxId: sandbox,
    config: container('late'),
  });
  await h.restart();
  expect((await statusOf(id))?.state).toBe('CONTAINER_CREATED');
  const stream = h.client.stream('GetContainerEvents');
  stream.on('error', () => {});
  const event = new Promise<ContainerEventResponse>((resolve) => stream.once('data', resolve));
  h.launcher.startsLate(id);
  expect(await event).toMatchObject({ containerId: id, containerEventType: 'CONTAINER_STARTED_EVENT' });
  stream.cancel();
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_RUNNING', startedAt: expect.any(Number) });
  await h.client.call('StopContainer', { containerId: id, timeout: 1 });
  expect((await statusOf(id))?.state).toBe('CONTAINER_EXITED');
});

test('after a reboot everything has ended for unknown reasons', async () => {
  const sandbox = await runPod('a');
  const id = await runContainer(sandbox, 'one');
  h.launcher.loseEverything();
  await h.restart();
  expect(await statusOf(id)).toMatchObject({ state: 'CONTAINER_EXITED', exitCode: 255, reason: 'Unknown' });
  expect((await h.client.call('PodSandboxStatus', { podSandboxId: sandbox })).status?.state).toBe('SANDBOX_NOTREADY');
});

test('the runtime goes, shared memory of running pods stays, of torn down ones goes too', async () => {
  const sandbox = await runPod('a');
  await h.restart();
  expect(readdirSync(join(h.directory, 'shm'))).toEqual([`sampan-${sandbox}`]);
  await h.launcher.teardown();
  await h.runtime.stop();
  expect(readdirSync(join(h.directory, 'shm'))).toEqual([]);
});

test('statistics are read from the cgroup', async () => {
  const sandbox = await runPod('a');
  const id = await runContainer(sandbox, 'main');
  const { stats } = await h.client.call('ContainerStats', { containerId: id });
  expect(stats).toMatchObject({
    cpu: { usageCoreNanoSeconds: { value: 5e8 } },
    memory: { workingSetBytes: { value: 2 << 20 }, pageFaults: { value: 12 } },
    swap: { swapUsageBytes: { value: 4096 }, swapAvailableBytes: { value: (1 << 20) - 4096 } },
  });
  expect(stats?.cpu?.psi?.Some).toMatchObject({ Total: 9e9, Avg10: 1.5 });
  const podStats = (await h.client.call('PodSandboxStats', { podSandboxId: sandbox })).stats;
  expect(podStats?.linux?.containers?.map((c) => c.attributes?.id)).toEqual([id]);
  expect((await h.client.call('ListContainerStats', {})).stats?.length).toBe(1);
});

test('every metric that is described is told, with as many labels', async () => {
  const sandbox = await runPod('a');
  const id = await runContainer(sandbox, 'main', { linux: { resources: { cpuQuota: 20_000 } } });
  const { descriptors = [] } = await h.client.call('ListMetricDescriptors');
  const { podMetrics = [] } = await h.client.call('ListPodSandboxMetrics');
  expect(podMetrics.map((each) => [each.podSandboxId, each.containerMetrics?.map((c) => c.containerId)])).toEqual([
    [sandbox, [id]],
  ]);
  const all = [...(podMetrics[0]?.metrics ?? []), ...(podMetrics[0]?.containerMetrics?.[0]?.metrics ?? [])];
  for (const { name = '', help, labelKeys = [] } of descriptors) {
    expect([name, help]).toEqual([expect.stringMatching(/^container_[a-z_]+$/), expect.stringMatching(/\.$/)]);
    // The fake has no network, and pressure of the CPU alone.
    if (/network|pressure_(memory|io)/.test(name)) continue;
    const found = all.filter((each) => each.name === name);
    expect([name, found.length > 0]).toEqual([name, true]);
    for (const { labelValues } of found) expect([name, labelValues?.length]).toEqual([name, labelKeys.length]);
  }
  const cpu = podMetrics[0]?.containerMetrics?.[0]?.metrics?.find((m) => m.name === 'container_cpu_user_seconds_total');
  expect(cpu).toMatchObject({
    metricType: 'COUNTER',
    value: { value: 3 },
    labelValues: [`/kubepods/pod-a/${id}`, id, expect.any(String), 'main', 'a', 'default'],
  });
  expect(networkFigures('Inter-|\n face |bytes\n    lo: 1 1 0 0\n  eth0: 5 4 3 2 0 0 0 0 9 8 7 6 0 0 0 0\n')).toEqual([
    {
      name: 'eth0',
      rx: { bytes: 5, packets: 4, errors: 3, dropped: 2 },
      tx: { bytes: 9, packets: 8, errors: 7, dropped: 6 },
    },
  ]);
});

test('resources change and are reported', async () => {
  const id = await runContainer(await runPod('a'), 'main', {
    linux: { resources: { cpuShares: 512, memoryLimitInBytes: 1 << 26 } },
  });
  await h.client.call('UpdateContainerResources', { containerId: id, linux: { memoryLimitInBytes: 1 << 27 } });
  expect(h.launcher.updates.at(-1)?.resources).toEqual({ cpuShares: 512, memoryLimitBytes: 1 << 27 });
  expect((await statusOf(id))?.resources?.linux).toMatchObject({ cpuShares: 512, memoryLimitInBytes: 1 << 27 });
});

test('the user comes from the image, by name, with its groups', async () => {
  const id = await runContainer(await runPod('a'), 'main', {
    linux: { securityContext: { runAsUsername: 'web', supplementalGroups: [70] } },
  });
  expect((await statusOf(id))?.user?.linux).toEqual({ uid: 33, gid: 34, supplementalGroups: [34, 50, 70] });
});

test('an image that a container uses keeps its layers when it is removed', async () => {
  await runContainer(await runPod('a'), 'main');
  const lower = h.launcher.created[0]?.rootfs.lowerDirs[0] as string;
  await h.client.call('RemoveImage', { image: { image } });
  expect((await h.client.call('ListImages')).images).toEqual([]);
  expect(existsSync(join(lower, 'bin/app'))).toBe(true);
});
