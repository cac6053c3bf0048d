// The front door: the README's demo command, as a new user runs it, in a network namespace.
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
