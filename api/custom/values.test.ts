// Values against schemas: pruning, defaults, validation and JSONPath, one row per rule, in upstream's words.
import { expect, test } from 'vitest';
import { fieldErrorMessage } from '../field-error.ts';
import { applyDefaults } from './defaults.ts';
import { validateEmbedded } from './embedded.ts';
import { parseJsonPath } from './json-path.ts';
import { validateListTypes } from './list-types.ts';
import { pruneObject } from './prune.ts';
import { structuralOf } from './structural.ts';
import { validateValue } from './validate.ts';

const text = { type: 'string' };
const integer = { type: 'integer' };
const object = (properties: object, more: object = {}) => ({ type: 'object', properties, ...more });
const list = (items: object, more: object = {}) => ({ type: 'array', items, ...more });

test.each<[string, object, unknown, string[]]>([
  [
    'a type',
    object({ a: integer }),
    { a: 'x' },
    ['a: Invalid value: "string": a in body must be of type integer: "string"'],
  ],
  ['null', object({ a: text }), { a: null }, ['a: Invalid value: "null": a in body must be of type string: "null"']],
  ['nullable', object({ a: { ...text, nullable: true } }), { a: null }, []],
  ['a whole number is a number', object({ a: { type: 'number' } }), { a: 3 }, []],
  [
    'a fraction is no integer',
    object({ a: integer }),
    { a: 1.5 },
    ['a: Invalid value: "number": a in body must be of type integer: "number"'],
  ],
  ['required', object({}, { required: ['a'] }), {}, ['a: Required value']],
  ['enum', object({ a: { enum: ['x', 1] } }), { a: 'y' }, ['a: Unsupported value: "y": supported values: "x", "1"']],
  [
    'pattern',
    object({ a: { ...text, pattern: '^a$' } }),
    { a: 'b' },
    [`a: Invalid value: "b": a in body should match '^a$'`],
  ],
  [
    'minLength counts characters',
    object({ a: { ...text, minLength: 2 } }),
    { a: '😀' },
    ['a: Invalid value: "😀": a in body should be at least 2 chars long'],
  ],
  [
    'minimum',
    object({ a: { ...integer, minimum: 3 } }),
    { a: 2 },
    ['a: Invalid value: 2: a in body should be greater than or equal to 3'],
  ],
  [
    'exclusive maximum',
    object({ a: { ...integer, maximum: 3, exclusiveMaximum: true } }),
    { a: 3 },
    ['a: Invalid value: 3: a in body should be less than 3'],
  ],
  [
    'multipleOf',
    object({ a: { type: 'number', multipleOf: 0.1 } }),
    { a: 0.25 },
    ['a: Invalid value: 0.25: a in body should be a multiple of 0.1'],
  ],
  [
    'format',
    object({ a: { ...text, format: 'ipv4' } }),
    { a: 'x' },
    ['a: Invalid value: "x": a in body must be of type ipv4: "x"'],
  ],
  ['an unknown format', object({ a: { ...text, format: 'what' } }), { a: 'x' }, []],
  [
    'minItems',
    object({ a: list(text, { minItems: 1 }) }),
    { a: [] },
    ['a: Invalid value: 0: a in body should have at least 1 items'],
  ],
  [
    'maxItems',
    object({ a: list(text, { maxItems: 1 }) }),
    { a: ['x', 'y'] },
    ['a: Too many: 2: must have at most 1 items'],
  ],
  [
    'minProperties',
    object({ a: { type: 'object', minProperties: 1 } }),
    { a: {} },
    ['a: Invalid value: 0: a in body should have at least 1 properties'],
  ],
  [
    'inside lists and maps',
    object({ a: list({ type: 'object', additionalProperties: integer }) }),
    { a: [{ k: 'x' }] },
    ['a[0].k: Invalid value: "string": a[0].k in body must be of type integer: "string"'],
  ],
  [
    'int or string',
    object({ a: { 'x-kubernetes-int-or-string': true } }),
    { a: true },
    ['a: Invalid value: "boolean": a in body must be of type integer,string: "boolean"'],
  ],
  [
    'oneOf',
    object({ a: object({ x: text, y: text }, { oneOf: [{ required: ['x'] }, { required: ['y'] }] }) }),
    { a: { x: '', y: '' } },
    ['<nil>: Invalid value: "": "a" must validate one and only one schema (oneOf). Found 2 valid alternatives'],
  ],
  [
    'anyOf',
    object({ a: object({ x: text }, { anyOf: [{ required: ['x'] }] }) }),
    { a: {} },
    ['<nil>: Invalid value: "": "a" must validate at least one schema (anyOf)', 'a.x: Required value'],
  ],
  [
    'not',
    object({ a: { ...text, not: { enum: ['x'] } } }),
    { a: 'x' },
    ['<nil>: Invalid value: "": "a" must not validate the schema (not)'],
  ],
])('validation: %s', (_what, schema, value, expected) => {
  expect(validateValue(value, structuralOf(schema)).map(fieldErrorMessage)).toEqual(expected);
});

test('an update is not judged for what it leaves alone', () => {
  const schema = structuralOf(
    object({
      a: integer,
      list: list(object({ name: text, n: integer }), {
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
      }),
    }),
  );
  const old = { a: 'wrong', list: [{ name: 'x', n: 'wrong' }] };
  const now = {
    a: 'wrong',
    list: [
      { name: 'y', n: 'new' },
      { name: 'x', n: 'wrong' },
    ],
  };
  expect(validateValue(now, schema, old).map((each) => each.field)).toEqual(['list[0].n']);
});

test.each<[string, object, object, object, string[]]>([
  [
    'unknown fields',
    object({ spec: object({ a: text }) }),
    { spec: { a: '', b: 1 }, c: 1 },
    { spec: { a: '' } },
    ['c', 'spec.b'],
  ],
  ['inside lists', object({ a: list(object({ x: text })) }), { a: [{ y: 1 }] }, { a: [{}] }, ['a[0].y']],
  [
    'kept ones',
    object({ a: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } }),
    { a: { b: { c: 1 } } },
    { a: { b: { c: 1 } } },
    [],
  ],
  [
    'specified ones inside kept ones',
    object({ a: object({ b: object({}) }, { 'x-kubernetes-preserve-unknown-fields': true }) }),
    { a: { b: { c: 1 }, d: 1 } },
    { a: { b: {}, d: 1 } },
    ['a.b.c'],
  ],
  [
    'metadata of embedded objects',
    object({
      a: { type: 'object', 'x-kubernetes-embedded-resource': true, 'x-kubernetes-preserve-unknown-fields': true },
    }),
    { a: { apiVersion: 'v1', kind: 'A', metadata: { name: 'x', what: 1 } } },
    { a: { apiVersion: 'v1', kind: 'A', metadata: { name: 'x' } } },
    ['a.metadata.what'],
  ],
])('pruning: %s', (_what, schema, value, expected, dropped) => {
  const body = structuredClone(value) as Record<string, unknown>;
  expect(pruneObject(body, structuralOf(schema))).toEqual(dropped);
  expect(body).toEqual(expected);
});

test.each<[string, object, object, object]>([
  ['absent', object({ a: { ...integer, default: 1 } }), {}, { a: 1 }],
  ['inside what is there', object({ a: object({ b: { ...integer, default: 1 } }) }), { a: {} }, { a: { b: 1 } }],
  ['not where nothing is', object({ a: object({ b: { ...integer, default: 1 } }) }), {}, {}],
  ['a null that may not be', object({ a: { ...integer, default: 1 }, b: integer }), { a: null, b: null }, { a: 1 }],
  ['a null that may be', object({ a: { ...integer, default: 1, nullable: true } }), { a: null }, { a: null }],
  [
    'items and values',
    object({
      l: list(object({ a: { ...text, default: 'x' } })),
      m: { type: 'object', additionalProperties: object({ a: { ...text, default: 'y' } }) },
    }),
    { l: [{}], m: { k: {} } },
    { l: [{ a: 'x' }], m: { k: { a: 'y' } } },
  ],
])('defaults: %s', (_what, schema, value, expected) => {
  const body = structuredClone(value);
  applyDefaults(body, structuralOf(schema));
  expect(body).toEqual(expected);
});

test('sets and maps have nothing twice', () => {
  const schema = structuralOf(
    object({
      set: list(text, { 'x-kubernetes-list-type': 'set' }),
      map: list(object({ k: text, v: text }), { 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['k'] }),
    }),
  );
  const value = {
    set: ['a', 'b', 'a'],
    map: [
      { k: 'x', v: '1' },
      { k: 'x', v: '2' },
    ],
  };
  expect(validateListTypes(value, schema).map(fieldErrorMessage)).toEqual([
    'set[2]: Duplicate value: "a"',
    'map[1]: Duplicate value: {"k":"x"}',
  ]);
  expect(validateListTypes(value, schema, '', value)).toEqual([]);
});

test('embedded objects say what they are', () => {
  const schema = structuralOf(object({ a: { type: 'object', 'x-kubernetes-embedded-resource': true } }));
  expect(validateEmbedded({ a: { metadata: { labels: { 'a b': '' } } } }, schema).map((each) => each.field)).toEqual([
    'a.apiVersion',
    'a.kind',
    'a.metadata.labels',
  ]);
});

const POD = {
  metadata: { labels: { 'app.kubernetes.io/name': 'web' } },
  spec: { list: [{ n: 1 }, { n: 2 }, { n: 3 }] },
  status: {
    conditions: [
      { type: 'Ready', status: 'True' },
      { type: 'Other', status: 'False' },
    ],
  },
};

test.each<[string, unknown[]]>([
  ['.spec.list[0].n', [1]],
  ['.spec.list[-1].n', [3]],
  ['.spec.list[0:2].n', [1, 2]],
  ['.spec.list[*].n', [1, 2, 3]],
  ['.spec.list[0,2].n', [1, 3]],
  ['.status.conditions[?(@.type=="Ready")].status', ['True']],
  [".status.conditions[?(@.type!='Ready')].status", ['False']],
  ['.spec.list[?(@.n>1)].n', [2, 3]],
  ['.spec.list[?(@.x)]', []],
  ["['metadata']['labels']['app.kubernetes.io/name']", ['web']],
  ['.metadata.labels.app\\.kubernetes\\.io/name', ['web']],
  ['..type', ['Ready', 'Other']],
  ['.nothing.here', []],
])('JSONPath %s', (path, expected) => {
  expect(parseJsonPath(path).find(POD)).toEqual(expected);
});
