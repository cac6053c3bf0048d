// Patterns: what RE2 matches, what it refuses, and that no pattern takes long.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compilePattern } from './index.ts';

const matches = (pattern: string, text: string) => {
  const compiled = compilePattern(pattern);
  return 'problem' in compiled ? compiled.problem : compiled.test(text);
};

test.each([
  ['a.c', 'xabcx', true],
  ['^a.c$', 'xabc', false],
  ['a|^b$', 'b', true],
  ['(ab){2,3}$', 'abab', true],
  ['[^a-c]', 'abc', false],
  ['[[:alpha:]]+\\d', 'ab1', true],
  ['\\bfoo\\b', 'a foo b', true],
  ['\\bfoo\\b', 'afoob', false],
  ['(?i)straße', 'STRAßE', true],
  ['(?s)a.b', 'a\nb', true],
  ['a.b', 'a\nb', false],
  ['(?m)^b$', 'a\nb\nc', true],
  ['^\\p{Greek}+$', 'αβγ', true],
  ['^\\PL+$', '123', true],
  ['\\x{1F600}', '😀', true],
  ['^.$', '😀', true],
  ['', '', true],
  ['$^', '', true],
  ['a{,2}', 'a{,2}', true],
  ['(?P<name>a)(?:b)', 'ab', true],
  ['\\Qa.b\\E', 'a.b', true],
])('%s on %s', (pattern, text, expected) => {
  expect(matches(pattern, text)).toBe(expected);
});

test.each([
  ['(?=a)', 'error parsing regexp: invalid or unsupported Perl syntax: `(?=`'],
  ['(?<!a)b', 'error parsing regexp: invalid or unsupported Perl syntax: `(?<`'],
  ['(a)\\1', 'error parsing regexp: invalid escape sequence: `\\1`'],
  ['(a', 'error parsing regexp: missing closing ): `(a`'],
  ['a)', 'error parsing regexp: unexpected ): `a)`'],
  ['[a', 'error parsing regexp: missing closing ]: `[a`'],
  ['*a', 'error parsing regexp: missing argument to repetition operator: `*`'],
  ['a**', 'error parsing regexp: invalid nested repetition operator: `**`'],
  ['a{1001}', 'error parsing regexp: invalid repeat count: `{1001}`'],
  ['\\', 'error parsing regexp: trailing backslash at end of expression: ``'],
])('refuses %s', (pattern, problem) => {
  expect(matches(pattern, 'x')).toBe(problem);
});

test('agrees with JavaScript where both have the same meaning', () => {
  const atom = fc.constantFrom('a', 'b', '.', '[ab]', '[^a]', '(a|b)', '(?:ab)', '^', '$', '\\b');
  const piece = fc
    .tuple(atom, fc.constantFrom('', '', '*', '+', '?', '{1,2}'))
    .map(([of, count]) => (/[\^$b]$/.test(of) && of.length < 3 && of !== 'b' ? of : of + count));
  const pattern = fc.array(fc.oneof(piece, fc.constant('|')), { maxLength: 8 }).map((parts) => parts.join(''));
  const text = fc.array(fc.constantFrom('a', 'b', 'c', ' ', '\n'), { maxLength: 12 }).map((parts) => parts.join(''));
  fc.assert(
    fc.property(pattern, text, (source, subject) => {
      const compiled = compilePattern(source);
      if ('problem' in compiled) return;
      const found = new RegExp(source).exec(subject);
      expect(compiled.test(subject)).toBe(found !== null);
      const match = compiled.find(subject, 0);
      expect(match && subject.slice(match.start, match.end)).toBe(found?.[0]);
    }),
    { numRuns: 3000 },
  );
});

test.each(['(a+)+$', '(a|a)*b', '(.*a){20}', '((a{1,10}){1,10}){1,10}b', '\\b(a+)+\\b$'])(
  'is not slowed down by %s',
  (pattern) => {
    const started = performance.now();
    expect(matches(pattern, `${'a'.repeat(20_000)}!`)).toBeTypeOf('boolean');
    expect(performance.now() - started).toBeLessThan(5_000);
  },
);
