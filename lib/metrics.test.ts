import { expect, test } from 'vitest';
import { exponentialBuckets, MetricsRegistry } from './metrics.ts';

test('families render as Prometheus reads them', () => {
  const registry = new MetricsRegistry();
  const total = registry.counter({ name: 'a_total', help: 'Counts a.', labels: ['code', 'path'], stability: 'STABLE' });
  total.with('200', 'x"\\\n').inc();
  total.with('200', 'x"\\\n').inc(2);
  const latency = registry.histogram({ name: 'b_seconds', help: 'How long b takes.', buckets: [0.1, 1] });
  for (const value of [0.05, 0.1, 0.5, 7]) latency.with().observe(value);
  registry.gauge({ name: 'c', help: 'c.', labels: ['x'] });
  registry.collected('gauge', { name: 'd_bytes', help: 'd.', labels: ['of'], stability: '' }, () => [
    [['disk'], 12345678],
    [['ram'], 0.00001],
  ]);
  expect(registry.render()).toBe(
    [
      '# HELP a_total [STABLE] Counts a.',
      '# TYPE a_total counter',
      'a_total{code="200",path="x\\"\\\\\\n"} 3',
      '# HELP b_seconds [ALPHA] How long b takes.',
      '# TYPE b_seconds histogram',
      'b_seconds_bucket{le="0.1"} 2',
      'b_seconds_bucket{le="1"} 3',
      'b_seconds_bucket{le="+Inf"} 4',
      'b_seconds_sum 7.65',
      'b_seconds_count 4',
      '# HELP d_bytes d.',
      '# TYPE d_bytes gauge',
      'd_bytes{of="disk"} 1.2345678e+07',
      'd_bytes{of="ram"} 1e-05',
      '',
    ].join('\n'),
  );
});

test('label sets are bounded', () => {
  const registry = new MetricsRegistry();
  const family = registry.counter({ name: 'a_total', help: 'a.', labels: ['x'] });
  for (let i = 0; i < 30_000; i++) family.with(String(i)).inc();
  const lines = registry.render().split('\n');
  expect(lines.length).toBeLessThan(20_010);
  expect(lines).toContain('a_total{x=""} 10000');
});

test('bucket bounds are short numbers', () => {
  expect(exponentialBuckets(0.001, 2, 4)).toEqual([0.001, 0.002, 0.004, 0.008]);
  expect(exponentialBuckets(1e-8, 10, 3)).toEqual([1e-8, 1e-7, 1e-6]);
});
