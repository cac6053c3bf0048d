// A container that shares a volume puts links to the host where files and directories were, at the very moment when the kubelet works on
// them: with a sub-path (CVE-2021-25741), or giving files to a group.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createMounter } from './mounter.ts';
import { applyFsGroup } from './ownership.ts';
import { bindSubPath } from './sub-path.ts';

let dir: string;
let swapper: ChildProcess | undefined;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swapped-'));
  mkdirSync(join(dir, 'host'));
  writeFileSync(join(dir, 'host/secret'), 'the host’s');
  chmodSync(join(dir, 'host/secret'), 0o600);
  mkdirSync(join(dir, 'volume/sub'), { recursive: true });
  writeFileSync(join(dir, 'volume/sub/own'), 'x');
});
afterEach(async () => {
  if (swapper?.exitCode === null) {
    const ended = new Promise((resolve) => swapper?.once('exit', resolve));
    swapper.kill('SIGKILL');
    await ended;
  }
  swapper = undefined;
  const mounter = createMounter();
  for (const point of mounter.below(dir)) await mounter.unmount(point);
  rmSync(dir, { recursive: true });
});

/** Puts `volume/sub`, a directory, and a link to the host’s directory in turn in the same place, without end. */
async function swap(): Promise<void> {
  const script = `
    const { renameSync, symlinkSync, unlinkSync, rmSync } = require('node:fs');
    process.chdir(${JSON.stringify(join(dir, 'volume'))});
    process.stdout.write('swapping');
    for (;;) {
      try {
        renameSync('sub', 'aside');
        symlinkSync(${JSON.stringify(join(dir, 'host'))}, 'sub');
        unlinkSync('sub');
        renameSync('aside', 'sub');
      } catch {
        // The kubelet makes what is missing: it is in the way.
        rmSync('sub', { recursive: true, force: true });
        try { renameSync('aside', 'sub'); } catch {}
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2);
    }`;
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  swapper = child;
  await new Promise((resolve) => child.stdout.once('data', resolve));
}

it.skipIf(process.getuid?.() !== 0)('a sub-path is never mounted from outside of its volume', async () => {
  const mounter = createMounter();
  await swap();
  let mounted = 0;
  for (let round = 0; round < 40; round++) {
    const target = join(dir, 'target', String(round));
    try {
      await bindSubPath(mounter, join(dir, 'volume'), 'sub', target);
      mounted++;
    } catch {
      // What is not there for a moment, or is a link, is refused.
    }
    expect(existsSync(join(target, 'secret'))).toBe(false);
  }
  expect(mounted).toBeGreaterThan(0);
});

it('what is mounted is the descriptor that was looked at, not what its path leads to by then', async () => {
  const log = join(dir, 'mount.log');
  mkdirSync(join(dir, 'bin'));
  writeFileSync(join(dir, 'bin/mount'), `#!/bin/sh\necho "$@" >> ${log}\n`, { mode: 0o755 });
  const { PATH = '' } = process.env;
  process.env['PATH'] = `${join(dir, 'bin')}:${PATH}`;
  try {
    await bindSubPath(createMounter(), join(dir, 'volume'), 'sub', join(dir, 'target'));
  } finally {
    process.env['PATH'] = PATH;
  }
  expect(readFileSync(log, 'utf8')).toMatch(/^--no-canonicalize --bind \/proc\/\d+\/fd\/\d+ /);
});

it.skipIf(process.getuid?.() !== 0)('a file of the host is not given to a group', async () => {
  symlinkSync(join(dir, 'host/secret'), join(dir, 'volume/link'));
  applyFsGroup(join(dir, 'volume'), 4321, false);
  expect(statSync(join(dir, 'volume/sub/own')).gid).toBe(4321);
  await swap();
  for (let round = 0; round < 300; round++) {
    try {
      applyFsGroup(join(dir, 'volume'), 4321, false);
    } catch {
      // It went away on the way.
    }
  }
  const { gid, mode } = statSync(join(dir, 'host/secret'));
  expect([gid, mode & 0o777]).toEqual([0, 0o600]);
});
