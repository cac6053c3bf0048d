import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FakeClock, settle } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { runController, TerminalError } from './controller.ts';
import { NetworkError } from './port.ts';
import { WorkQueue } from './work-queue.ts';

const make = () => {
  const clock = new FakeClock();
  return { clock, queue: new WorkQueue({ clock, random: () => 0 }) };
};

describe('a work queue', () => {
  it('holds a key once, however often it is added', async () => {
    const { queue } = make();
    queue.add('a');
    queue.add('b');
    queue.add('a');
    expect(queue.length).toBe(2);
    expect(await queue.get()).toBe('a');
    expect(await queue.get()).toBe('b');
  });

  it('queues a key again when it was added while being worked on, and only after done', async () => {
    const { queue } = make();
    queue.add('a');
    await queue.get();
    queue.add('a');
    queue.add('a');
    expect(queue.length).toBe(0);
    queue.done('a');
    expect(queue.length).toBe(1);
  });

  it('keeps the earliest of several delays with one timer', async () => {
    const { clock, queue } = make();
    queue.addAfter('a', 1000);
    queue.addAfter('a', 100);
    queue.addAfter('a', 500);
    queue.addAfter('b', 200);
    expect(clock.pending).toBe(1);
    await clock.advance(99);
    expect(queue.length).toBe(0);
    await clock.advance(1);
    expect(await queue.get()).toBe('a');
    await clock.advance(5_000);
    expect(queue.length).toBe(1);
    expect(clock.pending).toBe(0);
  });

  it('backs off by key until forgotten', async () => {
    const { clock, queue } = make();
    const waits: number[] = [];
    for (let i = 0; i < 4; i++) {
      if (i === 3) queue.forget('a');
      queue.addRateLimited('a');
      const beforeMs = clock.now();
      while (queue.length === 0) await clock.advance(5);
      waits.push(clock.now() - beforeMs);
      queue.done((await queue.get()) as string);
    }
    expect(waits).toEqual([5, 10, 20, 5]);
  });

  it('lets go of everyone and every timer at shutdown', async () => {
    const { clock, queue } = make();
    const waiting = queue.get();
    queue.addAfter('a', 10);
    queue.shutDown();
    expect(await waiting).toBeUndefined();
    expect(clock.pending).toBe(0);
    queue.add('b');
    expect(await queue.get()).toBeUndefined();
  });

  it('never works on a key twice at once and never forgets one', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('add', 'get', 'done', 'later'), fc.constantFrom('a', 'b', 'c')), {
          maxLength: 60,
        }),
        async (steps) => {
          const { clock, queue } = make();
          const held = new Set<string>();
          const needed = new Set<string>();
          for (const [what, key] of steps) {
            if (what === 'add') {
              queue.add(key);
              needed.add(key);
            } else if (what === 'later') {
              queue.addAfter(key, 7);
              needed.add(key);
            } else if (what === 'get' && queue.length > 0) {
              const got = (await queue.get()) as string;
              expect(held.has(got)).toBe(false);
              held.add(got);
              needed.delete(got);
            } else if (what === 'done' && held.delete(key)) queue.done(key);
          }
          for (const key of held) queue.done(key);
          await clock.advance(100);
          while (queue.length > 0) {
            const got = (await queue.get()) as string;
            needed.delete(got);
            queue.done(got);
          }
          expect([...needed]).toEqual([]);
          expect(queue.isIdle).toBe(true);
        },
      ),
    );
  });
});

describe('a controller loop', () => {
  it('retries errors with back-off, requeues when told, gives up on terminal errors, ends with its signal', async () => {
    const { clock, queue } = make();
    const runs: string[] = [];
    let failures = 2;
    const stop = new AbortController();
    const running = runController(
      {
        name: 'test',
        queue,
        log: silentLogger,
        async reconcile(key) {
          runs.push(key);
          if (key === 'flaky' && failures-- > 0) throw new Error('flaky');
          if (key === 'broken') throw new TerminalError('broken');
          if (key === 'later' && runs.filter((each) => each === 'later').length < 2) return { requeueAfterMs: 1_000 };
        },
      },
      stop.signal,
    );
    for (const key of ['flaky', 'broken', 'later']) queue.add(key);
    await settle();
    await clock.advance(500);
    expect(runs).toEqual(['flaky', 'broken', 'later', 'flaky', 'flaky']);
    await clock.advance(10_000);
    expect(runs.slice(5)).toEqual(['later']);
    stop.abort();
    await running;
    expect(clock.pending).toBe(0);
  });

  it('is at work within seconds after a long outage', async () => {
    const { clock, queue } = make();
    let down = true;
    let done = 0;
    const stop = new AbortController();
    const reconcile = async () => {
      if (down) throw new NetworkError('connection refused');
      done++;
    };
    const running = runController({ name: 'test', queue, log: silentLogger, reconcile }, stop.signal);
    queue.add('a');
    for (let i = 0; i < 600; i++) await clock.advance(1_000);
    down = false;
    await clock.advance(2_000);
    expect(done).toBe(1);
    stop.abort();
    await running;
  });

  it('does not start before its caches are filled, and ends when they never are', async () => {
    const { queue } = make();
    const stop = new AbortController();
    let runs = 0;
    const never = {
      synced: (signal?: AbortSignal) =>
        new Promise<void>((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason))),
    };
    const running = runController(
      { name: 'test', queue, log: silentLogger, informers: [never], reconcile: async () => void runs++ },
      stop.signal,
    );
    queue.add('a');
    await settle();
    expect(runs).toBe(0);
    stop.abort();
    await running;
  });
});
