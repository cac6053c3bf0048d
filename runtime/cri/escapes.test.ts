// Ways out of a container that have worked somewhere once, each tried inside a real one. Default containers as Kubernetes
// makes them (root, default capabilities, masked paths), with RuntimeDefault seccomp and without.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerConfig, LinuxContainerSecurityContext } from '../../proto/cri-types.ts';
import { canLaunch } from '../launch/testing.ts';
import { type RealHarness, startRealHarness } from '../testing/real-harness.ts';

const maskedPaths = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
].concat(['/proc/timer_list', '/proc/timer_stats', '/proc/sched_debug', '/proc/scsi', '/sys/firmware']);
const readonlyPaths = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];
const secured = (more: LinuxContainerSecurityContext = {}): Partial<ContainerConfig> => ({
  linux: { securityContext: { maskedPaths, readonlyPaths, ...more } },
});

describe.skipIf(!canLaunch)('escapes', () => {
  let real: RealHarness;
  let secret: string;
  beforeAll(async () => {
    real = await startRealHarness();
    secret = join(real.host.directory, 'secret');
    writeFileSync(secret, 'the host’s');
  });
  afterEach(() => real.clean());
  afterAll(() => real?.stop());

  const everywhere = [
    ['without a filter', secured({ seccomp: { profileType: 'Unconfined' } })],
    ['under RuntimeDefault', secured({ seccomp: { profileType: 'RuntimeDefault' } })],
  ] as const;

  it.each(everywhere)('devices, mounts, kernel settings and cgroups stay out of reach %s', async (_, config) => {
    const sandbox = await real.runPod();
    const output = await real.script(
      sandbox,
      `for minor in 8 253 254 259 7; do probe mknod $minor; rm -f /tmp/disk; done
       probe mount tmpfs; probe mount proc; probe mount sysfs; probe umount /proc/kcore; probe remount /proc/sys; probe remount /sys
       for file in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /proc/sysrq-trigger /proc/sys/vm/panic_on_oom /proc/sys/kernel/hostname; do echo x > $file || echo refused $file; done
       for file in $(find /sys/fs/cgroup -name cgroup.procs -o -name release_agent -o -name memory.limit_in_bytes -o -name devices.allow -o -name memory.max | head -20); do (echo 0 > $file) && echo WRITTEN $file; done
       mkdir /sys/fs/cgroup/memory/x || mkdir /sys/fs/cgroup/x || echo no-cgroup
       cat /proc/kcore; wc -c < /proc/keys; ls /sys/firmware; cat /dev/mem /dev/kmsg; echo end`,
      config,
    );
    expect(output).not.toMatch(/: done$/m);
    expect(output).not.toContain('WRITTEN');
    expect(output.match(/^refused /gm)?.length).toBe(5);
    expect(output).toContain('no-cgroup');
    expect(output).toMatch(/\n0\n[^]*end$/);
    expect(readFileSync('/proc/sys/kernel/core_pattern', 'utf8')).not.toBe('x\n');
  });

  it.each(everywhere)('the host’s processes, handles and directories stay out of reach %s', async (_, config) => {
    const sandbox = await real.runPod();
    const output = await real.script(
      sandbox,
      `[ -d /proc/${process.pid} ] && grep -q vitest /proc/${process.pid}/cmdline && echo SEEN
       probe ptrace ${process.pid}; probe peek ${process.pid}; probe handle /etc/hosts; probe handle /
       probe chroot-out ${secret}; ls ${secret}; ls /proc/1/root${secret}; cat /proc/self/cwd/../../../..${secret}; cd /proc/1/cwd && ls ${secret}; probe unshare; echo end`,
      config,
    );
    expect(output).not.toContain('SEEN');
    expect(output).not.toContain('the host');
    const done = output.split('\n').filter((line) => line.endsWith(': done'));
    // A user namespace of one's own is allowed where nothing filters, as on any host, and leads nowhere.
    expect(done.filter((line) => line !== 'unshare: done')).toEqual([]);
    expect(output).toContain(`host: No such file or directory`);
  });

  it('set-user-id programs and file capabilities give nothing back', async () => {
    const sandbox = await real.runPod();
    const user = { runAsUser: { value: 1000 } };
    expect(await real.script(sandbox, 'probe-suid euid; probe-suid caps', secured({ ...user, noNewPrivs: true }))).toBe(
      'Effective uid: 1000\nbounding set: 14\nCapEff:\t0000000000000000',
    );
    // Without no_new_privs root comes back, with no more than the container was given.
    const dropped = secured({ ...user, capabilities: { dropCapabilities: ['ALL'] } });
    expect(await real.script(sandbox, 'probe-suid euid; probe-suid caps', dropped)).toBe(
      'Effective uid: 0\nbounding set: 0\nCapEff:\t0000000000000000',
    );
  });

  it('the programs of the runtime cannot be overwritten from inside', async () => {
    const sandbox = await real.runPod();
    const binary = join(import.meta.dirname, '../../build/sampan-launcher');
    const before = execFileSync('sha256sum', [binary]).toString();
    const id = await real.runContainer(sandbox, secured());
    // What exec's first stage runs would be the host's program, were it not a sealed copy.
    for (const path of ['/proc/self/exe', '/proc/1/exe'])
      expect((await real.exec(id, 'probe', 'truncate', path)).out).toMatch(
        /^truncate: (Text file busy|Permission denied)$/m,
      );
    const shebang = join(real.host.directory, 'self');
    writeFileSync(shebang, '#!/proc/self/exe\n', { mode: 0o755 });
    const tricky = await real.createContainer(sandbox, {
      ...secured(),
      command: ['/trick'],
      mounts: [{ hostPath: shebang, containerPath: '/trick' }],
    });
    await real.client.call('StartContainer', { containerId: tricky }).catch(() => undefined);
    // Privileged, with the host's processes in view: still only a sealed copy.
    const host = await real.runPod({
      linux: { securityContext: { privileged: true, namespaceOptions: { pid: 'NODE' } } },
    });
    const all = await real.runContainer(host, {
      linux: { securityContext: { privileged: true, namespaceOptions: { pid: 'NODE' } } },
    });
    const server = real.host.serverPid();
    const { out } = await real.exec(
      all,
      'sh',
      '-c',
      `readlink /proc/${server}/exe; echo x >> /proc/${server}/exe; probe write /proc/${server}/exe`,
    );
    expect(out).toContain('memfd:sampan-launcher');
    expect(out).toMatch(/write: (Text file busy|Operation not permitted)/);
    expect(execFileSync('sha256sum', [binary]).toString()).toBe(before);
  });

  it('links and dots in layers and volumes lead nowhere', async () => {
    const rootfs = join(real.host.directory, 'evil');
    mkdirSync(rootfs);
    for (const [name, target] of [
      ['absolute', real.host.directory],
      ['dots', `../../../../../../..${real.host.directory}`],
      ['link', '/proc/self/cwd'],
    ] as const)
      symlinkSync(target, join(rootfs, name));
    const archive = (name: string, ...args: string[]) => {
      const path = join(real.host.directory, `${name}.tar`);
      execFileSync('tar', ['-c', '-P', '-f', path, ...args]);
      return path;
    };
    const importAs = (name: string, path: string) =>
      real.client.images('Import', { path, name: `localhost/${name}:1`, rootfs: true, changes: ['ENV PATH=/bin'] });
    await importAs('links', archive('links', '-C', rootfs, '.'));
    const sandbox = await real.runPod();
    // Mount points below the links are made inside the container's root.
    const volume = join(real.host.directory, 'volume');
    mkdirSync(volume);
    const through = (at: string) => [{ hostPath: volume, containerPath: `${at}/made-by-mount` }];
    for (const at of ['/absolute', '/dots']) {
      const id = await real.createContainer(sandbox, {
        image: { image: 'localhost/links:1' },
        command: ['/none'],
        mounts: through(at),
      });
      await real.client.call('RemoveContainer', { containerId: id });
      expect(existsSync(join(real.host.directory, 'made-by-mount'))).toBe(false);
    }
    // A working directory that is a descriptor of the host's.
    for (const workingDir of ['/proc/self/fd/3', '/proc/self/fd/7', '/proc'])
      await real
        .createContainer(sandbox, { workingDir })
        .then(async (containerId) => {
          await real.client.call('StartContainer', { containerId }).catch(() => undefined);
          const found = await real
            .exec(containerId, 'sh', '-c', `ls ${secret} ../../../..${secret}`)
            .catch(() => undefined);
          expect(found?.code ?? 1).not.toBe(0);
        })
        .catch((error: Error) => expect(error.message).not.toContain('not to be'));
    // Names in a layer that leave its root.
    writeFileSync(join(real.host.directory, 'payload'), 'x');
    for (const [name, transform] of [
      ['up', 's,^.*payload,../../../../escaped,'],
      ['hidden', 's,^.*payload,a/../../../escaped,'],
    ] as const) {
      const path = archive(name, `--transform=${transform}`, join(real.host.directory, 'payload'));
      await expect(importAs(name, path)).rejects.toThrow(/leaves|outside|\.\./);
    }
    for (const up of ['..', '../..', '../../..', '../../../..'])
      expect(existsSync(join(real.harness.directory, 'state/images/snapshots/layers/x', up, 'escaped'))).toBe(false);
  });

  it('mounts made inside do not reach the host, unless that was asked for', async () => {
    const sandbox = await real.runPod({ linux: { securityContext: { privileged: true } } });
    const volume = join(real.host.directory, 'shared');
    mkdirSync(join(volume, 'sub'), { recursive: true });
    execFileSync('mount', ['--bind', volume, volume]);
    execFileSync('mount', ['--make-shared', volume]);
    try {
      const mountIn = async (propagation: 'PROPAGATION_PRIVATE' | 'PROPAGATION_HOST_TO_CONTAINER') => {
        const output = await real.script(sandbox, 'mount -t tmpfs x /v/sub && touch /v/sub/inside && echo mounted', {
          mounts: [{ hostPath: volume, containerPath: '/v', propagation }],
          linux: { securityContext: { privileged: true } },
        });
        expect(output).toBe('mounted');
        return existsSync(join(volume, 'sub/inside'));
      };
      expect(await mountIn('PROPAGATION_PRIVATE')).toBe(false);
      expect(await mountIn('PROPAGATION_HOST_TO_CONTAINER')).toBe(false);
    } finally {
      execFileSync('umount', ['-l', volume]);
      rmSync(volume, { recursive: true });
    }
  });
});
