// The stops in progress of one pod's containers: one per container, shortened when somebody gives it less time.
import type { Pod } from '../../api/types/core-v1.ts';
import type { Logger } from '../../lib/log.ts';
import type { PodContext } from './context.ts';
import type { ObservedContainer } from './observed.ts';
import type { Operations } from './operations.ts';
import { callStop, stopContainer } from './stop-container.ts';

export class ContainerStops {
  #context: PodContext;
  #operations: Operations;
  #log: Logger;
  /** Latest end of a stop in progress by container id, on the monotonic clock. */
  #ends = new Map<string, number>();

  constructor(context: PodContext, operations: Operations, log: Logger) {
    this.#context = context;
    this.#operations = operations;
    this.#log = log;
  }

  /** `message` is the event's. */
  stop(pod: Pod | undefined, podIp: string, container: ObservedContainer, graceSeconds: number, message: string): void {
    const key = `kill:${container.id}`;
    const endMs = this.#context.clock.monotonic() + graceSeconds * 1000;
    if (this.#operations.isRunning(key)) return this.#shorten(container.id, endMs, graceSeconds);
    const ran = this.#operations.run(key, async (signal) => {
      try {
        await stopContainer(this.#context, pod, podIp, container, graceSeconds, message, signal);
      } finally {
        this.#ends.delete(container.id);
      }
    });
    if (ran) this.#ends.set(container.id, endMs);
  }

  /** Somebody has shortened the grace period: ask again; the runtime takes the earlier end. */
  #shorten(id: string, endMs: number, graceSeconds: number): void {
    const before = this.#ends.get(id);
    if (before === undefined || endMs + 500 >= before) return;
    this.#ends.set(id, endMs);
    this.#operations.abort(`kill:${id}`);
    callStop(this.#context, id, graceSeconds).catch((err) => this.#log.info({ err }, 'a second stop failed'));
  }
}
