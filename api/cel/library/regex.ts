// Kubernetes' `find` and `findAll`.
import { types } from '../types.ts';
import { fn, type Library, member } from '../functions.ts';
import { type Pattern, compilePattern, PatternTooSlow } from '../regex/index.ts';
import { CelList, type CelValue } from '../values.ts';
import { failure } from './arithmetic.ts';

const { string, int } = types;

/** What `use` makes of the compiled pattern, or an error that begins with `prefix`. */
export function withPattern(pattern: string, prefix: string, use: (compiled: Pattern) => CelValue): CelValue {
  const compiled = compilePattern(pattern);
  if ('problem' in compiled) return failure(prefix + compiled.problem);
  try {
    return use(compiled);
  } catch (error) {
    if (error instanceof PatternTooSlow) return failure(error.message);
    throw error;
  }
}
const ILLEGAL = 'Illegal regex: ';

function find(text: string, pattern: string): CelValue {
  return withPattern(pattern, ILLEGAL, (compiled) => {
    const match = compiled.find(text, 0);
    return match ? text.slice(match.start, match.end) : '';
  });
}

function findAll(text: string, pattern: string, limit: number | bigint = -1): CelValue {
  return withPattern(pattern, ILLEGAL, (compiled) => new CelList(allMatches(compiled, text, limit)));
}

function allMatches(compiled: Pattern, text: string, limit: number | bigint): string[] {
  const found: string[] = [];
  let from = 0;
  let lastEnd = -1;
  while (from <= text.length && (limit < 0 || found.length < limit)) {
    const match = compiled.find(text, from);
    if (!match) break;
    // An empty match right behind the one before does not count, as in Go.
    if (match.start !== match.end || match.start !== lastEnd) found.push(text.slice(match.start, match.end));
    lastEnd = match.end;
    from = match.end > match.start ? match.end : match.end + ((text.codePointAt(match.end) ?? 0) > 0xffff ? 2 : 1);
  }
  return found;
}

export const regexLibrary: Library = {
  name: 'kubernetes.regex',
  functions: [
    fn('find', member('string_find_string', [string, string], string, find)),
    fn(
      'findAll',
      member('string_find_all_string', [string, string], types.list(string), findAll),
      member('string_find_all_string_int', [string, string, int], types.list(string), findAll),
    ),
  ],
};
