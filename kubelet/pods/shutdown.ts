// Graceful shutdown of the node: pods end in the order of their priority, each group within its own time
// (https://kubernetes.io/docs/concepts/cluster-administration/node-shutdown/).
import type { Clock } from '../../lib/clock.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { StatusWriter } from './status-writer.ts';
import type { PodWorker } from './worker.ts';

export interface ShutdownGroup {
  /** Pods of at least this priority, up to the next group's. */
  priority: number;
  seconds: number;
}

const SHUTDOWN_REASON = 'Terminated';
const SHUTDOWN_MESSAGE = 'Pod was terminated in response to imminent node shutdown.';
const CRITICAL_PRIORITY = 2_000_000_000;

/** What shutdownGracePeriod and shutdownGracePeriodCriticalPods mean: critical pods get the last part for themselves. */
export function groupsOf(totalSeconds: number, criticalSeconds: number): ShutdownGroup[] {
  return [
    { priority: 0, seconds: Math.max(0, totalSeconds - criticalSeconds) },
    { priority: CRITICAL_PRIORITY, seconds: criticalSeconds },
  ];
}

/** The pods of each group, the least important group first; groups without pods are left out. Pure. */
export function planShutdown(
  pods: readonly Pod[],
  groups: readonly ShutdownGroup[],
): { seconds: number; pods: Pod[] }[] {
  const ascending = [...groups].sort((a, b) => a.priority - b.priority);
  const groupOf = (pod: Pod) => {
    const priority = pod.spec?.priority ?? 0;
    let found = 0;
    for (const [index, group] of ascending.entries()) if (priority >= group.priority) found = index;
    return found;
  };
  return ascending
    .map(({ seconds }, index) => ({ seconds, pods: pods.filter((pod) => groupOf(pod) === index) }))
    .filter((each) => each.pods.length > 0);
}

export interface Terminating {
  pod: Pod;
  /** Ends it with at most this grace period. */
  terminate(graceSeconds: number): void;
  isOver(): boolean;
}

/** Resolves when every group is over or has used up its time. `changed` resolves at the next change of any pod. */
export async function shutDown(
  pods: readonly Terminating[],
  groups: readonly ShutdownGroup[],
  clock: Clock,
  onChange: (callback: () => void) => () => void,
): Promise<void> {
  for (const group of planShutdown(
    pods.map((each) => each.pod),
    groups,
  )) {
    const members = pods.filter((each) => group.pods.includes(each.pod));
    for (const each of members) {
      each.terminate(Math.min(group.seconds, each.pod.spec?.terminationGracePeriodSeconds ?? 30));
    }
    await new Promise<void>((resolve) => {
      const done = () => {
        timer.cancel();
        unsubscribe();
        resolve();
      };
      const look = () => members.every((each) => each.isOver()) && done();
      const timer = clock.after(group.seconds * 1000, done);
      const unsubscribe = onChange(look);
      look();
    });
  }
}

/** Ends what runs, and resolves when the API knows. */
export async function shutDownPods(
  workers: readonly PodWorker[],
  groups: readonly ShutdownGroup[],
  statuses: Pick<StatusWriter, 'written'>,
  clock: Clock,
  onChange: (callback: () => void) => () => void,
): Promise<void> {
  const terminating = workers.flatMap((worker) =>
    worker.isActive && worker.pod
      ? [
          {
            pod: worker.pod,
            terminate: (seconds: number) => worker.terminate(SHUTDOWN_REASON, SHUTDOWN_MESSAGE, seconds),
            isOver: () => !worker.isActive,
          },
        ]
      : [],
  );
  await shutDown(terminating, groups, clock, onChange);
  await Promise.all(terminating.map(({ pod }) => statuses.written(pod.metadata.uid ?? '')));
}
