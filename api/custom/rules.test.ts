// x-kubernetes-validations: one row per kind of rule, with the message as upstream words it.
import { expect, test } from 'vitest';
import { fieldErrorMessage } from '../field-error.ts';
import { ruleValidator } from './rules.ts';
import { structuralOf } from './structural.ts';

const object = (properties: object, ...rules: object[]) => ({
  type: 'object',
  properties,
  ...(rules.length > 0 && { 'x-kubernetes-validations': rules }),
});
const integer = { type: 'integer' };
const text = { type: 'string' };

function ask(spec: object, value: unknown, old?: unknown): string[] {
  const validator = ruleValidator(structuralOf(object({ spec })));
  const wrapped = (each: unknown) => ({ apiVersion: 'a/v1', kind: 'A', metadata: { name: 'one' }, spec: each });
  return (validator?.validate(wrapped(value), old === undefined ? undefined : wrapped(old)) ?? []).map(
    fieldErrorMessage,
  );
}

test.each<[string, object, unknown, unknown, string[]]>([
  ['a rule that holds', object({ a: integer }, { rule: 'self.a > 0' }), { a: 1 }, undefined, []],
  [
    'the rule itself is the message',
    object({ a: integer }, { rule: 'self.a > 0' }),
    { a: 0 },
    undefined,
    ['spec: Invalid value: "object": failed rule: self.a > 0'],
  ],
  [
    'a message, a reason and a path',
    object(
      { a: integer, b: integer },
      { rule: 'self.a <= self.b', message: 'a beyond b', reason: 'FieldValueForbidden', fieldPath: '.a' },
    ),
    { a: 2, b: 1 },
    undefined,
    ['spec.a: Forbidden: a beyond b'],
  ],
  [
    'a message that is computed',
    object({ a: integer }, { rule: 'self.a > 0', messageExpression: '"a is " + string(self.a)' }),
    { a: -1 },
    undefined,
    ['spec: Invalid value: "object": a is -1'],
  ],
  [
    'a computed message that fails leaves the other one',
    object({ a: integer, b: integer }, { rule: 'self.a > 0', message: 'no', messageExpression: 'string(self.b)' }),
    { a: -1 },
    undefined,
    ['spec: Invalid value: "object": no'],
  ],
  [
    'an error of evaluation',
    object({ a: integer, b: integer }, { rule: 'self.a / self.b > 0' }),
    { a: 1, b: 0 },
    undefined,
    ['spec: Invalid value: "object": division by zero evaluating rule: self.a / self.b > 0'],
  ],
  [
    'rules of items and values',
    object({
      list: {
        type: 'array',
        items: { ...integer, 'x-kubernetes-validations': [{ rule: 'self % 2 == 0', message: 'odd' }] },
      },
      map: {
        type: 'object',
        additionalProperties: { ...text, 'x-kubernetes-validations': [{ rule: 'size(self) < 3', message: 'long' }] },
      },
    }),
    { list: [2, 3], map: { x: 'abc' } },
    undefined,
    ['spec.list[1]: Invalid value: "integer": odd', 'spec.map[x]: Invalid value: "string": long'],
  ],
  [
    'transitions are not asked on create',
    object({ a: { ...integer, 'x-kubernetes-validations': [{ rule: 'self >= oldSelf' }] } }),
    { a: 1 },
    undefined,
    [],
  ],
  [
    'transitions compare with what was',
    object({ a: { ...integer, 'x-kubernetes-validations': [{ rule: 'self >= oldSelf', message: 'may only grow' }] } }),
    { a: 1 },
    { a: 2 },
    ['spec.a: Invalid value: "integer": may only grow'],
  ],
  [
    'an optional former value',
    object({
      a: {
        ...integer,
        'x-kubernetes-validations': [
          { rule: 'oldSelf.hasValue() || self == 1', optionalOldSelf: true, message: 'starts at 1' },
        ],
      },
    }),
    { a: 2 },
    undefined,
    ['spec.a: Invalid value: "integer": starts at 1'],
  ],
  [
    'items with keys are compared with themselves',
    object({
      list: {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        'x-kubernetes-list-map-keys': ['name'],
        items: object({
          name: text,
          n: { ...integer, 'x-kubernetes-validations': [{ rule: 'self == oldSelf', message: 'fixed' }] },
        }),
      },
    }),
    {
      list: [
        { name: 'b', n: 2 },
        { name: 'a', n: 9 },
      ],
    },
    {
      list: [
        { name: 'a', n: 1 },
        { name: 'b', n: 2 },
      ],
    },
    ['spec.list[1].n: Invalid value: "integer": fixed'],
  ],
  [
    'what was wrong before is tolerated as long as it is not changed',
    object({ a: { ...integer, 'x-kubernetes-validations': [{ rule: 'self > 0' }] }, b: integer }),
    { a: -1, b: 2 },
    { a: -1, b: 1 },
    [],
  ],
  [
    'and not when it is',
    object({ a: { ...integer, 'x-kubernetes-validations': [{ rule: 'self > 0', message: 'small' }] } }),
    { a: -2 },
    { a: -1 },
    ['spec.a: Invalid value: "integer": small'],
  ],
  [
    'libraries of Kubernetes',
    object({ ip: { ...text, 'x-kubernetes-validations': [{ rule: 'isIP(self)', message: 'no address' }] } }),
    { ip: '10.0.0' },
    undefined,
    ['spec.ip: Invalid value: "string": no address'],
  ],
])('%s', (_what, schema, value, old, expected) => {
  expect(ask(schema, value, old)).toEqual(expected);
});

test('the root has its metadata name', () => {
  const validator = ruleValidator(
    structuralOf({
      ...object({}),
      'x-kubernetes-validations': [{ rule: "self.metadata.name.startsWith('a')", message: 'name' }],
    }),
  );
  const of = (name: string) => validator?.validate({ metadata: { name } }, undefined).map(fieldErrorMessage);
  expect(of('abc')).toEqual([]);
  expect(of('xyz')).toEqual(['<nil>: Invalid value: "object": name']);
});

test('an object has a budget, a call a limit', () => {
  const list = (rule: string) =>
    object({ list: { type: 'array', items: text, 'x-kubernetes-validations': [{ rule }, { rule: 'true' }] } });
  const many = Array.from({ length: 2000 }, (_, i) => `entry-${i}`);
  expect(ask(list('self.all(a, self.all(b, a.size() > 0 && b.size() > 0))'), { list: many })).toEqual([
    expect.stringContaining(
      "operation cancelled: actual cost limit exceeded': no further validation rules will be run due to call cost exceeds limit",
    ),
  ]);
  const rules = Array.from({ length: 30 }, () => ({ rule: 'self.all(a, self.all(b, a == b || a != b))' }));
  const bounded = object({ list: { type: 'array', items: text, 'x-kubernetes-validations': rules } });
  expect(ask(bounded, { list: many.slice(0, 300) })).toEqual([
    'spec.list: Invalid value: "array": validation failed due to running out of cost budget, no further validation rules will be run',
  ]);
});
