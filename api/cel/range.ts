// Ranges of sizes and costs, which stop at the largest 64-bit number instead of overflowing.

export interface Range {
  min: number;
  max: number;
}

export const MOST = 2 ** 64;
export const UNKNOWN: Range = Object.freeze({ min: 0, max: MOST });

export const fixed = (value: number): Range => ({ min: value, max: value });
const capped = (value: number) => Math.min(MOST, value);

export const add = (left: Range, right: Range): Range => ({
  min: capped(left.min + right.min),
  max: capped(left.max + right.max),
});
export const times = (left: Range, right: Range): Range => ({
  min: capped(left.min * right.min),
  max: capped(left.max * right.max),
});
/** By a factor per unit, rounded up. */
export const scale = (range: Range, factor: number): Range => ({
  min: capped(Math.ceil(range.min * factor)),
  max: capped(Math.ceil(range.max * factor)),
});
export const union = (left: Range, right: Range): Range => ({
  min: Math.min(left.min, right.min),
  max: Math.max(left.max, right.max),
});
