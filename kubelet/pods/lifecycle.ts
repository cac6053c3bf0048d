// The life of a pod on its node. Pure: one union, one step.
//
//   syncing ──deleted, removed, finished, failed──▶ terminating ──nothing runs, sandbox stopped──▶ stopped
//                                                                                                     │ deleted or removed
//                                                gone ◀──not in the API any more── removing ◀─────────┘
//
// A finished pod that nobody deletes rests in `stopped`: its containers stay for their logs.

export type TerminationCause = 'deleted' | 'removed' | 'finished' | 'failed';

export type PodState =
  | { kind: 'syncing' }
  | { kind: 'terminating'; cause: TerminationCause }
  | { kind: 'stopped'; cause: TerminationCause }
  | { kind: 'removing'; cause: TerminationCause }
  | { kind: 'gone' };

export interface LifecycleFacts {
  /** metadata.deletionTimestamp is set. */
  isDeleted: boolean;
  /** The API server no longer has it. */
  isRemoved: boolean;
  /** Its containers are done, by the rules of its restart policies, or its reported phase is final. */
  isFinished: boolean;
  /** The kubelet has ended it (deadline, rejection). */
  isFailed: boolean;
  /** A container runs or is being started, or a sandbox is. */
  hasProcesses: boolean;
  hasReadySandbox: boolean;
  /** Sandboxes, containers, mounts, directories: nothing is left on the node. */
  isReleased: boolean;
}

/** The next state, which may again have a next one; callers repeat until it stays. */
export function stepLifecycle(state: PodState, facts: LifecycleFacts): PodState {
  switch (state.kind) {
    case 'syncing': {
      const cause = causeOf(facts);
      return cause ? { kind: 'terminating', cause } : state;
    }
    case 'terminating':
      return facts.hasProcesses || facts.hasReadySandbox ? state : { kind: 'stopped', cause: state.cause };
    case 'stopped':
      return facts.isDeleted || facts.isRemoved ? { kind: 'removing', cause: state.cause } : state;
    case 'removing':
      return facts.isReleased && facts.isRemoved ? { kind: 'gone' } : state;
    case 'gone':
      return state;
  }
}

function causeOf(facts: LifecycleFacts): TerminationCause | undefined {
  if (facts.isRemoved) return 'removed';
  if (facts.isDeleted) return 'deleted';
  if (facts.isFailed) return 'failed';
  return facts.isFinished ? 'finished' : undefined;
}
