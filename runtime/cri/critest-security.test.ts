// What critest asks of security contexts, spec by spec, against the real launcher: namespaces, users, capabilities,
// paths, seccomp, new privileges, user namespaces.
import { execFileSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Capability, LinuxContainerSecurityContext, NamespaceOption } from '../../proto/cri-types.ts';
import { canLaunch, eventually } from '../launch/testing.ts';
import { type RealHarness, startRealHarness } from '../testing/real-harness.ts';

const linux = (securityContext: LinuxContainerSecurityContext) => ({ linux: { securityContext } });

describe.skipIf(!canLaunch)('CRI security contexts', () => {
  let real: RealHarness;
  beforeAll(async () => {
    real = await startRealHarness();
  });
  afterEach(() => real.clean());
  afterAll(() => real?.stop());

  describe('namespaces', () => {
    const with_ = async (namespaceOptions: NamespaceOption) => ({
      sandbox: await real.runPod(linux({ namespaceOptions })),
      config: linux({ namespaceOptions }),
    });

    it('supports HostPID, PodPID and ContainerPID', async () => {
      const first = async (pid: 'NODE' | 'POD' | 'CONTAINER') => {
        const { sandbox, config } = await with_({ pid });
        await real.runContainer(sandbox, { ...config, command: ['sleep', '4321'] });
        return real.script(
          sandbox,
          'cat /proc/1/cmdline | tr "\\0" " "; echo; ps | grep -v grep | grep -c "sleep 4321"',
          config,
        );
      };
      const host = await first('NODE');
      expect(host).not.toMatch(/pause|^sh /);
      expect(host).toMatch(/\n1$/);
      expect(await first('POD')).toMatch(/pause[^]*\n1$/);
      expect(await first('CONTAINER')).toMatch(/^sh [^]*\n0$/);
    });

    it('supports a target container’s processes', async () => {
      const { sandbox, config } = await with_({ pid: 'CONTAINER' });
      const targetId = await real.runContainer(sandbox, { ...config, command: ['sleep', '9876'] });
      const target = linux({ namespaceOptions: { pid: 'TARGET', targetId } });
      expect(await real.script(sandbox, 'ps', target)).toContain('sleep 9876');
    });

    it('supports HostIPC true and false', async () => {
      const made = execFileSync('ipcmk', ['-M', '65536'], { encoding: 'utf8' });
      const id = /: (\d+)/.exec(made)?.[1] as string;
      try {
        for (const ipc of ['NODE', 'POD'] as const) {
          const { sandbox, config } = await with_({ ipc });
          const output = await real.script(sandbox, 'cat /proc/sysvipc/shm', config);
          expect([ipc, new RegExp(`\\b${id}\\b.*65536`).test(output)]).toEqual([ipc, ipc === 'NODE']);
        }
      } finally {
        execFileSync('ipcrm', ['-m', id]);
      }
    });

    it('supports HostNetwork true and false', async () => {
      // The runtime's host is, in this test, the launcher's network namespace.
      for (const network of ['NODE', 'POD'] as const) {
        const { sandbox, config } = await with_({ network });
        const output = await real.script(sandbox, 'ip -o link', config);
        expect([network, output.includes('eth0')]).toEqual([network, network === 'POD']);
      }
    });
  });

  describe('users', () => {
    it('supports RunAsUser, RunAsUserName, RunAsGroup and SupplementalGroups with both policies', async () => {
      const sandbox = await real.runPod();
      const id = (securityContext: LinuxContainerSecurityContext) => real.script(sandbox, 'id', linux(securityContext));
      expect(await id({ runAsUser: { value: 1001 } })).toContain('uid=1001 gid=0');
      expect(await id({ runAsUsername: 'web' })).toContain('uid=1000(web) gid=1000(web) groups=1000(web),50000(extra)');
      expect(await id({ runAsUser: { value: 1001 }, runAsGroup: { value: 1002 } })).toContain('uid=1001 gid=1002');
      const groups = { runAsUser: { value: 1000 }, supplementalGroups: [1234, 5678] };
      expect(await id(groups)).toContain('groups=1000(web),1234,5678,50000(extra)');
      expect(await id({ ...groups, supplementalGroupsPolicy: 'Strict' })).not.toContain('50000');
      for (const [supplementalGroupsPolicy, expected] of [
        ['Merge', [1000, 1234, 50_000]],
        ['Strict', [1000, 1234]],
      ] as const) {
        const context = { runAsUser: { value: 1000 }, supplementalGroups: [1234], supplementalGroupsPolicy };
        const containerId = await real.runContainer(sandbox, linux(context));
        const user = (await real.client.call('ContainerStatus', { containerId })).status?.user?.linux;
        expect([user?.uid, user?.gid, [...(user?.supplementalGroups ?? [])].sort((a, b) => a - b)]).toEqual([
          1000,
          1000,
          expected,
        ]);
        expect((await real.exec(containerId, 'id', '-G')).out).toBe(`${expected.join(' ')}\n`);
      }
      await expect(real.createContainer(sandbox, linux({ runAsGroup: { value: 7 } }))).rejects.toMatchObject({
        code: 3,
      });
    });

    it('supports NoNewPrivs true and false', async () => {
      const sandbox = await real.runPod();
      const euid = (noNewPrivs: boolean) =>
        real.script(sandbox, 'probe-suid euid', linux({ noNewPrivs, runAsUser: { value: 1000 } }));
      expect([await euid(true), await euid(false)]).toEqual(['Effective uid: 1000', 'Effective uid: 0']);
    });

    it('supports user namespaces: maps, volumes, and refusals', async () => {
      const range = { hostId: 100_000, containerId: 0, length: 65_536 };
      const options = (more = {}) => ({
        usernsOptions: { mode: 'POD' as const, uids: [range], gids: [range], ...more },
      });
      const sandbox = await real.runPod(linux({ namespaceOptions: options() }));
      const volume = join(real.host.directory, 'userns-volume');
      execFileSync('mkdir', [volume]);
      const output = await real.script(
        sandbox,
        "cat /proc/self/uid_map; touch /v/file /data/file; ls -ln /etc/hosts /etc/resolv.conf /bin/busybox | awk '{print $3}'; echo x > /dev/shm/x && echo shm; ping -c 1 -W 1 127.0.0.1 > /dev/null && echo ping",
        {
          ...linux({ namespaceOptions: options() }),
          mounts: [{ hostPath: volume, containerPath: '/v', uidMappings: [range], gidMappings: [range] }],
          workingDir: '/made/for/it',
        },
      );
      expect(output.split('\n').map((line) => line.trim().replace(/ +/g, ' '))).toEqual([
        '0 100000 65536',
        '0',
        '0',
        '0',
        'shm',
        'ping',
      ]);
      expect(statSync(join(volume, 'file')).uid).toBe(0);
      const { status } = await real.client.call('PodSandboxStatus', { podSandboxId: sandbox });
      expect(status?.linux?.namespaces?.options?.usernsOptions?.uids).toEqual([range]);
      for (const more of [
        { gids: [range, range] },
        { uids: [{ ...range, containerId: 1 }] },
        { mode: 'CONTAINER' as const },
        { mode: 'TARGET' as const },
      ])
        await expect(real.runPod(linux({ namespaceOptions: options(more) }))).rejects.toThrow();
      // The range that critest takes, and containers that say nothing of their own.
      const theirs = [{ hostId: 1000, containerId: 0, length: 100_000 }];
      const other = await real.runPod(
        linux({ namespaceOptions: { usernsOptions: { mode: 'POD', uids: theirs, gids: theirs } } }),
      );
      expect(await real.script(other, 'cat /proc/self/uid_map')).toMatch(/^ +0 +1000 +100000$/);
      const host = await real.runPod(linux({ namespaceOptions: { usernsOptions: { mode: 'NODE' } } }));
      expect(await real.script(host, 'cat /proc/self/uid_map')).toMatch(/0 +0 +4294967295/);
    });
  });

  describe('rights', () => {
    it('supports Privileged and capabilities', async () => {
      const bridge = 'ip link add br0 type bridge 2>/dev/null && echo able || echo unable';
      const privileged = await real.runPod(linux({ privileged: true }));
      expect(await real.script(privileged, bridge, linux({ privileged: true }))).toBe('able');
      expect(await real.script(await real.runPod(), bridge)).toBe('unable');
      const sandbox = await real.runPod();
      expect(await real.script(sandbox, bridge, linux({ capabilities: { addCapabilities: ['NET_ADMIN'] } }))).toBe(
        'able',
      );
      const ambient = linux({ runAsUser: { value: 1000 }, capabilities: { addAmbientCapabilities: ['NET_ADMIN'] } });
      expect(await real.script(await real.runPod(), bridge, ambient)).toBe('able');
    });

    it('supports adding and dropping capabilities, one and ALL, by either name', async () => {
      const sandbox = await real.runPod();
      const bounding = async (more: Capability) => {
        const line = await real.script(sandbox, 'grep CapBnd /proc/self/status', linux({ capabilities: more }));
        return BigInt(`0x${line.replace(/\W|CapBnd/g, '')}`);
      };
      const netRaw = 1n << 13n;
      const usual = await bounding({});
      expect(usual & netRaw).toBe(netRaw);
      for (const name of ['NET_RAW', 'CAP_NET_RAW', 'net_raw'])
        expect(await bounding({ dropCapabilities: [name] })).toBe(usual & ~netRaw);
      expect(await bounding({ dropCapabilities: ['ALL'] })).toBe(0n);
      expect(await bounding({ addCapabilities: ['NET_RAW'], dropCapabilities: ['ALL'] })).toBe(netRaw);
      const all = await bounding({ addCapabilities: ['ALL'] });
      expect([all & usual, all > usual]).toEqual([usual, true]);
      const unknown = linux({ capabilities: { addCapabilities: ['FLY'] } });
      await expect(real.createContainer(sandbox, unknown)).rejects.toMatchObject({ code: 3 });
    });

    it('a masked program cannot be run, and says so; the cgroups that are seen are read-only', async () => {
      const sandbox = await real.runPod();
      const id = await real.runContainer(sandbox, linux({ maskedPaths: ['/bin/probe'], readonlyPaths: ['/tmp'] }));
      expect(await real.exec(id, 'sh', '-c', '/bin/probe')).toMatchObject({
        err: 'sh: /bin/probe: Permission denied\n',
      });
      expect((await real.exec(id, 'touch', '/tmp/test')).err).toBe('touch: /tmp/test: Read-only file system\n');
      expect((await real.exec(id, 'mkdir', '/sys/fs/cgroup/critest')).err).toContain('Read-only file system');
    });

    it('supports ReadOnlyRootfs, MaskedPaths and ReadonlyPaths', async () => {
      const sandbox = await real.runPod();
      const write = 'touch /tmp/x 2>/dev/null && echo written || echo refused';
      expect(await real.script(sandbox, write, linux({ readonlyRootfs: true }))).toBe('refused');
      expect(await real.script(sandbox, write, linux({ readonlyRootfs: false }))).toBe('written');
      expect(await real.script(sandbox, write, linux({ readonlyPaths: ['/tmp'] }))).toBe('refused');
      expect(
        await real.script(sandbox, 'wc -c < /etc/passwd; ls /data', linux({ maskedPaths: ['/etc/passwd', '/data'] })),
      ).toBe('0');
    });
  });

  describe('seccomp', () => {
    const profile = (name: string, syscalls: string[]) => {
      const path = join(real.host.directory, `${name}.json`);
      const rule = { names: syscalls, action: 'SCMP_ACT_ERRNO' };
      writeFileSync(path, JSON.stringify({ defaultAction: 'SCMP_ACT_ALLOW', syscalls: [rule] }));
      return path;
    };
    const mode = 'grep Seccomp: /proc/self/status | tr -d "\\t"';
    const rename = 'hostname other 2>/dev/null && echo renamed || echo refused';
    const admin = { capabilities: { addCapabilities: ['SYS_ADMIN'] } };

    it('supports unconfined, the default which is unconfined, RuntimeDefault and localhost profiles', async () => {
      const sandbox = await real.runPod();
      for (const [securityContext, expected] of [
        [{}, 'Seccomp:0'],
        [{ seccompProfilePath: 'unconfined' }, 'Seccomp:0'],
        [{ seccomp: { profileType: 'Unconfined' as const } }, 'Seccomp:0'],
        [{ seccompProfilePath: 'docker/default' }, 'Seccomp:2'],
        [{ seccomp: { profileType: 'RuntimeDefault' as const } }, 'Seccomp:2'],
        [{ seccomp: {} }, 'Seccomp:2'],
      ] as const)
        expect([securityContext, await real.script(sandbox, mode, linux(securityContext))]).toEqual([
          securityContext,
          expected,
        ]);
      const localhostRef = profile('chmod', ['chmod', 'fchmod', 'fchmodat', 'fchmodat2']);
      const denied = linux({ seccomp: { profileType: 'Localhost', localhostRef } });
      expect(await real.script(sandbox, 'chmod 400 /tmp 2>&1', denied)).toContain('Operation not permitted');
      await expect(real.createContainer(sandbox, linux({ seccompProfilePath: localhostRef }))).rejects.toThrow();
    });

    it('blocks setting the host name as asked, unless privileged', async () => {
      const localhostRef = profile('hostname', ['sethostname']);
      const blocked = { seccomp: { profileType: 'Localhost' as const, localhostRef } };
      const sandbox = await real.runPod();
      expect(await real.script(sandbox, rename, linux({ ...admin }))).toBe('renamed');
      expect(await real.script(sandbox, rename, linux({ ...admin, ...blocked }))).toBe('refused');
      const runtimeDefault = { seccomp: { profileType: 'RuntimeDefault' as const } };
      expect(await real.script(sandbox, rename, linux({ ...admin, ...runtimeDefault }))).toBe('renamed');
      expect(await real.script(sandbox, rename, linux(runtimeDefault))).toBe('refused');
      const privileged = await real.runPod(linux({ privileged: true }));
      expect(await real.script(privileged, rename, linux({ privileged: true, ...blocked }))).toBe('renamed');
    });
  });

  it('AppArmor profiles are refused where the host has none', async () => {
    const apparmor = { profileType: 'Localhost' as const, localhostRef: 'localhost/x' };
    await expect(real.createContainer(await real.runPod(), linux({ apparmor }))).rejects.toMatchObject({ code: 3 });
    await eventually(
      async () => (await real.client.call('ListContainers')).containers?.length === 0,
      'nothing is left',
    );
  });
});
