// The conformance cases of the CEL specification, and what cel-go parses and refuses.
import { tests as comprehensions } from '@bufbuild/cel-spec/testdata/comprehension.js';
import { tests as conformance } from '@bufbuild/cel-spec/testdata/conformance.js';
import { tests as parsing } from '@bufbuild/cel-spec/testdata/parsing.js';
import { expect, test } from 'vitest';
import { compile, createEnvironment, formatType } from './index.ts';
import { formatIssues } from './issues.ts';
import { parse } from './parser.ts';
import { printExpr } from './testing/print.ts';
import { specType, specValue } from './testing/spec-values.ts';
import { CelDouble, type CelValue, equals, typeName } from './values.ts';
import type { CelType } from './types.ts';

type Json = Record<string, unknown>;
interface Case {
  original: Json & { name?: string; expr: string };
  ast?: string;
  type?: string;
  error?: string;
}
interface Suite {
  name: string;
  suites?: Suite[];
  tests?: Case[];
}

/** Suites of extensions that Kubernetes 1.36 does not enable, and of protobuf messages, which it does not have. */
const OUT_OF_SCOPE: Record<string, string> = {
  bindings_ext: 'cel.bind is not enabled',
  block_ext: 'cel.block is not enabled',
  encoders_ext: 'base64 is not enabled',
  math_ext: 'math is not enabled',
  proto2: 'protobuf messages',
  proto2_ext: 'protobuf messages',
  proto3: 'protobuf messages',
  enums: 'protobuf enums',
  wrappers: 'protobuf wrappers',
  dynamic: 'protobuf wrappers',
};
/** Single cases that Kubernetes answers otherwise. */
const isExcluded = (name: string, { original, type }: Case): boolean => {
  const text = JSON.stringify(original).replaceAll(/google\.protobuf\.(?:Timestamp|Duration)/g, '');
  if (/TestAllTypes|google\.protobuf|google\.type|cel\.expr|cel\.bind/.test(text)) return true; // protobuf messages
  if ('container' in original) return true; // Kubernetes has no container
  if (/"typeEnv":\[[^\]]*"function":/.test(text)) return true; // functions of the case's own
  if ('disableCheck' in original) return true; // Kubernetes runs no unchecked expression
  if (name === 'quoted_map_fields') return true; // `a.\`b-c\`` is not enabled
  return type === 'null' && 'typedResult' in original; // the case's own type contradicts cel-go's
};

/** Cases that pass; those of a suite that are not counted are excluded above. */
const EXPECTED: Record<string, number> = {
  basic: 39,
  comparisons: 313,
  conversions: 108,
  fields: 49,
  fp_math: 29,
  integer_math: 61,
  lists: 39,
  logic: 21,
  macros: 44,
  macros2: 46,
  namespace: 1,
  optionals: 59,
  parse: 176,
  plumbing: 4,
  string: 51,
  string_ext: 165,
  timestamps: 76,
  type_deductions: 19,
  unknowns: 0,
};

const suites = (conformance as unknown as Suite).suites ?? [];

test('every suite is run or has a reason not to be', () => {
  expect(new Set(suites.map(({ name }) => name))).toEqual(
    new Set([...Object.keys(EXPECTED), ...Object.keys(OUT_OF_SCOPE)]),
  );
});

test.each(suites.filter(({ name }) => !(name in OUT_OF_SCOPE)).map((suite) => [suite.name, suite] as const))(
  'conformance: %s',
  (name, suite) => {
    let passed = 0;
    for (const group of suite.suites ?? []) {
      for (const each of group.tests ?? []) {
        if (isExcluded(group.name, each)) continue;
        expect.soft(outcome(each), `${group.name}/${each.original.name}: ${each.original.expr}`).toBe('as specified');
        passed++;
      }
    }
    expect(passed).toBe(EXPECTED[name]);
  },
);

function outcome({ original, type }: Case): string {
  const variables: Record<string, CelType> = {};
  for (const { name, ident } of (original['typeEnv'] ?? []) as { name: string; ident?: { type: Json } }[]) {
    if (ident) variables[name] = specType(ident.type);
  }
  const bindings: Record<string, unknown> = {};
  for (const [name, bound] of Object.entries((original['bindings'] ?? {}) as Record<string, { value: Json }>)) {
    bindings[name] = specValue(bound.value);
  }
  const mustFail = 'evalError' in original;
  const compiled = compile(createEnvironment({ variables, mixedLiterals: true }), original.expr);
  if (!compiled.ok) return mustFail ? 'as specified' : compiled.issues;
  const output = formatType(compiled.program.outputType);
  if (type !== undefined && output !== type) return `type ${output}, not ${type}`;
  if (original['checkOnly']) return 'as specified';
  const result = compiled.program.evaluate(bindings);
  if (!result.ok) return mustFail ? 'as specified' : result.error;
  if (mustFail) return `no error, but ${show(result.value)}`;
  const typed = original['typedResult'] as { result?: Json } | undefined;
  const wanted = (original['value'] ?? typed?.result) as Json | undefined;
  if (typed && !wanted) return 'as specified';
  const expected = wanted ? specValue(wanted) : true;
  return same(result.value, expected) ? 'as specified' : show(result.value);
}

const same = (left: CelValue, right: CelValue) =>
  equals(left, right) ||
  (left instanceof CelDouble && right instanceof CelDouble && Number.isNaN(left.value) && Number.isNaN(right.value));
const show = (value: CelValue) => `${typeName(value)} ${String(value)}`;

function* casesOf(suite: Suite): Generator<Case> {
  yield* suite.tests ?? [];
  for (const each of suite.suites ?? []) yield* casesOf(each);
}

/** Literals that cel-go prints with its own escapes, and macros that are not expanded in the cases' environment. */
const isPrintedOtherwise = (tree: string) =>
  /\\[xuUav]|e\+|[^\x20-\x7e]|\.(?:optMap|optFlatMap|transform[A-Za-z]*|exists|exists_one|existsOne|all)\(/.test(tree);

test('parses to the trees of cel-go', () => {
  let compared = 0;
  for (const suite of [parsing, comprehensions, conformance] as unknown as Suite[]) {
    for (const { original, ast } of casesOf(suite)) {
      if (ast === undefined) continue;
      const wanted = ast.replaceAll(/\^#[^#]*#/g, '').replaceAll(/\s+/g, '');
      if (isPrintedOtherwise(wanted)) continue;
      const parsed = parse(original.expr);
      const printed = parsed.ok ? printExpr(parsed.expr).replaceAll(/\s+/g, '') : JSON.stringify(parsed.issues);
      if (/[^\x20-\x7e]/.test(printed)) continue;
      expect.soft(printed, original.expr).toBe(wanted);
      compared++;
    }
  }
  expect(compared).toBeGreaterThan(1900);
});

test('refuses in the words of cel-go what it cannot parse', () => {
  let alike = 0;
  for (const { original, error, ast } of casesOf(parsing as unknown as Suite)) {
    if (error === undefined || ast !== undefined) continue;
    const parsed = parse(original.expr);
    if (parsed.ok) continue;
    if (formatIssues(original.expr, parsed.issues).replaceAll('<input>', '') === error) alike++;
  }
  // The others are errors after the first in a text, which cel-go's parser goes on to find.
  expect(alike).toBeGreaterThanOrEqual(55);
});
