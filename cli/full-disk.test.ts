// `sampan apiserver` on a disk that is full, however far it comes: one line that says so, and an end. Then it starts.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

let disk: string;
beforeEach(() => {
  disk = mkdtempSync(join(tmpdir(), 'sampan-full-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'full-disk', disk]);
});
afterEach(() => {
  execFileSync('umount', [disk]);
  rmSync(disk, { recursive: true });
});

function apiserver() {
  const root = join(import.meta.dirname, '..');
  const child = spawn(
    join(root, 'scripts/node'),
    [join(root, 'cli/main.ts'), 'apiserver', '--data-dir', disk, '--address', '127.0.0.1', '--port', '0'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let told = '';
  const ready = new Promise<boolean>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      told += chunk;
      if (told.includes('API server ready')) resolve(true);
    });
    child.once('close', () => resolve(false));
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return { child, ready, ended, told: () => told };
}

test('an API server on a full disk says so and ends; with room it goes on from there', async () => {
  const fill = join(disk, 'fill');
  writeFileSync(fill, Buffer.alloc(1 << 20));
  // No room for a database; none for the first keys; none for the last; none for the first objects.
  for (const size of [1024, 960, 900, 700]) {
    truncateSync(fill, size * 1024);
    writeFileSync(fill, Buffer.alloc(size * 1024), { flag: 'r+' });
    const server = apiserver();
    expect([size, await server.ended]).toEqual([size, 1]);
    const lines = server
      .told()
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('{'));
    expect([size, lines]).toEqual([
      size,
      [expect.stringMatching(/^sampan: no space left [^]*\/sampan-full-disk-[^]*; make room there and start again$/)],
    ]);
  }
  rmSync(fill);
  execFileSync('mount', ['-o', 'remount,size=64m', disk]);
  const server = apiserver();
  expect([await server.ready, server.told()]).toEqual([true, expect.anything()]);
  server.child.kill('SIGTERM');
  expect(await server.ended).toBe(0);
}, 120_000);
