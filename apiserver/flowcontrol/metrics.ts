// What priority and fairness tells of itself, under upstream's names.
import { type Counter, type Histogram, type MetricsRegistry } from '../../lib/metrics.ts';
import type { FlowControl } from './flow-control.ts';
import type { RejectReason } from './queue-set.ts';

/** The series of one FlowSchema, kept with it. */
export interface FlowSeries {
  dispatched: Counter;
  execution: { regular: Histogram; watch: Histogram };
  seats: Histogram;
  /** Watches that a write may have to tell. */
  watchers: Histogram;
  waited: Histogram;
  rejected(reason: RejectReason): void;
}

export type FlowMetrics = (schema: string, level: string) => FlowSeries;

const WAIT_SECONDS = [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30];
const PREFIX = 'apiserver_flowcontrol_';

export function createFlowMetrics(registry: MetricsRegistry): FlowMetrics {
  const labels = ['priority_level', 'flow_schema'];
  const dispatched = registry.counter({
    name: `${PREFIX}dispatched_requests_total`,
    help: 'Number of requests executed by API Priority and Fairness subsystem',
    labels,
    stability: 'BETA',
  });
  const rejected = registry.counter({
    name: `${PREFIX}rejected_requests_total`,
    help: 'Number of requests rejected by API Priority and Fairness subsystem',
    labels: [...labels, 'reason'],
    stability: 'BETA',
  });
  const waited = registry.histogram({
    name: `${PREFIX}request_wait_duration_seconds`,
    help: 'Length of time a request spent waiting in its queue',
    labels: [...labels, 'execute'],
    stability: 'BETA',
    buckets: WAIT_SECONDS,
  });
  const execution = registry.histogram({
    name: `${PREFIX}request_execution_seconds`,
    help: 'Duration of initial stage (for a WATCH) or any (for a non-WATCH) stage of request execution in the API Priority and Fairness subsystem',
    labels: [...labels, 'type'],
    buckets: WAIT_SECONDS,
  });
  const seats = registry.histogram({
    name: `${PREFIX}work_estimated_seats`,
    help: 'Number of estimated seats (maximum of initial and final seats) associated with requests in API Priority and Fairness',
    labels,
    buckets: [1, 2, 4, 10],
  });
  const watchers = registry.histogram({
    name: `${PREFIX}watch_count_samples`,
    help: 'count of watchers for mutating requests in API Priority and Fairness',
    labels,
    buckets: [0, 1, 10, 100, 1000, 10_000],
  });
  return (schema, level) => ({
    dispatched: dispatched.with(level, schema),
    execution: { regular: execution.with(level, schema, 'regular'), watch: execution.with(level, schema, 'watch') },
    seats: seats.with(level, schema),
    watchers: watchers.with(level, schema),
    waited: waited.with(level, schema, 'true'),
    rejected(reason) {
      rejected.with(level, schema, reason).inc();
    },
  });
}

/** Gauges that are read from the levels at each scrape. */
export function exposeLevels(registry: MetricsRegistry, flows: FlowControl): void {
  const level = (name: string, help: string, stability: 'BETA' | 'ALPHA', value: (one: Level) => number) =>
    registry.collected('gauge', { name: PREFIX + name, help, labels: ['priority_level'], stability }, () =>
      flows.levels().map((one) => [[one.name], value(one)] as const),
    );
  level(
    'nominal_limit_seats',
    'Nominal number of execution seats configured for each priority level',
    'BETA',
    (each) => each.bounds.nominal,
  );
  level(
    'lower_limit_seats',
    'Configured lower bound on number of execution seats available to each priority level',
    'ALPHA',
    (each) => each.bounds.min,
  );
  level(
    'upper_limit_seats',
    'Configured upper bound on number of execution seats available to each priority level',
    'ALPHA',
    (each) => each.bounds.max,
  );
  level(
    'current_limit_seats',
    'current derived number of execution seats available to each priority level',
    'ALPHA',
    (each) => each.currentSeats,
  );
  level('target_seats', 'Seat allocation targets', 'ALPHA', (each) => each.targetSeats);
  level('current_r', 'R(time of last change)', 'ALPHA', (each) => each.queues.virtualTime);
  level(
    'demand_seats_average',
    'Time-weighted average, over last adjustment period, of demand_seats',
    'ALPHA',
    (each) => each.demand.average,
  );
  level(
    'demand_seats_high_watermark',
    'High watermark, over last adjustment period, of demand_seats',
    'ALPHA',
    (each) => each.demand.highWatermark,
  );
  level('demand_seats_smoothed', 'Smoothed seat demands', 'ALPHA', (each) => each.demand.smoothed);
  level(
    'demand_seats_stdev',
    'Time-weighted standard deviation, over last adjustment period, of demand_seats',
    'ALPHA',
    (each) => each.demand.deviation,
  );
  registry.collected(
    'gauge',
    {
      name: `${PREFIX}seat_fair_frac`,
      help: "Fair fraction of server's concurrency to allocate to each priority level that can use it",
    },
    () => [[[], flows.fairFraction]],
  );
  const bySchema = (
    name: string,
    help: string,
    stability: 'BETA' | 'ALPHA',
    value: (use: { waiting: number; executing: number; seats: number }) => number,
  ) =>
    registry.collected(
      'gauge',
      { name: PREFIX + name, help, labels: ['priority_level', 'flow_schema'], stability },
      () => flows.uses().map((use) => [[use.level, use.schema], value(use)] as const),
    );
  bySchema(
    'current_inqueue_requests',
    'Number of requests currently pending in queues of the API Priority and Fairness subsystem',
    'BETA',
    (use) => use.waiting,
  );
  bySchema(
    'current_executing_requests',
    'Number of requests in initial (for a WATCH) or any (for a non-WATCH) execution stage in the API Priority and Fairness subsystem',
    'BETA',
    (use) => use.executing,
  );
  bySchema(
    'current_executing_seats',
    'Concurrency (number of seats) occupied by the currently executing (initial stage for a WATCH, any stage otherwise) requests in the API Priority and Fairness subsystem',
    'BETA',
    (use) => use.seats,
  );
}

type Level = ReturnType<FlowControl['levels']>[number];
