// Pods that wait for a node, in three places, each pod in at most one of them:
//
//            add                    pop
//   ───────────────▶  active  ───────────────▶  (in a cycle)
//                        ▲                          │ unschedulable
//        back-off over   │                          ▼
//                     backoff  ◀──── event ──── unschedulable
//
// Active is ordered by priority, then by arrival. A pod stays `in a cycle` until its binding has succeeded: what happens to
// it meanwhile is remembered, and a binding that failed brings it back to its old place in the order. An event moves only the pods that a plugin woken
// by it had refused; a pod whose cycle ran while the event came in is moved too (the event is remembered meanwhile).
import type { Clock, Timer } from '../lib/clock.ts';
import { Heap } from '../lib/heap.ts';
import type { ClusterEvent, PodInfo } from './framework.ts';

interface Waiting {
  info: PodInfo;
  /** Order of arrival; survives retries so that an old pod is not overtaken by its own retry. */
  sequence: number;
  attempts: number;
  lastTriedMs: number;
  wakesOn: ReadonlySet<ClusterEvent>;
}

export interface QueueOptions {
  clock: Clock;
  initialBackoffMs?: number;
  maxBackoffMs?: number;
  /** A pod is tried again after this long even if no event woke it: the safety net. */
  unschedulableMaxMs?: number;
}

export class SchedulingQueue {
  #clock: Clock;
  #initialBackoffMs: number;
  #maxBackoffMs: number;
  #unschedulableMaxMs: number;
  #sequence = 0;
  #active = new Heap<Waiting>((a, b) =>
    a.info.priority === b.info.priority ? a.sequence < b.sequence : a.info.priority > b.info.priority,
  );
  #byUid = new Map<string, { waiting: Waiting; place: 'active' | 'backoff' | 'unschedulable' | 'cycle' }>();
  /** Pods in `unschedulable`, by each event that wakes them. */
  #sleeping = new Map<ClusterEvent, Set<Waiting>>();
  #timers = new Map<string, Timer>();
  /** Events seen while a cycle runs; a pod that fails is checked against them. */
  #duringCycle: ClusterEvent[] = [];
  #wake: (() => void) | undefined;
  #stopped = false;

  constructor(options: QueueOptions) {
    this.#clock = options.clock;
    this.#initialBackoffMs = options.initialBackoffMs ?? 1_000;
    this.#maxBackoffMs = options.maxBackoffMs ?? 10_000;
    this.#unschedulableMaxMs = options.unschedulableMaxMs ?? 5 * 60_000;
  }

  /** For metrics: walks all. */
  counts(): Record<'active' | 'backoff' | 'unschedulable' | 'cycle', number> {
    const counts = { active: 0, backoff: 0, unschedulable: 0, cycle: 0 };
    for (const { place } of this.#byUid.values()) counts[place]++;
    return counts;
  }

  get size(): number {
    return this.#byUid.size;
  }

  /** A new pending pod, or a changed one: a change of the pod itself makes it worth trying at once. */
  set(info: PodInfo): void {
    const known = this.#byUid.get(info.uid);
    if (known?.place === 'cycle') {
      known.waiting.info = info;
      return;
    }
    const waiting = known?.waiting ?? {
      info,
      sequence: this.#sequence++,
      attempts: 0,
      lastTriedMs: 0,
      wakesOn: new Set<ClusterEvent>(),
    };
    this.#leave(info.uid);
    waiting.info = info;
    this.#enterActive(waiting);
  }

  /** The pod changed in a way that is no reason to try again; a retry shall see it as it is. */
  refresh(info: PodInfo): void {
    const known = this.#byUid.get(info.uid);
    if (known) known.waiting.info = info;
  }

  has(uid: string): boolean {
    return this.#byUid.has(uid);
  }

  /** The pod is bound, gone or no longer ours. */
  delete(uid: string): void {
    this.#leave(uid);
    this.#byUid.delete(uid);
  }

  /** The next pod to schedule; it is in its cycle until `delete`, `retry` or `unschedulable` is called. */
  pop(): PodInfo | undefined {
    const waiting = this.#active.pop();
    if (!waiting) return undefined;
    waiting.attempts++;
    waiting.lastTriedMs = this.#clock.monotonic();
    this.#byUid.set(waiting.info.uid, { waiting, place: 'cycle' });
    this.#duringCycle = [];
    return waiting.info;
  }

  /** Resolves when something is active or the queue has stopped. */
  async waitForActive(): Promise<void> {
    while (this.#active.size === 0 && !this.#stopped) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** No node fits, for reasons that `wakesOn` may change. */
  unschedulable(uid: string, wakesOn: ReadonlySet<ClusterEvent>): void {
    const known = this.#byUid.get(uid);
    if (!known) return;
    known.waiting.wakesOn = wakesOn;
    if (this.#duringCycle.some((event) => wakesOn.has(event))) return this.#enterBackoff(known.waiting);
    this.#byUid.set(uid, { waiting: known.waiting, place: 'unschedulable' });
    for (const event of wakesOn) {
      let sleeping = this.#sleeping.get(event);
      if (!sleeping) this.#sleeping.set(event, (sleeping = new Set()));
      sleeping.add(known.waiting);
    }
    this.#timer(uid, this.#unschedulableMaxMs, () => this.#enterActive(known.waiting));
  }

  /** Binding failed: try again after the back-off, whatever the cluster does. Nothing for a pod deleted meanwhile. */
  retry(uid: string): void {
    const known = this.#byUid.get(uid);
    if (known?.place === 'cycle') this.#enterBackoff(known.waiting);
  }

  /** Tries a sleeping pod again, because something was done for it. */
  wake(uid: string): void {
    const known = this.#byUid.get(uid);
    if (known?.place === 'unschedulable') this.#enterBackoff(known.waiting);
  }

  /** Something in the cluster changed: moves the pods that it may help. */
  event(event: ClusterEvent): void {
    if (!this.#duringCycle.includes(event)) this.#duringCycle.push(event);
    for (const waiting of [...(this.#sleeping.get(event) ?? [])]) this.#enterBackoff(waiting);
  }

  stop(): void {
    this.#stopped = true;
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    this.#wake?.();
  }

  #enterBackoff(waiting: Waiting): void {
    this.#leave(waiting.info.uid);
    const backoffMs = Math.min(this.#maxBackoffMs, this.#initialBackoffMs * 2 ** (waiting.attempts - 1));
    const remaining = waiting.lastTriedMs + backoffMs - this.#clock.monotonic();
    if (remaining <= 0) return this.#enterActive(waiting);
    this.#byUid.set(waiting.info.uid, { waiting, place: 'backoff' });
    this.#timer(waiting.info.uid, remaining, () => this.#enterActive(waiting));
  }

  #enterActive(waiting: Waiting): void {
    this.#leave(waiting.info.uid);
    this.#byUid.set(waiting.info.uid, { waiting, place: 'active' });
    this.#active.push(waiting);
    this.#wake?.();
  }

  /** Takes the pod out of whatever place it waits in; its record stays. */
  #leave(uid: string): void {
    const known = this.#byUid.get(uid);
    if (known?.place === 'active') this.#active.delete(known.waiting);
    if (known?.place === 'unschedulable') {
      for (const event of known.waiting.wakesOn) this.#sleeping.get(event)?.delete(known.waiting);
    }
    this.#timers.get(uid)?.cancel();
    this.#timers.delete(uid);
  }

  #timer(uid: string, delayMs: number, callback: () => void): void {
    this.#timers.get(uid)?.cancel();
    this.#timers.set(uid, this.#clock.after(delayMs, callback, { background: true }));
  }
}
