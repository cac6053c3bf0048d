import { expect, test } from 'vitest';
import { nodeTermMatches, tolerates, toleratesTaint } from './node-rules.ts';
import type { Node, NodeSelectorTerm, Taint, Toleration } from './types/core-v1.ts';

const node: Node = { metadata: { name: 'n1', labels: { zone: 'a', generation: '7', empty: '' } } };
const expression = (key: string, operator: string, ...values: string[]): NodeSelectorTerm => ({
  matchExpressions: [{ key, operator, values }],
});

test.each<[string, NodeSelectorTerm, boolean]>([
  ['In', expression('zone', 'In', 'a', 'b'), true],
  ['In, label absent', expression('disk', 'In', 'ssd'), false],
  ['NotIn', expression('zone', 'NotIn', 'a'), false],
  ['NotIn, label absent', expression('disk', 'NotIn', 'ssd'), true],
  ['Exists, empty value', expression('empty', 'Exists'), true],
  ['DoesNotExist', expression('disk', 'DoesNotExist'), true],
  ['Gt', expression('generation', 'Gt', '6'), true],
  ['Gt, equal', expression('generation', 'Gt', '7'), false],
  ['Lt', expression('generation', 'Lt', '10'), true],
  ['Lt, no number', expression('zone', 'Lt', '10'), false],
  ['an unknown operator', expression('zone', 'Like', 'a'), false],
  ['a field', { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }, true],
  ['another field', { matchFields: [{ key: 'metadata.uid', operator: 'Exists' }] }, false],
  [
    'all must hold',
    {
      matchExpressions: [
        ...(expression('zone', 'In', 'a').matchExpressions ?? []),
        { key: 'disk', operator: 'Exists' },
      ],
    },
    false,
  ],
  ['an empty term', {}, false],
])('a node selector term: %s', (_name, term, expected) => {
  expect(nodeTermMatches(term, node)).toBe(expected);
});

const taint: Taint = { key: 'dedicated', value: '5', effect: 'NoSchedule' };
test.each<[Toleration, boolean]>([
  [{ key: 'dedicated', value: '5' }, true],
  [{ key: 'dedicated', value: '6' }, false],
  [{ key: 'dedicated', operator: 'Exists' }, true],
  [{ key: 'dedicated', operator: 'Exists', effect: 'NoExecute' }, false],
  [{ operator: 'Exists' }, true],
  [{ value: '5' }, false],
  [{ key: 'other', operator: 'Exists' }, false],
  [{ key: 'dedicated', operator: 'Gt', value: '4' }, true],
  [{ key: 'dedicated', operator: 'Lt', value: '4' }, false],
  [{ key: 'dedicated', operator: 'Gt', value: 'x' }, false],
  [{ key: 'dedicated', operator: 'Like', value: '5' }, false],
])('a toleration: %j', (toleration, expected) => {
  expect(tolerates(toleration, taint)).toBe(expected);
  expect(toleratesTaint([{ key: 'unrelated' }, toleration], taint)).toBe(expected);
});

test('no tolerations tolerate nothing', () => {
  expect(toleratesTaint(undefined, taint)).toBe(false);
});
