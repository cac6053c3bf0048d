import { describe, expect, it } from 'vitest';
import type { FlowSchema } from '../../api/types/flowcontrol-v1.ts';
import { FakeClock } from '../../lib/clock.ts';
import { MetricsRegistry } from '../../lib/metrics.ts';
import { parseRequest } from '../http/request-info.ts';
import { FLOW_SCHEMAS, PRIORITY_LEVELS } from './bootstrap.ts';
import { wantedSpec } from './config.ts';
import { dumpFlows } from './dump.ts';
import { FlowControl, type Seat, TooManyRequestsError } from './flow-control.ts';
import { createFlowMetrics, exposeLevels } from './metrics.ts';
import { RetryAfter } from './retry-after.ts';
import { adjustSeats, divideSeats } from './shares.ts';
import { listWork, writeWork } from './width.ts';

const user = (name: string, ...groups: string[]) => ({ name, groups: [...groups, 'system:authenticated'] });

function create(seats = 600) {
  const clock = new FakeClock(0);
  const registry = new MetricsRegistry();
  const flows = new FlowControl({
    seats,
    waitLimitMs: 15_000,
    clock,
    now: () => clock.now(),
    metrics: createFlowMetrics(registry),
  });
  exposeLevels(registry, flows);
  return { clock, flows, registry };
}

describe('matching, with the bootstrap objects', () => {
  const { flows } = create();
  flows.configure(FLOW_SCHEMAS, PRIORITY_LEVELS);
  it.each([
    [user('admin', 'system:masters'), 'GET', '/api/v1/pods', 'exempt', 'exempt', ''],
    [user('anyone'), 'GET', '/readyz', 'probes', 'exempt', ''],
    [user('anyone'), 'GET', '/readyz/ping', 'global-default', 'global-default', 'anyone'],
    [
      user('system:kube-scheduler'),
      'PUT',
      '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/x',
      'system-leader-election',
      'leader-election',
      'system:kube-scheduler',
    ],
    [
      user('system:kube-scheduler'),
      'POST',
      '/api/v1/namespaces/web/pods/x/binding',
      'kube-scheduler',
      'workload-high',
      'web',
    ],
    [
      user('system:node:a', 'system:nodes'),
      'PATCH',
      '/api/v1/nodes/a/status',
      'system-node-high',
      'node-high',
      'system:node:a',
    ],
    [user('system:node:a', 'system:nodes'), 'GET', '/api/v1/nodes/a/proxy', 'system-nodes', 'system', 'system:node:a'],
    [
      user('system:serviceaccount:kube-system:x', 'system:serviceaccounts'),
      'GET',
      '/api/v1/pods',
      'kube-system-service-accounts',
      'workload-high',
      '',
    ],
    [
      user('system:serviceaccount:web:x', 'system:serviceaccounts'),
      'GET',
      '/api/v1/pods',
      'service-accounts',
      'workload-low',
      'system:serviceaccount:web:x',
    ],
    [{ name: 'nobody', groups: [] }, 'GET', '/api/v1/pods', 'catch-all', 'catch-all', 'nobody'],
  ])('%s %s %s: %s', (who, method, path, schema, level, distinguisher) => {
    const info = parseRequest(method, path);
    const flow = flows.classify(who, info);
    expect([flow.schema.name, flow.level.name, flow.schema.distinguisher(who, info)]).toEqual([
      schema,
      level,
      distinguisher,
    ]);
  });
  it('passes over a FlowSchema whose level is not there', () => {
    const dangling: FlowSchema = {
      metadata: { name: 'dangling' },
      spec: {
        ...(FLOW_SCHEMAS.at(-1)?.spec as object),
        matchingPrecedence: 3,
        priorityLevelConfiguration: { name: 'none' },
      },
    };
    const other = create().flows;
    other.configure([dangling], []);
    expect(other.classify(user('x'), parseRequest('GET', '/api/v1/pods')).schema.name).toBe('catch-all');
  });
});

describe('seats', () => {
  it('are divided by shares, as upstream divides 600', () => {
    const { flows } = create();
    flows.configure(FLOW_SCHEMAS, PRIORITY_LEVELS);
    const seats = Object.fromEntries(flows.levels().map((each) => [each.name, [each.bounds.nominal, each.bounds.min]]));
    expect(seats).toEqual({
      exempt: [0, 0],
      'catch-all': [13, 13],
      system: [74, 50],
      'node-high': [98, 73],
      'leader-election': [25, 25],
      'workload-high': [98, 49],
      'workload-low': [245, 24],
      'global-default': [49, 24],
    });
  });
  it('move to who needs them, within what each lends and borrows', () => {
    const bounds = divideSeats(100, [
      { name: 'busy', exempt: false, shares: 20, lendablePercent: 0, borrowingLimitPercent: undefined },
      { name: 'idle', exempt: false, shares: 60, lendablePercent: 50, borrowingLimitPercent: undefined },
      { name: 'capped', exempt: false, shares: 20, lendablePercent: 0, borrowingLimitPercent: 10 },
    ]);
    const needs = (name: string, seats: number) => ({
      name,
      exempt: false,
      ...(bounds.get(name) as { nominal: number; min: number; max: number }),
      highWatermark: seats,
      smoothed: seats,
    });
    const { seats } = adjustSeats([needs('busy', 500), needs('idle', 0), needs('capped', 500)]);
    expect(seats.get('idle')).toBe(30);
    expect(seats.get('capped')).toBe(22);
    expect(seats.get('busy')).toBe(48);
    // Nobody needs anything: everybody has their own.
    const rest = adjustSeats([needs('busy', 0), needs('idle', 0), needs('capped', 0)]).seats;
    expect([...rest.values()].reduce((a, b) => a + b)).toBeGreaterThanOrEqual(99);
  });
});

describe('a level that is full', () => {
  const info = parseRequest('GET', '/api/v1/pods');
  const never = () => new AbortController().signal;
  it('queues, then says 429; a seat that is given back goes to who waits; waiting ends', async () => {
    const { clock, flows, registry } = create(8);
    flows.configure(FLOW_SCHEMAS, PRIORITY_LEVELS);
    const who = user('flood');
    const flow = flows.classify(who, info);
    const enter = (signal = never) => flows.enter(flow, who, info, 1, signal);
    const first = enter();
    expect(first).not.toBeInstanceOf(Promise);
    const waits: Promise<Seat>[] = [];
    let thrown: unknown;
    for (let i = 0; i < 1000 && !thrown; i++) {
      try {
        const seat = enter();
        if (seat instanceof Promise) waits.push(seat);
      } catch (error) {
        thrown = error;
      }
    }
    expect(thrown).toBeInstanceOf(TooManyRequestsError);
    expect(thrown).toMatchObject({ retryAfterSeconds: 1 });
    // Six queues of fifty: that is what one user can hold.
    expect(waits).toHaveLength(300);
    const quiet = user('quiet');
    const cancel = new AbortController();
    const other = flows.enter(flow, quiet, info, 1, () => cancel.signal);
    expect(other).toBeInstanceOf(Promise);
    expect(dumpFlows(flows, 'dump_requests', new URLSearchParams('includeRequestDetails=1'))).toContain('quiet');
    cancel.abort();
    await expect(other).rejects.toThrow(/Too many requests/);
    const settled = Promise.allSettled(waits);
    flows.leave(first as Seat);
    flows.leave(first as Seat);
    const seat = await Promise.race(waits);
    expect(seat.state).toBe('executing');
    await clock.advance(15_000);
    const outcomes = await settled;
    expect(outcomes.filter((each) => each.status === 'fulfilled')).toHaveLength(1);
    const text = registry.render();
    for (const [reason, count] of [
      ['queue-full', 1],
      ['cancelled', 1],
      ['time-out', 299],
    ]) {
      expect(text).toContain(
        `apiserver_flowcontrol_rejected_requests_total{priority_level="global-default",flow_schema="global-default",reason="${reason}"} ${count}\n`,
      );
    }
    expect(dumpFlows(flows, 'dump_priority_levels', new URLSearchParams())).toMatch(
      /^PriorityLevelName, +ActiveQueues.*\n(.*\n)*global-default, +1, +false, +false, +0, +1, +2, +1, +299, +1$/m,
    );
  });
  it('never keeps the exempt waiting', () => {
    const { flows } = create(1);
    const admin = user('admin', 'system:masters');
    const flow = flows.classify(admin, info);
    for (let i = 0; i < 1000; i++) expect(flows.enter(flow, admin, info, 10, never)).not.toBeInstanceOf(Promise);
  });
});

it('Retry-After grows under pressure and falls when it is over', () => {
  const retry = new RetryAfter();
  let nowMs = 1_000_000;
  const flood = () => Array.from({ length: 40 }, () => retry.next(nowMs)).at(-1);
  const seen = [1, 2, 3, 4].map(() => {
    const value = flood() ?? 0;
    nowMs += value * 1000;
    return value;
  });
  expect(seen).toEqual([1, 2, 4, 8]);
  nowMs += 100_000;
  expect(retry.next(nowMs)).toBe(1);
});

describe('work of a list, by the bytes that it goes through', () => {
  const list = { limit: 0, isFromCache: true, hasSelector: false, isByName: false };
  it.each([
    [list, 0, 0, 100, 1],
    [list, 50, 1000, 100, 1],
    [list, 550, 1000, 100, 6],
    // What the cache streams is not in memory at once.
    [list, 100_000, 1000, 1000, 10],
    [{ ...list, isFromCache: false }, 100_000, 1000, 1000, 100],
    [{ ...list, isFromCache: false }, 100_000, 1000, 100, 15],
    [list, 100_000, 1000, 20, 3],
    [{ ...list, limit: 500 }, 100_000, 1000, 100, 5],
    [{ ...list, limit: 500, isFromCache: false }, 100_000, 1000, 600, 5],
    // Half of all may have to be read to fill a page.
    [{ ...list, limit: 500, isFromCache: false, hasSelector: true }, 10_000, 1000, 1000, 50],
    [{ ...list, isByName: true }, 100_000, 1000, 100, 1],
    [{ ...list, isByName: true }, 10, 300_000, 100, 3],
  ])('%o of %i objects of %i bytes, %i seats: %i', (work, objects, bytes, nominal, seats) => {
    expect(listWork(work, { objects, bytes: objects * bytes }, nominal)).toEqual({ seats, finalSeats: 0, finalMs: 0 });
  });
});

describe('work of a write, by who is told of it', () => {
  it.each([
    [0, 100, 0, 0],
    [9, 100, 0, 0],
    [10, 100, 1, 5],
    [25, 100, 3, 5],
    [100, 100, 10, 5],
    // As much work on fewer seats.
    [1000, 100, 10, 50],
    [100, 20, 3, 50 / 3],
  ])('%i watchers, %i seats: %i seats for %f ms', (watchers, nominal, finalSeats, finalMs) => {
    expect(writeWork(watchers, nominal)).toEqual({ seats: 1, finalSeats, finalMs });
  });

  it('is held after the answer, for as long as it says', async () => {
    const { clock, flows } = create(20);
    flows.configure(FLOW_SCHEMAS, PRIORITY_LEVELS);
    const info = parseRequest('POST', '/api/v1/namespaces/web/configmaps');
    const who = user('anyone');
    const flow = flows.classify(who, info);
    const never = () => new AbortController().signal;
    const used = () => flow.level.queues.seatsInUse;
    const seat = flows.enter(flow, who, info, { seats: 1, finalSeats: 3, finalMs: 5 }, never);
    if (seat instanceof Promise) throw new Error('no seat');
    expect(used()).toBe(3);
    flows.leave(seat);
    expect([used(), flow.level.queues.executing]).toEqual([3, 0]);
    await clock.advance(4);
    expect(used()).toBe(3);
    await clock.advance(1);
    expect(used()).toBe(0);
    // Idempotent.
    flows.leave(seat);
    await clock.advance(10);
    expect(used()).toBe(0);
  });
});

describe('objects that the server keeps', () => {
  const [exempt, catchAll, system] = PRIORITY_LEVELS as [any, any, any];
  const marked = (object: any, value: string | undefined, spec: object, generation = 2) => ({
    metadata: {
      ...object.metadata,
      generation,
      annotations: value ? { 'apf.kubernetes.io/autoupdate-spec': value } : {},
    },
    spec,
  });
  const other = { ...system.spec, limited: { ...system.spec.limited, nominalConcurrencyShares: 99 } };
  it.each([
    ['a suggested one that is the administrator’s stays', system, 'false', other, undefined],
    ['a suggested one without a mark that was changed stays', system, undefined, other, undefined],
    ['a suggested one that is kept goes back', system, 'true', other, system.spec],
    ['defaults are no difference', system, 'true', { ...system.spec, extra: 1 }, undefined],
    ['a mandatory one goes back whatever the mark', catchAll, 'false', other, catchAll.spec],
    [
      'the exempt level may be tuned',
      exempt,
      'false',
      { type: 'Exempt', exempt: { nominalConcurrencyShares: 7, lendablePercent: 1 } },
      undefined,
    ],
  ])('%s', (_, wanted, mark, spec, result) => {
    expect(wantedSpec(wanted, marked(wanted, mark, spec))).toEqual(result);
  });
});
