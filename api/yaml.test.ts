import { describe, expect, it } from 'vitest';
import { parseYaml, parseYamlDocuments, YamlError } from './yaml.ts';

const read = (text: string) => parseYaml(text).value;

describe('scalars are what kubectl 1.32 reads', () => {
  it.each([
    ['y', true],
    ['Yes', true],
    ['on', true],
    ['OFF', false],
    ['no', false],
    ['~', null],
    ['', null],
    ['0644', 420],
    ['-012', -10],
    ['0o17', 15],
    ['0x1F', 31],
    ['0b11', 3],
    ['1_000', 1000],
    ['089', 89],
    ['+12', 12],
    ['1e3', 1000],
    ['1.10', 1.1],
    ['2001-01-01', '2001-01-01'],
    ['22:22', '22:22'],
    ['=', '='],
    ['!!str 5', '5'],
    ['!!binary aGk=', 'hi'],
    ['"0644"', '0644'],
    ['1.2.3', '1.2.3'],
    ['-', '-'],
  ])('%s', (text, value) => {
    // A lone dash is a list item on its own, but text in a flow.
    expect(text === '-' ? read('a: "-"') : read(`a: ${text}`)).toEqual({ a: value });
  });
});

describe('documents', () => {
  it('are split, with their lines', () => {
    const found = parseYamlDocuments('# c\na: 1\n---\n---\nb: 2\n');
    expect(found.map((each) => [each.value, each.line])).toEqual([
      [{ a: 1 }, 2],
      [null, expect.any(Number)],
      [{ b: 2 }, 5],
    ]);
    expect(parseYamlDocuments('')).toEqual([]);
  });
  it('have string keys, merges and aliases', () => {
    expect(read('1: a\ntrue: b\nx: &x {p: 1, q: 2}\nw: {<<: *x, q: 3}\nz: *x\n')).toEqual({
      1: 'a',
      true: 'b',
      x: { p: 1, q: 2 },
      w: { q: 3, p: 1 },
      z: { p: 1, q: 2 },
    });
  });
  it('report keys set twice; the last wins', () => {
    expect(parseYaml('a: 1\na: 2')).toMatchObject({
      value: { a: 2 },
      duplicates: ['line 2: key "a" already set in map'],
    });
  });
});

describe('errors carry the line', () => {
  it.each([
    ['a:\n\t- x', 'yaml: line 2: found character that cannot start any token'],
    ['"open', 'yaml: line 1: found unexpected end of stream'],
    ['a: b: c', 'yaml: line 1: mapping values are not allowed in this context'],
    ['a: *x', "yaml: unknown anchor 'x' referenced"],
    ['a: &a [*a]', "yaml: anchor 'a' value contains itself"],
    ['a: .inf', 'yaml: line 1: json: unsupported value: +Inf'],
    ['? [x]\n: 1', 'yaml: line 1: invalid map key: ["x"]'],
  ])('%j', (text, message) => expect(() => read(text)).toThrow(expect.objectContaining({ message })));

  it('and nothing hostile blows up', () => {
    const bomb = ['a0: &a0 [x,x,x,x,x,x,x,x,x,x]'];
    for (let i = 1; i < 10; i++)
      bomb.push(
        `a${i}: &a${i} [${Array(10)
          .fill(`*a${i - 1}`)
          .join(',')}]`,
      );
    expect(() => read(bomb.join('\n'))).toThrow('excessive aliasing');
    expect(() => read('['.repeat(20_000))).toThrow(YamlError);
    expect(Object.keys(read('__proto__: {x: 1}') as object)).toEqual(['__proto__']);
  });
});
