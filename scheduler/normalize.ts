// How plugins' scores become 0..100, in place. Pure otherwise.

export function asIs(): void {}

/** The highest becomes 100; scores are 0 or more. */
export function scaled(scores: Float64Array): void {
  const highest = maximum(scores);
  if (highest > 0) for (let i = 0; i < scores.length; i++) scores[i] = ((scores[i] as number) * 100) / highest;
}

/** The highest becomes 0, 0 becomes 100. */
export function reversed(scores: Float64Array): void {
  const highest = maximum(scores);
  for (let i = 0; i < scores.length; i++) scores[i] = highest > 0 ? 100 - ((scores[i] as number) * 100) / highest : 100;
}

/** The lowest becomes 0, the highest 100; scores may be negative. */
export function ranged(scores: Float64Array): void {
  let lowest = Infinity;
  for (const each of scores) if (each < lowest) lowest = each;
  const range = maximum(scores) - lowest;
  for (let i = 0; i < scores.length; i++) scores[i] = range > 0 ? (((scores[i] as number) - lowest) * 100) / range : 0;
}

/** For spreading: the fewest pods is best; a node with a score below 0 cannot be spread to and becomes 0. */
export function spread(scores: Float64Array): void {
  const highest = maximum(scores);
  let lowest = Infinity;
  for (const each of scores) if (each >= 0 && each < lowest) lowest = each;
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i] as number;
    scores[i] = score < 0 ? 0 : highest <= 0 ? 100 : ((highest + lowest - score) * 100) / highest;
  }
}

function maximum(scores: Float64Array): number {
  let highest = -Infinity;
  for (const each of scores) if (each > highest) highest = each;
  return highest;
}
