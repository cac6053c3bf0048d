// How much work a request is: seats while it runs, and for a write seats that are held on a little for what its watchers cost.
// Pure. Rules and numbers: kube-apiserver's work estimators (k8s.io/apiserver/pkg/util/flowcontrol/request), lists by their size.

const BYTES_PER_SEAT = 100_000;
/** Answers from the cache are streamed: more than this is not in memory at once. */
const CACHED_LIST_BYTES = 1_000_000;
const MAX_OBJECT_BYTES = 1_500_000;
const MAX_LIST_SEATS = 100;
const MAX_WRITE_SEATS = 10;
const WATCHERS_PER_SEAT = 10;
const EVENT_MS = 5;
/** No request takes more than this part of its level. */
const LEVEL_PART = 0.15;

export interface WorkEstimate {
  /** While it runs. */
  seats: number;
  /** After its answer, for `finalMs`. 0: none. */
  finalSeats: number;
  finalMs: number;
}

export interface ListWork {
  /** The page size asked for; 0: all. */
  limit: number;
  /** False for what upstream reads from its store: rests of lists, and lists at an exact revision. */
  isFromCache: boolean;
  hasSelector: boolean;
  /** One object by its name in a field selector. */
  isByName: boolean;
}

export const ONE_SEAT: WorkEstimate = { seats: 1, finalSeats: 0, finalMs: 0 };

const most = (nominal: number, limit: number) => Math.min(limit, Math.max(1, Math.ceil(nominal * LEVEL_PART)));

/** A list, or the state that a watch begins with. `nominal`: seats of the level. */
export function listWork(
  work: ListWork,
  { objects, bytes }: { objects: number; bytes: number },
  nominal: number,
): WorkEstimate {
  const average = objects === 0 ? 0 : bytes > 0 ? Math.floor(bytes / objects) : MAX_OBJECT_BYTES;
  const limited = work.limit > 0 ? Math.min(work.limit, objects) : objects;
  const loaded = work.isByName
    ? 1
    : work.hasSelector && !work.isFromCache
      ? Math.max(limited, Math.floor(objects / 2))
      : limited;
  const memory = loaded * average;
  const seats = Math.ceil((work.isFromCache ? Math.min(memory, CACHED_LIST_BYTES) : memory) / BYTES_PER_SEAT);
  return { ...ONE_SEAT, seats: Math.max(1, Math.min(seats, most(nominal, MAX_LIST_SEATS))) };
}

/** A write that `watchers` may be told of. What is too wide for the level takes as much longer. */
export function writeWork(watchers: number, nominal: number): WorkEstimate {
  if (watchers < WATCHERS_PER_SEAT) return ONE_SEAT;
  const wanted = Math.ceil(watchers / WATCHERS_PER_SEAT);
  const finalSeats = Math.min(wanted, most(nominal, MAX_WRITE_SEATS));
  return { seats: 1, finalSeats, finalMs: (EVENT_MS * wanted) / finalSeats };
}
