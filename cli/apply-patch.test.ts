import { describe, expect, test } from 'vitest';
import type { KubeObject } from '../api/object.ts';
import { applyStrategicMergePatch } from '../api/strategic-merge-patch.ts';
import { applyPatch } from './commands/apply-patch.ts';

const deployment = (spec: unknown, metadata: object = {}): KubeObject =>
  ({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web', ...metadata }, spec }) as KubeObject;

const container = (name: string, more: object = {}) => ({ name, image: `${name}:1`, ...more });
const withContainers = (...containers: object[]) => deployment({ template: { spec: { containers } } });

describe('what apply changes, given what was applied before', () => {
  const cases: [string, { before: KubeObject; live?: KubeObject; wanted: KubeObject; after: unknown }][] = [
    [
      'sets what is new and keeps what others set',
      {
        before: deployment({ replicas: 1 }),
        live: deployment({ replicas: 1, paused: true }),
        wanted: deployment({ replicas: 2 }),
        after: { replicas: 2, paused: true },
      },
    ],
    [
      'removes what the manifest no longer says',
      {
        before: deployment({ replicas: 1, paused: true }),
        wanted: deployment({ replicas: 1 }),
        after: { replicas: 1 },
      },
    ],
    [
      'merges containers by name, removes those that went, keeps those that others added',
      {
        before: withContainers(container('a'), container('b')),
        live: withContainers(container('a'), container('b'), container('injected')),
        wanted: withContainers(container('a', { tty: true })),
        after: { template: { spec: { containers: [container('a', { tty: true }), container('injected')] } } },
      },
    ],
    [
      'removes an item from a list inside an item',
      {
        before: withContainers(
          container('a', {
            env: [
              { name: 'X', value: '1' },
              { name: 'Y', value: '2' },
            ],
          }),
        ),
        wanted: withContainers(container('a', { env: [{ name: 'Y', value: '2' }] })),
        after: { template: { spec: { containers: [container('a', { env: [{ name: 'Y', value: '2' }] })] } } },
      },
    ],
    [
      'replaces atomic lists whole',
      {
        before: withContainers(container('a', { args: ['x', 'y'] })),
        wanted: withContainers(container('a', { args: ['y'] })),
        after: { template: { spec: { containers: [container('a', { args: ['y'] })] } } },
      },
    ],
  ];
  test.each(cases)('%s', (_name, { before, live, wanted, after }) => {
    const patched = applyStrategicMergePatch(
      'apps.v1.Deployment',
      (live ?? before) as never,
      applyPatch(before, wanted) as never,
    );
    expect((patched as { spec?: unknown }).spec).toEqual(after);
  });
});
