// Constant arguments that can only fail are refused at once: durations, timestamps, patterns.
import { children, type Expr } from './ast.ts';
import type { Issue } from './issues.ts';
import { parseDuration, parseTimestamp } from './library/time.ts';
import { compilePattern } from './regex/index.ts';
import { CelError } from './values.ts';

const tests: Record<string, (text: string) => boolean> = {
  duration: (text) => !(parseDuration(text) instanceof CelError),
  timestamp: (text) => !(parseTimestamp(text) instanceof CelError),
  matches: (text) => !('problem' in compilePattern(text)),
};

export function validateLiterals(expr: Expr): Issue[] {
  const issues: Issue[] = [];
  const visit = (each: Expr): void => {
    if (each.kind === 'call') {
      const test = tests[each.name];
      const argument = each.args.at(-1);
      if (test && argument?.kind === 'literal' && typeof argument.value === 'string' && !test(argument.value)) {
        issues.push({ at: argument.at, message: `invalid ${each.name} argument` });
      }
    }
    children(each).forEach(visit);
  };
  visit(expr);
  return issues;
}
