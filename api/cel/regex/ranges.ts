// Sets of characters as ranges of code points: RE2's classes, inversion, case.

/** Sorted, inclusive. */
export type Ranges = readonly (readonly [from: number, to: number])[];

export const MAX_CODE = 0x10ffff;

export const PERL: Record<string, Ranges> = {
  d: [[48, 57]],
  s: [
    [9, 10],
    [12, 13],
    [32, 32],
  ],
  w: [
    [48, 57],
    [65, 90],
    [95, 95],
    [97, 122],
  ],
};

export const POSIX: Record<string, Ranges> = {
  alnum: [
    [48, 57],
    [65, 90],
    [97, 122],
  ],
  alpha: [
    [65, 90],
    [97, 122],
  ],
  ascii: [[0, 127]],
  blank: [
    [9, 9],
    [32, 32],
  ],
  cntrl: [
    [0, 31],
    [127, 127],
  ],
  digit: [[48, 57]],
  graph: [[33, 126]],
  lower: [[97, 122]],
  print: [[32, 126]],
  punct: [
    [33, 47],
    [58, 64],
    [91, 96],
    [123, 126],
  ],
  space: [
    [9, 13],
    [32, 32],
  ],
  upper: [[65, 90]],
  word: PERL['w'] as Ranges,
  xdigit: [
    [48, 57],
    [65, 70],
    [97, 102],
  ],
};

export const copy = (ranges: Ranges): [number, number][] => ranges.map(([from, to]) => [from, to]);

export function normalize(ranges: [number, number][]): Ranges {
  const sorted = ranges.toSorted((left, right) => left[0] - right[0]);
  const merged: [number, number][] = [];
  for (const [from, to] of sorted) {
    const last = merged.at(-1);
    if (last && from <= last[1] + 1) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

export function invert(ranges: Ranges): Ranges {
  const inverted: [number, number][] = [];
  let next = 0;
  for (const [from, to] of ranges) {
    if (from > next) inverted.push([next, from - 1]);
    next = to + 1;
  }
  if (next <= MAX_CODE) inverted.push([next, MAX_CODE]);
  return inverted;
}

/** Adds the other cases of every character; of large ranges only those of the letters that differ. */
export function foldCase(ranges: Ranges): Ranges {
  const folded = copy(ranges);
  for (const [from, to] of ranges) {
    const end = Math.min(to, 0x1e943);
    for (let code = from; code <= end; code++) {
      const text = String.fromCodePoint(code);
      for (const other of [text.toLowerCase(), text.toUpperCase()]) {
        const first = other.codePointAt(0) as number;
        if (first !== code && String.fromCodePoint(first) === other) folded.push([first, first]);
      }
    }
  }
  return normalize(folded);
}

const unicode = new Map<string, Ranges | undefined>();

/** The characters of a general category (`L`, `Lu`) or a script (`Greek`), as this Node knows Unicode. */
export function unicodeRanges(name: string): Ranges | undefined {
  if (unicode.has(name)) return unicode.get(name);
  let matcher: RegExp | undefined;
  for (const property of name === 'Any'
    ? ['Any']
    : name.length <= 2
      ? [`General_Category=${name}`]
      : [`Script=${name}`]) {
    try {
      matcher = new RegExp(`^\\p{${property}}$`, 'u');
    } catch {
      matcher = undefined;
    }
  }
  const ranges: [number, number][] = [];
  if (matcher) {
    for (let code = 0; code <= MAX_CODE; code++) {
      if (!matcher.test(String.fromCodePoint(code))) continue;
      const last = ranges.at(-1);
      if (last && last[1] === code - 1) last[1] = code;
      else ranges.push([code, code]);
    }
  }
  if (unicode.size > 50) unicode.clear();
  unicode.set(name, matcher && ranges);
  return matcher && ranges;
}
