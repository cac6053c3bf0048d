// Source text to tokens. What is no token is an issue, and is skipped.
import type { Issue } from './issues.ts';

export type TokenKind =
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'ident'
  | 'escaped'
  | 'keyword'
  | 'symbol'
  | 'eof';

export interface Token {
  kind: TokenKind;
  /** As written; `<EOF>` at the end. */
  text: string;
  at: number;
}

const KEYWORDS = new Set(['true', 'false', 'null', 'in']);
const SPACE = /[\t \r\n\f]+|\/\/[^\n]*/y;
const NUMBER =
  /0[xX][0-9a-fA-F]+[uU]?|[0-9]+(?:\.[0-9]+)?[eE][+-]?[0-9]+|[0-9]*\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+[uU]?/y;
const IDENT = /[A-Za-z_][A-Za-z0-9_]*/y;
const ESCAPED = /`[A-Za-z0-9_.\-/ ]+`/y;
const SYMBOL = /==|!=|<=|>=|&&|\|\||[<>[\](){}.,?:+\-*/%!]/y;
const ESCAPE = String.raw`\\(?:[abfnrtv"'\\?\x60]|[xX][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-3][0-7]{2})`;
const RAW_STRING =
  /[bB]?[rR](?:"""[^]*?"""|'''[^]*?'''|"[^"\r\n]*"|'[^'\r\n]*')|[rR][bB](?:"""[^]*?"""|'''[^]*?'''|"[^"\r\n]*"|'[^'\r\n]*')/y;
const STRING = new RegExp(
  String.raw`[bB]?(?:"""(?:${ESCAPE}|[^\\])*?"""|'''(?:${ESCAPE}|[^\\])*?'''|"(?:${ESCAPE}|[^\\"\r\n])*"|'(?:${ESCAPE}|[^\\'\r\n])*')`,
  'y',
);

/** At most this many characters; longer texts are refused before they are read. */
export const MAX_CODE_POINTS = 100_000;

export function tokenize(source: string, issues: Issue[]): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0];
  };
  while (at < source.length) {
    const space = match(SPACE);
    if (space !== undefined) {
      at += space.length;
      continue;
    }
    const token = next(match);
    if (token) {
      tokens.push({ ...token, at });
      at += token.text.length;
      continue;
    }
    const length = unrecognized(source, at);
    issues.push({
      at,
      message: `Syntax error: token recognition error at: '${source.slice(at, at + length).replaceAll('\n', '\\n')}'`,
    });
    at += length;
  }
  tokens.push({ kind: 'eof', text: '<EOF>', at: source.length });
  return tokens;
}

function next(match: (pattern: RegExp) => string | undefined): { kind: TokenKind; text: string } | undefined {
  const string = match(RAW_STRING) ?? match(STRING);
  if (string !== undefined) return { kind: /^[rR]?[bB]/.test(string) ? 'bytes' : 'string', text: string };
  const number = match(NUMBER);
  if (number !== undefined) return { kind: numberKind(number), text: number };
  const word = match(IDENT);
  if (word !== undefined) return { kind: KEYWORDS.has(word) ? 'keyword' : 'ident', text: word };
  const escaped = match(ESCAPED);
  if (escaped !== undefined) return { kind: 'escaped', text: escaped };
  const symbol = match(SYMBOL);
  return symbol === undefined ? undefined : { kind: 'symbol', text: symbol };
}

function numberKind(text: string): TokenKind {
  if (/[uU]$/.test(text)) return 'uint';
  return /^0[xX]/.test(text) || !/[.eE]/.test(text) ? 'int' : 'double';
}

/** How much of the text the message names: a string that is not closed goes to its line's end, `| ` is one error. */
function unrecognized(source: string, at: number): number {
  const character = String.fromCodePoint(source.codePointAt(at) as number);
  if (character === '|' || character === '&' || character === '=') return Math.min(2, source.length - at);
  if (character !== '"' && character !== "'") return character.length;
  const line = source.indexOf('\n', at);
  return (line < 0 ? source.length : line) - at;
}
