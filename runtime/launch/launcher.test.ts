import { existsSync, mkdirSync, readFileSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Launcher } from './port.ts';
import { LaunchError } from './port.ts';
import { canLaunch, createTestHost, eventually, exits, isUml, type TestHost, text } from './testing.ts';

describe.skipIf(!canLaunch)('launcher, with real namespaces and cgroups', () => {
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
  const run = async (id: string, args: string[], overrides: Parameters<TestHost['container']>[2] = {}) => {
    const exit = exits(launcher);
    await launcher.createContainer(host.container(id, args, overrides));
    await launcher.startContainer(id);
    const event = await exit.of(id);
    const lines = host.log(id).split('\n').filter(Boolean);
    return { event, output: lines.map((line) => line.split(' ').slice(3).join(' ')).join('\n'), lines };
  };

  it('runs a process in namespaces and cgroups of its own and logs in CRI format', async () => {
    const handle = await launcher.createSandbox(host.sandbox());
    expect(handle.ips).toEqual([expect.stringMatching(/^10\.77\.0\.\d+$/)]);
    const exit = exits(launcher);
    const { pid } = await launcher.createContainer(
      host.container('c1', ['sh', '-c', 'echo $$; hostname; echo oops >&2; printf tail; sleep 0.2; exit 3']),
    );
    for (const kind of ['pid', 'mnt', 'net', 'ipc', 'uts', 'cgroup'])
      expect(readlinkSync(`/proc/${pid}/ns/${kind}`)).not.toBe(readlinkSync(`/proc/self/ns/${kind}`));
    expect(readFileSync(`/proc/${pid}/cgroup`, 'utf8')).toContain('/kubepods/pod1/c1');
    expect((await launcher.facts()).get('c1')).toEqual({ state: 'created', pid });
    await launcher.startContainer('c1');
    const event = await exit.of('c1');
    expect(event).toMatchObject({ exitCode: 3, signal: 0, oomKilled: false });
    expect(event.finishedAtNs / 1e6).toBeGreaterThan(Date.now() - 60_000);
    const lines = host.log('c1').trimEnd().split('\n');
    for (const line of lines) expect(line).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z (stdout|stderr) F /);
    expect(lines.map((line) => line.split(' ').slice(1).join(' ')).sort()).toEqual([
      'stderr F oops',
      'stdout F 1',
      'stdout F pod-1',
      'stdout F tail',
    ]);
    expect((await launcher.facts()).get('c1')).toMatchObject({ state: 'exited', exit: { exitCode: 3 } });
  });

  it('splits lines longer than 16 KiB into parts', async () => {
    await launcher.createSandbox(host.sandbox());
    const { lines } = await run('long', [
      'sh',
      '-c',
      'dd if=/dev/zero bs=40000 count=1 2>/dev/null | busybox tr "\\0" x; echo',
    ]);
    const parts = lines.map((line) => line.split(' '));
    expect(parts.map((part) => [part[2], part[3]?.length])).toEqual([
      ['P', 16384],
      ['P', 16384],
      ['F', 40000 - 2 * 16384],
    ]);
  });

  it('takes away what is not asked for: capabilities, new privileges, system calls, paths, descriptors', async () => {
    await launcher.createSandbox(host.sandbox());
    const { output } = await run('caps', [
      'sh',
      '-c',
      `grep -E "CapBnd|CapEff|CapInh|CapAmb|NoNewPrivs|Seccomp:" /proc/self/status; ls /proc/self/fd | busybox wc -l;
       unshare -U true || echo no-unshare; mount -t tmpfs x /tmp 2>/dev/null || echo no-mount; touch /proc/sys/kernel/hostname 2>/dev/null || echo no-sysctl;
       cat /proc/keys; ls /sys/firmware; mknod /tmp/sda b 8 0 && cat /tmp/sda 2>&1 | busybox head -c 100`,
    ]);
    expect(output).toContain('CapBnd:\t00000000a80425fb');
    expect(output).toContain('CapEff:\t00000000a80425fb');
    expect(output).toContain('CapInh:\t0000000000000000');
    expect(output).toContain('NoNewPrivs:\t1');
    expect(output).toContain('Seccomp:\t2');
    for (const refused of ['no-unshare', 'no-mount', 'no-sysctl', 'Operation not permitted'])
      expect(output).toContain(refused);
    // 0, 1, 2 and the one `ls` opens for itself
    expect(output.split('\n')).toContain('4');
  });

  it('filters system calls only as asked', async () => {
    await launcher.createSandbox(host.sandbox());
    const script = ['sh', '-c', 'unshare -U true && echo userns; mkdir /tmp/x 2>&1; echo end'];
    expect((await run('free', script, { seccomp: { kind: 'unconfined' } })).output).toBe('userns\nend');
    writeFileSync(
      `${host.directory}/profile.json`,
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 28 }],
      }),
    );
    expect(
      (await run('own', script, { seccomp: { kind: 'localhost', path: `${host.directory}/profile.json` } })).output,
    ).toMatch(/userns[^]*No space left on device[^]*end/);
  });

  it('filters also where new privileges are allowed, for root and others', async () => {
    await launcher.createSandbox(host.sandbox());
    for (const uid of [0, 1000]) {
      const { output } = await run(
        `nnp${uid}`,
        ['sh', '-c', 'grep -E "Seccomp:|NoNewPrivs" /proc/self/status; unshare -U true 2>&1'],
        { process: { uid, noNewPrivileges: false } },
      );
      for (const each of ['NoNewPrivs:\t0', 'Seccomp:\t2', 'Operation not permitted']) expect(output).toContain(each);
    }
    const ambient = await run('ambient', ['grep', 'CapEff', '/proc/self/status'], {
      process: { uid: 1000, ambientCapabilities: ['NET_BIND_SERVICE'] },
    });
    expect(ambient.output).toBe('CapEff:\t0000000000000400');
  });

  it('gives a privileged container the devices and rights of the host', async () => {
    await launcher.createSandbox(host.sandbox());
    const { output } = await run(
      'priv',
      [
        'sh',
        '-c',
        'ls /dev; mount -t tmpfs x /tmp && echo mounted; unshare -n true && echo unshared; : < /dev/kmsg && echo opened; touch /proc/sys/kernel/hostname && echo writable',
      ],
      {
        privileged: true,
        maskedPaths: [],
        readonlyPaths: [],
        process: { capabilities: ['ALL'], noNewPrivileges: false },
      },
    );
    for (const each of ['kmsg', 'mounted', 'unshared', 'opened', 'writable'])
      expect(output.split('\n')).toContain(each);
  });

  it('runs as the given user, with its groups and without capabilities', async () => {
    await launcher.createSandbox(host.sandbox());
    const { output } = await run('user', ['sh', '-c', 'id; grep CapEff /proc/self/status; echo x > /dev/stderr'], {
      process: { uid: 1000, gid: 1000, additionalGids: [2000] },
    });
    expect(output).toContain('uid=1000 gid=1000 groups=1000,2000'.replace('1000,2000', '2000'));
    expect(output).toContain('CapEff:\t0000000000000000');
    expect(output).toContain('x');
  });

  it('kills what goes over the memory limit, and says so', async () => {
    await launcher.createSandbox(host.sandbox());
    const { event } = await run('oom', ['sh', '-c', 'exec tail /dev/zero'], {
      resources: { memoryLimitBytes: 16 << 20, memorySwapLimitBytes: 16 << 20 },
    });
    expect(event).toMatchObject({ exitCode: 137, signal: 9, oomKilled: true });
  });

  it('limits processes', async () => {
    await launcher.createSandbox(host.sandbox());
    const { output } = await run(
      'pids',
      ['sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9; do sleep 0.1 & done; wait; echo end'],
      { resources: { pidsLimit: 5 } },
    );
    expect(output).toMatch(/can't fork|Resource temporarily unavailable/);
  });

  it('stops with SIGTERM, then SIGKILL', async () => {
    await launcher.createSandbox(host.sandbox());
    const exit = exits(launcher);
    for (const [id, script] of [
      ['soft', 'trap "exit 7" TERM; echo up; while :; do sleep 0.01; done'],
      ['hard', 'trap "" TERM; echo up; while :; do sleep 0.01; done'],
    ] as const) {
      await launcher.createContainer(host.container(id, ['sh', '-c', script]));
      await launcher.startContainer(id);
      await eventually(() => host.log(id).includes('up'), 'trap is set');
      await launcher.kill(id, 15);
    }
    expect(await exit.of('soft')).toMatchObject({ exitCode: 7, signal: 0 });
    expect((await launcher.facts()).get('hard')?.state).toBe('running');
    await launcher.kill('hard', 9, { all: true });
    expect(await exit.of('hard')).toMatchObject({ exitCode: 137, signal: 9, oomKilled: false });
    await launcher.kill('hard', 15);
  });

  it('executes a process inside, with streams and its exit code', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('e', ['sleep', '100']));
    await launcher.startContainer('e');
    const cat = await launcher.exec({
      containerId: 'e',
      stdin: true,
      process: {
        args: ['sh', '-c', 'cat; echo err >&2; cat /proc/self/cgroup; hostname; exit 5'],
        env: ['PATH=/bin'],
        cwd: '/data',
        terminal: false,
      },
    });
    cat.stdin?.write('hello ');
    cat.stdin?.end('world\n');
    const [out, err, code] = await Promise.all([text(cat.stdout), text(cat.stderr), cat.exit]);
    expect(out).toMatch(/^hello world\n/);
    const isV2 = existsSync('/sys/fs/cgroup/cgroup.controllers');
    expect(out).toContain(isV2 ? '\n0::/\n' : 'memory:/\n');
    expect(out).toContain('pod-1');
    expect(err).toBe('err\n');
    expect(code).toBe(5);
    const status = await launcher.exec({
      containerId: 'e',
      stdin: false,
      process: {
        args: ['grep', '-E', 'CapBnd|Seccomp:|NoNew', '/proc/self/status'],
        env: ['PATH=/bin'],
        cwd: '/',
        terminal: false,
      },
    });
    expect(await text(status.stdout)).toMatch(/CapBnd:\t00000000a80425fb\nNoNewPrivs:\t1\nSeccomp:\t2/);
    await expect(
      launcher.exec({
        containerId: 'e',
        stdin: false,
        process: { args: ['nothing'], env: ['PATH=/bin'], cwd: '/', terminal: false },
      }),
    ).rejects.toMatchObject({
      errno: 'ENOENT',
      message: 'exec: "nothing": executable file not found in $PATH',
    });
  });

  it('carries more output than any buffer, without loss, to a slow reader', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('big', ['sleep', '100']));
    await launcher.startContainer('big');
    const streams = await launcher.exec({
      containerId: 'big',
      stdin: false,
      process: { args: ['dd', 'if=/dev/zero', 'bs=65536', 'count=64'], env: ['PATH=/bin'], cwd: '/', terminal: false },
    });
    await new Promise((resolve) => setTimeout(resolve, 50));
    let bytes = 0;
    void text(streams.stderr);
    for await (const chunk of streams.stdout) bytes += chunk.length;
    expect(bytes).toBe(64 * 65536);
    expect(await streams.exit).toBe(0);
  });

  it('tells the exit code however late a last resize comes', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('late', ['sleep', '100']));
    await launcher.startContainer('late');
    const codes = await Promise.all(
      Array.from({ length: isUml ? 4 : 40 }, async () => {
        const streams = await launcher.exec({
          containerId: 'late',
          stdin: true,
          process: { args: ['sh', '-c', 'exit 7'], env: ['PATH=/bin'], cwd: '/', terminal: true },
        });
        const sending = setInterval(() => {
          for (let n = 0; n < 100; n++) streams.resize(80, 24);
        }, 0);
        try {
          await Promise.all([text(streams.stdout), text(streams.stderr)]);
          return await streams.exit;
        } finally {
          clearInterval(sending);
        }
      }),
    );
    expect(new Set(codes)).toEqual(new Set([7]));
  });

  it('kills an exec whose client leaves', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('left', ['sleep', '100']));
    await launcher.startContainer('left');
    const streams = await launcher.exec({
      containerId: 'left',
      stdin: false,
      process: { args: ['sleep', '99'], env: ['PATH=/bin'], cwd: '/', terminal: false },
    });
    const count = async () =>
      text(
        (
          await launcher.exec({
            containerId: 'left',
            stdin: false,
            process: { args: ['ps'], env: ['PATH=/bin'], cwd: '/', terminal: false },
          })
        ).stdout,
      );
    expect(await count()).toContain('sleep 99');
    streams.close();
    await eventually(async () => !(await count()).includes('sleep 99'), 'the process is killed');
  });

  it('gives a terminal and resizes it', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(
      host.container(
        'tty',
        ['sh', '-c', 'trap "stty size" WINCH; stty size; echo ready; while :; do sleep 0.01; done'],
        { stdin: true, process: { terminal: true, terminalSize: { width: 80, height: 24 } } },
      ),
    );
    await launcher.startContainer('tty');
    await eventually(() => host.log('tty').includes('ready'), 'the shell is up');
    expect(host.log('tty')).toContain('stdout F 24 80');
    const attached = await launcher.attach('tty');
    attached.resize(132, 43);
    await eventually(() => host.log('tty').includes('43 132'), 'the size has changed');
    attached.close();
    const inside = await launcher.exec({
      containerId: 'tty',
      stdin: true,
      process: {
        args: ['sh', '-c', 'stty size; read line; echo "got $line"'],
        env: ['PATH=/bin'],
        cwd: '/',
        terminal: true,
        terminalSize: { width: 100, height: 30 },
      },
    });
    inside.stdin?.write('abc\n');
    const output = await text(inside.stdout);
    expect(output).toContain('30 100');
    expect(output).toContain('got abc');
  });

  it('attaches to standard input, once', async () => {
    await launcher.createSandbox(host.sandbox());
    const exit = exits(launcher);
    await launcher.createContainer(
      host.container('in', ['sh', '-c', 'cat; echo bye'], { stdin: true, stdinOnce: true }),
    );
    await launcher.startContainer('in');
    const attached = await launcher.attach('in');
    attached.stdin?.end('typed\n');
    expect(await text(attached.stdout)).toBe('typed\nbye\n');
    expect((await exit.of('in')).exitCode).toBe(0);
  });

  it('says what could not be started', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('no', ['foo']));
    await expect(launcher.startContainer('no')).rejects.toMatchObject({
      errno: 'ENOENT',
      message: 'exec: "foo": executable file not found in $PATH',
    });
    await eventually(async () => (await launcher.facts()).get('no')?.state === 'exited', 'its exit is recorded');
    expect((await launcher.facts()).get('no')).toMatchObject({
      state: 'exited',
      startedAtNs: 0,
      exit: { exitCode: 128 },
    });
    await expect(
      launcher.createContainer(
        host.container('bad', ['true'], {
          rootfs: { lowerDirs: ['/nonexistent'], upperDir: '/x', workDir: '/y', readonly: false },
        }),
      ),
    ).rejects.toBeInstanceOf(LaunchError);
    expect((await launcher.facts()).has('bad')).toBe(false);
  });

  it('shares one pid namespace where the pod asks for it', async () => {
    const { pausePid } = await launcher.createSandbox(host.sandbox({ pid: 'pod' }));
    expect(pausePid).toBeGreaterThan(0);
    const { output } = await run('shared', [
      'sh',
      '-c',
      'sleep 0.01; ps; ls /proc/1/root/ | busybox wc -l; sleep 100 &',
    ]);
    expect(output).toContain('pause');
    // The pause process has an empty root: no way to the host's files through /proc/1/root.
    expect(output.trimEnd().split('\n').at(-1)).toMatch(/^(0|.*denied.*)$/i);
  });

  it('mounts binds, read-only and not, and never through links of the image', async () => {
    await launcher.createSandbox(host.sandbox());
    mkdirSync(`${host.directory}/vol`);
    writeFileSync(`${host.directory}/vol/file`, 'content\n');
    mkdirSync(`${host.directory}/evil`);
    symlinkSync(`${host.directory}/target`, `${host.directory}/evil/out`);
    const spec = host.container(
      'binds',
      [
        'sh',
        '-c',
        `cat /ro/file; echo x > /ro/y || echo refused; echo x > /rw/y && cat /one; ls ${host.directory}/target`,
      ],
      {
        mounts: [
          { source: `${host.directory}/vol`, target: '/ro', readonly: true, propagation: 'private' },
          { source: `${host.directory}/vol`, target: '/rw', readonly: false, propagation: 'slave' },
          { source: `${host.directory}/vol/file`, target: '/one', readonly: true, propagation: 'private' },
          { source: `${host.directory}/vol`, target: '/out/deep', readonly: true, propagation: 'private' },
        ],
      },
    );
    spec.rootfs.lowerDirs = [`${host.directory}/evil`, ...spec.rootfs.lowerDirs];
    const exit = exits(launcher);
    await launcher.createContainer(spec);
    await launcher.startContainer('binds');
    await exit.of('binds');
    expect(existsSync(`${host.directory}/target`)).toBe(false);
    const log = host.log('binds');
    for (const each of ['stdout F content', 'Read-only file system', 'stdout F refused', 'stdout F deep'])
      expect(log).toContain(each);
  });

  it('dials a port inside the sandbox', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('net', ['nc', '-l', '-p', '8080', '-e', 'cat']));
    await launcher.startContainer('net');
    await eventually(async () => {
      const stream = await launcher.dial('s1', 8080).catch(() => undefined);
      if (!stream) return false;
      stream.end('ping');
      expect(await text(stream)).toBe('ping');
      return true;
    }, 'the port answers');
    await expect(launcher.dial('s1', 8081)).rejects.toMatchObject({ errno: 'ECONNREFUSED' });
  });

  it.skipIf(isUml)('opens host ports and takes them away', async () => {
    const { ips } = await launcher.createSandbox(
      host.sandbox({ ports: [{ protocol: 'TCP', hostPort: 9090, containerPort: 8080 }] }),
    );
    expect(host.inNetns('nft', 'list', 'table', 'inet', 'sampan_pods')).toContain(`dnat ip to ${ips[0]}:8080`);
    await expect(
      launcher.createSandbox(
        host.sandbox({ id: 's2', ports: [{ protocol: 'TCP', hostPort: 9090, containerPort: 1 }] }),
      ),
    ).rejects.toThrow('host port 9090/TCP is already taken');
    await launcher.createContainer(
      host.container('port', ['sh', '-c', 'while :; do echo answer | nc -l -p 8080; done']),
    );
    await launcher.startContainer('port');
    await eventually(() => {
      try {
        return host
          .inNetns('bash', '--norc', '-c', 'exec 3<>/dev/tcp/127.0.0.1/9090 && head -1 <&3')
          .includes('answer');
      } catch {
        return false;
      }
    }, 'the host port answers');
    await launcher.removeSandbox('s1');
    expect(host.inNetns('nft', 'list', 'table', 'inet', 'sampan_pods')).not.toContain('dnat ip to');
  });

  it('updates limits and reads what is used', async () => {
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(
      host.container('st', ['sleep', '100'], {
        resources: { memoryLimitBytes: 32 << 20, memorySwapLimitBytes: 32 << 20 },
      }),
    );
    await launcher.startContainer('st');
    expect(await launcher.stats('/kubepods/pod1/st')).toMatchObject({ memoryLimitBytes: 32 << 20, pids: 1 });
    for (const limit of [64 << 20, 16 << 20]) {
      await launcher.updateResources('/kubepods/pod1/st', { memoryLimitBytes: limit, memorySwapLimitBytes: limit });
      expect((await launcher.stats('/kubepods/pod1/st')).memoryLimitBytes).toBe(limit);
    }
  });
});
