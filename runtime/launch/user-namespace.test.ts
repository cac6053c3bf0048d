import { execFileSync } from 'node:child_process';
import { chownSync, mkdirSync, readFileSync, readlinkSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerSpec, Launcher } from './port.ts';
import { canLaunch, createTestHost, eventually, exits, type TestHost, text } from './testing.ts';
import { hostId, mapText, namespaceRoot } from './user-namespace.ts';

const base = 200_000;
const mappings = [{ containerId: 0, hostId: base, length: 65_536 }];
const userNamespace = { uids: mappings, gids: mappings };

it('maps ids', () => {
  expect(mapText([...mappings, { containerId: 70_000, hostId: 5, length: 1 }])).toBe('0 200000 65536\n70000 5 1\n');
  expect([hostId(mappings, 7), hostId(mappings, 65_536)]).toEqual([base + 7, undefined]);
  expect(() => namespaceRoot({ uids: [], gids: mappings })).toThrow('needs a mapping of user and group 0');
});

describe.skipIf(!canLaunch)('pods with a user namespace of their own', () => {
  let host: TestHost;
  let launcher: Launcher;
  beforeAll(async () => {
    host = createTestHost();
    launcher = await host.launcher();
  });
  afterEach(async () => {
    for (const id of (await launcher.sandboxes()).keys()) await launcher.removeSandbox(id);
  });
  afterAll(async () => {
    await launcher?.teardown();
    await eventually(() => host.leftovers().length === 0, 'nothing is left on the host').catch((error: Error) => {
      throw new Error(`${error.message}:\n${host.leftovers().join('\n')}`);
    });
    host?.dispose();
  });
  const container = (id: string, script: string, overrides: Parameters<TestHost['container']>[2] = {}) => {
    const spec: ContainerSpec = host.container(id, ['sh', '-c', script], overrides);
    chownSync(spec.rootfs.upperDir, base, base);
    return spec;
  };
  const run = async (id: string, script: string, overrides: Parameters<TestHost['container']>[2] = {}) => {
    const exit = exits(launcher);
    await launcher.createContainer(container(id, script, overrides));
    await launcher.startContainer(id);
    const event = await exit.of(id);
    const lines = host.log(id).split('\n').filter(Boolean);
    return { event, output: lines.map((line) => line.split(' ').slice(3).join(' ')).join('\n') };
  };

  it('can be had here', async () => {
    expect(await launcher.userNamespaceObstacle(host.directory)).toBeUndefined();
    expect(await launcher.userNamespaceObstacle('/proc')).toContain('cannot be id-mapped');
  });

  it('root inside is nobody outside, and owns its namespaces', async () => {
    await launcher.createSandbox(host.sandbox({ userNamespace, sysctls: { 'kernel.shm_rmid_forced': '1' } }));
    const { event, output } = await run(
      'root',
      `id -u; cat /proc/self/uid_map; ls -ln /bin/busybox /dev/null /dev/shm/.. | busybox awk '{print $3, $4, $NF}'; ls -ldn / /dev /proc/self | busybox awk '{print $3, $4, $NF}';
       echo made > /made; echo $?; cat /proc/sys/kernel/shm_rmid_forced; hostname; ip addr show eth0 | grep -c 10.77; echo x > /dev/null && echo null; echo e > /dev/stderr; mknod /x c 1 3; echo mknod $?; grep CapEff /proc/self/status;
       chroot / true && echo chroot; touch /data/t && busybox chown 1234:1234 /data/t; ls -n /data/t | busybox awk '{print $3, $4}'; echo $$`,
      { process: { oomScoreAdj: 100 } },
    );
    expect(output).toContain('0\n         0     200000      65536\n');
    expect(output).toContain('0 0 /bin/busybox');
    expect(output).toContain('0 0 /dev/null');
    expect(output).not.toContain('65534 65534 /');
    for (const line of ['1', 'pod-1', 'null', 'mknod 1', 'chroot', '1234 1234'])
      expect(output.split('\n')).toContain(line);
    expect(output).toContain('CapEff:\t00000000a80425fb');
    expect(event).toMatchObject({ exitCode: 0 });
    const upper = `${host.directory}/root/upper`;
    expect([statSync(`${upper}/made`).uid, statSync(`${upper}/data/t`).uid]).toEqual([base, base + 1234]);
  });

  it('holds its own pid, network, mount and IPC namespaces; exec joins them with its streams', async () => {
    await launcher.createSandbox(host.sandbox({ userNamespace, pid: 'pod' }));
    const spec = container('long', 'sleep 100', { process: { uid: 1000, gid: 1000, oomScoreAdj: 50 } });
    const { pid } = await launcher.createContainer(spec);
    await launcher.startContainer('long');
    expect(readlinkSync(`/proc/${pid}/ns/user`)).not.toBe(readlinkSync('/proc/self/ns/user'));
    expect(statSync(`/proc/${pid}`).uid).toBe(base + 1000);
    expect(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8')).toBe('50\n');
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain('/kubepods/pod1/long');
    for (const uid of [0, 1000]) {
      const streams = await launcher.exec({
        containerId: 'long',
        stdin: true,
        process: {
          args: ['sh', '-c', 'cat; id -u; ps; echo again > /dev/stdout; readlink /proc/self/ns/user'],
          env: ['PATH=/bin'],
          cwd: '/',
          terminal: false,
          uid,
          gid: uid,
          capabilities: uid === 0 ? ['ALL'] : [],
        },
      });
      streams.stdin?.end('in\n');
      void text(streams.stderr);
      const output = await text(streams.stdout);
      expect(output).toMatch(new RegExp(`^in\\n${uid}\\n`));
      expect(output).toContain('sleep 100');
      expect(output).toMatch(/ 1 .*pause/);
      expect(output).toContain('again');
      expect(output).toContain(readlinkSync(`/proc/${pid}/ns/user`));
      expect(await streams.exit).toBe(0);
    }
    const terminal = await launcher.exec({
      containerId: 'long',
      stdin: false,
      process: {
        args: ['sh', '-c', 'stty size'],
        env: ['PATH=/bin'],
        cwd: '/',
        terminal: true,
        terminalSize: { width: 99, height: 33 },
      },
    });
    expect(await text(terminal.stdout)).toContain('33 99');
  });

  it('gives all capabilities over what is its own, and none over the host', async () => {
    await launcher.createSandbox(host.sandbox({ userNamespace }));
    const { output } = await run(
      'admin',
      `mount -t tmpfs x /tmp && echo mounted; mount -t proc proc /data && echo proc; unshare -n true && echo unshared; ip link add d type bridge; ip link set lo mtu 1400 && echo link;
       echo 1 > /proc/sys/net/ipv4/ip_forward && echo netsysctl; echo 1 > /proc/sys/kernel/panic || echo no-host-sysctl; echo 0 > /sys/fs/cgroup/memory/memory.limit_in_bytes || echo no-cgroup; ls /dev/kmsg && cat /dev/kmsg || echo no-kmsg`,
      {
        seccomp: { kind: 'unconfined' },
        privileged: true,
        maskedPaths: [],
        readonlyPaths: [],
        process: { capabilities: ['ALL'], noNewPrivileges: false },
      },
    );
    for (const line of ['mounted', 'proc', 'unshared', 'link', 'netsysctl', 'no-host-sysctl', 'no-kmsg', 'no-cgroup'])
      expect(output.split('\n')).toContain(line);
  });

  it('maps the ids of volumes that are to be mapped, with terminal, stdin and a read-only root', async () => {
    await launcher.createSandbox(host.sandbox({ userNamespace }));
    for (const name of ['mapped', 'plain']) {
      mkdirSync(`${host.directory}/${name}`);
      writeFileSync(`${host.directory}/${name}/file`, 'x\n');
      chownSync(`${host.directory}/${name}/file`, 7, 7);
    }
    const mount = (name: string, idMapped: boolean) => ({
      source: `${host.directory}/${name}`,
      target: `/${name}`,
      readonly: false,
      propagation: 'private' as const,
      idMapped,
    });
    const { output } = await run(
      'vol',
      `ls -n /mapped/file /plain/file | busybox awk '{print $3, $NF}'; touch /mapped/new; touch /plain/new || echo refused; touch /no || echo read-only; busybox test -c /dev/console && echo console`,
      {
        rootfs: { ...host.container('vol', []).rootfs, readonly: true },
        mounts: [mount('mapped', true), mount('plain', false)],
        process: { terminal: true },
      },
    );
    for (const each of ['7 /mapped/file', '65534 /plain/file', 'refused', 'read-only', 'console'])
      expect(output).toContain(each);
    expect(statSync(`${host.directory}/mapped/new`).uid).toBe(0);
  });

  it('mounts the content of images, with whiteouts obeyed', async () => {
    const layer = (name: string) => join(host.directory, 'image', name);
    mkdirSync(layer('low/models/v1'), { recursive: true });
    mkdirSync(layer('high/models'), { recursive: true });
    writeFileSync(layer('low/gone'), '');
    writeFileSync(layer('low/models/v1/weights'), 'w1\n');
    writeFileSync(layer('high/models/index'), 'i\n');
    symlinkSync('/models/v1', layer('high/latest'));
    execFileSync('mknod', [layer('high/gone'), 'c', '0', '0']);
    const image = (target: string, layers: string[], subPath = '') => ({
      source: '',
      target,
      readonly: true,
      propagation: 'private' as const,
      idMapped: true,
      image: { layers: layers.map(layer), subPath },
    });
    const script = `ls /all; cat /all/models/v1/weights; cat /sub/weights; ls -n /all/models/index | busybox awk '{print $3}'; ls /one; touch /all/x || echo ro; ls /file`;
    for (const namespace of [undefined, userNamespace]) {
      const id = namespace ? 'in' : 'out';
      await launcher.createSandbox(host.sandbox({ ...(namespace && { userNamespace: namespace }) }));
      const { output } = await run(id, script, {
        mounts: [
          image('/all', ['high', 'low']),
          image('/sub', ['high', 'low'], 'latest'),
          image('/one', ['high']),
          image('/file', ['low'], 'models/v1/weights'),
        ],
      });
      const lines = output.split('\n').filter((line) => !line.startsWith('touch'));
      expect([id, lines]).toEqual([id, ['latest', 'models', 'w1', 'w1', '0', 'latest', 'models', 'ro', '/file']]);
      await launcher.removeSandbox('s1');
    }
  });

  it('says what cannot be mapped', async () => {
    await launcher.createSandbox(host.sandbox({ userNamespace }));
    await expect(
      launcher.createContainer(
        container('bad', 'true', {
          mounts: [{ source: '/proc', target: '/p', readonly: true, propagation: 'private', idMapped: true }],
        }),
      ),
    ).rejects.toThrow('the file system of /proc cannot be id-mapped');
    await expect(launcher.createContainer(container('who', 'true', { process: { uid: 70_000 } }))).rejects.toThrow(
      'user 70000:0 is not mapped',
    );
    await expect(launcher.createSandbox(host.sandbox({ id: 's2', userNamespace, network: 'node' }))).rejects.toThrow(
      'does not go with',
    );
  });
});
