import { expect, it } from 'vitest';
import { componentMetrics } from '../client/metrics.ts';
import { FakeClock } from '../lib/clock.ts';
import { SchedulerMetrics } from './metrics.ts';
import { SchedulingQueue } from './queue.ts';

it('tells attempts by their result and pending pods by where they wait', () => {
  const queue = new SchedulingQueue({ clock: new FakeClock() });
  const metrics = new SchedulerMetrics('measured', queue);
  queue.set({ uid: 'a', priority: 0 } as never);
  queue.set({ uid: 'b', priority: 0 } as never);
  queue.pop();
  metrics.attempt('scheduled', performance.now());
  metrics.attempt('unschedulable', performance.now());
  const text = componentMetrics.render();
  expect(text).toContain('scheduler_pending_pods{queue="active"} 1\n');
  expect(text).toContain('scheduler_schedule_attempts_total{profile="measured",result="scheduled"} 1\n');
  expect(text).toContain('scheduler_schedule_attempts_total{profile="measured",result="unschedulable"} 1\n');
  expect(text).toContain(
    'scheduler_scheduling_attempt_duration_seconds_count{profile="measured",result="scheduled"} 1\n',
  );
  metrics.close();
  expect(componentMetrics.render()).toContain('scheduler_pending_pods{queue="active"} 0\n');
});
