// The front door: the README's demo command, as a new user runs it, in a network namespace.
import { spawn } from 'node:child_process';
import { expect, test } from 'vitest';
import { root, TestHost } from './harness.ts';

test('npm run demo -- --once runs the main job, prints the answer, and leaves nothing behind', async () => {
  const host = new TestHost('demo');
  const { code, stdout, stderr } = await host.run(
    ['sh', '-c', `cd ${root} && npm run demo -- --once --cgroup-root ${host.cgroup}`],
    { timeoutMs: 100_000, env: { TMPDIR: host.dir } },
  );
  const left = host.dispose();
  expect(stdout, stderr).toContain('ahoy from a Secret');
  expect(code, stderr).toBe(0);
  expect(stderr).toContain('pods Running and Ready');
  expect(left).toEqual({});
}, 120_000);

test('without --once it goes on, says how to use it, and Ctrl-C ends all of it', async () => {
  const host = new TestHost('demo-up');
  const [command, args] = host.command('sh', '-c', `cd ${root} && npm run demo -- --cgroup-root ${host.cgroup}`);
  // A group of its own, as a terminal makes one: Ctrl-C reaches npm, the shell and the command at once.
  const child = spawn(command, args, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, TMPDIR: host.dir },
  });
  let printed = '';
  const goesOn = new Promise<void>((done, fail) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        printed += chunk.toString();
        if (printed.includes('Ctrl-C ends everything')) done();
      });
    }
    child.once('exit', (code) => fail(new Error(`the demo ended with ${code}: ${printed}`)));
  });
  const closed = new Promise<void>((done) => child.once('close', () => done()));
  await goesOn;
  const kubeconfig = /export KUBECONFIG=(\S+)/.exec(printed)?.[1] ?? '';
  const pods = await host.run([`${root}/scripts/sampan`, 'get', 'pods', '-n', 'hello', '--kubeconfig', kubeconfig]);
  expect(pods.stdout.match(/Running/g)).toHaveLength(2);
  process.kill(-(child.pid as number), 'SIGINT');
  await closed;
  expect(printed).toContain('ending pods and node');
  expect(host.dispose()).toEqual({});
}, 120_000);
