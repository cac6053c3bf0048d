// Whatever is written, compiling and evaluating end, and without an exception.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compile, createEnvironment, types } from './index.ts';

const environment = createEnvironment({
  variables: {
    self: types.dyn,
    n: types.int,
    s: types.string,
    list: types.list(types.int),
    map: types.map(types.string, types.dyn),
  },
  libraries: ['jsonpatch'],
});
const bindings = {
  self: { a: [1, { b: null }], c: 'x', d: 1.5 },
  n: 3,
  s: 'text',
  list: [3, 1, 2],
  map: { k: [true] },
};

function run(source: string): void {
  const compiled = compile(environment, source);
  if (!compiled.ok) {
    expect(compiled.issues.startsWith('ERROR: ') || compiled.phase === 'result').toBe(true);
    return;
  }
  const estimate = compiled.program.estimateCost();
  expect(estimate.max).toBeGreaterThanOrEqual(estimate.min);
  const result = compiled.program.evaluate(bindings, { costLimit: 10_000 });
  expect(typeof result.ok).toBe('boolean');
}

test('random texts', () => {
  fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), run), { numRuns: 2000 });
});

test('random tokens', () => {
  const token = fc.constantFrom(
    ...'self n s list map 1 2u 1.5 "x" b"y" true null a b k . [ ] ( ) { } , : ? ! - + * / % == != < >= && || in has all exists map filter size matches indexOf format optional none of orValue .? [? duration int string type'.split(
      ' ',
    ),
  );
  fc.assert(
    fc.property(fc.array(token, { maxLength: 20 }), (tokens) => run(tokens.join(' '))),
    { numRuns: 4000 },
  );
});

test('random expressions', () => {
  const leaf = fc.constantFrom(
    'self',
    'self.a',
    'self.c',
    'n',
    's',
    'list',
    'map',
    '1',
    '-1',
    '2u',
    '0.5',
    "'x'",
    'true',
    'null',
    '[]',
    '{}',
    'optional.none()',
  );
  const { expr } = fc.letrec<{ expr: string }>((tie) => ({
    expr: fc.oneof(
      { maxDepth: 5, withCrossShrink: true },
      leaf,
      fc
        .tuple(
          tie('expr'),
          fc.constantFrom('+', '-', '*', '/', '%', '==', '!=', '<', '>=', '&&', '||', 'in'),
          tie('expr'),
        )
        .map(([l, op, r]) => `(${l} ${op} ${r})`),
      fc.tuple(tie('expr'), tie('expr'), tie('expr')).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
      fc
        .tuple(tie('expr'), fc.constantFrom('all', 'exists', 'exists_one', 'map', 'filter'), tie('expr'))
        .map(([range, macro, body]) => `dyn(${range}).${macro}(x, ${body} == x)`),
      fc
        .tuple(
          tie('expr'),
          fc.constantFrom(
            '.size()',
            '.b',
            '[0]',
            '.?b',
            '[?0]',
            '.sum()',
            '.split("x")',
            '.orValue(1)',
            '.matches("a*")',
          ),
        )
        .map(([of, call]) => `dyn(${of})${call}`),
      fc
        .tuple(fc.constantFrom('int', 'string', 'type', 'size', 'duration', 'quantity', 'url'), tie('expr'))
        .map(([name, of]) => `${name}(dyn(${of}))`),
      fc.array(tie('expr'), { maxLength: 3 }).map((items) => `[${items.map((each) => `dyn(${each})`).join(', ')}]`),
    ),
  }));
  fc.assert(fc.property(expr, run), { numRuns: 3000 });
});

test('loops within loops end at the limit', () => {
  const long = Array.from({ length: 1000 }, (_, index) => index);
  const compiled = compile(environment, 'self.all(a, self.all(b, self.all(c, a + b + c >= 0)))');
  if (!compiled.ok) throw new Error(compiled.issues);
  expect(compiled.program.evaluate({ self: long })).toMatchObject({ ok: false, isCostExceeded: true });
  const free = compile(environment, 'self.filter(a, self.filter(b, false).size() > 0 && self.exists_one(c, false))');
  if (!free.ok) throw new Error(free.issues);
  expect(free.program.evaluate({ self: long }).ok).toBeTypeOf('boolean');
});

test('what is too dear is not begun', () => {
  const text = 'a'.repeat(1_000_000);
  const pattern = '(a?){500}b'.repeat(20);
  const compiled = compile(environment, 's.findAll(self).size() > 0');
  if (!compiled.ok) throw new Error(compiled.issues);
  const started = performance.now();
  expect(compiled.program.evaluate({ s: text, self: pattern })).toMatchObject({ ok: false, isCostExceeded: true });
  const slow = compile(environment, "s.find('(a?){900}b\\\\b') == ''");
  if (!slow.ok) throw new Error(slow.issues);
  expect(slow.program.evaluate({ s: text })).toMatchObject({
    ok: false,
    error: 'the pattern takes too many steps on a text of this length',
  });
  const grown = compile(environment, "s.replace('', self)");
  if (!grown.ok) throw new Error(grown.issues);
  expect(grown.program.evaluate({ s: text, self: text })).toMatchObject({
    ok: false,
    error: 'result is longer than 16777216 characters',
  });
  expect(performance.now() - started).toBeLessThan(15_000);
});
