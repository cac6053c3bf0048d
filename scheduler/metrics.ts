// Metrics of the scheduler under upstream's names.
import { componentMetrics } from '../client/metrics.ts';
import { exponentialBuckets } from '../lib/metrics.ts';
import type { SchedulingQueue } from './queue.ts';

const attempts = componentMetrics.counter({
  name: 'scheduler_schedule_attempts_total',
  help: "Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be scheduled, while 'error' means an internal scheduler problem.",
  labels: ['profile', 'result'],
  stability: 'STABLE',
});
const durations = componentMetrics.histogram({
  name: 'scheduler_scheduling_attempt_duration_seconds',
  help: 'Scheduling attempt latency in seconds (scheduling algorithm + binding)',
  labels: ['profile', 'result'],
  stability: 'STABLE',
  buckets: exponentialBuckets(0.001, 2, 15),
});
const preemptions = componentMetrics.counter({
  name: 'scheduler_preemption_attempts_total',
  help: 'Total preemption attempts in the cluster till now',
  stability: 'STABLE',
});
const victims = componentMetrics.histogram({
  name: 'scheduler_preemption_victims',
  help: 'Number of selected preemption victims',
  stability: 'STABLE',
  buckets: exponentialBuckets(1, 2, 7),
});
const current = new Set<SchedulingQueue>();
componentMetrics.collected(
  'gauge',
  {
    name: 'scheduler_pending_pods',
    help: "Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the scheduler never attempted to schedule because they are gated.",
    labels: ['queue'],
    stability: 'STABLE',
  },
  () => {
    const sums = { active: 0, backoff: 0, unschedulable: 0 };
    for (const queue of current) {
      const counts = queue.counts();
      for (const place of ['active', 'backoff', 'unschedulable'] as const) sums[place] += counts[place];
    }
    return Object.entries(sums).map(([place, count]) => [[place], count] as const);
  },
);

export type AttemptResult = 'scheduled' | 'unschedulable' | 'error';

export class SchedulerMetrics {
  #byResult: Record<AttemptResult, { count: { inc(): void }; seconds: { observe(value: number): void } }>;
  #queue: SchedulingQueue;

  constructor(profile: string, queue: SchedulingQueue) {
    const of = (result: AttemptResult) => ({
      count: attempts.with(profile, result),
      seconds: durations.with(profile, result),
    });
    this.#byResult = { scheduled: of('scheduled'), unschedulable: of('unschedulable'), error: of('error') };
    this.#queue = queue;
    current.add(queue);
  }

  attempt(result: AttemptResult, startedMs: number): void {
    const { count, seconds } = this.#byResult[result];
    count.inc();
    seconds.observe((performance.now() - startedMs) / 1000);
  }

  preempts(count: number): void {
    preemptions.with().inc();
    victims.with().observe(count);
  }

  close(): void {
    current.delete(this.#queue);
  }
}
