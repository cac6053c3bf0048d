import { expect, it } from 'vitest';
import { FakeClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { runController } from './controller.ts';
import { componentMetrics, measureRequests } from './metrics.ts';
import { WorkQueue } from './work-queue.ts';

it('tells of a controller’s queue what went through it, and what is in it', async () => {
  const queue = new WorkQueue({ clock: new FakeClock(), random: () => 0.5 });
  const stop = new AbortController();
  let release = () => {};
  let reached = () => {};
  const second = new Promise<void>((resolve) => (reached = resolve));
  const running = runController(
    {
      name: 'measured',
      queue,
      workers: 1,
      log: silentLogger,
      async reconcile(key) {
        if (key === 'bad') throw new Error('no');
        reached();
        await new Promise<void>((resolve) => (release = resolve));
      },
    },
    stop.signal,
  );
  for (const key of ['bad', 'a', 'b', 'c']) queue.add(key);
  await second;
  const value = (name: string) =>
    Number(new RegExp(`^workqueue_${name}\\{name="measured"\\} (.*)$`, 'm').exec(componentMetrics.render())?.[1]);
  expect(value('adds_total')).toBe(4);
  expect(value('depth')).toBe(2);
  expect(value('retries_total')).toBe(1);
  expect(value('work_duration_seconds_count')).toBe(1);
  expect(value('unfinished_work_seconds')).toBeGreaterThan(0);
  stop.abort();
  release();
  await running;
  expect(value('depth')).toBe(0);
});

it('counts requests by method, code and host', () => {
  const measure = measureRequests('https://192.0.2.1:6443');
  measure('GET', 200, 0.01);
  measure('GET', '<error>', 0.01);
  const text = componentMetrics.render();
  expect(text).toContain('rest_client_requests_total{code="200",host="192.0.2.1:6443",method="GET"} 1\n');
  expect(text).toContain('rest_client_requests_total{code="<error>",host="192.0.2.1:6443",method="GET"} 1\n');
  expect(text).toContain('rest_client_request_duration_seconds_count{host="192.0.2.1:6443",verb="GET"} 2\n');
});
