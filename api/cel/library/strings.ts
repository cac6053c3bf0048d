// The strings extension, version 2 (https://github.com/google/cel-go/tree/master/ext#strings). Places count characters.
import { types } from '../types.ts';
import { fn, type Library, member, overload } from '../functions.ts';
import { CelList, type CelValue } from '../values.ts';
import { failure } from './arithmetic.ts';
import { formatString } from './string-format.ts';

const { string, int } = types;
const listOfStrings = types.list(string);

const outOfRange = (index: number | bigint) => failure(`index out of range: ${index}`);
/** Plain texts are indexed as they are; others as an array of characters. */
const characters = (text: string): string | string[] => (/[\ud800-\udfff]/.test(text) ? [...text] : text);

function charAt(text: string, at: number | bigint): CelValue {
  const chars = characters(text);
  if (at < 0 || at > chars.length) return outOfRange(at);
  return chars[Number(at)] ?? '';
}

function indexOf(text: string, part: string, from: number | bigint = 0): CelValue {
  const chars = characters(text);
  if (from < 0 || from > chars.length) return outOfRange(from);
  if (typeof chars === 'string') return chars.indexOf(part, Number(from));
  const wanted = [...part];
  for (let at = Number(from); at + wanted.length <= chars.length; at++) if (isAt(chars, wanted, at)) return at;
  return -1;
}

function lastIndexOf(text: string, part: string, from?: number | bigint): CelValue {
  const chars = characters(text);
  const wanted = [...part];
  if (from !== undefined && (from < 0 || from > chars.length)) return outOfRange(from);
  const last = chars.length - wanted.length;
  for (let at = Math.min(last, Number(from ?? last)); at >= 0; at--) if (isAt(chars, wanted, at)) return at;
  return -1;
}

function isAt(chars: string | string[], wanted: string[], at: number): boolean {
  return wanted.every((each, offset) => chars[at + offset] === each);
}

function substring(text: string, start: number | bigint, end?: number | bigint): CelValue {
  const chars = characters(text);
  const to = end ?? chars.length;
  if (start < 0 || start > chars.length) return outOfRange(start);
  if (to < 0 || to > chars.length) return outOfRange(to);
  if (start > to) return failure(`invalid substring range. start: ${start}, end: ${to}`);
  const part = chars.slice(Number(start), Number(to));
  return typeof part === 'string' ? part : part.join('');
}

/** Characters that a result may have; far more than any request. */
const MAX_RESULT = 16 * 1024 * 1024;
const tooLong = () => failure(`result is longer than ${MAX_RESULT} characters`);

function replace(text: string, old: string, by: string, limit: number | bigint = -1): CelValue {
  const most = Math.min(text.length / Math.max(1, old.length) + 1, limit < 0 ? text.length + 1 : Number(limit));
  if (text.length + most * by.length > MAX_RESULT) return tooLong();
  if (limit < 0 && old !== '') return text.replaceAll(old, () => by);
  const count = limit < 0 ? Number.POSITIVE_INFINITY : Number(limit);
  if (old === '') return interleave(text, by, count);
  const parts = text.split(old);
  let result = parts[0] as string;
  for (let index = 1; index < parts.length; index++) result += (index <= count ? by : old) + parts[index];
  return result;
}

/** What Go does for an empty text to replace: before each character, and at the end. */
function interleave(text: string, by: string, count: number): string {
  let result = '';
  let done = 0;
  for (const each of [...text, '']) result += (done++ < count ? by : '') + each;
  return result;
}

function split(text: string, separator: string, limit: number | bigint = -1): CelValue {
  if (limit === 0) return new CelList([]);
  const parts = separator === '' ? [...text] : text.split(separator);
  const count = limit < 0 ? parts.length : Number(limit);
  if (parts.length <= count) return new CelList(parts);
  return new CelList([...parts.slice(0, count - 1), parts.slice(count - 1).join(separator)]);
}

function join(list: CelList, separator = ''): CelValue {
  const parts: string[] = [];
  let length = 0;
  for (const each of list) {
    if (typeof each !== 'string') return failure('no such overload');
    parts.push(each);
    length += each.length + separator.length;
    if (length > MAX_RESULT) return tooLong();
  }
  return parts.join(separator);
}

const QUOTED: Record<string, string> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
  '\\': '\\\\',
  '"': '\\"',
};

function quote(text: string): string {
  const escaped = [...text].map((each) => QUOTED[each] ?? each).join('');
  return `"${escaped.toWellFormed()}"`;
}

/** White space as Unicode has it, which differs from JavaScript's in two characters. */
const SPACE = '[\\t\\n\\v\\f\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]+';
const EDGES = new RegExp(`^${SPACE}`, 'u');
const trim = (text: string) => {
  const start = text.replace(EDGES, '');
  let end = start.length;
  while (end > 0 && EDGES.test(start[end - 1] as string)) end--;
  return start.slice(0, end);
};

export const stringsLibrary: Library = {
  name: 'strings',
  functions: [
    fn('charAt', member('string_char_at_int', [string, int], string, charAt)),
    fn(
      'indexOf',
      member('string_index_of_string', [string, string], int, indexOf),
      member('string_index_of_string_int', [string, string, int], int, indexOf),
    ),
    fn(
      'lastIndexOf',
      member('string_last_index_of_string', [string, string], int, lastIndexOf),
      member('string_last_index_of_string_int', [string, string, int], int, lastIndexOf),
    ),
    fn(
      'lowerAscii',
      member('string_lower_ascii', [string], string, (text: string) =>
        text.replaceAll(/[A-Z]+/g, (each) => each.toLowerCase()),
      ),
    ),
    fn(
      'upperAscii',
      member('string_upper_ascii', [string], string, (text: string) =>
        text.replaceAll(/[a-z]+/g, (each) => each.toUpperCase()),
      ),
    ),
    fn(
      'replace',
      member('string_replace_string_string', [string, string, string], string, replace),
      member('string_replace_string_string_int', [string, string, string, int], string, replace),
    ),
    fn(
      'split',
      member('string_split_string', [string, string], listOfStrings, split),
      member('string_split_string_int', [string, string, int], listOfStrings, split),
    ),
    fn(
      'substring',
      member('string_substring_int', [string, int], string, substring),
      member('string_substring_int_int', [string, int, int], string, substring),
    ),
    fn('trim', member('string_trim', [string], string, trim)),
    fn(
      'join',
      member('list_join', [listOfStrings], string, join),
      member('list_join_string', [listOfStrings, string], string, join),
    ),
    fn(
      'format',
      member('string_format', [string, types.list(types.dyn)], string, (text: string, args: CelList) =>
        formatString(text, args),
      ),
    ),
    fn('strings.quote', overload('strings_quote', [string], string, quote)),
  ],
};
