import { expect, it } from 'vitest';
import { findDefinition } from '../schema.ts';
import { builtinKinds, createScheme } from './index.ts';

it.each(builtinKinds.map((kind) => [kind.kind, kind] as const))('%s is well formed', (_, kind) => {
  expect(findDefinition(kind.schema)?.isKind).toBe(true);
  expect(kind.singular).toBe(kind.kind.toLowerCase());
  expect(kind.listKind).toBe(`${kind.kind}List`);
  const object = { metadata: { name: 'x', creationTimestamp: '2026-01-01T00:00:00Z' } } as never;
  kind.setDefaults?.(object);
  const readable = { roleRef: {}, involvedObject: {}, ...(object as object) } as never;
  expect(kind.cells(readable, { nowMs: 0 })).toHaveLength(kind.columns.length);
  for (const read of Object.values(kind.selectableFields ?? {})) expect(typeof read(readable)).toBe('string');
});

it('finds kinds by any of their names', () => {
  const scheme = createScheme();
  for (const word of ['po', 'pods', 'pod', 'Pod']) expect(scheme.lookup(word)?.kind).toBe('Pod');
  expect(scheme.lookup('deploy')?.resource).toBe('deployments');
  expect(scheme.inCategory('all').map((each) => each.resource)).toEqual([
    'pods',
    'replicationcontrollers',
    'services',
    'daemonsets',
    'deployments',
    'replicasets',
    'statefulsets',
    'horizontalpodautoscalers',
    'cronjobs',
    'jobs',
  ]);
});
