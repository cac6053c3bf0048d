// Mirrors one resource: list (or the initial events of a watch), then watch, for ever. The states are one union and
// move in one pure `step`; `reflect` does what the state asks for.
//
//            listed / initial-events-end                     ended, lost: watch again from resourceVersion
//   empty ────────────────────────────────► watching ◄──────┐
//     ▲  │ stream opened   ┌──────────┐         │ └──────────┘
//     │  └────────────────►│ initial  │─────────┤
//     │       lost         └────┬─────┘         │ 410: what we know is too old
//     └─────────────────────────┴───────────────┘
import { ApiError } from '../api/errors.ts';
import { type KubeObject, keyOf } from '../api/object.ts';
import { sleep } from '../lib/abort.ts';
import { type BackoffPolicy, backoffMs } from '../lib/backoff.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { ListOptions, ObjectList, ResourceClient, WatchEvent } from './port.ts';
import { compareResourceVersions } from './resource-version.ts';
import { isExpired } from './status.ts';
import { isInitialEventsEnd } from './watch.ts';

export type ReflectorState<T> =
  /** Nothing to resume from. */
  | { kind: 'empty' }
  /** Initial events arrive; they are kept aside until all are here, then swapped in. */
  | { kind: 'initial'; buffer: ReadonlyMap<string, T> }
  /** Everything up to `resourceVersion` is in the mirror. */
  | { kind: 'watching'; resourceVersion: string };

export type ReflectorInput<T> =
  | { kind: 'listed'; list: ObjectList<T> }
  | { kind: 'opened' }
  | { kind: 'event'; event: WatchEvent<T> }
  /** The watch ended or failed, or the list failed. */
  | { kind: 'lost'; expired: boolean };

/** What the mirror must do. */
export type Change<T> =
  | { kind: 'replace'; objects: Iterable<T> }
  | { kind: 'put'; object: T }
  | { kind: 'remove'; object: T };

/** The next state and what to do; the initial buffer is the state's own and is filled in place. */
export function step<T extends KubeObject>(
  state: ReflectorState<T>,
  input: ReflectorInput<T>,
): { state: ReflectorState<T>; change?: Change<T> } {
  switch (input.kind) {
    case 'listed':
      return {
        state: { kind: 'watching', resourceVersion: input.list.metadata.resourceVersion },
        change: { kind: 'replace', objects: input.list.items },
      };
    case 'opened':
      return { state: state.kind === 'empty' ? { kind: 'initial', buffer: new Map() } : state };
    case 'lost':
      return { state: state.kind === 'watching' && !input.expired ? state : { kind: 'empty' } };
    case 'event':
      return stepEvent(state, input.event);
  }
}

function stepEvent<T extends KubeObject>(
  state: ReflectorState<T>,
  event: WatchEvent<T>,
): { state: ReflectorState<T>; change?: Change<T> } {
  const resourceVersion = event.object.metadata.resourceVersion ?? '';
  if (state.kind === 'initial') {
    const buffer = state.buffer as Map<string, T>;
    if (isInitialEventsEnd(event)) {
      return { state: { kind: 'watching', resourceVersion }, change: { kind: 'replace', objects: buffer.values() } };
    }
    if (event.type === 'DELETED') buffer.delete(keyOf(event.object));
    else if (event.type !== 'BOOKMARK') buffer.set(keyOf(event.object), event.object);
    return { state };
  }
  if (state.kind === 'empty') return { state };
  // Older than the resume point: a duplicate. Equal is kept: several objects may share one transaction's revision.
  if (compareResourceVersions(resourceVersion, state.resourceVersion) < 0) return { state };
  const moved: ReflectorState<T> = { kind: 'watching', resourceVersion };
  if (event.type === 'BOOKMARK') return { state: moved };
  return { state: moved, change: { kind: event.type === 'DELETED' ? 'remove' : 'put', object: event.object } };
}

/** How the first state is fetched. `watch-list` saves a round trip and one huge parse; `auto` falls back to `list`. */
export type InitialState = 'list' | 'watch-list' | 'auto';

export interface ReflectOptions<T extends KubeObject> {
  client: ResourceClient<T>;
  selectors: Pick<ListOptions, 'labelSelector' | 'fieldSelector'>;
  apply(change: Change<T>): void;
  clock: Clock;
  random: Random;
  log: Logger;
  /** Shared by the reflectors of one server: set to `list` once it has shown not to know sendInitialEvents. */
  initial: { mode: InitialState };
}

const backoff: BackoffPolicy = { initialMs: 50, maxMs: 5_000, jitter: 0.5 };
/** A server that ignores sendInitialEvents never sends the bookmark; without any event for so long we list instead. */
const initialStallMs = 3_000;
/** A watch is asked to end after 5 to 10 minutes, as client-go does, so that servers can balance. */
const watchSeconds = 300;

/** Runs until `signal` aborts. Never throws: failures are logged and tried again with back-off. */
export async function reflect<T extends KubeObject>(options: ReflectOptions<T>, signal: AbortSignal): Promise<void> {
  const { clock, random, log, initial } = options;
  let state = { kind: 'empty' } as ReflectorState<T>;
  let failures = 0;
  const advance = (input: ReflectorInput<T>) => {
    const next = step(state, input);
    state = next.state;
    if (next.change) options.apply(next.change);
  };

  while (!signal.aborted) {
    const before: string = state.kind;
    try {
      if (state.kind === 'empty' && initial.mode === 'list') {
        const list = await options.client.listAll({ ...options.selectors, signal });
        if (signal.aborted) return;
        advance({ kind: 'listed', list });
      } else {
        await follow();
        advance({ kind: 'lost', expired: false });
      }
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      const expired = isExpired(error);
      advance({ kind: 'lost', expired });
      if (before !== 'watching' && initial.mode === 'auto' && refusesInitialEvents(error)) {
        initial.mode = 'list';
        continue;
      }
      failures++;
      if (expired && failures === 1) continue;
      log[failures > 3 ? 'warn' : 'debug']({ err: error, failures }, 'list or watch failed; trying again');
      await sleep(clock, backoffMs(backoff, failures, random), signal);
    }
  }

  /** One watch connection: from the resume point, or from nothing with initial events. */
  async function follow(): Promise<void> {
    const fromNothing = state.kind === 'empty';
    const startedMs = clock.monotonic();
    const connection = new AbortController();
    const onAbort = () => connection.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    let stalled = false;
    let seen = 0;
    const stall =
      fromNothing && initial.mode === 'auto'
        ? clock.after(
            initialStallMs,
            () => {
              if (state.kind !== 'initial') return;
              stalled = true;
              connection.abort();
            },
            { background: true },
          )
        : undefined;
    try {
      const events = options.client.watch({
        ...options.selectors,
        ...(state.kind === 'watching' ? { resourceVersion: state.resourceVersion } : { sendInitialEvents: true }),
        timeoutSeconds: Math.round(watchSeconds * (1 + random())),
        signal: connection.signal,
      });
      advance({ kind: 'opened' });
      for await (const event of events) {
        if (signal.aborted) return;
        seen++;
        failures = 0;
        advance({ kind: 'event', event });
      }
    } catch (error) {
      if (!stalled) throw error;
    } finally {
      stall?.cancel();
      signal.removeEventListener('abort', onAbort);
    }
    if (stalled) {
      log.info({ events: seen }, 'the server does not end initial events; listing instead');
      initial.mode = 'list';
    } else if (seen === 0 && clock.monotonic() - startedMs < 1_000) {
      await sleep(clock, backoffMs(backoff, 2, random), signal); // ended at once: do not spin
    }
  }
}

/** Invalid or bad request: a server without WatchList refuses sendInitialEvents or resourceVersionMatch on a watch. */
function refusesInitialEvents(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 422 || error.code === 400);
}
