import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { defaultDevices } from '../cgroups/driver.ts';
import { findHierarchies } from '../../lib/cgroups/hierarchy.ts';
import { readFileSync } from 'node:fs';
import { deviceProgram } from './device-program.ts';
import { createLauncherServer } from './server.ts';
import { step } from './steps.ts';
import { canLaunch, createTestHost } from './testing.ts';

const unified = findHierarchies(readFileSync('/proc/self/mountinfo', 'utf8')).unified;

describe.skipIf(!canLaunch || !unified)('device program, in the kernel', () => {
  it('lets through what the rules allow and nothing else', async () => {
    const host = createTestHost();
    const cgroup = `${unified}${host.directory.slice('/tmp'.length)}`;
    mkdirSync(cgroup);
    mkdirSync(join(host.directory, 'state'));
    const server = createLauncherServer({
      binary: join(host.directory, 'launcher'),
      socketPath: join(host.directory, 'state/l.sock'),
      stateDir: join(host.directory, 'state'),
      clock: systemClock,
      log: silentLogger,
    });
    try {
      const attempt = (command: string) =>
        execFileSync('sh', ['-c', `echo $$ > ${cgroup}/cgroup.procs; (${command}) 2>&1; true`], { encoding: 'utf8' });
      const node = join(host.directory, 'kmsg');
      expect(attempt('head -c 1 /dev/zero | wc -c; : < /dev/kmsg && echo opened')).toBe('1\nopened\n');
      await server.run([step('device-filter', [cgroup, deviceProgram(defaultDevices)], 'test')]);
      expect(attempt('head -c 1 /dev/zero | wc -c')).toBe('1\n');
      expect(attempt('cat /dev/kmsg')).toContain('Operation not permitted');
      expect(attempt(`mknod ${node} c 1 11 && cat ${node}`)).toContain('Operation not permitted');
      await expect(server.run([step('device-filter', [cgroup, new Uint8Array(8)], 'test')])).rejects.toThrow(
        'load device program',
      );
    } finally {
      await server.run([step('rmdir', [cgroup], '')]);
      await server.quit();
      host.dispose();
    }
  });
});
