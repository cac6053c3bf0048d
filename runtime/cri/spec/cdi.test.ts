import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ContainerSpec } from '../../launch/port.ts';
import { readCdiDevices, withCdiDevices } from './cdi.ts';

let directory: string;
let directories: string[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'sampan-cdi-'));
  directories = ['etc', 'run'].map((name) => join(directory, name));
  for (const each of directories) mkdirSync(each);
});
afterEach(() => rmSync(directory, { recursive: true }));

const spec = {
  process: { env: ['PATH=/bin', 'CARD=none'], additionalGids: [7] },
  mounts: [],
} as unknown as ContainerSpec;
const edit = (...names: string[]) =>
  withCdiDevices(spec, names, () => readCdiDevices([...directories, '/nowhere/at/all']));
const put = (path: string, content: unknown) =>
  writeFileSync(join(directory, path), typeof content === 'string' ? content : JSON.stringify(content));

const cards = {
  cdiVersion: '0.6.0',
  kind: 'acme.com/card',
  containerEdits: {
    env: ['ACME=1'],
    mounts: [{ hostPath: '/lib/acme', containerPath: '/lib/acme', options: ['ro', 'rbind'] }],
  },
  devices: [
    {
      name: 'c0',
      containerEdits: {
        env: ['CARD=c0'],
        deviceNodes: [
          { path: '/dev/card', hostPath: '/dev/null', permissions: 'rwm', fileMode: 0o660, gid: 44 },
          { path: '/dev/zero' },
        ],
        additionalGids: [44, 7],
      },
    },
    { name: 'c1', containerEdits: { hooks: [{ hookName: 'createContainer', path: '/bin/x' }] } },
  ],
};

test('a device edits environment, devices, mounts and groups; what its file says for all comes once', () => {
  put('etc/acme.json', cards);
  const edited = edit('acme.com/card=c0', 'acme.com/card=c0');
  expect(edited).toEqual({
    process: { env: ['PATH=/bin', 'CARD=c0', 'ACME=1'], additionalGids: [7, 44] },
    devices: [
      { hostPath: '/dev/null', containerPath: '/dev/card', permissions: 'rwm', mode: 0o660, gid: 44 },
      { hostPath: '/dev/zero', containerPath: '/dev/zero', permissions: 'rw' },
    ],
    mounts: [{ source: '/lib/acme', target: '/lib/acme', readonly: true, propagation: 'private', options: ['rbind'] }],
  });
  expect(edit()).toBe(spec);
});

test('files may be YAML, and later directories win', () => {
  put('etc/acme.json', cards);
  put('run/acme.yaml', 'kind: acme.com/card\ndevices:\n- name: c0\n  containerEdits:\n    env: ["CARD=mine"]\n');
  expect(edit('acme.com/card=c0').process.env).toEqual(['PATH=/bin', 'CARD=mine']);
});

test.each<[string, string[], Record<string, unknown>]>([
  ['"x" is not the name of a device', ['x'], {}],
  ['unresolvable CDI devices acme.com/card=c9', ['acme.com/card=c9'], { 'etc/a.json': cards }],
  ['acme.com/card=c1 needs hooks', ['acme.com/card=c1'], { 'etc/a.json': cards }],
  ['conflicting device "acme.com/card=c0"', ['acme.com/card=c0'], { 'etc/a.json': cards, 'etc/b.json': cards }],
  ['a.json has no kind', ['acme.com/card=c0'], { 'etc/a.json': '{}' }],
])('%s', (message, names, files) => {
  for (const [path, content] of Object.entries(files)) put(path, content);
  expect(() => edit(...names)).toThrow(message);
});
