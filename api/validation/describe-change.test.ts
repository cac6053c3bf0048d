import { expect, it } from 'vitest';
import { describeChange } from './describe-change.ts';

it('names what went and what came, leaf by leaf', () => {
  const old = { a: 1, list: [{ name: 'x' }], gone: { b: true } };
  const value = { a: 2, list: [{ name: 'x' }, { name: 'y' }] };
  expect(describeChange(old, value, 'spec').split('\n')).toEqual([
    '- spec.a: 1',
    '+ spec.a: 2',
    '+ spec.list[1]: {"name":"y"}',
    '- spec.gone: {"b":true}',
  ]);
});
