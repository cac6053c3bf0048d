import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { descriptionsDigest, fieldText, parseSections, sections, typeText } from './descriptions.ts';
import { createScheme } from './kinds/index.ts';
import { OpenApiDocuments } from './openapi.ts';
import { definition, groupDefinitions } from './schema.ts';
import { columnDefinitions } from './table.ts';

const LIMIT = 300;
const names = (folder: string) =>
  readdirSync(new URL(folder, import.meta.url)).flatMap((each) => /^(.+)\.txt$/.exec(each)?.[1] ?? []);
const files = names('./descriptions/');
const groups = names('./schema/');
const types = groups.flatMap((group) => [...groupDefinitions(group).values()]);
const scheme = createScheme();
const documents = new OpenApiDocuments(scheme, { version: 'v1.36.0' });
const json = (document: { bytes: Buffer } | undefined) => JSON.parse(document?.bytes.toString() ?? 'null');
const v3 = Object.keys(json(documents.index()).paths).map((path) => json(documents.v3(path)));
const v2 = json(documents.v2());

/** Every text of every file, with where it stands. */
const texts = files.flatMap((file) =>
  [...sections(file)].flatMap(([section, { text, fields }]) => [
    { where: `${file} ${section}`, text },
    ...[...fields].flatMap(([field, told]) => [
      { where: `${file} ${section}.${field}`, text: told.text },
      ...[...told.meanings].map(([value, text]) => ({ where: `${file} ${section}.${field}=${value}`, text })),
    ]),
  ]),
);
const whereNot = (holds: (text: string) => boolean) =>
  texts.filter(({ text }) => text !== '' && !holds(text)).map(({ where, text }) => `${where}: ${text}`);

describe('what OpenAPI documents say', () => {
  interface Schema {
    description?: string;
    properties?: Record<string, { description?: string }>;
  }
  const silent = (schemas: Record<string, Schema>) =>
    Object.entries(schemas).flatMap(([name, { description, properties = {} }]) => [
      ...(description ? [] : [name]),
      ...Object.keys(properties)
        .filter((field) => !properties[field]?.description)
        .map((field) => `${name}.${field}`),
    ]);

  it('says it of every type and every field', () => {
    expect(silent(v2.definitions)).toEqual([]);
    for (const document of v3) expect(silent(document.components.schemas)).toEqual([]);
    expect(Object.keys(v2.definitions).length).toBeGreaterThan(500);
  });
  it('says it of every request and every parameter', () => {
    for (const document of [v2, ...v3]) {
      for (const [path, item] of Object.entries<Record<string, any>>(document.paths)) {
        for (const [method, operation] of Object.entries(item)) {
          const parameters = method === 'parameters' ? operation : operation.parameters;
          if (method !== 'parameters') expect(operation.description, `${method} ${path}`).toMatch(/^[A-Z][^{}]*\.$/);
          for (const each of parameters) {
            const whole = each.$ref ? v2.parameters[each.$ref.replace('#/parameters/', '')] : each;
            if (each.in !== 'body') expect(whole.description, `${path} ${whole.name}`).toMatch(/^[A-Z][^{}]*\.$/);
          }
        }
      }
    }
  });
  it('says of a field what it is there, and of its type what that is', () => {
    const { properties } = v2.definitions['io.k8s.api.core.v1.Container'];
    const probe = typeText('core.v1.Probe');
    expect(properties.livenessProbe).toEqual({
      description: fieldText(definition('core.v1.Container'), 'livenessProbe'),
      $ref: '#/definitions/io.k8s.api.core.v1.Probe',
    });
    expect(v2.definitions['io.k8s.api.core.v1.Probe'].description).toBe(probe);
    // 3.0 has no siblings of a reference.
    const core = v3.find((each) => '/api/v1/namespaces' in each.paths);
    expect(core.components.schemas['io.k8s.api.core.v1.Container'].properties.livenessProbe).toEqual({
      description: properties.livenessProbe.description,
      allOf: [{ $ref: '#/components/schemas/io.k8s.api.core.v1.Probe' }],
    });
  });
  it('says what the values of an enumeration mean, below what the field is', () => {
    const { restartPolicy } = v2.definitions['io.k8s.api.core.v1.PodSpec'].properties;
    expect(restartPolicy.enum).toEqual(['Always', 'Never', 'OnFailure']);
    expect(restartPolicy.description).toMatch(/\.\n\nPossible enum values:\n - `"Always"`: .*\n - `"Never"`: .*\n/);
  });
  it('has the same bytes and hashes in every process, and others when a description changes', () => {
    const again = new OpenApiDocuments(createScheme(), { version: 'v1.36.0' });
    expect(again.index().etag).toBe(documents.index().etag);
    expect(again.v2().etag).toBe(documents.v2().etag);
    expect(descriptionsDigest()).toMatch(/^[0-9a-f]{64}$/);
  });
});

describe('what Tables say', () => {
  it('says it of every column', () => {
    const silent = scheme
      .kinds()
      .flatMap((kind) =>
        columnDefinitions(kind).flatMap(({ name, description }) => (description ? [] : [`${kind.kind} ${name}`])),
      );
    expect(silent).toEqual([]);
  });
  it('speaks of no column that there is not', () => {
    const shown = new Set(['Metrics cpu', 'Metrics memory', 'Metrics Window', 'Scale Desired', 'Scale Available']);
    for (const kind of scheme.kinds())
      for (const { name } of kind.columns) shown.add(`${kind.kind} ${name}`).add(`* ${name}`);
    const told = [...sections('columns')].flatMap(([kind, { fields }]) =>
      [...fields.keys()].map((name) => `${kind} ${name}`),
    );
    expect(told.filter((each) => !shown.has(each))).toEqual([]);
  });
});

describe('the files', () => {
  it('speak of types, fields and values that there are', () => {
    const scalars = ['FieldsV1', 'IntOrString', 'MicroTime', 'Patch', 'Quantity', 'RawExtension', 'Time'];
    const wrong = groups.flatMap((group) =>
      [...sections(group)].flatMap(([name, { like, fields }]) => {
        const type = groupDefinitions(group).get(`${group}.${name}`);
        if (!type) return group === 'meta' && scalars.includes(name) ? [] : [`${group} ${name}`];
        if (like) definition(like);
        return [...fields].flatMap(([field, { meanings }]) => {
          const values = type.fields.get(field)?.enum ?? [];
          const known = [
            ...(type.fields.has(field) ? [] : [field]),
            ...[...meanings.keys()].filter((each) => !values.includes(each)),
          ];
          return known.map((each) => `${group} ${name}.${field} ${each}`);
        });
      }),
    );
    expect(wrong).toEqual([]);
    expect(files.filter((each) => ![...groups, 'shared', 'columns', 'operations'].includes(each))).toEqual([]);
  });
  it('tell something wherever they are asked', () => {
    for (const [pattern, { fields }] of sections('shared')) {
      const [start = '', end = ''] = pattern.split('*');
      const meant = types.filter(({ name }) => {
        const short = name.slice(name.lastIndexOf('.') + 1);
        return short.startsWith(start) && short.endsWith(end);
      });
      for (const [field, { text }] of fields) {
        const opening = text.split('{*}')[0] as string;
        expect(
          meant.some((type) => fieldText(type, field)?.startsWith(opening)),
          `${pattern} ${field}`,
        ).toBe(true);
      }
    }
  });
  it('are short, plain sentences', () => {
    expect(whereNot((text) => text.length <= LIMIT)).toEqual([]);
    expect(whereNot((text) => /^[\x20-\x7e]+[.]$/.test(text) && !/\s\s|\s$/.test(text))).toEqual([]);
  });
  it('tell the defaults of the schema', () => {
    const untold = types.flatMap((type) =>
      [...type.fields.values()].flatMap((field) => {
        if (field.default === undefined || type.isInlineOnly) return [];
        const isTold = fieldText(type, field.name)?.split('\n')[0]?.includes(String(field.default));
        return isTold ? [] : [`${type.name}.${field.name} ${field.default}`];
      }),
    );
    expect(untold).toEqual([]);
  });
  it('name only fields that there are', () => {
    const fields = new Set(types.flatMap((type) => [...type.fields.keys()]));
    const others = new Set([
      ...['apiVersion', 'gRPC', 'iSCSI', 'vSphere'],
      // What expressions may name, and parameters of requests.
      ...['namespaceObject', 'oldObject', 'requestResource', 'oldSelf'],
      ...[...(sections('operations').get('Parameters')?.fields.keys() ?? [])],
    ]);
    const unknown = texts.flatMap(({ where, text }) =>
      (text.match(/(?<![\w/@-])[a-z]+[A-Z]\w*/g) ?? [])
        .filter((word) => !fields.has(word) && !others.has(word))
        .map((word) => `${where}: ${word}`),
    );
    expect(unknown).toEqual([]);
  });
});

describe('the reader', () => {
  it('is not told the same twice: clients show a field and then its type', () => {
    const opening = (text = '') => text.split(/(?<=[.]) /)[0];
    const twice = types.flatMap((type) =>
      [...type.fields.values()].flatMap((field) => {
        let shown = field.type;
        while (shown.kind === 'list' || shown.kind === 'map') shown = shown.of;
        if (shown.kind !== 'ref' || type.isInlineOnly) return [];
        const isTwice = opening(fieldText(type, field.name)) === opening(typeText(shown.name));
        return isTwice ? [`${type.name}.${field.name}`] : [];
      }),
    );
    expect(twice).toEqual([]);
  });
});

it('is read when somebody asks, not before', () => {
  const code = `
    import fs from 'node:fs';
    import { syncBuiltinESMExports } from 'node:module';
    const read = [];
    const { readFileSync } = fs;
    fs.readFileSync = (path, ...rest) => {
      const name = /descriptions.(\\S+[.]txt)$/.exec(String(path))?.[1];
      if (name) read.push(name);
      return readFileSync(path, ...rest);
    };
    syncBuiltinESMExports();
    const { createScheme } = await import('./kinds/index.ts');
    const { OpenApiDocuments } = await import('./openapi.ts');
    const { columnDefinitions } = await import('./table.ts');
    const documents = new OpenApiDocuments(createScheme(), { version: 'v1.36.0' });
    const seen = [[...read]];
    columnDefinitions(createScheme().kinds()[0]);
    seen.push(read.splice(0));
    documents.v3('apis/coordination.k8s.io/v1');
    seen.push([...new Set(read)].length);
    console.log(JSON.stringify(seen));
  `;
  const out = execFileSync(process.execPath, ['--input-type=module', '-e', code], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(JSON.parse(out)).toEqual([[], ['columns.txt'], files.length]);
});

describe('the format', () => {
  it('has types, fields and values', () => {
    const found = parseSections(
      'core.v1',
      '# comment\n\nA like B: Is a.\n  x: Is x.\n    On: it is on.\n  Port(s): Are ports.\nB:\n',
    );
    expect([...found.keys()]).toEqual(['A', 'B']);
    expect(found.get('A')).toEqual({
      text: 'Is a.',
      like: 'core.v1.B',
      fields: new Map([
        ['x', { text: 'Is x.', meanings: new Map([['On', 'it is on.']]) }],
        ['Port(s)', { text: 'Are ports.', meanings: new Map() }],
      ]),
    });
  });
  it.each([
    ['no colon', 'descriptions x: not a description: no colon'],
    ['A: a.\n   x: odd indentation.', 'not a description'],
    ['A: a.\nA: b.', 'descriptions x: A is described twice'],
    ['A: a.\n  x: a.\n  x: b.', 'descriptions x: x is described twice'],
  ])('refuses %j', (text, message) => expect(() => parseSections('x', text)).toThrow(message));
});
