// The values of literal tokens.
import { CelDouble, CelUint, type CelValue, MAX_INT, MAX_UINT, MIN_INT, normalInt } from './values.ts';

/** Undefined when the number does not fit 64 bits. */
export function parseInt64(text: string, isNegative: boolean): CelValue | undefined {
  const value = isNegative ? -BigInt(text) : BigInt(text);
  return value > MAX_INT || value < MIN_INT ? undefined : normalInt(value);
}

export function parseUint64(text: string): CelValue | undefined {
  const value = BigInt(text.slice(0, -1));
  return value > MAX_UINT ? undefined : new CelUint(value);
}

export function parseDouble(text: string, isNegative: boolean): CelValue | undefined {
  const value = Number(text);
  return Number.isFinite(value) ? new CelDouble(isNegative ? -value : value) : undefined;
}

/** The text of a string or bytes literal; a string is the reason why it is none. */
export function unquote(token: string, isBytes: boolean): { value: string | Uint8Array } | { problem: string } {
  const prefix = /^[bBrR]*/.exec(token)?.[0] ?? '';
  const isRaw = /[rR]/.test(prefix);
  const quoted = token.slice(prefix.length);
  const marks = quoted.startsWith('"""') || quoted.startsWith("'''") ? 3 : 1;
  const body = quoted.slice(marks, -marks).replaceAll(/\r\n?/g, '\n');
  if (isRaw || !body.includes('\\')) return { value: isBytes ? new TextEncoder().encode(body) : body };
  return isBytes ? { value: unescapeBytes(body) } : unescapeString(body);
}

const SIMPLE: Record<string, string> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};
const ESCAPES = /\\(?:[xX]([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.))/gs;

function unescapeString(body: string): { value: string } | { problem: string } {
  let isWrong = false;
  const value = body.replaceAll(ESCAPES, (_all, x, u, U, octal, other) => {
    if (other !== undefined) return SIMPLE[other] ?? other;
    const code = octal === undefined ? Number.parseInt(x ?? u ?? U, 16) : Number.parseInt(octal, 8);
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) {
      isWrong = true;
      return '';
    }
    return String.fromCodePoint(code);
  });
  return isWrong ? { problem: 'invalid unicode code point' } : { value };
}

/** In bytes, `\xff` and `\377` are one byte each. */
function unescapeBytes(body: string): Uint8Array {
  const parts: Uint8Array[] = [];
  const encoder = new TextEncoder();
  let from = 0;
  for (const match of body.matchAll(ESCAPES)) {
    parts.push(encoder.encode(body.slice(from, match.index)));
    const [, x, u, U, octal, other] = match;
    if (x !== undefined) parts.push(Uint8Array.of(Number.parseInt(x, 16)));
    else if (octal !== undefined) parts.push(Uint8Array.of(Number.parseInt(octal, 8)));
    else if (other !== undefined) parts.push(encoder.encode(SIMPLE[other] ?? other));
    else parts.push(encoder.encode(String.fromCodePoint(Math.min(0x10ffff, Number.parseInt((u ?? U) as string, 16)))));
    from = match.index + match[0].length;
  }
  parts.push(encoder.encode(body.slice(from)));
  return Uint8Array.from(Buffer.concat(parts));
}
