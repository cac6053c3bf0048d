import { expect, it } from 'vitest';
import { becomesAvailableInMs, isPodActive, isPodAvailable, isPodReady, withPodCondition } from './pod-conditions.ts';
import type { Pod } from './types/core-v1.ts';

const at = '2026-01-01T00:00:00Z';
const now = Date.parse(at);
const ready = (status: string): Pod => ({
  metadata: {},
  status: { conditions: [{ type: 'Ready', status, lastTransitionTime: at }] },
});

it('is available when it has been ready long enough', () => {
  expect(isPodReady(ready('True'))).toBe(true);
  expect(isPodReady({ metadata: {} })).toBe(false);
  expect(isPodAvailable(ready('True'), 0, now)).toBe(true);
  expect(isPodAvailable(ready('True'), 10, now + 9_999)).toBe(false);
  expect(isPodAvailable(ready('True'), 10, now + 10_000)).toBe(true);
  expect(becomesAvailableInMs(ready('True'), 10, now + 4_000)).toBe(6_000);
  expect(becomesAvailableInMs(ready('False'), 10, now)).toBeUndefined();
});

it('is active until it ends or is deleted', () => {
  expect(isPodActive(ready('True'))).toBe(true);
  expect(isPodActive({ metadata: { deletionTimestamp: at } })).toBe(false);
  expect(isPodActive({ metadata: {}, status: { phase: 'Failed' } })).toBe(false);
});

it('keeps the time of a condition whose status stays', () => {
  const old = ready('True').status?.conditions;
  const later = '2026-01-01T01:00:00Z';
  const same = withPodCondition(old, { type: 'Ready', status: 'True', lastTransitionTime: later });
  expect(same).toEqual({ conditions: old, changed: false });
  const changed = withPodCondition(old, { type: 'Ready', status: 'False', lastTransitionTime: later });
  expect(changed.conditions[0]?.lastTransitionTime).toBe(later);
  expect(changed.changed).toBe(true);
  expect(withPodCondition(undefined, { type: 'A', status: 'True' }).conditions).toHaveLength(1);
});
