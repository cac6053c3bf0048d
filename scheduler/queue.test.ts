import { expect, test } from 'vitest';
import { FakeClock } from '../lib/clock.ts';
import { SchedulingQueue } from './queue.ts';
import { aPodInfo } from './testing.ts';

test('pods come out by priority, then by arrival', () => {
  const queue = new SchedulingQueue({ clock: new FakeClock() });
  for (const [name, priority] of [
    ['a', 0],
    ['b', 10],
    ['c', 0],
  ] as const)
    queue.set(aPodInfo(name, { priority }));
  expect([queue.pop(), queue.pop(), queue.pop(), queue.pop()].map((each) => each?.pod.metadata.name)).toEqual([
    'b',
    'a',
    'c',
    undefined,
  ]);
});

test('only an event that a refusing plugin named wakes a pod, and not before its back-off is over', async () => {
  const clock = new FakeClock();
  const queue = new SchedulingQueue({ clock });
  queue.set(aPodInfo('p'));
  const pod = queue.pop();
  queue.unschedulable(pod?.uid ?? '', new Set(['node-added']));
  queue.event('pod-removed');
  await clock.advance(10_000);
  expect(queue.pop()).toBeUndefined();
  queue.event('node-added');
  expect(queue.pop()?.uid).toBe(pod?.uid);

  queue.unschedulable(pod?.uid ?? '', new Set(['node-added']));
  queue.event('node-added');
  expect(queue.pop()).toBeUndefined();
  await clock.advance(2_000);
  expect(queue.pop()?.uid).toBe(pod?.uid);
});

test('an event that came while the pod was in its cycle is not lost', async () => {
  const clock = new FakeClock();
  const queue = new SchedulingQueue({ clock });
  queue.set(aPodInfo('p'));
  const pod = queue.pop();
  queue.event('node-added');
  queue.unschedulable(pod?.uid ?? '', new Set(['node-added']));
  await clock.advance(1_000);
  expect(queue.pop()?.uid).toBe(pod?.uid);
});

test('a pod that nothing wakes is tried again after five minutes', async () => {
  const clock = new FakeClock();
  const queue = new SchedulingQueue({ clock });
  queue.set(aPodInfo('p'));
  queue.unschedulable(queue.pop()?.uid ?? '', new Set());
  await clock.advance(5 * 60_000 - 1);
  expect(queue.pop()).toBeUndefined();
  await clock.advance(1);
  expect(queue.pop()).toBeDefined();
});

test('a deleted pod leaves nothing behind', async () => {
  const clock = new FakeClock();
  const queue = new SchedulingQueue({ clock });
  const pod = aPodInfo('p');
  queue.set(pod);
  queue.delete(pod.uid);
  expect(queue.pop()).toBeUndefined();
  queue.set(pod);
  queue.pop();
  queue.unschedulable(pod.uid, new Set(['node-added']));
  queue.delete(pod.uid);
  expect([queue.size, clock.pending]).toEqual([0, 0]);
});

test('a pod whose binding failed comes back after its back-off, to its old place and as it is by then', async () => {
  const clock = new FakeClock();
  const queue = new SchedulingQueue({ clock });
  const pod = aPodInfo('p');
  queue.set(pod);
  queue.set(aPodInfo('later'));
  queue.pop();
  const changed = { ...pod, priority: 0 };
  queue.refresh(changed);
  queue.retry(pod.uid);
  await clock.advance(1_000);
  expect(queue.pop()).toBe(changed);
});

test('a pod deleted while its binding was on its way does not come back', async () => {
  const clock = new FakeClock();
  const queue = new SchedulingQueue({ clock });
  const pod = aPodInfo('p');
  queue.set(pod);
  queue.pop();
  queue.delete(pod.uid);
  queue.retry(pod.uid);
  await clock.advance(60_000);
  expect([queue.pop(), queue.size]).toEqual([undefined, 0]);
});
