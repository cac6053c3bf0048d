// Killed at any point, by kill -9: containers go on, exits are told once, and nothing is left that nobody knows.
import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { LaunchError } from './port.ts';
import { canLaunch, createTestHost, eventually, exits, type TestHost, text } from './testing.ts';

describe.skipIf(!canLaunch)('launcher after a crash', () => {
  let host: TestHost;
  beforeEach(() => {
    host = createTestHost();
  });
  afterEach(async () => {
    const launcher = await host.launcher();
    await launcher.teardown();
    await eventually(() => host.leftovers().length === 0, 'nothing is left on the host').catch((error: Error) => {
      throw new Error(`${error.message}:\n${host.leftovers().join('\n')}`);
    });
    host.dispose();
  });

  it('containers outlive the resident launcher, which is started again when needed', async () => {
    const launcher = await host.launcher();
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('a', ['sh', '-c', 'while :; do echo alive; sleep 0.05; done']));
    await launcher.startContainer('a');
    const before = host.serverPid();
    process.kill(before, 'SIGKILL');
    const streams = await launcher.exec({
      containerId: 'a',
      stdin: false,
      process: { args: ['hostname'], env: ['PATH=/bin'], cwd: '/', terminal: false },
    });
    expect(await text(streams.stdout)).toBe('pod-1\n');
    expect(host.serverPid()).not.toBe(before);
    expect((await launcher.facts()).get('a')?.state).toBe('running');
    await launcher.close();
  });

  it('exits that happened while nobody watched are told once', async () => {
    const first = await host.launcher();
    await first.createSandbox(host.sandbox());
    for (const [id, args] of [
      ['gone', ['sh', '-c', 'sleep 0.1; exit 9']],
      ['stays', ['sleep', '100']],
      ['seen', ['sh', '-c', 'exit 4']],
    ] as const)
      await first.createContainer(host.container(id, [...args]));
    const seen = exits(first);
    await first.startContainer('seen');
    await seen.of('seen');
    await first.startContainer('gone');
    await first.startContainer('stays');
    await first.close();
    process.kill(host.serverPid(), 'SIGKILL');
    await eventually(
      () => !readdirSync(join(host.directory, 'state/containers/gone')).includes('sock'),
      'the shim has recorded the exit',
    );
    const second = await host.launcher();
    const again = exits(second);
    expect(await again.of('gone')).toMatchObject({ exitCode: 9, signal: 0 });
    expect(again.all.map((each) => each.containerId)).toEqual(['gone']);
    expect((await second.facts()).get('stays')?.state).toBe('running');
    await second.kill('stays', 9);
    await again.of('stays');
    await second.close();
    const third = await host.launcher();
    expect(exits(third).all).toEqual([]);
    expect([...(await third.facts())].map(([id, facts]) => [id, facts.state])).toEqual([
      ['gone', 'exited'],
      ['seen', 'exited'],
      ['stays', 'exited'],
    ]);
    await third.close();
  });

  it('a container whose shim was killed is killed and reported', async () => {
    const launcher = await host.launcher();
    await launcher.createSandbox(host.sandbox());
    await launcher.createContainer(host.container('orphan', ['sleep', '100']));
    await launcher.startContainer('orphan');
    const exit = exits(launcher);
    process.kill(host.shimPid('orphan'), 'SIGKILL');
    expect(await exit.of('orphan')).toMatchObject({ exitCode: 137, signal: 9 });
    await launcher.close();
  });

  it('what a killed runtime left half-made is removed', async () => {
    const script = `
      import { createTestHost } from ${JSON.stringify(join(import.meta.dirname, 'testing.ts'))};
      import { createLauncher } from ${JSON.stringify(join(import.meta.dirname, 'launcher.ts'))};
      import { systemClock } from ${JSON.stringify(join(import.meta.dirname, '../../lib/clock.ts'))};
      import { silentLogger } from ${JSON.stringify(join(import.meta.dirname, '../../lib/log.ts'))};
      const launcher = await createLauncher({ stateDir: process.argv[1] + '/state', binary: process.argv[1] + '/launcher', cgroupRoot: '/' + process.argv[1].slice(5),
        network: { bridge: 'sampantest0', podCidr: '10.77.0.0/24', nft: async () => '' }, clock: systemClock, log: silentLogger });
      const specs = JSON.parse(process.argv[2]);
      console.log('go');
      await launcher.createSandbox(specs.sandbox);
      await Promise.all(specs.containers.map(async (spec) => { await launcher.createContainer(spec); await launcher.startContainer(spec.id); }));
      setInterval(() => undefined, 1000);`;
    const specs = JSON.stringify({
      sandbox: host.sandbox({ pid: 'pod' }),
      containers: ['x', 'y', 'z'].map((id) => host.container(id, ['sleep', '100'])),
    });
    let half = 0;
    for (let round = 0; round < 5; round++) {
      const child = spawn(
        process.execPath,
        [
          '--disable-warning=ExperimentalWarning',
          '--input-type=module-typescript',
          '-e',
          script,
          host.directory,
          specs,
        ],
        { stdio: ['ignore', 'pipe', 'inherit'] },
      );
      await new Promise((resolve) => child.stdout.once('data', resolve));
      await new Promise((resolve) => setTimeout(resolve, round * 14));
      child.kill('SIGKILL');
      await new Promise((resolve) => child.once('exit', resolve));
      if (round % 2 === 0 && host.serverPid()) process.kill(host.serverPid(), 'SIGKILL');
      const launcher = await host.launcher();
      const facts = await launcher.facts();
      if (facts.size < 3) half++;
      for (const each of facts.values()) expect(each.state === 'created' || each.state === 'running').toBe(true);
      for (const id of (await launcher.sandboxes()).keys()) await launcher.removeSandbox(id);
      expect((await launcher.facts()).size).toBe(0);
      await launcher.close();
    }
    expect(half).toBeGreaterThan(0);
  });

  it('an address is not lost when its sandbox could not be made', async () => {
    const launcher = await host.launcher();
    for (let tried = 0; tried < 3; tried++)
      await expect(
        launcher.createSandbox(host.sandbox({ sysctls: { 'net.ipv4.nothing': '1' } })),
      ).rejects.toBeInstanceOf(LaunchError);
    await expect(launcher.createSandbox(host.sandbox({ sysctls: { 'vm.swappiness': '1' } }))).rejects.toThrow(
      'would change the host',
    );
    expect((await launcher.sandboxes()).size).toBe(0);
    await launcher.close();
  });
});
