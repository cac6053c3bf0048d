// How many seats a request takes: one, but for lists (and the initial events of watches), by the objects they go through, and for
// writes to what many watch. Pure. Rules: kube-apiserver's work estimator; its weights of a list are kept although lists cost less
// here, those of a write are smaller, because a fan-out is encoded once.

const OBJECTS_PER_SEAT = 100;
const WATCHERS_PER_SEAT = 100;
const MAX_SEATS = 10;
/** No request takes more than this part of its level. */
const LEVEL_PART = 0.15;
const WRITES = new Set(['create', 'update', 'patch', 'delete']);

export interface Work {
  verb: string;
  /** A watch that begins with the present state. */
  hasInitialEvents: boolean;
  /** The page size asked for; 0: all. */
  limit: number;
  /** One object by its name in a field selector. */
  isByName: boolean;
}

/** `count`: objects of the kind; `watchers`: its open watches; `nominal`: seats of the level. */
export function widthOf(work: Work, count: () => number, watchers: () => number, nominal: number): number {
  const { verb } = work;
  let seats: number;
  if (verb === 'list' || (verb === 'watch' && work.hasInitialEvents)) {
    if (work.isByName) return 1;
    seats = Math.ceil((work.limit > 0 ? Math.min(work.limit, count()) : count()) / OBJECTS_PER_SEAT);
  } else if (WRITES.has(verb)) seats = Math.ceil(watchers() / WATCHERS_PER_SEAT);
  else return 1;
  return Math.max(1, Math.min(seats, MAX_SEATS, Math.ceil(nominal * LEVEL_PART)));
}
