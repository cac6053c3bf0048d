// Kubernetes' `find` and `findAll`.
import { types } from '../types.ts';
import { fn, type Library, member } from '../functions.ts';
import { compilePattern } from '../regex/index.ts';
import { CelList, type CelValue } from '../values.ts';
import { failure } from './arithmetic.ts';

const { string, int } = types;

function find(text: string, pattern: string): CelValue {
  const compiled = compilePattern(pattern);
  if ('problem' in compiled) return failure(`Illegal regex: ${compiled.problem}`);
  const match = compiled.find(text, 0);
  return match ? text.slice(match.start, match.end) : '';
}

function findAll(text: string, pattern: string, limit: number | bigint = -1): CelValue {
  const compiled = compilePattern(pattern);
  if ('problem' in compiled) return failure(`Illegal regex: ${compiled.problem}`);
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
  return new CelList(found);
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
