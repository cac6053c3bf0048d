// Fairness in virtual time: shares are kept, nobody starves, seats are never more than there are.
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { deal } from './dealer.ts';
import { QueueSet, type Ticket } from './queue-set.ts';

class World {
  nowMs = 0;
  /** By when they end. */
  running: { ticket: Ticket<string>; endsMs: number }[] = [];
  served = new Map<string, number>();
  readonly set = new QueueSet<string>(() => this.nowMs);

  /** Keeps `flow` always asking for `depth` more, each lasting `ms`. */
  constructor(seats: number, queuing?: { queues: number; handSize: number; queueLengthLimit: number }) {
    this.set.configure(queuing ? { queuing } : {});
    this.set.setLimit(seats);
  }

  ask(flow: string, seats: number, ms: number): boolean {
    const ticket = this.set.enter(flow, seats, flow);
    if (typeof ticket === 'string') return false;
    const begin = () => {
      this.running.push({ ticket, endsMs: this.nowMs + ms });
      expect(this.set.seatsInUse).toBeLessThanOrEqual(Math.max(this.set.limit, seats));
    };
    if (ticket.state === 'executing') begin();
    else ticket.settle = (reason) => reason === undefined && begin();
    return true;
  }

  /** To the next end of a request. */
  step(): void {
    this.running.sort((a, b) => a.endsMs - b.endsMs);
    const next = this.running.shift();
    if (!next) return;
    this.nowMs = Math.max(this.nowMs, next.endsMs);
    const { detail, seats } = next.ticket;
    this.served.set(detail, (this.served.get(detail) ?? 0) + (seats * (this.nowMs - next.ticket.startedMs)) / 1000);
    this.set.leave(next.ticket);
  }
}

describe('QueueSet', () => {
  const queuing = { queues: 64, handSize: 6, queueLengthLimit: 50 };

  it('gives flows that ask for more than there is the same part, whatever they ask and however long theirs last', () => {
    const world = new World(10, queuing);
    const flows = [
      { name: 'elephant', depth: 200, seats: 1, ms: 10 },
      { name: 'slow', depth: 60, seats: 1, ms: 100 },
      { name: 'wide', depth: 60, seats: 3, ms: 20 },
    ];
    for (let i = 0; i < 6000; i++) {
      for (const flow of flows) {
        const asked = world.set.queues.reduce(
          (sum, queue) => sum + queue.waiting.filter((each) => each.detail === flow.name).length,
          0,
        );
        for (let n = asked; n < flow.depth && world.ask(flow.name, flow.seats, flow.ms); n++);
      }
      world.step();
    }
    // Flows spread over their hand of queues; the fair unit is the queue, so flows with equal hands get equal parts.
    const parts = flows.map((each) => world.served.get(each.name) ?? 0);
    const sum = parts.reduce((a, b) => a + b, 0);
    for (const part of parts) expect(part / sum).toBeGreaterThan(0.2);
  });

  it('lets a mouse through beside an elephant: it waits for less than a handful of the elephant’s', () => {
    const world = new World(4, queuing);
    const waits: number[] = [];
    for (let i = 0; i < 3000; i++) {
      while (world.set.waiting < 200 && world.ask('elephant', 1, 50));
      if (i % 20 === 0) {
        const since = world.nowMs;
        const mouse = world.set.enter('mouse', 1, 'mouse');
        if (typeof mouse === 'string') throw new Error(mouse);
        const begin = () => {
          waits.push(world.nowMs - since);
          world.running.push({ ticket: mouse, endsMs: world.nowMs + 1 });
        };
        if (mouse.state === 'executing') begin();
        else mouse.settle = begin;
      }
      world.step();
    }
    expect(waits.length).toBeGreaterThan(140);
    // 200 requests of 50 ms on 4 seats are ahead: in one line it would be 2,500 ms.
    expect(Math.max(...waits)).toBeLessThanOrEqual(400);
  });

  it('never holds more seats than its limit, serves everything it took, and counts to zero (random)', () => {
    const request = fc.record({
      flow: fc.integer({ min: 0, max: 8 }),
      seats: fc.integer({ min: 1, max: 6 }),
      ms: fc.integer({ min: 0, max: 50 }),
      steps: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 150 }),
        fc.integer({ min: 1, max: 8 }),
        fc.constantFrom(undefined, { queues: 4, handSize: 2, queueLengthLimit: 5 }),
        (requests, seats, config) => {
          const world = new World(seats, config);
          let taken = 0;
          for (const each of requests) {
            if (world.ask(`f${each.flow}`, each.seats, each.ms)) taken++;
            for (let i = 0; i < each.steps; i++) world.step();
          }
          let done = taken - world.set.executing - world.set.waiting;
          for (; world.running.length > 0; done++) world.step();
          expect(done).toBe(taken);
          expect(world.set).toMatchObject({
            seatsInUse: 0,
            seatsWaiting: 0,
            executing: 0,
            waiting: 0,
            activeQueues: 0,
          });
        },
      ),
      { numRuns: 200, seed: 7 },
    );
  });

  it('rejects at once without queues, and what does not fit into its queue', () => {
    const none = new World(1);
    expect(none.ask('a', 1, 10)).toBe(true);
    expect(none.set.enter('a', 1, 'a')).toBe('concurrency-limit');
    const short = new World(1, { queues: 1, handSize: 1, queueLengthLimit: 2 });
    expect([1, 2, 3].map(() => short.ask('a', 1, 10))).toEqual([true, true, true]);
    expect(short.set.enter('b', 1, 'b')).toBe('queue-full');
  });

  it('takes out one that gives up, and tells it why', () => {
    const world = new World(1, { queues: 1, handSize: 1, queueLengthLimit: 2 });
    world.ask('a', 1, 10);
    const waiting = world.set.enter('a', 1, 'a') as Ticket<string>;
    let reason: string | undefined;
    waiting.settle = (why) => (reason = why);
    world.set.leave(waiting, 'time-out');
    world.set.leave(waiting, 'time-out');
    expect(reason).toBe('time-out');
    expect(world.set.waiting).toBe(0);
  });
});

describe('shuffle sharding', () => {
  it('deals different cards, every queue about as often', () => {
    const counts = Array.from({ length: 16 }, () => 0);
    for (let i = 0n; i < 4000n; i++) {
      const hand = deal((i * 0x9e3779b97f4a7c15n) % (1n << 64n), 16, 4);
      expect(new Set(hand).size).toBe(4);
      for (const card of hand) counts[card] = (counts[card] ?? 0) + 1;
    }
    expect(Math.min(...counts)).toBeGreaterThan(800);
    expect(Math.max(...counts)).toBeLessThan(1200);
  });
});
