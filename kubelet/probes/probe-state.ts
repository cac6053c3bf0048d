// One probe's counting: results in, verdict out. Pure; thresholds as upstream's prober worker counts them.
import type { ProbeVerdict } from '../pods/actions.ts';

export type ProbeKind = 'startup' | 'liveness' | 'readiness';

export interface ProbeState {
  verdict: ProbeVerdict;
  last: 'success' | 'failure' | undefined;
  /** Results in a row like `last`. */
  run: number;
}

/** Before anything is known a container is alive, not ready and not started. */
export function initialState(kind: ProbeKind): ProbeState {
  const verdict = kind === 'liveness' ? 'success' : kind === 'readiness' ? 'failure' : 'unknown';
  return { verdict, last: undefined, run: 0 };
}

export function countResult(
  state: ProbeState,
  result: 'success' | 'failure',
  thresholds: { successThreshold: number; failureThreshold: number },
): ProbeState {
  const run = state.last === result ? state.run + 1 : 1;
  const needed = result === 'success' ? thresholds.successThreshold : thresholds.failureThreshold;
  return { verdict: run >= needed ? result : state.verdict, last: result, run };
}
