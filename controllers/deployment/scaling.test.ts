import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Deployment } from '../../api/types/apps-v1.ts';
import { annotationsOfNew } from './annotations.ts';
import { rollingBounds } from './bounds.ts';
import { growNew, scaleInProportion, shrinkOld, type Size, totalReplicas } from './scaling.ts';
import { sameTemplate, templateHash } from './template.ts';

const size = (replicas: number, more: Partial<Size> = {}): Size => ({
  name: 'x',
  replicas,
  available: replicas,
  annotatedMax: undefined,
  createdMs: 0,
  ...more,
});

describe('bounds', () => {
  const of = (replicas: number, maxSurge: number | string, maxUnavailable: number | string) =>
    rollingBounds({
      metadata: {},
      spec: { replicas, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } } },
    } as Deployment);
  it.each([
    [10, '25%', '25%', 3, 2],
    [1, '25%', '25%', 1, 0],
    [3, 0, 0, 0, 1],
    [4, '0%', '10%', 0, 1],
    [4, 2, 10, 2, 4],
    [0, 3, '50%', 3, 0],
  ])('%i replicas, surge %s, unavailable %s', (replicas, surge, unavailable, maxSurge, maxUnavailable) => {
    expect(of(replicas, surge, unavailable)).toEqual({ maxSurge, maxUnavailable });
  });
});

describe('a change of spec.replicas', () => {
  it.each([
    // sizes before (newest last), the max annotated on them, desired, surge, sizes after
    ['one only', [10], 10, 12, 0, [12]],
    ['up, equal shares', [5, 5], 10, 12, 0, [6, 6]],
    ['down, equal shares', [5, 5], 10, 8, 0, [4, 4]],
    ['up, leftover to the largest', [7, 3], 10, 13, 0, [9, 4]],
    ['in the middle of a rollout', [8, 5], 13, 15, 3, [11, 7]],
    ['to nothing', [5, 5], 10, 0, 0, [0, 0]],
  ])('%s', (_, before, max, desired, maxSurge, after) => {
    const sizes = before.map((replicas, i) => size(replicas, { annotatedMax: max, createdMs: i }));
    scaleInProportion(sizes, desired, { maxSurge, maxUnavailable: 0 }, totalReplicas(sizes));
    expect(sizes.map((each) => each.replicas)).toEqual(after);
  });

  it('always comes to the allowed total, and leaves no size negative', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 2, maxLength: 5 }),
        fc.nat(100),
        fc.nat(10),
        (before, desired, maxSurge) => {
          const total = before.reduce((a, b) => a + b, 0);
          const sizes = before.map((replicas, createdMs) => size(replicas, { annotatedMax: total, createdMs }));
          scaleInProportion(sizes, desired, { maxSurge, maxUnavailable: 0 }, total);
          expect(totalReplicas(sizes)).toBe(desired === 0 ? 0 : desired + maxSurge);
          for (const each of sizes) expect(each.replicas).toBeGreaterThanOrEqual(0);
        },
      ),
    );
  });
});

describe('a step of a rolling update', () => {
  it('never leaves the bounds it was within, whatever is available', () => {
    const old = fc.record({ replicas: fc.nat(10), share: fc.double({ min: 0, max: 1, noNaN: true }) });
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 20 }),
        fc.nat(5),
        fc.nat(5),
        old,
        fc.array(old, { maxLength: 4 }),
        (desired, maxSurge, unavailable, newer, olds) => {
          const bounds = {
            maxSurge,
            maxUnavailable: maxSurge === 0 && unavailable === 0 ? 1 : Math.min(unavailable, desired),
          };
          const make = ({ replicas, share }: { replicas: number; share: number }, createdMs: number) =>
            size(replicas, { available: Math.floor(replicas * share), createdMs });
          const newest = make({ ...newer, replicas: Math.min(newer.replicas, desired) }, 99);
          const others = olds.map(make);
          const all = [...others, newest];
          const before = totalReplicas(all);
          const availableBefore = all.reduce((sum, each) => sum + each.available, 0);
          growNew(newest, others, desired, bounds);
          expect(totalReplicas(all)).toBeLessThanOrEqual(Math.max(before, desired + maxSurge));
          expect(newest.replicas).toBeLessThanOrEqual(desired);
          shrinkOld(newest, others, desired, bounds);
          // The pods that go are, at worst, available ones.
          const availableAfter = all.reduce((sum, each) => sum + Math.min(each.available, each.replicas), 0);
          expect(availableAfter).toBeGreaterThanOrEqual(Math.min(availableBefore, desired - bounds.maxUnavailable));
        },
      ),
    );
  });

  it('takes the useless old pods first', () => {
    const [broken, healthy, newest] = [
      size(3, { available: 0, createdMs: 2 }),
      size(3, { createdMs: 1 }),
      size(2, { available: 0 }),
    ];
    shrinkOld(newest, [broken, healthy], 4, { maxSurge: 4, maxUnavailable: 1 });
    expect([broken.replicas, healthy.replicas]).toEqual([0, 3]);
  });
});

describe('the name of a template', () => {
  const template = { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  it('depends on its content, not on the order of keys, and on the collision count', () => {
    const turned = { spec: { containers: [{ image: 'i', name: 'c' }] }, metadata: { labels: { app: 'web' } } };
    expect(templateHash(turned, 0)).toBe(templateHash(template, 0));
    expect(templateHash(template, 1)).not.toBe(templateHash(template, 0));
    expect(templateHash(template, 0)).toBe('688ff74569'); // stays the same from release to release
  });
  it('is not part of the template', () => {
    const labelled = { ...template, metadata: { labels: { app: 'web', 'pod-template-hash': 'x' } } };
    expect(sameTemplate(template, labelled)).toBe(true);
    expect(sameTemplate(template, { ...template, metadata: { labels: { app: 'other' } } })).toBe(false);
  });
});

describe('annotations of a ReplicaSet', () => {
  it('follow the Deployment but for what is its own, and remember earlier revisions', () => {
    const deployment = {
      metadata: {
        annotations: {
          'kubernetes.io/change-cause': 'v2',
          'deployment.kubernetes.io/revision': '9',
          'kubectl.kubernetes.io/last-applied-configuration': '{}',
        },
      },
    };
    expect(annotationsOfNew(deployment, { 'deployment.kubernetes.io/revision': '1' }, 3)).toEqual({
      'kubernetes.io/change-cause': 'v2',
      'deployment.kubernetes.io/revision': '3',
      'deployment.kubernetes.io/revision-history': '1',
    });
    expect(annotationsOfNew({ metadata: {} }, { 'deployment.kubernetes.io/revision': '5' }, 3)).toEqual({
      'deployment.kubernetes.io/revision': '5',
    });
  });
});
