// Costs before and during evaluation, with cel-go's and Kubernetes' own figures.
import { expect, test } from 'vitest';
import { compile, createEnvironment, types } from './index.ts';
import { authorizerType, authorizerValue } from './library/authorizer.ts';
import { typeFromSchema } from './schema-types.ts';
import type { CelType } from './types.ts';

const authorizer = authorizerValue(() => ({ isAllowed: true, reason: '' }));

function costs(source: string, variables: Record<string, CelType> = {}, bindings: Record<string, unknown> = {}) {
  const environment = createEnvironment({
    variables: { authorizer: authorizerType, ...variables },
    optimize: false,
    mixedLiterals: true,
  });
  const compiled = compile(environment, source);
  if (!compiled.ok) throw new Error(compiled.issues);
  const result = compiled.program.evaluate({ authorizer, ...bindings });
  if (!result.ok) throw new Error(result.error);
  const { min, max } = compiled.program.estimateCost();
  return { min, max, actual: result.cost };
}

const INTS = '[1, 2, 3, 4, 5]';
const UINTS = '[uint(1), uint(2), uint(3), uint(4), uint(5)]';
const STRINGS = `[${"'012345678901', ".repeat(4)}'012345678901']`;
const BYTES = `[${"bytes('012345678901'), ".repeat(4)}bytes('012345678901')]`;
const TEXT = `'${'0123456789'.repeat(5)}'`;

// Strings of unknown length have at most twelve characters in upstream's test; a variable of that type stands for it here.
test.each([
  // lists
  [`${INTS}.sum()`, 15, 15, 15],
  [`${UINTS}.sum()`, 20, 20, 20],
  [`${INTS}.isSorted()`, 15, 15, 15],
  [`${UINTS}.max()`, 20, 20, 20],
  [`${INTS}.indexOf(3)`, 15, 15, 15],
  [`${UINTS}.lastIndexOf(uint(3))`, 21, 21, 21],
  [`${TEXT}.indexOf('123')`, 5, 5, 5],
  // URLs
  ["url('https:://kubernetes.io/').getScheme()", 4, 4, 4],
  // addresses
  ["ip('192.168.0.1')", 2, 2, 2],
  ["ip('2001:db8:3333:4444:5555:6666:7777:8888').family()", 5, 5, 5],
  ["ip.isCanonical('2001:db8:3333:4444:5555:6666:7777:8888')", 8, 8, 8],
  ["cidr('192.168.0.0/16').masked()", 3, 3, 3],
  ["cidr('192.168.0.0/16').containsCIDR(cidr('192.0.0.0/30'))", 7, 11, 7],
  ["cidr('192.168.0.0/16').containsCIDR('192.0.0.0/30')", 7, 11, 7],
  ["cidr('192.168.0.0/16').containsIP('192.0.0.1')", 4, 7, 4],
  ["cidr('2001:db8::/32').containsIP(ip('2001:db8:3333:4444:5555:6666:7777:8888'))", 7, 10, 7],
  // strings
  ["'ABCDEFGHIJ abcdefghij'.lowerAscii()", 3, 3, 3],
  ["'ABCDEFGHIJ abcdefghij'.lowerAscii() == 'abcdefghij ABCDEFGHIJ'.lowerAscii()", 7, 9, 9],
  ["strings.quote('ABCDEFGHIJ abcdefghij')", 3, 3, 3],
  ["strings.quote('ABCDEFGHIJ abcdefghij') == strings.quote('ABCDEFGHIJ abcdefghij')", 7, 11, 9],
  ["'abc 123 def 123'.replace('123', '456')", 3, 3, 3],
  ["'abc 123 def 123'.split(' ', 1)", 3, 3, 3],
  ["'abc 123 def 123'.substring(5, 8)", 2, 2, 2],
  ["'  abc 123 def 123  '.trim()", 2, 2, 2],
  ["'abc 123 def 123'.find('123')", 2, 2, 2],
  ["'abc 123 def 123'.findAll('123', 1)", 2, 2, 2],
  // authorization
  ["authorizer.path('/healthz')", 2, 2, 2],
  ["authorizer.path('/healthz').check('get').allowed()", 350_003, 350_003, 350_003],
  [
    "authorizer.group('apps').resource('deployments').subresource('status').namespace('test').name('backend').check('create').errored()",
    350_007,
    350_007,
    350_007,
  ],
  // quantities
  ['quantity("12Mi")', 1, 1, 1],
  ['quantity("50M").isLessThan(quantity("50Mi"))', 3, 3, 3],
  ['quantity("50k").add(20).sub(quantity("100k")).sub(-50000).asInteger() > 0', 7, 7, 7],
  // sets
  ['sets.contains([], [])', 21, 21, 21],
  ['sets.contains([1, 2.0, 3u], [1.0, 2u, 3])', 30, 30, 30],
  ['!sets.equivalent([1, 2], [2u, 2, 2.0])', 34, 34, 34],
  ['sets.intersects([[1], [2, 3]], [[1, 2], [2, 3.0]])', 65, 65, 65],
] as const)('%s', (source, min, max, actual) => {
  expect(costs(source)).toEqual({ min, max, actual });
});

test.each([
  [`${STRINGS}.isSorted()`, 15],
  [`${BYTES}.max()`, 25],
  [`${STRINGS}.indexOf('x')`, 15],
  ["['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].join(' ')", 15],
  ["['aa', 'bb', 'cc', 'd', 'e', 'f', 'g', 'h', 'i', 'j'].join()", 13],
] as const)('evaluating %s', (source, actual) => {
  expect(costs(source).actual).toBe(actual);
});

const list = types.list(types.dyn);
const map = types.map(types.string, types.dyn);
const text500 = 'x'.repeat(500);

test.each([
  ['"Hello World!"', {}, {}, 0],
  ['input', { input: list }, { input: [1, 2] }, 1],
  ["input['key']", { input: map }, { input: { key: 'v' } }, 2],
  ['input[0]', { input: list }, { input: ['v'] }, 2],
  ["input['ke' + 'y']", { input: map }, { input: { key: 'v' } }, 3],
  ['input[3-3]', { input: list }, { input: ['v'] }, 3],
  ['has(input.a)', { input: map }, { input: {} }, 1],
  ['has(input.a.b)', { input: map }, { input: { a: { b: 1 } } }, 2],
  ['[1, 2, 3]', {}, {}, 10],
  ['{"a": 1, "b": 2, "c": 3}', {}, {}, 30],
  ['input.all(x, true)', { input: list }, { input: [] }, 2],
  ['[1, 2, 3].all(x, true)', {}, {}, 20],
  ["input.matches('[0-9]')", { input: types.string }, { input: text500 }, 103],
  ['a || b || c || d', ints('abcd'), { a: false, b: false, c: false, d: false }, 4],
  ['a && b && c && d', ints('abcd'), { a: true, b: true, c: true, d: true }, 4],
  ['2 in [1, 2, 3]', {}, {}, 13],
  ['1 + 1', {}, {}, 1],
  ['true ? 1 : 2', {}, {}, 0],
  ["'12345678901234567890' == '123456789012345678901234567890'", {}, {}, 2],
  ['bytes(input)', { input: types.string }, { input: text500 }, 51],
  ['input.contains(other)', { input: types.string, other: types.string }, { input: text500, other: text500 }, 2502],
  ['input.startsWith(other)', { input: types.string, other: types.string }, { input: 'idc', other: text500 }, 3],
  ['size(input)', { input: types.string }, { input: '500' }, 2],
  ['(x > 2 ? a : b).all(y, true)', { x: types.int, a: list, b: list }, { x: 1, a: [{}], b: [{}] }, 6],
  ['false ? false : 1 > 3', {}, {}, 1],
  ['input.all(k, input[k].a > 3)', { input: map }, { input: { v: { a: 4 } } }, 9],
  ['(a + b).all(x, true)', { a: list, b: list }, { a: [], b: [] }, 4],
  ['"abcdefg".contains(a + b)', { a: types.string, b: types.string }, { a: 'val1', b: 'val2222222' }, 6],
  ['(1 > 2 || 2 > 1) == true', {}, {}, 3],
  ["[{'k1': 1}, {'k2': 2}].all(x, true)", {}, {}, 77],
] as [string, Record<string, CelType>, Record<string, unknown>, number][])(
  'evaluating %s',
  (source, variables, bindings, actual) => {
    const found = costs(source, variables, bindings);
    expect(found.actual).toBe(actual);
    expect(found.max).toBeGreaterThanOrEqual(actual);
  },
);

function ints(names: string): Record<string, CelType> {
  return Object.fromEntries([...names].map((each) => [each, types.bool]));
}

test('the limit ends evaluation', () => {
  const compiled = compile(createEnvironment({ variables: { a: types.string } }), '"abcdefg".contains(a + a)');
  if (!compiled.ok) throw new Error(compiled.issues);
  const bindings = { a: 'val2222' };
  expect(compiled.program.evaluate(bindings, { costLimit: 6 })).toMatchObject({ ok: true, cost: 6 });
  expect(compiled.program.evaluate(bindings, { costLimit: 5 })).toEqual({
    ok: false,
    error: 'operation cancelled: actual cost limit exceeded',
    cost: 6,
    isCostExceeded: true,
  });
});

test('estimates take sizes from schemas', () => {
  const estimate = (schema: object, rule: string) => {
    const self = typeFromSchema(schema) as CelType;
    const compiled = compile(createEnvironment({ variables: { self } }), rule);
    if (!compiled.ok) throw new Error(compiled.issues);
    return compiled.program.estimateCost().max;
  };
  const array = { type: 'array', items: { type: 'integer' } };
  expect(estimate({ ...array, maxItems: 10 }, 'self.all(x, x == x)')).toBe(1 + 10 * 6 + 1);
  expect(estimate(array, 'self.all(x, x == x)')).toBe(1 + 1572863 * 6 + 1);
  const text = { type: 'string', maxLength: 10 };
  expect(estimate(text, "self.contains('test')")).toBe(1 + 4);
  expect(estimate({ type: 'string' }, "self.contains('test')")).toBe(1 + 314573);
  expect(
    estimate(
      { type: 'object', properties: { a: { type: 'array', items: text, maxItems: 3 } } },
      'self.a.all(x, x == x)',
    ),
  ).toBe(2 + 3 * (3 + 2 + 4) + 1);
});
