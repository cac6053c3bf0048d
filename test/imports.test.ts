// The layers of ARCHITECTURE.md, as a test: who may import whom, and why.
import { readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');

/** What a folder's files may import besides their own folder and packages. */
const rules: Record<string, { may: string[]; why: string }> = {
  lib: { may: [], why: 'mechanisms know nothing of Kubernetes nor of each other components' },
  api: { may: ['lib'], why: 'the objects are pure data and rules' },
  apiserver: { may: ['api', 'lib'], why: 'components meet only through the API' },
  client: { may: ['api', 'lib'], why: 'the client is a library for authors of controllers' },
  scheduler: { may: ['api', 'client', 'lib'], why: 'components meet only through the API' },
  controllers: { may: ['api', 'client', 'lib'], why: 'components meet only through the API' },
  kubelet: { may: ['api', 'client', 'lib', 'proto'], why: 'the kubelet knows the runtime through CRI only' },
  runtime: { may: ['lib', 'proto'], why: 'the runtime knows no Kubernetes' },
  proxy: { may: ['api', 'client', 'lib'], why: 'components meet only through the API' },
  proto: { may: ['lib'], why: 'a protocol depends on nobody but the mechanism that reads it' },
};
const everywhere = ['cli', 'test', 'bench', 'scripts'];

/** Packages that only one place may use, so that they can be replaced there. */
const packageHomes: Record<string, string[]> = {
  etcd3: ['apiserver/storage', 'bench'],
  pino: ['lib/log.ts'],
  commander: ['cli'],
  yaml: ['api', 'client', 'cli', 'lib'],
};

interface Import {
  file: string;
  line: number;
  specifier: string;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

function importsOf(file: string): Import[] {
  const found: Import[] = [];
  for (const [index, line] of readFileSync(join(root, file), 'utf8').split('\n').entries()) {
    // Imports and exports as the formatter leaves them, and dynamic imports; not words inside strings.
    for (const match of line.matchAll(/(?:^(?:import|export|\}).*?\bfrom |^import |\bimport\()(['"])([^'"`$]+)\1/g)) {
      found.push({ file, line: index + 1, specifier: match[2] as string });
    }
  }
  return found;
}

const top = (path: string) => path.split('/')[0] as string;
const isTest = (file: string) => /\.test\.ts$|\/testing\/|\/testing\.ts$|\/contract\.ts$/.test(file);

const folders = Object.keys(rules);
const all = folders.flatMap(sourceFiles).flatMap(importsOf);

test('the check sees the code', () => {
  expect(all.length).toBeGreaterThan(200);
  expect(new Set(all.map((each) => top(each.file)))).toEqual(new Set(folders));
});

test.each(folders)('%s imports only what its layer may', (folder) => {
  const rule = rules[folder] as { may: string[]; why: string };
  const broken = all
    .filter((each) => top(each.file) === folder && each.specifier.startsWith('.'))
    .map((each) => ({ ...each, target: relative(root, resolve(root, dirname(each.file), each.specifier)) }))
    .filter(({ file, target }) => {
      const to = top(target);
      return to !== folder && !rule.may.includes(to) && !(isTest(file) && to === 'test');
    })
    .map((each) => `${each.file}:${each.line} imports ${each.target} (${rule.why})`);
  expect(broken).toEqual([]);
});

test('nobody imports a composition root', () => {
  const broken = all.filter((each) =>
    everywhere.includes(top(relative(root, resolve(root, dirname(each.file), each.specifier)))),
  );
  expect(broken.filter((each) => !isTest(each.file)).map((each) => `${each.file}:${each.line}`)).toEqual([]);
});

test.each(Object.entries(packageHomes))('the package %s stays where it can be replaced', (name, homes) => {
  const broken = all
    .filter(
      (each) => each.specifier === name && !isTest(each.file) && !homes.some((home) => each.file.startsWith(home)),
    )
    .map((each) => `${each.file}:${each.line}`);
  expect(broken).toEqual([]);
});

test('every package used is a dependency of ours, and none is imported by accident of hoisting', () => {
  const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Record<
    string,
    Record<string, string>
  >;
  const known = new Set([
    ...Object.keys(manifest['dependencies'] ?? {}),
    ...Object.keys(manifest['devDependencies'] ?? {}),
  ]);
  const packageOf = (specifier: string) =>
    specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/');
  const unknown = [...all, ...sourceFiles('cli').flatMap(importsOf)]
    .filter(({ specifier }) => !specifier.startsWith('.') && !specifier.startsWith('node:'))
    .filter(({ specifier }) => !known.has(packageOf(specifier)) || builtinModules.includes(specifier))
    .map((each) => `${each.file}:${each.line} imports ${each.specifier}`);
  expect(unknown).toEqual([]);
});
