// Exits as they happen: recorded once, told to the event readers, and to those who wait for one. An exit that overtakes
// the answer to its own start is held back until the start is recorded.
import { sleep } from '../../lib/abort.ts';
import type { ExitEvent } from '../launch/port.ts';
import type { CriContext } from './context.ts';
import { emitEvent } from './events.ts';

export class ExitBook {
  #starting = new Map<string, ExitEvent | undefined>();
  #expected = new Map<string, (event: ExitEvent) => void>();
  #waiters = new Map<string, Set<() => void>>();

  /** Called for every exit the launcher reports. */
  record(context: CriContext, event: ExitEvent): void {
    this.#expected.get(event.containerId)?.(event);
    if (this.#starting.has(event.containerId)) {
      this.#starting.set(event.containerId, event);
      return;
    }
    this.#apply(context, event);
  }

  /** Called for every start the launcher reports: one that nobody waits for any more was asked for before this process. */
  started(context: CriContext, id: string, startedAtNs: number): void {
    const container = context.store.containers.get(id);
    if (!container || container.startedAtNs !== undefined || container.exit || this.#starting.has(id)) return;
    context.store.containers.note(id, () => ({ startedAtNs }));
    emitEvent(context, 'CONTAINER_STARTED_EVENT', id, container.sandboxId);
  }

  /** The exit of a container that has no record (a build step's). */
  expect(id: string): { event: Promise<ExitEvent>; cancel(): void } {
    const event = new Promise<ExitEvent>((resolve) => this.#expected.set(id, resolve));
    return { event, cancel: () => void this.#expected.delete(id) };
  }

  /** Between begin and end, exits of the container wait. */
  beginStart(id: string): void {
    this.#starting.set(id, undefined);
  }

  endStart(context: CriContext, id: string): void {
    const held = this.#starting.get(id);
    this.#starting.delete(id);
    if (held) this.#apply(context, held);
  }

  /** Resolves true when the container has exited or is gone, false after `timeoutMs`. */
  async wait(context: CriContext, id: string, timeoutMs: number): Promise<boolean> {
    const over = () => {
      const found = context.store.containers.get(id);
      return !found || found.exit !== undefined;
    };
    if (over()) return true;
    const timeout = new AbortController();
    const waiters = this.#waiters.get(id) ?? new Set();
    this.#waiters.set(id, waiters);
    const wake = () => timeout.abort();
    waiters.add(wake);
    try {
      await sleep(context.clock, timeoutMs, timeout.signal);
    } finally {
      waiters.delete(wake);
      if (waiters.size === 0) this.#waiters.delete(id);
    }
    return over();
  }

  /** Wakes those who wait for a container that has exited or is gone. */
  wake(id: string): void {
    for (const wake of this.#waiters.get(id) ?? []) wake();
  }

  #apply(context: CriContext, event: ExitEvent): void {
    const container = context.store.containers.get(event.containerId);
    if (!container || container.exit) return;
    const { exitCode, oomKilled, finishedAtNs } = event;
    context.store.containers.note(container.id, () => ({ exit: { exitCode, oomKilled, finishedAtNs } }));
    context.log.debug({ container: container.id, exitCode, oomKilled }, 'container exited');
    this.wake(container.id);
    emitEvent(context, 'CONTAINER_STOPPED_EVENT', container.id, container.sandboxId);
  }
}
