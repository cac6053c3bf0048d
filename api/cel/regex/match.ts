// Runs a program over a text: whether it matches anywhere (by a table of states that is filled as it goes), and where the
// leftmost match is (by threads in order of preference).
import type { Instruction } from './program.ts';
import type { Ranges } from './ranges.ts';

export interface Match {
  start: number;
  end: number;
}

/** States of the table before it starts anew; bounds its memory. */
const MAX_STATES = 2_000;

/** Steps of threads that one text may take; about a second. Beyond it the text is too long for the pattern. */
const MAX_STEPS = 20_000_000;

/** Thrown by `test` and `find`. */
export class PatternTooSlow extends Error {
  constructor() {
    super('the pattern takes too many steps on a text of this length');
  }
}

/** A set of program counters, closed over jumps and splits. */
interface State {
  threads: Int32Array;
  isMatch: boolean;
  /** By character class; undefined: not computed yet. */
  next: (State | undefined)[];
}

export class Matcher {
  readonly #program: readonly Instruction[];
  /** Word boundaries and line edges, which the table does not know. */
  readonly #hasAssertions: boolean;
  readonly #boundaries: number[];
  readonly #asciiClass = new Uint16Array(128);
  readonly #states = new Map<string, State>();
  readonly #mark: Int32Array;
  #generation = 0;
  #steps = 0;
  #start: State | undefined;

  constructor(program: readonly Instruction[]) {
    this.#program = program;
    this.#hasAssertions = program.some((each) => each.op === 'assert' && !isBegin(each) && !isEnd(each));
    this.#mark = new Int32Array(program.length);
    const edges = new Set<number>([0]);
    for (const each of program) {
      if (each.op !== 'set') continue;
      for (const [from, to] of each.ranges) edges.add(from).add(to + 1);
    }
    this.#boundaries = [...edges].toSorted((left, right) => left - right);
    for (let code = 0; code < 128; code++) this.#asciiClass[code] = this.#classOf(code);
  }

  test(text: string): boolean {
    return this.#hasAssertions ? this.find(text, 0) !== undefined : this.#scan(text);
  }

  /** Characters between two neighbouring edges of all sets are alike. */
  #classOf(code: number): number {
    let low = 0;
    let high = this.#boundaries.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.#boundaries[middle] as number) <= code) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  #scan(text: string): boolean {
    this.#start ??= this.#state(this.#closure([0], true));
    let state = this.#start;
    this.#steps = 0;
    for (let at = 0; at < text.length; at++) {
      if (state.isMatch) return true;
      let code = text.charCodeAt(at);
      if (code >= 0xd800 && code < 0xdc00 && at + 1 < text.length) {
        code = text.codePointAt(at) as number;
        if (code > 0xffff) at++;
      }
      const group = code < 128 ? (this.#asciiClass[code] as number) : this.#classOf(code);
      state = state.next[group] ??= this.#step(state, this.#boundaries[group] as number);
    }
    return state.isMatch || this.#matchesAtEnd(state, text.length === 0);
  }

  #step(state: State, code: number): State {
    const reached: number[] = [];
    this.#spend(state.threads.length);
    for (const at of state.threads) {
      const instruction = this.#program[at] as Instruction;
      if (instruction.op === 'set' && contains(instruction.ranges, code)) reached.push(at + 1);
    }
    // A match may begin at every character.
    return this.#state(this.#closure([...reached, 0], false));
  }

  #matchesAtEnd(state: State, isEmpty: boolean): boolean {
    const pending: number[] = [];
    for (const at of state.threads) if (isEnd(this.#program[at])) pending.push(at + 1);
    const seen = new Set<number>();
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      if (seen.has(at)) continue;
      seen.add(at);
      const instruction = this.#program[at] as Instruction;
      if (instruction.op === 'match') return true;
      if (instruction.op === 'jump') pending.push(instruction.to);
      else if (instruction.op === 'split') pending.push(instruction.first, instruction.second);
      else if (isEnd(instruction) || (isEmpty && isBegin(instruction))) pending.push(at + 1);
    }
    return false;
  }

  #state(threads: Int32Array): State {
    const sorted = threads.toSorted();
    const key = sorted.join();
    let state = this.#states.get(key);
    if (!state) {
      if (this.#states.size >= MAX_STATES) {
        this.#states.clear();
        this.#start = undefined;
      }
      state = {
        threads: sorted,
        isMatch: sorted.some((at) => (this.#program[at] as Instruction).op === 'match'),
        next: [],
      };
      this.#states.set(key, state);
    }
    return state;
  }

  #spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > MAX_STEPS) throw new PatternTooSlow();
  }

  /** Follows jumps and splits; `begin` is passed at the text's beginning only, `end` waits. */
  #closure(from: readonly number[], isBeginning: boolean): Int32Array {
    const generation = ++this.#generation;
    const found: number[] = [];
    const pending = [...from].reverse();
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      if (this.#mark[at] === generation) continue;
      this.#mark[at] = generation;
      const instruction = this.#program[at] as Instruction;
      if (instruction.op === 'jump') pending.push(instruction.to);
      else if (instruction.op === 'split') pending.push(instruction.second, instruction.first);
      else if (instruction.op === 'assert' && instruction.what === 'begin') {
        if (isBeginning) pending.push(at + 1);
      } else found.push(at);
    }
    return Int32Array.from(found);
  }

  /** The leftmost match at or after `from`, of those the preferred one, as Perl and RE2 prefer. */
  find(text: string, from: number): Match | undefined {
    let threads: Thread[] = [];
    let best: Match | undefined;
    this.#steps = 0;
    for (let at = from; at <= text.length; ) {
      if (!best) this.#follow(threads, { at: 0, start: at }, text, at, threads.length === 0);
      if (threads.length === 0 && best) return best;
      const code = at < text.length ? (text.codePointAt(at) as number) : -1;
      const after = at + (code > 0xffff ? 2 : 1);
      const next: Thread[] = [];
      this.#spend(threads.length + 1);
      let isFresh = true;
      for (const thread of threads) {
        const instruction = this.#program[thread.at] as Instruction;
        if (instruction.op === 'match') {
          best = { start: thread.start, end: at };
          break;
        }
        if (instruction.op === 'set' && code >= 0 && contains(instruction.ranges, code)) {
          this.#follow(next, { at: thread.at + 1, start: thread.start }, text, after, isFresh);
          isFresh = false;
        }
      }
      threads = next;
      at = after;
    }
    return best;
  }

  /** Adds the threads reached from one, in order of preference; `isFresh` begins a new set. */
  #follow(into: Thread[], thread: Thread, text: string, place: number, isFresh: boolean): void {
    if (isFresh) this.#generation++;
    const pending = [thread.at];
    for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
      if (this.#mark[at] === this.#generation) continue;
      this.#mark[at] = this.#generation;
      const instruction = this.#program[at] as Instruction;
      if (instruction.op === 'jump') pending.push(instruction.to);
      else if (instruction.op === 'split') pending.push(instruction.second, instruction.first);
      else if (instruction.op === 'assert') {
        if (holds(instruction.what, text, place)) pending.push(at + 1);
      } else into.push({ at, start: thread.start });
    }
  }
}

interface Thread {
  at: number;
  start: number;
}

const isBegin = (instruction: Instruction | undefined) => instruction?.op === 'assert' && instruction.what === 'begin';
const isEnd = (instruction: Instruction | undefined) => instruction?.op === 'assert' && instruction.what === 'end';

function contains(ranges: Ranges, code: number): boolean {
  if (ranges.length <= 4) return ranges.some(([from, to]) => code >= from && code <= to);
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const [from, to] = ranges[middle] as readonly [number, number];
    if (code < from) high = middle - 1;
    else if (code > to) low = middle + 1;
    else return true;
  }
  return false;
}

function holds(what: (Instruction & { op: 'assert' })['what'], text: string, at: number): boolean {
  switch (what) {
    case 'begin':
      return at === 0;
    case 'end':
      return at === text.length;
    case 'lineBegin':
      return at === 0 || text[at - 1] === '\n';
    case 'lineEnd':
      return at === text.length || text[at] === '\n';
    case 'word':
      return isWord(text.charCodeAt(at - 1)) !== isWord(text.charCodeAt(at));
    case 'notWord':
      return isWord(text.charCodeAt(at - 1)) === isWord(text.charCodeAt(at));
  }
}

const isWord = (code: number) =>
  (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || code === 95 || (code >= 97 && code <= 122);
