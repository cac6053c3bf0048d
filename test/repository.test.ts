// Promises about the repository itself: the README's commands are what CI runs, folders explain themselves, nothing
// points outside.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');

test('CI runs the test command of the README', () => {
  expect(read('README.md')).toContain('npm test');
  expect(read('README.md')).toContain('npm run demo');
  expect(
    read('.ci/run')
      .split('\n')
      .filter((line) => line.startsWith('exec ')),
  ).toEqual(['exec npm test --silent']);
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  expect(scripts['test']).toBe('bash scripts/test');
  expect(scripts['demo']).toBe('bash scripts/demo');
  expect(read('scripts/test')).toContain('scripts/setup --test');
  expect(read('scripts/demo')).toContain('scripts/setup');
});

test('the demo is driven end to end by a test', () => {
  expect(
    readdirSync(join(root, 'test/e2e')).some((name) => read(`test/e2e/${name}`).includes('npm run demo -- --once')),
  ).toBe(true);
});

const folders = readdirSync(root, { withFileTypes: true })
  .filter(
    (entry) =>
      entry.isDirectory() && !entry.name.startsWith('.') && !['node_modules', 'build', 'coverage'].includes(entry.name),
  )
  .map((entry) => entry.name);

test.each(folders)('%s/ has a README', (folder) => {
  expect(existsSync(join(root, folder, 'README.md'))).toBe(true);
});

test('the lock file names no download address', () => {
  expect(read('package-lock.json')).not.toMatch(/"resolved"|https?:\/\/[^"]*(registry|npmjs)/);
});

test('what is meant to be run can be run', () => {
  for (const file of [
    'scripts/setup',
    'scripts/test',
    'scripts/demo',
    'scripts/check',
    'scripts/node',
    'scripts/sampan',
    '.ci/run',
  ]) {
    expect(statSync(join(root, file)).mode & 0o111, file).not.toBe(0);
  }
});
