// RE2 syntax (https://github.com/google/re2/wiki/Syntax) to a tree. What RE2 refuses is refused here with Go's words:
// look-around, back references, counts above 1000.

import { copy, foldCase, invert, MAX_CODE, normalize, PERL, POSIX, type Ranges, unicodeRanges } from './ranges.ts';

export type Node =
  | { kind: 'empty' }
  | { kind: 'set'; ranges: Ranges }
  | { kind: 'assert'; what: 'begin' | 'end' | 'lineBegin' | 'lineEnd' | 'word' | 'notWord' }
  | { kind: 'concat'; parts: Node[] }
  | { kind: 'alternate'; options: Node[] }
  | { kind: 'repeat'; of: Node; min: number; max: number; isLazy: boolean };

export class PatternError extends Error {}

const MAX_REPEAT = 1000;
const MAX_NESTING = 200;

interface Flags {
  ignoreCase: boolean;
  multiLine: boolean;
  dotAll: boolean;
  ungreedy: boolean;
}

/** Throws PatternError: `error parsing regexp: missing closing ): \`(a\``. */
export function parsePattern(pattern: string): Node {
  return new PatternParser(pattern).parse();
}

class PatternParser {
  readonly #source: string;
  readonly #chars: string[];
  #at = 0;
  #depth = 0;
  #flags: Flags = { ignoreCase: false, multiLine: false, dotAll: false, ungreedy: false };

  constructor(pattern: string) {
    this.#source = pattern;
    this.#chars = [...pattern];
  }

  parse(): Node {
    const node = this.#alternation();
    if (this.#at < this.#chars.length) this.#fail('unexpected )', this.#source);
    return node;
  }

  #fail(problem: string, where: string): never {
    throw new PatternError(`error parsing regexp: ${problem}: \`${where}\``);
  }
  #peek(text: string): boolean {
    for (let index = 0; index < text.length; index++) if (this.#chars[this.#at + index] !== text[index]) return false;
    return true;
  }
  #accept(text: string): boolean {
    if (!this.#peek(text)) return false;
    this.#at += text.length;
    return true;
  }
  #text(from: number, to = this.#at): string {
    return this.#chars.slice(from, to).join('');
  }

  #alternation(): Node {
    if (++this.#depth > MAX_NESTING) this.#fail('expression nests too deeply', this.#source);
    const options = [this.#sequence()];
    while (this.#accept('|')) options.push(this.#sequence());
    this.#depth--;
    return options.length === 1 ? (options[0] as Node) : { kind: 'alternate', options };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#at < this.#chars.length && !this.#peek('|') && !this.#peek(')')) {
      const start = this.#at;
      const atom = this.#atom();
      if (atom) parts.push(this.#repeated(atom, start));
    }
    if (parts.length === 1) return parts[0] as Node;
    return parts.length === 0 ? { kind: 'empty' } : { kind: 'concat', parts };
  }

  #repeated(atom: Node, start: number): Node {
    const from = this.#at;
    const count = this.#count();
    if (!count) return atom;
    const isLazy = this.#accept('?') !== this.#flags.ungreedy;
    const node: Node = { kind: 'repeat', of: atom, ...count, isLazy };
    const again = this.#at;
    if (this.#count()) this.#fail('invalid nested repetition operator', this.#text(from));
    this.#at = again;
    if (repeatSize(node) > MAX_REPEAT) this.#fail('invalid repeat count', this.#text(from) || this.#text(start));
    return node;
  }

  #count(): { min: number; max: number } | undefined {
    if (this.#accept('*')) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#accept('+')) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#accept('?')) return { min: 0, max: 1 };
    if (!this.#peek('{')) return undefined;
    const match = /^\{(\d{1,9})(?:(,)(\d{0,9}))?\}/.exec(this.#text(this.#at, this.#at + 24));
    if (!match) return undefined;
    const min = Number(match[1]);
    const max = match[2] ? (match[3] ? Number(match[3]) : Number.POSITIVE_INFINITY) : min;
    if (min > MAX_REPEAT || (max !== Number.POSITIVE_INFINITY && (max > MAX_REPEAT || max < min))) {
      this.#fail('invalid repeat count', match[0]);
    }
    this.#at += match[0].length;
    return { min, max };
  }

  /** Undefined for what matches nothing by itself: flags, comments. */
  #atom(): Node | undefined {
    const char = this.#chars[this.#at] as string;
    switch (char) {
      case '(':
        return this.#group();
      case '[':
        return this.#class();
      case '.':
        this.#at++;
        return {
          kind: 'set',
          ranges: this.#flags.dotAll
            ? [[0, MAX_CODE]]
            : [
                [0, 9],
                [11, MAX_CODE],
              ],
        };
      case '^':
        this.#at++;
        return { kind: 'assert', what: this.#flags.multiLine ? 'lineBegin' : 'begin' };
      case '$':
        this.#at++;
        return { kind: 'assert', what: this.#flags.multiLine ? 'lineEnd' : 'end' };
      case '*':
      case '+':
      case '?':
        return this.#fail('missing argument to repetition operator', char);
      case '\\':
        return this.#escape();
      default:
        this.#at++;
        return this.#literal(char.codePointAt(0) as number);
    }
  }

  #literal(code: number): Node {
    return { kind: 'set', ranges: this.#flags.ignoreCase ? foldCase([[code, code]]) : [[code, code]] };
  }

  #group(): Node | undefined {
    const start = this.#at;
    this.#at++;
    const outer = { ...this.#flags };
    if (this.#accept('?')) {
      const name = /^P?<([A-Za-z0-9_]*)>/.exec(this.#text(this.#at, this.#at + 200));
      if (name?.[1]) this.#at += name[0].length;
      else if (this.#peek('P<') || (this.#peek('<') && !this.#peek('<=') && !this.#peek('<!'))) {
        this.#fail('invalid named capture', this.#text(start, this.#chars.length));
      } else if (this.#inlineFlags(start) === 'flags') return undefined;
    }
    const node = this.#alternation();
    if (!this.#accept(')')) this.#fail('missing closing )', this.#source);
    this.#flags = outer;
    return node;
  }

  /** `(?i)` to the end of the group, `(?i:...)` for what is inside. */
  #inlineFlags(start: number): 'flags' | 'group' {
    let value = true;
    for (let sawFlag = false; ; ) {
      const char = this.#chars[this.#at++];
      switch (char) {
        case 'i':
          this.#flags.ignoreCase = value;
          break;
        case 'm':
          this.#flags.multiLine = value;
          break;
        case 's':
          this.#flags.dotAll = value;
          break;
        case 'U':
          this.#flags.ungreedy = value;
          break;
        case '-':
          if (!value) this.#fail('invalid or unsupported Perl syntax', this.#text(start));
          value = false;
          sawFlag = false;
          continue;
        case ':':
        case ')':
          if (!value && !sawFlag) this.#fail('invalid or unsupported Perl syntax', this.#text(start));
          return char === ')' ? 'flags' : 'group';
        default:
          this.#fail(
            char === undefined ? 'missing closing )' : 'invalid or unsupported Perl syntax',
            char === undefined ? this.#source : this.#text(start),
          );
      }
      sawFlag = true;
    }
  }

  #escape(): Node {
    const start = this.#at;
    const char = this.#chars[this.#at + 1];
    if (char === undefined) this.#fail('trailing backslash at end of expression', '');
    const assertion = ({ A: 'begin', z: 'end', b: 'word', B: 'notWord' } as const)[char as 'A'];
    if (assertion) {
      this.#at += 2;
      return { kind: 'assert', what: assertion };
    }
    if (char === 'Q') return this.#quoted();
    const set = this.#classEscape();
    if (set) return { kind: 'set', ranges: set };
    return this.#literal(this.#escapedCode(start));
  }

  #quoted(): Node {
    this.#at += 2;
    const parts: Node[] = [];
    while (this.#at < this.#chars.length && !this.#accept('\\E')) {
      parts.push(this.#literal((this.#chars[this.#at++] as string).codePointAt(0) as number));
    }
    return { kind: 'concat', parts };
  }

  /** `\d`, `\pL`, `\P{Greek}`; undefined (and nothing read) for other escapes. */
  #classEscape(): Ranges | undefined {
    const char = this.#chars[this.#at + 1] as string;
    const perl = PERL[char.toLowerCase()];
    if (perl && char !== 'P' && char !== 'p') {
      this.#at += 2;
      return char === char.toLowerCase() ? perl : invert(perl);
    }
    if (char !== 'p' && char !== 'P') return undefined;
    const match = /^\\[pP](?:\{(\^?)([A-Za-z_]+)\}|([A-Za-z]))/.exec(this.#text(this.#at, this.#at + 60));
    const name = match?.[2] ?? match?.[3];
    const ranges = name === undefined ? undefined : unicodeRanges(name);
    if (!match || !ranges) {
      this.#fail('invalid character class range', match?.[0] ?? this.#text(this.#at, this.#at + 3));
    }
    this.#at += match[0].length;
    const folded = this.#flags.ignoreCase ? foldCase(ranges) : ranges;
    return (char === 'P') !== (match[1] === '^') ? invert(folded) : folded;
  }

  #escapedCode(start: number): number {
    const char = this.#chars[this.#at + 1] as string;
    this.#at += 2;
    const simple = SIMPLE[char];
    if (simple !== undefined) return simple;
    if (char === 'x') {
      const match = /^(?:\{([0-9a-fA-F]{1,6})\}|([0-9a-fA-F]{2}))/.exec(this.#text(this.#at, this.#at + 10));
      const code = match ? Number.parseInt((match[1] ?? match[2]) as string, 16) : MAX_CODE + 1;
      if (match && code <= MAX_CODE) {
        this.#at += match[0].length;
        return code;
      }
    } else if (/[0-7]/.test(char)) {
      const digits = /^[0-7]{0,2}/.exec(this.#text(this.#at, this.#at + 2))?.[0] ?? '';
      // A single digit but zero would be a back reference.
      if (char === '0' || digits !== '') {
        this.#at += digits.length;
        return Number.parseInt(char + digits, 8);
      }
    } else if ((char.codePointAt(0) as number) < 128 && !/[A-Za-z0-9]/.test(char)) {
      return char.codePointAt(0) as number;
    }
    this.#fail('invalid escape sequence', this.#text(start));
  }

  #class(): Node {
    const start = this.#at;
    this.#at++;
    const isNegated = this.#accept('^');
    const ranges: [number, number][] = [];
    for (let isFirst = true; isFirst || !this.#peek(']'); isFirst = false) {
      if (this.#at >= this.#chars.length) this.#fail('missing closing ]', this.#text(start));
      const named = /^\[:(\^?)([a-z]+):\]/.exec(this.#text(this.#at, this.#at + 14));
      if (named) {
        const set = POSIX[named[2] as string];
        if (!set) this.#fail('invalid character class range', named[0]);
        this.#at += named[0].length;
        ranges.push(...copy(named[1] === '^' ? invert(set) : set));
        continue;
      }
      const set = this.#peek('\\') && this.#chars[this.#at + 1] !== undefined ? this.#classEscape() : undefined;
      if (set) {
        ranges.push(...copy(set));
        continue;
      }
      ranges.push(this.#range());
    }
    this.#at++;
    let merged: Ranges = normalize(ranges);
    if (this.#flags.ignoreCase) merged = foldCase(merged);
    return { kind: 'set', ranges: isNegated ? invert(merged) : merged };
  }

  #range(): [number, number] {
    const start = this.#at;
    const low = this.#classCode();
    if (!this.#peek('-') || this.#chars[this.#at + 1] === ']' || this.#chars[this.#at + 1] === undefined) {
      return [low, low];
    }
    this.#at++;
    const high = this.#classCode();
    if (high < low) this.#fail('invalid character class range', this.#text(start));
    return [low, high];
  }

  #classCode(): number {
    if (this.#peek('\\')) {
      if (this.#chars[this.#at + 1] === undefined) this.#fail('trailing backslash at end of expression', '');
      return this.#escapedCode(this.#at);
    }
    return (this.#chars[this.#at++] as string).codePointAt(0) as number;
  }
}

const SIMPLE: Record<string, number> = { a: 7, f: 12, t: 9, n: 10, r: 13, v: 11 };

/** How many copies nested counts make; RE2 allows 1000. */
function repeatSize(node: Node): number {
  switch (node.kind) {
    case 'repeat': {
      const inner = repeatSize(node.of);
      const count = node.max === Number.POSITIVE_INFINITY ? node.min : node.max;
      return Math.max(1, count) * inner;
    }
    case 'concat':
      return Math.max(1, ...node.parts.map(repeatSize));
    case 'alternate':
      return Math.max(1, ...node.options.map(repeatSize));
    default:
      return 1;
  }
}
