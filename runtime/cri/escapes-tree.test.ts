// Ways out through what an image or a volume puts into a container's tree before it runs: links where mounts go, what is
// masked, working directories that are descriptors, device files in layers, logs replaced by links. After CVE-2021-30465,
// CVE-2023-27561, CVE-2024-21626, CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881 of runc.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ContainerConfig } from '../../proto/cri-types.ts';
import { canLaunch } from '../launch/testing.ts';
import { type RealHarness, startRealHarness } from '../testing/real-harness.ts';

describe.skipIf(!canLaunch)('escapes by way of the tree', () => {
  let real: RealHarness;
  let secret: string;
  let serial = 0;
  beforeAll(async () => {
    real = await startRealHarness();
    secret = join(real.host.directory, 'secret');
    writeFileSync(secret, 'the host’s');
  });
  afterEach(() => real.clean());
  afterAll(() => real?.stop());

  const directory = (name: string) => {
    const path = join(real.host.directory, `${name}-${serial++}`);
    mkdirSync(path);
    return path;
  };
  /** An image of busybox with `links`, and what `more` makes at its root. */
  const imageWith = async (links: Record<string, string>, more: (root: string) => void = () => undefined) => {
    const root = directory('tree');
    for (const each of ['bin', 'tmp']) mkdirSync(join(root, each));
    execFileSync('cp', [join(import.meta.dirname, '../../.cache/tools/bin/busybox'), join(root, 'bin/sh')]);
    for (const name of ['cat', 'ls']) symlinkSync('sh', join(root, 'bin', name));
    for (const [name, target] of Object.entries(links)) symlinkSync(target, join(root, name));
    more(root);
    const path = `${root}.tar`;
    execFileSync('tar', ['-c', '-P', '-f', path, '-C', root, '.']);
    const image = `localhost/tree-${serial++}:1`;
    await real.client.images('Import', { path, name: image, rootfs: true, changes: ['ENV PATH=/bin'] });
    return { image: { image } };
  };
  const mask = (...maskedPaths: string[]) => ({ linux: { securityContext: { maskedPaths } } });
  const bind = (hostPath: string, containerPath: string) => ({ mounts: [{ hostPath, containerPath }] });

  it('a first process and an exec hold their standard streams and nothing else', async () => {
    const sandbox = await real.runPod();
    const list = 'ls /proc/$$/fd; :';
    expect(await real.script(sandbox, list)).toBe('0\n1\n2');
    const id = await real.runContainer(sandbox);
    expect(await real.exec(id, 'sh', '-c', list)).toEqual({ out: '0\n1\n2\n', err: '', code: 0 });
  });

  it('a working directory that turns into a descriptor is refused, at the start and in an exec', async () => {
    const sandbox = await real.runPod();
    const volume = directory('cwd');
    const config: Partial<ContainerConfig> = { ...bind(volume, '/v'), workingDir: '/v/w' };
    const turnInto = (target: string) => {
      rmSync(join(volume, 'w'), { force: true });
      symlinkSync(target, join(volume, 'w'));
    };
    mkdirSync(join(volume, 'w'));
    const id = await real.runContainer(sandbox, config);
    expect((await real.exec(id, 'pwd')).out).toBe('/v/w\n');
    rmdirSync(join(volume, 'w'));
    const look = ['cat', `../../../../../../../..${secret}`];
    for (let fd = 0; fd < 24; fd++) {
      turnInto(`/proc/self/fd/${fd}`);
      const seen = await real.exec(id, ...look).catch((error: Error) => ({ out: '', err: error.message }));
      expect([fd, seen.out]).toEqual([fd, '']);
    }
    for (let fd = 3; fd < 16; fd++) {
      turnInto(`/proc/self/fd/${fd}`);
      const seen = await real.script(sandbox, look.join(' '), config).catch((error: Error) => error.message);
      expect(seen).not.toContain('the host');
    }
    // It is the descriptors that are refused, not links.
    turnInto('/tmp');
    expect((await real.exec(id, 'pwd')).out).toBe('/tmp\n');
  });

  it.each(['proc', 'sys'])('an image whose /%s is a link does not run', async (name) => {
    const sandbox = await real.runPod();
    const image = await imageWith({ [name]: '/tmp' });
    await expect(real.createContainer(sandbox, image)).rejects.toThrow(
      `filesystem "/${name}" must be mounted on ordinary directory`,
    );
  });

  it('mounts at other links stay below the root', async () => {
    const sandbox = await real.runPod();
    const outside = directory('outside');
    const image = await imageWith({ dev: `${outside}/dev`, etc: `../../../../../..${outside}/etc` });
    const file = join(directory('hosts'), 'hosts');
    writeFileSync(file, 'ours\n');
    const script = `ls ${outside}/dev/null; cat ${outside}/etc/hosts`;
    expect(await real.script(sandbox, script, { ...image, ...bind(file, '/etc/hosts') })).toBe(
      `${outside}/dev/null\nours`,
    );
    expect(existsSync(join(outside, 'dev'))).toBe(false);
    expect(existsSync(join(outside, 'etc'))).toBe(false);
  });

  it('nothing is mounted inside /proc but what tells sizes', async () => {
    const sandbox = await real.runPod();
    const volume = directory('proc');
    const image = await imageWith({ p: '/proc' });
    for (const path of ['/proc/self', '/proc/sys/kernel', '/proc/1/attr', '/p/fs', '/p/../proc/sys'])
      await expect(real.createContainer(sandbox, { ...image, ...bind(volume, path) })).rejects.toThrow(
        `"${path}" cannot be mounted because it is inside /proc`,
      );
    const file = join(volume, 'loadavg');
    writeFileSync(file, 'mine\n');
    expect(await real.script(sandbox, 'cat /proc/loadavg', bind(file, '/proc/loadavg'))).toBe('mine');
  });

  it('masks go by a real null device, or the container does not run', async () => {
    const sandbox = await real.runPod();
    const dev = directory('dev');
    symlinkSync('/proc/sys/kernel/core_pattern', join(dev, 'null'));
    await expect(
      real.createContainer(sandbox, { ...bind(dev, '/dev'), ...mask('/proc/kcore', '/proc/timer_list') }),
    ).rejects.toThrow('/dev/null is not the null device');
  });

  it('a masked path that is a link of the image hides what it leads to', async () => {
    const sandbox = await real.runPod();
    const image = await imageWith({ hidden: '/proc/meminfo', gone: '/nowhere' });
    const config = { ...image, ...mask('/hidden', '/gone') };
    expect(await real.script(sandbox, 'cat /hidden /proc/meminfo; echo end', config)).toBe('end');
  });

  it('a terminal is not bound over what a /dev/console of a volume points to', async () => {
    const sandbox = await real.runPod();
    const dev = directory('dev');
    symlinkSync('/proc/uptime', join(dev, 'console'));
    mkdirSync(join(dev, 'pts'));
    execFileSync('mknod', ['-m', '666', join(dev, 'ptmx'), 'c', '5', '2']);
    execFileSync('mknod', ['-m', '666', join(dev, 'null'), 'c', '1', '3']);
    const terminals = {
      mounts: ['', '/pts'].map((at) => ({ hostPath: at ? '/dev/pts' : dev, containerPath: `/dev${at}` })),
    };
    await expect(real.createContainer(sandbox, { ...terminals, tty: true })).rejects.toThrow(/\/dev\/console/);
    rmSync(join(dev, 'console'));
    const id = await real.runContainer(sandbox, { ...terminals, tty: true });
    expect((await real.exec(id, 'sh', '-c', 'ls -l /dev/console; stat -c %t /dev/console')).out).toMatch(
      /^c[^]*\n88\n$/,
    );
  });

  it('device files in layers and image volumes cannot be opened', async () => {
    const sandbox = await real.runPod();
    const image = await imageWith({}, (root) => {
      execFileSync('mknod', ['-m', '666', join(root, 'sda'), 'b', '8', '0']);
      execFileSync('mknod', ['-m', '666', join(root, 'mem'), 'c', '1', '1']);
      execFileSync('mknod', ['-m', '666', join(root, 'kmsg'), 'c', '1', '11']);
    });
    const mounts = [{ containerPath: '/img', readonly: true, ...image }];
    const output = await real.script(sandbox, 'for each in sda mem kmsg; do cat /$each; cat /img/$each; done', {
      ...image,
      mounts,
    });
    expect(output.match(/(Operation not permitted|Permission denied)$/gm)?.length).toBe(6);
  });

  it('links and dots of an image volume end inside of it', async () => {
    const sandbox = await real.runPod();
    const { image } = await imageWith({
      absolute: real.host.directory,
      dots: `../../../../../../../..${real.host.directory}`,
      magic: '/proc/self/cwd',
      own: '/tmp',
    });
    for (const imageSubPath of ['absolute', 'dots', 'magic', '../../../..', `absolute/../..${secret}`]) {
      const mounts = [{ containerPath: '/img', image, imageSubPath, readonly: true }];
      const seen = await real
        .script(sandbox, 'cat /img /img/secret; ls /img', { mounts })
        .catch((error: Error) => `refused: ${error.message}`);
      expect([imageSubPath, seen]).toEqual([imageSubPath, expect.not.stringContaining('the host’s')]);
      expect([imageSubPath, seen]).toEqual([imageSubPath, expect.not.stringMatching(/^secret$/m)]);
    }
    const mounts = [{ containerPath: '/img', image, imageSubPath: 'own', readonly: true }];
    expect(await real.script(sandbox, 'ls -d /img; echo > /img/x', { mounts })).toMatch(/^\/img\n[^]*Read-only/);
  });

  it('a log that has become a link is not written through', async () => {
    const sandbox = await real.runPod();
    const logs = join(real.harness.directory, 'pod-logs');
    mkdirSync(logs, { recursive: true });
    symlinkSync(secret, join(logs, 'link.log'));
    await expect(real.createContainer(sandbox, { logPath: 'link.log' })).rejects.toThrow(/link\.log/);
    const containerId = await real.runContainer(sandbox, {
      logPath: 'turns.log',
      command: ['sh', '-c', 'while :; do echo noise; sleep 0.05; done'],
    });
    rmSync(join(logs, 'turns.log'));
    symlinkSync(secret, join(logs, 'turns.log'));
    await expect(real.client.call('ReopenContainerLog', { containerId })).rejects.toThrow();
    expect(readFileSync(secret, 'utf8')).toBe('the host’s');
  });
});
