// How values stand in messages: as Go writes them.
import { expect, it } from 'vitest';
import { formatValue, goStruct } from './field-error.ts';

it.each<[unknown, string]>([
  [undefined, 'null'],
  [null, 'null'],
  [3, '3'],
  [true, 'true'],
  ['a"b\\c', '"a\\"b\\\\c"'],
  ['tab\tline\n', '"tab\\tline\\n"'],
  ['\u0001\u0007\u000b\u001f\u007f', '"\\x01\\a\\v\\x1f\\x7f"'],
  ['\u00a0é\u2028', '"\\u00a0é\\u2028"'],
  ['<&>', '"<&>"'],
  [['<&>'], '["\\u003c\\u0026\\u003e"]'],
  [{ a: 1 }, '{"a":1}'],
])('%j', (value, text) => expect(formatValue(value)).toBe(text));

it("upstream's own types have the names of Go, and all members", () => {
  const members = { APIGroup: '', Kind: '', Name: '' };
  expect(formatValue(goStruct({ name: 'a', apiGroup: 'b' }, members))).toBe('{"APIGroup":"b","Kind":"","Name":"a"}');
});
