import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareKeys, SortedMap } from './sorted-map.ts';

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

test('keys compare as their UTF-8 bytes', () => {
  const keys = ['', 'a', 'a/', 'a/b', 'b', 'é', '\uFB01', '\u{1F600}', 'a\u{1F600}', 'a\uFFFD'];
  for (const a of keys) for (const b of keys) expect(Math.sign(compareKeys(a, b))).toBe(Math.sign(byBytes(a, b)));
});

test('random changes agree with a sorted array', () => {
  const key = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', '/'), maxLength: 6 }),
    fc.string({ unit: fc.constantFrom('a', '\uFB01', '\u{1F600}'), maxLength: 3 }),
  );
  const step = fc.record({ key, remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), key, key, (steps, prefix, start) => {
      const map = new SortedMap<number>();
      const model = new Map<string, number>();
      for (const [index, each] of steps.entries()) {
        if (each.remove) expect(map.delete(each.key)).toBe(model.delete(each.key));
        else {
          map.set(each.key, index);
          model.set(each.key, index);
        }
      }
      expect(map.size).toBe(model.size);
      const want = [...model].filter(([k]) => k.startsWith(prefix)).sort(([a], [b]) => byBytes(a, b));
      expect(map.valuesOf(prefix)).toEqual(want.map(([, value]) => value));
      const from: string[] = [];
      map.scan(prefix, (_, k) => void from.push(k), start);
      expect(from).toEqual(want.map(([k]) => k).filter((k) => byBytes(k, start) >= 0));
    }),
    { seed: 7, numRuns: 200 },
  );
});

test('chunks split, fill and empty without losing order', () => {
  const map = new SortedMap<number>();
  const name = (n: number) => `k${String(n).padStart(6, '0')}`;
  for (let n = 0; n < 3_000; n += 2) map.set(name(n), n);
  for (let n = 2_999; n > 0; n -= 2) map.set(name(n), n);
  expect(map.valuesOf('k')).toEqual(Array.from({ length: 3_000 }, (_, n) => n));
  for (let n = 500; n < 2_500; n++) map.delete(name(n));
  expect(map.valuesOf('k')).toHaveLength(1_000);
  const firstTwo: number[] = [];
  map.scan('k', (value) => firstTwo.push(value) < 2, name(499));
  expect(firstTwo).toEqual([499, 2_500]);
  map.clear();
  expect([map.size, map.valuesOf('')]).toEqual([0, []]);
});
