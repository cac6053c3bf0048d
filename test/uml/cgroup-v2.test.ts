// cgroup v2 with a real kernel: the launcher's own tests, which elsewhere run on whatever the host has, in a user-mode Linux.
import { execFileSync } from 'node:child_process';
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { hasUml, runInUml } from './uml.ts';

const root = resolve(import.meta.dirname, '../..');

test.skipIf(!hasUml)('containers on cgroup v2', { timeout: 600_000 }, async () => {
  // Compiling takes more than a minute in there.
  execFileSync('make', ['-s', '-C', `${root}/runtime/native`]);
  // Debian's kernel for user-mode Linux has no nftables of the inet family: host ports are not tested there.
  const { code, output } = await runInUml(
    `cd ${root} && export NO_COLOR=1 SAMPAN_TEST_KERNEL=uml CI= PATH=$PWD/.cache/tools/bin:$PATH
cat /sys/fs/cgroup/cgroup.controllers
scripts/node node_modules/vitest/vitest.mjs run --reporter=default --reporter=./test/summary-reporter.ts runtime/launch/launcher.test.ts >/run/log 2>&1 </dev/null
code=$?; cat /run/log; exit $code
`,
    { memoryMegabytes: 2048, timeoutMs: 540_000 },
  );
  expect(output).toContain('cpu io memory pids');
  expect(code, output).toBe(0);
  expect(output).toMatch(/^[1-9]\d* passed, 0 failed, 1 skipped\r?$/m);
});
