// What critest, the CRI's own validation suite, asks of a runtime, spec by spec, against the real launcher: sandboxes and
// containers, logs, volumes, networks, metrics. Names of its specs are kept as far as they say what is asked.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerConfig, MountPropagation, PodSandboxConfig } from '../../proto/cri-types.ts';
import { canLaunch, eventually } from '../launch/testing.ts';
import { IMAGE, type RealHarness, startRealHarness } from '../testing/real-harness.ts';

/** Of a kubelet with cAdvisor's metrics. */
const EXPECTED_METRICS = `blkio_device_usage_total cpu_cfs_periods_total cpu_cfs_throttled_periods_total
  cpu_cfs_throttled_seconds_total cpu_system_seconds_total cpu_usage_seconds_total cpu_user_seconds_total
  file_descriptors fs_inodes_free fs_inodes_total fs_limit_bytes fs_reads_bytes_total fs_reads_total fs_usage_bytes
  fs_writes_bytes_total fs_writes_total hugetlb_max_usage_bytes hugetlb_usage_bytes last_seen memory_cache
  memory_failcnt memory_failures_total memory_kernel_usage memory_mapped_file memory_max_usage_bytes memory_rss
  memory_swap memory_usage_bytes memory_working_set_bytes network_receive_bytes_total network_receive_errors_total
  network_receive_packets_dropped_total network_receive_packets_total network_transmit_bytes_total
  network_transmit_errors_total network_transmit_packets_dropped_total network_transmit_packets_total oom_events_total
  pressure_cpu_stalled_seconds_total pressure_cpu_waiting_seconds_total pressure_io_stalled_seconds_total
  pressure_io_waiting_seconds_total pressure_memory_stalled_seconds_total pressure_memory_waiting_seconds_total
  processes sockets spec_cpu_period spec_cpu_quota spec_cpu_shares spec_memory_limit_bytes
  spec_memory_reservation_limit_bytes spec_memory_swap_limit_bytes start_time_seconds threads threads_max ulimits_soft`
  .split(/\s+/)
  .map((name) => `container_${name}`);
/** What a host may not count, as critest has it: block devices, pressure, huge pages. */
const OPTIONAL = /_(blkio|fs_(reads|writes)|pressure|hugetlb)_/;

const BUSYBOX = join(import.meta.dirname, '../../.cache/tools/bin/busybox');

describe.skipIf(!canLaunch)('CRI', () => {
  let real: RealHarness;
  let serial = 0;
  const directory = (name: string) => {
    const path = join(real.host.directory, `${name}-${serial++}`);
    mkdirSync(path);
    return path;
  };
  beforeAll(async () => {
    real = await startRealHarness();
  });
  afterEach(() => real.clean());
  afterAll(() => real?.stop());
  const call: RealHarness['client']['call'] = (...args) => real.client.call(...args);
  const stateOf = async (containerId: string) => (await call('ContainerStatus', { containerId })).status?.state;

  describe('idempotence', () => {
    it('stop and remove do not return an error for what is not there, or has been done', async () => {
      const none = { podSandboxId: 'feedfeed', containerId: 'feedfeed' };
      await call('StopPodSandbox', none);
      await call('RemovePodSandbox', none);
      await call('StopContainer', none);
      await call('RemoveContainer', none);
      for (let i = 0; i < 2; i++) await call('RemoveImage', { image: { image: '0'.repeat(64) } });
      const podSandboxId = await real.runPod();
      const containerId = await real.runContainer(podSandboxId);
      for (let i = 0; i < 2; i++) await call('StopContainer', { containerId, timeout: 0 });
      for (let i = 0; i < 2; i++) await call('RemoveContainer', { containerId });
      for (let i = 0; i < 2; i++) await call('StopPodSandbox', { podSandboxId });
      expect((await call('PodSandboxStatus', { podSandboxId })).status?.state).toBe('SANDBOX_NOTREADY');
      for (let i = 0; i < 2; i++) await call('RemovePodSandbox', { podSandboxId });
    });
  });

  describe('runtime info', () => {
    it('tells versions and conditions', async () => {
      const version = await call('Version', {});
      expect(version).toMatchObject({ runtimeApiVersion: 'v1', runtimeName: expect.any(String) });
      const { status, runtimeHandlers } = await call('Status', { verbose: true });
      expect(status?.conditions?.map(({ type, status: ok }) => [type, ok])).toEqual([
        ['RuntimeReady', true],
        ['NetworkReady', true],
      ]);
      expect(runtimeHandlers?.[0]?.features).toEqual({ recursiveReadOnlyMounts: true, userNamespaces: true });
    });
  });

  describe('PodSandbox', () => {
    it('preserves attributes, in status and list', async () => {
      const metadata = { name: 'with-attributes', uid: 'u', namespace: 'n', attempt: 2 };
      const more = { labels: { foo: 'bar' }, annotations: { abc: 'def' } };
      const podSandboxId = await real.runPod({ metadata, ...more });
      const { status } = await call('PodSandboxStatus', { podSandboxId });
      expect(status).toMatchObject({ metadata, state: 'SANDBOX_READY', ...more });
      expect(Number(status?.createdAt)).toBeGreaterThan(1e18);
      const { items } = await call('ListPodSandbox', { filter: { id: podSandboxId } });
      expect(items).toEqual([expect.objectContaining({ metadata, ...more })]);
    });

    it('supports safe and namespaced sysctls, and refuses those of the host', async () => {
      const sysctls = {
        'kernel.shm_rmid_forced': '1',
        'fs.mqueue.msg_max': '100',
        'net.ipv4.ip_local_port_range': '1024 2000',
      };
      const sandbox = await real.runPod({ linux: { sysctls } });
      const output = await real.script(
        sandbox,
        'cat /proc/sys/kernel/shm_rmid_forced /proc/sys/fs/mqueue/msg_max /proc/sys/net/ipv4/ip_local_port_range',
      );
      expect(output.replaceAll('\t', ' ')).toBe('1\n100\n1024 2000');
      await expect(real.runPod({ linux: { sysctls: { 'vm.swappiness': '1' } } })).rejects.toThrow(
        'separated by namespace',
      );
    });

    it('describes the metrics that kubelets expect, and has a value for each', async () => {
      const sandbox = await real.runPod();
      const limit = 64 << 20;
      const limits = { cpuPeriod: 100_000, cpuQuota: 20_000, memoryLimitInBytes: limit, memorySwapLimitInBytes: limit };
      await real.runContainer(sandbox, { linux: { resources: limits } });
      const { descriptors = [] } = await call('ListMetricDescriptors');
      expect(descriptors.map(({ name }) => name).sort()).toEqual(expect.arrayContaining(EXPECTED_METRICS));
      for (const { help, labelKeys } of descriptors) expect([help !== '', labelKeys?.length ?? 0]).not.toContain(0);
      const { podMetrics = [] } = await call('ListPodSandboxMetrics');
      const ours = podMetrics.find((each) => each.podSandboxId === sandbox);
      const all = [...(ours?.metrics ?? []), ...(ours?.containerMetrics ?? []).flatMap((each) => each.metrics ?? [])];
      const told = new Map(all.map(({ name, labelValues }) => [name, labelValues?.length]));
      const wanted = descriptors.filter(({ name = '' }) => EXPECTED_METRICS.includes(name) && !OPTIONAL.test(name));
      expect(wanted.map(({ name }) => [name, told.get(name)])).toEqual(
        wanted.map(({ name, labelKeys }) => [name, labelKeys?.length]),
      );
    });

    it('lists metrics with the values of a container', async () => {
      const sandbox = await real.runPod();
      const limits = { cpuPeriod: 100_000, cpuQuota: 20_000, cpuShares: 1024, memoryLimitInBytes: 64 << 20 };
      const id = await real.runContainer(sandbox, { linux: { resources: limits } });
      await real.exec(id, 'sh', '-c', 'for i in 1 2 3; do echo hi > /data/f$i; done');
      const { podMetrics = [] } = await call('ListPodSandboxMetrics');
      const ours = podMetrics.find((each) => each.podSandboxId === sandbox);
      const value = (name: string) =>
        ours?.containerMetrics?.[0]?.metrics?.find((each) => each.name === `container_${name}`)?.value?.value;
      expect(value('spec_memory_limit_bytes')).toBe(64 << 20);
      expect(value('spec_cpu_quota')).toBe(20_000);
      expect(value('processes')).toBe(1);
      expect(value('threads')).toBe(1);
      expect(value('file_descriptors')).toBeGreaterThanOrEqual(3);
      expect(value('memory_usage_bytes')).toBeGreaterThan(0);
      expect(value('fs_usage_bytes')).toBeGreaterThan(0);
      expect(value('start_time_seconds')).toBeGreaterThan(1.6e9);
      expect(ours?.metrics?.some((each) => each.name === 'container_network_receive_bytes_total')).toBe(true);
    });
  });

  describe('Container', () => {
    it('is created, started, stopped and removed', async () => {
      const sandbox = await real.runPod();
      const containerId = await real.createContainer(sandbox);
      const listed = async () => (await call('ListContainers', { filter: { id: containerId } })).containers?.length;
      expect([await listed(), await stateOf(containerId)]).toEqual([1, 'CONTAINER_CREATED']);
      await call('StartContainer', { containerId });
      expect(await stateOf(containerId)).toBe('CONTAINER_RUNNING');
      await call('StopContainer', { containerId, timeout: 1 });
      expect(await real.exit(containerId)).toEqual({ exitCode: 143, reason: 'Error' });
      await call('RemoveContainer', { containerId });
      expect(await listed()).toBe(0);
    });

    it('is removed when it is created, running or stopped', async () => {
      const sandbox = await real.runPod();
      const stopped = await real.runContainer(sandbox);
      await call('StopContainer', { containerId: stopped, timeout: 0 });
      for (const containerId of [await real.createContainer(sandbox), await real.runContainer(sandbox), stopped]) {
        await call('RemoveContainer', { containerId });
        await expect(call('ContainerStatus', { containerId })).rejects.toMatchObject({ code: 5 });
        expect((await call('ListContainers', { filter: { id: containerId } })).containers).toEqual([]);
      }
    });

    it('execSync returns output and code, and ends the process when its time is over', async () => {
      const id = await real.runContainer(await real.runPod());
      expect(await real.exec(id, 'sh', '-c', 'echo hello; echo oops >&2; exit 3')).toEqual({
        out: 'hello\n',
        err: 'oops\n',
        code: 3,
      });
      await expect(call('ExecSync', { containerId: id, cmd: ['sleep', '321'], timeout: 1 })).rejects.toMatchObject({
        code: 4,
      });
      expect((await real.exec(id, 'sh', '-c', 'ps | grep -v grep | grep "sleep 321"')).out).toBe('');
    });

    it('reports exit codes, and OOMKilled', async () => {
      const sandbox = await real.runPod();
      for (const [script, expected] of [
        ['exit 0', { exitCode: 0, reason: 'Completed' }],
        ['exit 42', { exitCode: 42, reason: 'Error' }],
      ] as const)
        expect(await real.exit(await real.runContainer(sandbox, { command: ['sh', '-c', script] }))).toEqual(expected);
      const eater = await real.runContainer(sandbox, {
        command: ['sh', '-c', 'exec tail /dev/zero'],
        linux: { resources: { memoryLimitInBytes: 15 << 20, memorySwapLimitInBytes: 15 << 20 } },
      });
      expect(await real.exit(eater)).toEqual({ exitCode: 137, reason: 'OOMKilled' });
    });

    it('logs, and goes on in a new file after reopening', async () => {
      const sandbox = await real.runPod();
      const containerId = await real.runContainer(sandbox, {
        command: ['sh', '-c', 'while :; do echo hello World; sleep 0.05; done'],
      });
      const path = (await call('ContainerStatus', { containerId })).status?.logPath ?? '';
      await eventually(
        () => existsSync(path) && readFileSync(path, 'utf8').includes('stdout F hello World'),
        'it logs',
      );
      renameSync(path, `${path}.1`);
      await call('ReopenContainerLog', { containerId });
      expect(existsSync(path)).toBe(true);
      const old = readFileSync(`${path}.1`, 'utf8');
      await eventually(
        () => existsSync(path) && readFileSync(path, 'utf8').includes('stdout F'),
        'it logs to the new file',
      );
      expect(readFileSync(`${path}.1`, 'utf8')).toBe(old);
    });

    it('several in one pod see one network, each its own processes, files and log', async () => {
      const sandbox = await real.runPod();
      const one = await real.runContainer(sandbox, {
        command: ['sh', '-c', 'echo 1 > /data/one; echo first; nc -l -p 8080 -e hostname'],
      });
      const two = await real.runContainer(sandbox, { command: ['sh', '-c', 'echo second; sleep 1000'] });
      await eventually(async () => (await real.exec(two, 'nc', '-w', '1', '127.0.0.1', '8080')).code === 0, 'reached');
      expect((await real.exec(two, 'ls', '/data')).out).toBe('');
      await eventually(async () => (await real.log(two)) === 'second', 'the second has its own log');
      expect(await real.log(one)).toBe('first');
      expect((await call('ListContainers', { filter: { podSandboxId: sandbox } })).containers?.length).toBe(2);
      expect([await stateOf(two), (await real.exec(two, 'ps')).out.split('\n').length < 6]).toEqual([
        'CONTAINER_RUNNING',
        true,
      ]);
      await call('RemoveContainer', { containerId: one });
    });

    it('stop signals of configuration are sent', async () => {
      const containerId = await real.runContainer(await real.runPod(), {
        command: ['sh', '-c', 'trap "exit 9" USR1; echo up; while :; do sleep 0.02; done'],
        stopSignal: 'SIGUSR1',
      });
      await eventually(async () => (await real.log(containerId)).includes('up'), 'the trap is set');
      await call('StopContainer', { containerId, timeout: 20 });
      expect((await real.exit(containerId)).exitCode).toBe(9);
    });
  });

  describe('volumes and devices', () => {
    it('mounts volumes, also where the host path is a symbolic link', async () => {
      const volume = directory('volume');
      writeFileSync(join(volume, 'file'), 'content\n');
      symlinkSync(volume, `${volume}-link`);
      const sandbox = await real.runPod();
      for (const hostPath of [volume, `${volume}-link`])
        expect(await real.script(sandbox, 'cat /v/file', { mounts: [{ hostPath, containerPath: '/v' }] })).toBe(
          'content',
        );
    });

    it('supports propagation private, slave and shared', async () => {
      const sandbox = await real.runPod({ linux: { securityContext: { privileged: true } } });
      const volume = directory('propagation');
      mkdirSync(join(volume, 'in'));
      mkdirSync(join(volume, 'out'));
      execFileSync('mount', ['--bind', volume, volume]);
      execFileSync('mount', ['--make-shared', volume]);
      try {
        const seen: Record<string, [inside: boolean, outside: boolean]> = {};
        for (const mode of ['PRIVATE', 'HOST_TO_CONTAINER', 'BIDIRECTIONAL']) {
          const propagation = `PROPAGATION_${mode}` as MountPropagation;
          const id = await real.runContainer(sandbox, {
            mounts: [{ hostPath: volume, containerPath: '/v', propagation }],
            linux: { securityContext: { privileged: true } },
          });
          const told = (await call('ContainerStatus', { containerId: id })).status?.mounts;
          expect(told).toEqual([
            expect.objectContaining({ hostPath: volume, containerPath: '/v', readonly: false, propagation }),
          ]);
          execFileSync('mount', ['-t', 'tmpfs', 'x', join(volume, 'in')]);
          writeFileSync(join(volume, 'in/file'), '');
          await real.exec(id, 'sh', '-c', 'mount -t tmpfs x /v/out && touch /v/out/file');
          seen[mode] = [(await real.exec(id, 'ls', '/v/in/file')).code === 0, existsSync(join(volume, 'out/file'))];
          execFileSync('umount', [join(volume, 'in')]);
          await real.exec(id, 'umount', '/v/out');
          await call('RemoveContainer', { containerId: id });
        }
        expect(seen).toEqual({
          PRIVATE: [false, false],
          HOST_TO_CONTAINER: [true, false],
          BIDIRECTIONAL: [true, true],
        });
      } finally {
        execFileSync('umount', ['-R', '-l', volume]);
      }
    });

    it('supports read-only and recursively read-only mounts, and refuses what cannot be', async () => {
      const volume = directory('recursive');
      mkdirSync(join(volume, 'sub'));
      execFileSync('mount', ['-t', 'tmpfs', 'x', join(volume, 'sub')]);
      try {
        const sandbox = await real.runPod();
        const tried = (more: object) =>
          real.script(sandbox, 'touch /v/a && echo top; touch /v/sub/a && echo sub; true', {
            mounts: [{ hostPath: volume, containerPath: '/v', readonly: true, ...more }],
          });
        expect((await tried({})).split('\n').filter((line) => !line.startsWith('touch'))).toEqual(['sub']);
        expect(
          (await tried({ recursiveReadOnly: true })).split('\n').filter((line) => !line.startsWith('touch')),
        ).toEqual([]);
        for (const more of [
          { recursiveReadOnly: true, readonly: false },
          { recursiveReadOnly: true, propagation: 'PROPAGATION_BIDIRECTIONAL' },
          { recursiveReadOnly: true, propagation: 'PROPAGATION_HOST_TO_CONTAINER' },
        ])
          await expect(tried(more)).rejects.toMatchObject({ code: 3 });
      } finally {
        execFileSync('umount', [join(volume, 'sub')]);
      }
    });

    it('mounts images: read-only, executable, by sub-path, with the image told in the status', async () => {
      const sandbox = await real.runPod();
      const mount = (imageSubPath: string, more = {}) => ({
        mounts: [{ containerPath: '/mnt/image', image: { image: IMAGE }, readonly: true, imageSubPath, ...more }],
      });
      const containerId = await real.runContainer(sandbox, mount(''));
      const id = (await call('ImageStatus', { image: { image: IMAGE } })).image?.id;
      const { status } = await call('ContainerStatus', { containerId });
      expect(status?.mounts?.[0]?.image?.imageRef).toBe(id);
      expect((await real.exec(containerId, 'touch', '/mnt/image/x')).err).toContain('Read-only file system');
      expect((await real.exec(containerId, '/mnt/image/bin/busybox', 'echo', 'runs')).out).toBe('runs\n');
      expect(await real.script(sandbox, 'ls /mnt/image', mount('etc'))).toBe('group\npasswd');
      await expect(real.createContainer(sandbox, mount('not-existing'))).rejects.toThrow('No such file or directory');
      await expect(real.createContainer(sandbox, mount('', { readonly: false }))).rejects.toMatchObject({ code: 3 });
    });

    it('gives devices', async () => {
      const sandbox = await real.runPod();
      const output = await real.script(
        sandbox,
        'ls -l /dev/ours | cut -c1; head -c 4 /dev/ours | wc -c; head -c 1 /dev/kmsg; true',
        {
          devices: [{ hostPath: '/dev/zero', containerPath: '/dev/ours', permissions: 'r' }],
        },
      );
      expect(output).toMatch(/^c\n4\n.*No such file/);
    });
  });

  describe('networking', () => {
    it('supports DNS configuration, host names and /etc/hosts', async () => {
      const dnsConfig = { servers: ['10.10.10.10'], searches: ['google.com'], options: ['ndots:8'] };
      const sandbox = await real.runPod({ dnsConfig, hostname: 'named' });
      const { status } = await call('PodSandboxStatus', { podSandboxId: sandbox });
      const output = await real.script(
        sandbox,
        'cat /etc/resolv.conf; hostname; cat /etc/hostname; grep named /etc/hosts',
      );
      expect(output).toContain('search google.com\nnameserver 10.10.10.10\noptions ndots:8\nnamed\nnamed');
      expect(output).toContain(`${status?.network?.ip}\tnamed`);
    });

    it('supports port mapping with only a container port: the pod’s own address answers', async () => {
      const sandbox = await real.runPod({ portMappings: [{ containerPort: 80 }] });
      await real.runContainer(sandbox, { command: ['sh', '-c', 'while :; do echo hello | nc -l -p 80; done'] });
      const ip = (await call('PodSandboxStatus', { podSandboxId: sandbox })).status?.network?.ip as string;
      await eventually(() => {
        try {
          return real.host.inNetns(BUSYBOX, 'nc', '-w', '1', ip, '80').includes('hello');
        } catch {
          return false;
        }
      }, 'the pod answers');
    });

    it('supports port mapping with host ports', async () => {
      const portMappings = [{ containerPort: 80, hostPort: 12_000 }];
      const sandbox = await real.runPod({ portMappings });
      await real.runContainer(sandbox, { command: ['sh', '-c', 'while :; do echo hello | nc -l -p 80; done'] });
      await eventually(() => {
        try {
          return real.host.inNetns(BUSYBOX, 'nc', '-w', '1', '127.0.0.1', '12000').includes('hello');
        } catch {
          return false;
        }
      }, 'the host port answers');
      await expect(real.runPod({ portMappings })).rejects.toThrow('12000');
    });
  });

  describe('streams of lists and events', () => {
    it('tell the same as the lists', async () => {
      const config: Partial<PodSandboxConfig> = { labels: { streamed: 'yes' } };
      const sandbox = await real.runPod(config);
      const container: Partial<ContainerConfig> = { labels: { streamed: 'yes' } };
      await real.runContainer(sandbox, container);
      let filter: object = { labelSelector: { streamed: 'yes' } };
      const collect = async (
        method: 'StreamPodSandboxes' | 'StreamContainers' | 'StreamContainerStats' | 'StreamPodSandboxStats',
      ) => {
        const parts: object[] = [];
        for await (const part of real.client.stream(method, { filter })) parts.push(part as object);
        return parts.flatMap((part) => Object.values(part)[0] as { id?: string }[]).length;
      };
      expect([
        await collect('StreamPodSandboxes'),
        await collect('StreamContainers'),
        await collect('StreamContainerStats'),
        await collect('StreamPodSandboxStats'),
      ]).toEqual([1, 1, 1, 1]);
      const metrics: unknown[] = [];
      for await (const part of real.client.stream('StreamPodSandboxMetrics'))
        metrics.push(...(Object.values(part as object)[0] as { podSandboxId: string }[]).map((p) => p.podSandboxId));
      expect(metrics).toEqual([sandbox]);
      for (const other of [{ labelSelector: { streamed: 'no' } }, { id: 'non-existent-id' }]) {
        filter = other;
        expect([await collect('StreamPodSandboxes'), await collect('StreamContainers')]).toEqual([0, 0]);
      }
    });
  });
});
