// What JSON.parse does not tell: Go's words for a syntax error, and keys that appear twice in an object.
// Only run when something is wrong, so it is written for clarity, not for speed. Never recurses; depth is bounded.

export const MAX_DEPTH = 1000;

export class JsonSyntaxError extends Error {}

const quoteChar = (char: string) =>
  char === "'" ? `'\\''` : char === '"' ? `'"'` : `'${JSON.stringify(char).slice(1, -1).replace(/\\"/g, '"')}'`;

interface Frame {
  isArray: boolean;
  keys: Set<string>;
  key: string;
  index: number;
}

const pathOf = (frames: readonly Frame[]): string => {
  let path = '';
  for (const each of frames) path += each.isArray ? `[${each.index}]` : path === '' ? each.key : `.${each.key}`;
  return path;
};

const isSpace = (char: string | undefined) => char === ' ' || char === '\t' || char === '\n' || char === '\r';

/**
 * Walks over the text as Go's decoder does. Throws JsonSyntaxError in Go's words; otherwise returns the paths of keys
 * that were set before in the same object, as upstream writes them (`spec.containers[0].name`).
 */
export function scanJson(text: string): string[] {
  const duplicates: string[] = [];
  const frames: Frame[] = [];
  let at = 0;

  const fail = (context: string): never => {
    if (at >= text.length) throw new JsonSyntaxError('unexpected end of JSON input');
    const char = String.fromCodePoint(text.codePointAt(at) as number);
    throw new JsonSyntaxError(`invalid character ${quoteChar(char)} ${context}`);
  };
  const skip = () => {
    while (isSpace(text[at])) at++;
  };
  const string = (): string => {
    const start = at++;
    for (;;) {
      const char = text[at];
      if (char === undefined) fail('');
      if (char === '"') break;
      if ((char as string) < ' ') fail('in string literal');
      if (char === '\\') {
        at++;
        const escape = text[at];
        if (escape === undefined || !'"\\/bfnrtu'.includes(escape)) fail('in string escape code');
        if (escape === 'u') {
          for (let i = 0; i < 4; i++) {
            at++;
            if (!/[0-9a-fA-F]/.test(text[at] ?? '')) fail('in \\u hexadecimal character escape');
          }
        }
      }
      at++;
    }
    at++;
    return JSON.parse(text.slice(start, at)) as string;
  };
  const digits = (context: string) => {
    if (!/[0-9]/.test(text[at] ?? '')) fail(context);
    while (/[0-9]/.test(text[at] ?? '')) at++;
  };
  const number = () => {
    if (text[at] === '-') at++;
    if (text[at] === '0') at++;
    else digits('in numeric literal');
    if (text[at] === '.') {
      at++;
      digits('after decimal point in numeric literal');
    }
    if (text[at] === 'e' || text[at] === 'E') {
      at++;
      if (text[at] === '+' || text[at] === '-') at++;
      digits('in exponent of numeric literal');
    }
  };
  const word = (expected: string) => {
    for (const char of expected) {
      if (text[at] !== char) fail(`in literal ${expected} (expecting ${quoteChar(char)})`);
      at++;
    }
  };
  /** Reads up to the colon of the next member. */
  const key = (frame: Frame) => {
    skip();
    if (text[at] !== '"') fail('looking for beginning of object key string');
    frame.key = string();
    if (frame.keys.has(frame.key)) duplicates.push(pathOf(frames));
    frame.keys.add(frame.key);
    skip();
    if (text[at] !== ':') fail('after object key');
    at++;
  };

  for (;;) {
    // A value starts here.
    skip();
    const char = text[at];
    if (char === '{' || char === '[') {
      if (frames.length >= MAX_DEPTH) throw new JsonSyntaxError('exceeded max depth');
      const frame: Frame = { isArray: char === '[', keys: new Set(), key: '', index: 0 };
      frames.push(frame);
      at++;
      skip();
      if (text[at] !== (frame.isArray ? ']' : '}')) {
        if (!frame.isArray) key(frame);
        continue;
      }
    } else if (char === '"') string();
    else if (char === 't') word('true');
    else if (char === 'f') word('false');
    else if (char === 'n') word('null');
    else if (char !== undefined && /[-0-9]/.test(char)) number();
    else fail('looking for beginning of value');

    // A value, or the brackets of one, end here.
    for (;;) {
      skip();
      const frame = frames.at(-1);
      if (!frame) {
        if (at < text.length) fail('after top-level value');
        return duplicates;
      }
      if (text[at] === (frame.isArray ? ']' : '}')) {
        at++;
        frames.pop();
        continue;
      }
      if (text[at] !== ',') fail(frame.isArray ? 'after array element' : 'after object key:value pair');
      at++;
      if (frame.isArray) frame.index++;
      else key(frame);
      break;
    }
  }
}

/** How many `"key":` pairs a valid JSON text has: more than its parsed value holds means duplicates. */
export function countMembers(text: string): number {
  let count = 0;
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at)) {
    at = text.indexOf('"', at + 1);
    while (at > 0 && isEscaped(text, at)) at = text.indexOf('"', at + 1);
    if (at < 0) break;
    at++;
    let after = at;
    while (isSpace(text[after])) after++;
    if (text.charCodeAt(after) === 58) count++;
  }
  return count;
}

function isEscaped(text: string, quote: number): boolean {
  let slashes = 0;
  for (let i = quote - 1; text.charCodeAt(i) === 92; i--) slashes++;
  return slashes % 2 === 1;
}
