// What a person sees: tables, names, errors of one line, complete help.
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { Catalogue, parseTargets } from './catalogue.ts';
import { cgroupRootOf, gatewayOf } from './layout.ts';
import { readManifests } from './manifests.ts';
import { tableLines } from './table.ts';

const directory = mkdtempSync(join(tmpdir(), 'sampan-cli-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const sampan = resolve(import.meta.dirname, '../scripts/sampan');
function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((done) => {
    execFile(sampan, args, { env: { PATH: process.env['PATH'], HOME: directory, CI: '' } }, (error, stdout, stderr) =>
      done({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

const entry = (resource: string, kind: string, names: string[], group = '') => ({
  group,
  version: 'v1',
  resource,
  kind,
  namespaced: true,
  names: [resource, kind.toLowerCase(), ...names],
  categories: ['all'],
  verbs: ['list', 'get'],
});
const catalogue = new Catalogue([entry('pods', 'Pod', ['po']), entry('deployments', 'Deployment', ['deploy'], 'apps')]);
const targets = (...words: string[]) =>
  parseTargets(catalogue, words).map(({ ref, name }) => `${ref.resource}${name === undefined ? '' : `/${name}`}`);

describe('how objects are named', () => {
  test.each<[string[], string[]]>([
    [['po'], ['pods']],
    [['Pods'], ['pods']],
    [['pods,deploy'], ['pods', 'deployments']],
    [
      ['deployments.apps', 'a', 'b'],
      ['deployments/a', 'deployments/b'],
    ],
    [['deployment.v1.apps'], ['deployments']],
    [
      ['pod/a', 'deploy/b'],
      ['pods/a', 'deployments/b'],
    ],
    [['all'], ['pods', 'deployments']],
  ])('%j', (words, expected) => {
    expect(targets(...words)).toEqual(expected);
  });

  test.each<[string[], string]>([
    [['nothing'], `the server doesn't have a resource type "nothing"`],
    [['pods.wrong'], `the server doesn't have a resource type "pods.wrong"`],
    [['pod/a/b'], 'arguments in resource/name form must have a single resource and name: pod/a/b'],
    [[], 'you must specify the type of resource, such as: pods, deployments, pod/NAME'],
  ])('%j is refused', (words, message) => {
    expect(() => targets(...words)).toThrow(message);
  });
});

test('tables are laid out as kubectl does', () => {
  const table = {
    kind: 'Table' as const,
    metadata: {},
    columnDefinitions: [
      { name: 'Name', priority: 0 },
      { name: 'Ready', priority: 0 },
      { name: 'IP', priority: 1 },
    ],
    rows: [
      { cells: ['web', '1/1', '10.0.0.1'], object: { metadata: { namespace: 'default' } } },
      { cells: ['longer-name', null, ''], object: { metadata: { namespace: 'kube-system' } } },
    ],
  };
  expect(tableLines(table, { wide: false, withNamespace: true, headings: true })).toEqual([
    'NAMESPACE     NAME          READY',
    'default       web           1/1',
    'kube-system   longer-name   <none>',
  ]);
  expect(tableLines(table, { wide: true, withNamespace: false, headings: false })[0]).toBe(
    'web           1/1      10.0.0.1',
  );
});

describe('manifests', () => {
  const write = (name: string, text: string) => {
    const path = join(directory, name);
    mkdirSync(resolve(path, '..'), { recursive: true });
    writeFileSync(path, text);
    return path;
  };

  test('a directory is read in order, its lists are unpacked, other files and empty documents are passed over', () => {
    write('many/b.yaml', '---\n# nothing\n---\napiVersion: v1\nkind: Secret\nmetadata: { name: b }\n');
    write(
      'many/a.json',
      '{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}]}',
    );
    write('many/note.txt', 'not a manifest');
    write('many/below/c.yaml', 'apiVersion: v1\nkind: Pod\nmetadata: { name: c }\n');
    const names = (recursive: boolean) =>
      readManifests([join(directory, 'many')], recursive).map((each) => each.object.metadata.name);
    expect(names(false)).toEqual(['a', 'b']);
    expect(names(true)).toEqual(['a', 'b', 'c']);
  });

  test.each<[string, string, RegExp]>([
    ['bad.yaml', 'a: [', /^error parsing .*bad\.yaml: yaml: /],
    ['bare.yaml', 'just: text', /bare\.yaml: apiVersion and kind must be set$/],
    ['list.yaml', '- 1', /list\.yaml: not a Kubernetes object$/],
    ['empty.yaml', '# nothing\n', /^no objects passed to apply/],
  ])('%s is refused in one line', (name, text, message) => {
    expect(() => readManifests([write(name, text)])).toThrow(message);
  });

  test('a path that is not there', () => {
    expect(() => readManifests([join(directory, 'none.yaml')])).toThrow(/^the path ".*none\.yaml" does not exist$/);
  });
});

test('clusters with other data directories get cgroups of their own', () => {
  expect(cgroupRootOf('/var/lib/sampan')).toBe('/sampan');
  expect(cgroupRootOf('/tmp/a')).toMatch(/^\/sampan-[0-9a-f]{8}$/);
  expect(cgroupRootOf('/tmp/a')).not.toBe(cgroupRootOf('/tmp/b'));
  expect(gatewayOf('10.244.0.0/24')).toBe('10.244.0.1');
});

describe('errors are one line that says what to do', () => {
  test.each<[string[], RegExp]>([
    [
      ['get', 'pods', '--data-dir', join(directory, 'none')],
      /^no cluster found: start one with 'sampan up', or name a kubeconfig with --kubeconfig\n$/,
    ],
    [
      ['kubeconfig', '--data-dir', join(directory, 'none')],
      /^no cluster has been started in .*: run 'sampan up' first\n$/,
    ],
    [['down', '--data-dir', join(directory, 'none')], /^there is no cluster in .*\n$/],
    [
      ['image', 'ls', '--data-dir', join(directory, 'none')],
      /^no runtime is listening at .*cri\.sock: start one with 'sampan up'\n$/,
    ],
    [['apiserver', '--port', 'x'], /^error: option '--port <port>' argument 'x' is invalid\. not a whole number\.\n$/],
    [
      ['apiserver', '--data-dir', join(directory, 'store'), '--store', 'nonsense'],
      /^--store is 'embedded', 'memory' or etcd endpoints such as .*\n$/,
    ],
    [
      ['scheduler', '--data-dir', join(directory, 'none')],
      /^no credentials in .*: start 'sampan apiserver' there first, or name a --kubeconfig\n$/,
    ],
  ])('%j', async (args, message) => {
    const { code, stderr } = await run(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });
});

test('every command and option is described', async () => {
  const { stdout } = await run('--help');
  const commands = [...stdout.matchAll(/^ {2}([a-z-]+) /gm)]
    .map((match) => match[1] as string)
    .filter((name) => name !== 'help');
  expect(commands).toEqual(
    expect.arrayContaining([
      'up',
      'down',
      'kubeconfig',
      'get',
      'describe',
      'apply',
      'delete',
      'logs',
      'exec',
      'apiserver',
      'scheduler',
      'controller-manager',
      'kubelet',
      'runtime',
      'proxy',
      'image',
      'demo',
    ]),
  );
  for (const command of commands) {
    const help = await run(command, '--help');
    expect(help.code, command).toBe(0);
    for (const line of help.stdout.split('\n').filter((each) => /^ {2}-/.test(each)))
      expect(line, command).toMatch(/^ {2}-\S.*?( {2,}\S|$)/);
  }
}, 60_000);
