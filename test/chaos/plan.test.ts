// The plan of the chaos test is a function of its seed, and holds what the test promises to try.
import { expect, test } from 'vitest';
import { seededRandom } from '../seed.ts';
import { type Operation, planChaos } from './plan.ts';
import { shapes } from './shapes.ts';

const plan = (seed: number) => planChaos(seededRandom(seed), { pods: 200, alive: 30 });
const count = (operations: Operation[], what: Operation['do']) => operations.filter((each) => each.do === what).length;

test('the same seed gives the same plan, another one another', () => {
  expect(plan(7)).toEqual(plan(7));
  expect(plan(7)).not.toEqual(plan(8));
});

test.each([1, 2, 3, 4, 5])('seed %i: every shape, every operation, no operation on what was deleted', (seed) => {
  const operations = plan(seed);
  const created = new Set<string>();
  const seen = new Set<string>();
  const living = new Set<string>();
  for (const each of operations) {
    if (each.do === 'create') {
      seen.add(each.shape.name);
      created.add(each.pod.metadata.name ?? '');
      living.add(each.pod.metadata.name ?? '');
    } else if ('name' in each) {
      expect(living).toContain(each.name);
      if (each.do === 'delete') living.delete(each.name);
    }
  }
  expect(created.size).toBe(200);
  expect(seen).toEqual(new Set(shapes.map((each) => each.name)));
  expect(living.size).toBeGreaterThan(3);
  expect(living.size).toBeLessThanOrEqual(30);
  for (const what of ['label', 'image', 'debug', 'kill-process', 'kill-shim', 'kill-launcher'] as const)
    expect({ what, times: count(operations, what) }).toEqual({ what, times: expect.toSatisfy((n: number) => n > 0) });
  for (const victim of ['apiserver', 'kubelet', 'runtime'] as const)
    expect(operations.some((each) => each.do === 'kill' && each.victims.includes(victim))).toBe(true);
});
