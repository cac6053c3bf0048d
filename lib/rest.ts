// Memory that only the start has needed is given back once the process has come to rest: compiled code that ran once, garbage that a
// quiet process would keep for hours, because nothing asks V8 to collect it.
import { performance } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const LOOK_EVERY_MS = 5000;
/** Share of the time that the loop may have been busy in. */
const QUIET = 0.1;

type CollectGarbage = (options: { type: 'major'; flavor: 'last-resort' }) => void;

/** Collects everything once, in the first `lookEveryMs` in which little happens; one pause of some tens of milliseconds. */
export function releaseAtRest(lookEveryMs: number = LOOK_EVERY_MS): void {
  const before = performance.eventLoopUtilization();
  setTimeout(() => {
    if (performance.eventLoopUtilization(before).utilization < QUIET) collect();
    else releaseAtRest(lookEveryMs);
  }, lookEveryMs).unref();
}

function collect(): void {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as CollectGarbage;
  setFlagsFromString('--no-expose-gc');
  collectGarbage({ type: 'major', flavor: 'last-resort' });
}
