import { describe, expect, it } from 'vitest';
import {
  formatLabelSelector,
  parseFieldSelector,
  parseLabelSelector,
  selectorFromObject,
  validateLabelSelector,
} from './selectors.ts';

describe('label selectors', () => {
  it.each([
    ['', ''],
    ['app=web', 'app=web'],
    ['x in (a, b ,c),!y', 'x in (a,b,c),!y'],
    ['tier notin (b,a)', 'tier notin (a,b)'],
    ['b==1,a', 'a,b==1'],
    ['a!=', 'a!='],
    ['x>5,y<3', 'x>5,y<3'],
    ['in in (in,notin)', 'in in (in,notin)'],
    ['x in ()', 'x in ()'],
    ['x in (,)', 'x in ()'],
    ['example.com/a = b ', 'example.com/a=b'],
  ])('%j reads as %j', (text, written) => expect(parseLabelSelector(text).toString()).toBe(written));

  it.each([
    ['app=', { app: '' }, true],
    ['app', { app: 'x' }, true],
    ['app', {}, false],
    ['!app', {}, true],
    ['app!=x', {}, true],
    ['app!=x', { app: 'x' }, false],
    ['app notin (x)', {}, true],
    ['app in (x,y)', { app: 'y' }, true],
    ['n>5', { n: '6' }, true],
    ['n>5', { n: 'six' }, false],
    ['constructor', {}, false],
  ])('%s on %j is %s', (text, labels, expected) =>
    expect(parseLabelSelector(text).matches(labels as Record<string, string>)).toBe(expected),
  );

  it.each([
    ['a=b=c', "found '=', expected: ',' or 'end of string'"],
    ['=x', "found '=', expected: !, identifier, or 'end of string'"],
    ['a,', "found '', expected: identifier after ','"],
    ['a in x', "unable to parse requirement: found 'x' expected: '('"],
    ['a in (x', "unable to parse requirement: found '', expected: ',' or ')'"],
    ['a b', "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt"],
    [
      'a/b/c=d',
      "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a qualified name must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]') with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')",
    ],
    [
      'a=%',
      "unable to parse requirement: values[0][a]: Invalid value: \"%\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
    [
      'a>x',
      "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' operators, the value must be an integer",
    ],
  ])('%j is refused', (text, message) => {
    expect(() => parseLabelSelector(text)).toThrow(expect.objectContaining({ message, code: 400 }));
  });

  it('of objects: absent matches nothing, empty everything', () => {
    expect(selectorFromObject(undefined).matches({ a: 'b' })).toBe(false);
    expect(selectorFromObject({}).matches(undefined)).toBe(true);
    const selector = {
      matchLabels: { app: 'web' },
      matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['x', 'b'] }],
    };
    expect(formatLabelSelector(selector)).toBe('a notin (b,x),app=web');
    expect(formatLabelSelector({})).toBe('<none>');
    expect(selectorFromObject(selector).matches({ app: 'web', a: 'c' })).toBe(true);
  });

  it('are validated with upstream paths', () => {
    const found = validateLabelSelector(
      {
        matchLabels: { 'a b': 'c' },
        matchExpressions: [
          { key: 'k', operator: 'In' },
          { key: 'k', operator: 'Foo' },
        ],
      },
      'spec.selector',
    );
    expect(found.map((each) => `${each.field} ${each.type}`)).toEqual([
      'spec.selector.matchLabels FieldValueInvalid',
      'spec.selector.matchExpressions[0].values FieldValueRequired',
      'spec.selector.matchExpressions[1].operator FieldValueInvalid',
    ]);
  });
});

describe('field selectors', () => {
  it('parse, match and write back', () => {
    const selector = parseFieldSelector('status.phase!=Running,metadata.name==a\\,b');
    expect(selector.toString()).toBe('metadata.name=a\\,b,status.phase!=Running');
    expect(selector.exact('metadata.name')).toBe('a,b');
    const read = (field: string) => ({ 'metadata.name': 'a,b', 'status.phase': 'Pending' })[field] ?? '';
    expect(selector.matches(read)).toBe(true);
    expect(parseFieldSelector('').everything).toBe(true);
  });
  it.each([
    ['foo', "invalid selector: 'foo'; can't understand 'foo'"],
    ['a=b\\c', 'invalid field selector: invalid escape sequence: \\c'],
    ['a=b=c', 'invalid field selector: unescaped character in value: 61'],
  ])('%j is refused', (text, message) => {
    expect(() => parseFieldSelector(text)).toThrow(expect.objectContaining({ message, code: 400 }));
  });
});
