// What crictl prints and calls, command by command, and what an upstream kubelet asks of any runtime: is every field that
// they read filled, and shaped as they read it? Against the real launcher.
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerEventResponse } from '../../proto/cri-types.ts';
import { canLaunch, eventually } from '../launch/testing.ts';
import { IMAGE, type RealHarness, startRealHarness } from '../testing/real-harness.ts';

/** crictl shows a value that starts with a brace as JSON, and anything else as it is. */
const parsed = (info: Record<string, string> | undefined) => {
  expect(Object.keys(info ?? {})).toEqual(['info']);
  expect(info?.info?.startsWith('{')).toBe(true);
  return JSON.parse(info?.info as string);
};

describe.skipIf(!canLaunch)('crictl', () => {
  let real: RealHarness;
  beforeAll(async () => {
    real = await startRealHarness();
  });
  afterEach(() => real.clean());
  afterAll(() => real?.stop());
  const call: RealHarness['client']['call'] = (...args) => real.client.call(...args);

  it('runp and pods: a configuration with metadata alone is enough; short ids and zero states filter', async () => {
    const metadata = { name: 'bare', namespace: 'ns', uid: 'uid-of-bare', attempt: 1 };
    const { podSandboxId = '' } = await call('RunPodSandbox', { config: { metadata, linux: {} } });
    const bare = await call('ListPodSandbox', { filter: { id: podSandboxId.slice(0, 13) } });
    expect(bare.items).toEqual([expect.objectContaining({ id: podSandboxId, metadata, runtimeHandler: '' })]);
    // READY and CREATED are zero on the wire: a filter that is there, and empty.
    const ready = async () =>
      (await call('ListPodSandbox', { filter: { state: { state: 'SANDBOX_READY' } } })).items?.length;
    const created = async (state: 'CONTAINER_CREATED' | 'CONTAINER_RUNNING') =>
      (await call('ListContainers', { filter: { state: { state } } })).containers?.length;
    const containerId = await real.createContainer(podSandboxId);
    expect([await ready(), await created('CONTAINER_CREATED'), await created('CONTAINER_RUNNING')]).toEqual([1, 1, 0]);
    await call('StartContainer', { containerId });
    expect([await created('CONTAINER_CREATED'), await created('CONTAINER_RUNNING')]).toEqual([0, 1]);
    await call('StopPodSandbox', { podSandboxId });
    expect(await ready()).toBe(0);
  });

  it('ps: id, image, creation, state, name, attempt, pod and its names from the labels', async () => {
    const labels = { 'io.kubernetes.pod.name': 'p', 'io.kubernetes.pod.namespace': 'n' };
    const podSandboxId = await real.runPod();
    const id = await real.runContainer(podSandboxId, { metadata: { name: 'main', attempt: 3 }, labels });
    const { containers } = await call('ListContainers', { filter: { podSandboxId: podSandboxId.slice(0, 13) } });
    expect(containers).toEqual([
      expect.objectContaining({
        id,
        podSandboxId,
        image: expect.objectContaining({ image: IMAGE }),
        state: 'CONTAINER_RUNNING',
        metadata: { name: 'main', attempt: 3 },
        labels,
      }),
    ]);
    expect(Number(containers?.[0]?.createdAt)).toBeGreaterThan(1.6e18);
  });

  it('inspect: pid, configuration and runtime specification as JSON under info', async () => {
    const sandbox = await real.runPod({ hostname: 'here', linux: { sysctls: { 'net.core.somaxconn': '99' } } });
    const containerId = await real.runContainer(sandbox, {
      envs: [{ key: 'A', value: 'b' }],
      mounts: [{ hostPath: real.host.directory, containerPath: '/v', readonly: true }],
      linux: {
        resources: { memoryLimitInBytes: 64 << 20, cpuShares: 512, oomScoreAdj: 17 },
        securityContext: {
          runAsUser: { value: 1000 },
          readonlyRootfs: true,
          noNewPrivs: true,
          maskedPaths: ['/proc/kcore'],
        },
      },
    });
    const answer = await call('ContainerStatus', { containerId, verbose: true });
    const info = parsed(answer.info);
    expect(readFileSync(`/proc/${info.pid}/cmdline`, 'utf8')).toBe('sleep\x001000\x00');
    expect(info).toMatchObject({ sandboxID: sandbox, config: { image: { image: IMAGE } } });
    const spec = info.runtimeSpec;
    expect(spec).toMatchObject({
      hostname: 'here',
      process: {
        args: ['sleep', '1000'],
        env: expect.arrayContaining(['A=b']),
        user: { uid: 1000, gid: 1000 },
        noNewPrivileges: true,
        oomScoreAdj: 17,
        capabilities: { bounding: expect.arrayContaining(['CAP_CHOWN']), effective: [] },
      },
      root: { readonly: true },
      mounts: [{ destination: '/v', source: real.host.directory, options: ['rbind', 'rprivate', 'ro'] }],
      linux: {
        cgroupsPath: info.cgroup,
        resources: { memory: { limit: 64 << 20 }, cpu: { shares: 512 } },
        sysctl: { 'net.core.somaxconn': '99' },
        maskedPaths: ['/proc/kcore'],
      },
    });
    // The namespaces it says it shares with its pod are the ones that its process is in.
    const inode = (path: string) => real.host.inNetns('stat', '-L', '-c', '%i', path);
    const files: Record<string, string> = { network: 'net', pid: 'pid', ipc: 'ipc', uts: 'uts' };
    const shared = spec.linux.namespaces.filter((each: { path?: string }) => each.path);
    expect(shared.map((each: { type: string }) => each.type).sort()).toEqual(Object.keys(files).sort());
    for (const { type, path } of shared)
      expect([type, inode(path)]).toEqual([type, inode(`/proc/${info.pid}/ns/${files[type]}`)]);
    expect((await call('ContainerStatus', { containerId })).info).toEqual({});
    await call('StopContainer', { containerId, timeout: 0 });
    expect(parsed((await call('ContainerStatus', { containerId, verbose: true })).info).pid).toBe(0);
  });

  it('inspectp, inspecti, info: their JSON, and the addresses and handlers beside it', async () => {
    const podSandboxId = await real.runPod();
    const pod = await call('PodSandboxStatus', { podSandboxId, verbose: true });
    const info = parsed(pod.info);
    expect(readFileSync(`/proc/${info.pid}/comm`, 'utf8')).not.toBe('');
    expect(info).toMatchObject({
      cgroupParent: expect.stringMatching(/^\/kubepods\//),
      config: { logDirectory: expect.any(String) },
    });
    expect(pod.status?.network?.ip).toMatch(/^\d+\.\d+\.\d+\.\d+$/);
    const image = await call('ImageStatus', { image: { image: IMAGE }, verbose: true });
    expect(parsed(image.info).imageSpec).toMatchObject({
      os: 'linux',
      architecture: expect.stringMatching(/^(amd64|arm64)$/),
      config: { Cmd: ['sh'], Env: ['PATH=/bin'] },
      rootfs: { type: 'layers', diff_ids: [expect.stringMatching(/^sha256:/)] },
    });
    const runtime = await call('Status', { verbose: true });
    expect(parsed(runtime.info)).toMatchObject({ sandboxes: 1, images: 1 });
    expect(runtime.runtimeHandlers?.map((each) => each.name)).toEqual(['']);
  });

  it('stats, statsp, imagefsinfo: figures with times that go on, for containers, pods and file systems', async () => {
    const labels = { foo: 'bar' };
    const podSandboxId = await real.runPod({ labels });
    const ids: string[] = [];
    for (const name of ['one', 'two', 'three'])
      ids.push(await real.runContainer(podSandboxId, { metadata: { name }, labels }));
    await real.exec(ids[0] as string, 'sh', '-c', 'dd if=/dev/zero of=/data/big bs=1024 count=64 2>/dev/null');
    const listed = async (filter?: object) => (await call('ListContainerStats', { filter })).stats ?? [];
    expect((await listed()).map((each) => each.attributes?.id).sort()).toEqual([...ids].sort());
    expect((await listed({ labelSelector: labels })).length).toBe(3);
    expect(await listed({ labelSelector: { foo: 'baz' } })).toEqual([]);
    expect((await listed({ podSandboxId })).length).toBe(3);
    const [first] = await listed({ id: ids[0] });
    expect(first).toMatchObject({
      attributes: { id: ids[0], metadata: { name: 'one' }, labels },
      writableLayer: { fsId: { mountpoint: expect.stringMatching(/^\//) } },
    });
    expect(Number(first?.writableLayer?.usedBytes?.value)).toBeGreaterThanOrEqual(65_536);
    expect(Number(first?.memory?.workingSetBytes?.value)).toBeGreaterThan(0);
    // crictl refuses a sample whose time is that of the one before.
    const again = (await listed({ id: ids[0] }))[0];
    expect(Number(again?.cpu?.timestamp)).toBeGreaterThan(Number(first?.cpu?.timestamp));
    const pods = (await call('ListPodSandboxStats', { filter: { labelSelector: labels } })).stats ?? [];
    expect(pods.map((each) => each.attributes?.id)).toEqual([podSandboxId]);
    const linux = pods[0]?.linux;
    expect(Number(linux?.cpu?.usageCoreNanoSeconds?.value)).toBeGreaterThan(0);
    expect(Number(linux?.memory?.workingSetBytes?.value)).toBeGreaterThan(0);
    expect(linux?.network?.defaultInterface?.name).toBe('eth0');
    expect(linux?.containers?.length).toBe(3);
    expect(Number(linux?.process?.processCount?.value)).toBeGreaterThanOrEqual(3);
    const disks = await call('ImageFsInfo');
    for (const [disk] of [disks.imageFilesystems ?? [], disks.containerFilesystems ?? []])
      expect([disk?.fsId?.mountpoint, Number(disk?.usedBytes?.value) > 0, Number(disk?.timestamp) > 1.6e18]).toEqual([
        disks.imageFilesystems?.[0]?.fsId?.mountpoint,
        true,
        true,
      ]);
  });

  it('events: what happens to pods and containers, with the status after it', async () => {
    const seen: ContainerEventResponse[] = [];
    const events = real.client.stream('GetContainerEvents', {});
    events.on('data', (event: ContainerEventResponse) => seen.push(event)).on('error', () => {});
    const podSandboxId = await real.runPod();
    const containerId = await real.runContainer(podSandboxId, { command: ['sh', '-c', 'exit 4'] });
    await real.exit(containerId);
    await call('RemoveContainer', { containerId });
    const ours = () => seen.filter((each) => each.containerId === containerId).map((each) => each.containerEventType);
    await eventually(() => ours().length >= 4, 'four events of the container');
    expect(ours()).toEqual(['CREATED', 'STARTED', 'STOPPED', 'DELETED'].map((word) => `CONTAINER_${word}_EVENT`));
    const stopped = seen.filter((each) => each.containerId === containerId)[2];
    expect(stopped).toMatchObject({
      podSandboxStatus: { id: podSandboxId, state: 'SANDBOX_READY' },
      containersStatuses: [{ id: containerId, state: 'CONTAINER_EXITED', exitCode: 4 }],
    });
    expect(Number(stopped?.createdAt)).toBeGreaterThan(1.6e18);
    events.cancel();
  });

  it('update: limits change on the host and in the status; what is not given stays', async () => {
    const linux = { resources: { memoryLimitInBytes: 64 << 20, cpuShares: 512 } };
    const containerId = await real.runContainer(await real.runPod(), { linux });
    await call('UpdateContainerResources', { containerId, linux: { memoryLimitInBytes: 96 << 20 } });
    const { status, info } = await call('ContainerStatus', { containerId, verbose: true });
    expect(status?.resources?.linux).toMatchObject({ memoryLimitInBytes: 96 << 20, cpuShares: 512 });
    expect(parsed(info).runtimeSpec.linux.resources).toMatchObject({
      memory: { limit: 96 << 20 },
      cpu: { shares: 512 },
    });
    await expect(call('UpdateContainerResources', { containerId: 'none', linux: {} })).rejects.toMatchObject({
      code: 5,
    });
  });

  it('version, runtime-config, update-runtime-config, checkpoint', async () => {
    const version = await call('Version', { version: '' });
    // Kubelets parse it: numbers with dots.
    expect(version).toMatchObject({
      version: '0.1.0',
      runtimeVersion: expect.stringMatching(/^\d+\.\d+\.\d+/),
      runtimeApiVersion: 'v1',
    });
    expect((await call('RuntimeConfig')).linux?.cgroupDriver).toBe('CGROUPFS');
    await call('UpdateRuntimeConfig', { runtimeConfig: { networkConfig: { podCidr: '10.244.0.0/24' } } });
    const containerId = await real.runContainer(await real.runPod());
    // Kubelets answer 404 to a checkpoint when the runtime says UNIMPLEMENTED.
    await expect(call('CheckpointContainer', { containerId, location: '/tmp/x.tar' })).rejects.toMatchObject({
      code: 12,
    });
  });

  it('errors have the codes that kubelets look for', async () => {
    const none = { podSandboxId: 'feedfeed', containerId: 'feedfeed' };
    const codes: Record<string, number> = {};
    for (const method of [
      'PodSandboxStatus',
      'ContainerStatus',
      'StartContainer',
      'ContainerStats',
      'PodSandboxStats',
      'ReopenContainerLog',
    ] as const)
      codes[method] = await call(method, none).then(
        () => 0,
        (error: { code: number }) => error.code,
      );
    codes.Exec = await call('Exec', { ...none, cmd: ['x'], stdout: true }).then(
      () => 0,
      (error) => error.code,
    );
    codes.PortForward = await call('PortForward', none).then(
      () => 0,
      (error) => error.code,
    );
    expect(new Set(Object.values(codes))).toEqual(new Set([5]));
    const podSandboxId = await real.runPod();
    const image = { image: 'localhost/none:1' };
    await expect(real.createContainer(podSandboxId, { image })).rejects.toMatchObject({ code: 5 });
    const handler = { config: { metadata: { name: 'x', namespace: 'x', uid: 'x' } }, runtimeHandler: 'other' };
    await expect(call('RunPodSandbox', handler)).rejects.toThrow('no runtime for "other" is configured');
  });
});
