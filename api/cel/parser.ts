// Tokens to the syntax tree, by recursive descent; macros are expanded on the way. Stops at the first syntax error.
import type { CallExpr, Expr, MapEntry, StructField } from './ast.ts';
import { qualifiedName } from './ast.ts';
import type { Issue } from './issues.ts';
import { MAX_CODE_POINTS, type Token, tokenize } from './lexer.ts';
import { parseDouble, parseInt64, parseUint64, unquote } from './literals.ts';
import { expandMacro } from './macros.ts';
import { codePoints } from './values.ts';

/** How deep expressions may nest. */
const MAX_DEPTH = 250;
const RESERVED = new Set(
  'as break const continue else for function if import let loop package namespace return var void while'.split(' '),
);
const OPERAND =
  "{'[', '{', '(', '.', '-', '!', 'true', 'false', 'null', NUM_FLOAT, NUM_INT, NUM_UINT, STRING, BYTES, IDENTIFIER}";
const ENTRY = OPERAND.replace("'{', '('", "'{', '}', '('").replace("'.', '-', '!'", "'.', ',', '-', '!', '?'");
const RELATIONS = new Set(['<', '<=', '>=', '>', '==', '!=', 'in']);

export type Parsed = { ok: true; expr: Expr } | { ok: false; issues: Issue[] };

class SyntaxProblem extends Error {}

export function parse(source: string): Parsed {
  const size = codePoints(source);
  if (size > MAX_CODE_POINTS) {
    const message = `expression code point size exceeds limit: size: ${size}, limit ${MAX_CODE_POINTS}`;
    return { ok: false, issues: [{ at: -1, message }] };
  }
  const issues: Issue[] = [];
  const tokens = tokenize(source, issues);
  try {
    const expr = new Parser(tokens, issues).parse();
    return issues.length === 0 ? { ok: true, expr } : { ok: false, issues };
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    return { ok: false, issues };
  }
}

class Parser {
  readonly #tokens: readonly Token[];
  readonly #issues: Issue[];
  #next = 0;
  #depth = 0;

  constructor(tokens: readonly Token[], issues: Issue[]) {
    this.#tokens = tokens;
    this.#issues = issues;
  }

  parse(): Expr {
    const expr = this.#expr();
    if (this.#token.kind !== 'eof') this.#unexpected('<EOF>', (token) => token.kind === 'eof');
    return expr;
  }

  get #token(): Token {
    return this.#tokens[this.#next] as Token;
  }
  #is(text: string): boolean {
    const token = this.#token;
    return token.text === text && (token.kind === 'symbol' || token.kind === 'keyword');
  }
  #take(): Token {
    const token = this.#token;
    if (token.kind !== 'eof') this.#next++;
    return token;
  }
  #accept(text: string): Token | undefined {
    return this.#is(text) ? this.#take() : undefined;
  }
  #expect(text: string, expected = `'${text}'`): Token {
    if (!this.#is(text)) this.#unexpected(expected, (token) => token.text === text);
    return this.#take();
  }

  /** Names in back quotes are not enabled in Kubernetes. */
  #identifier(expected: string): Token {
    if (this.#token.kind === 'escaped') this.#fail(this.#token.at, "unsupported syntax: '`'");
    if (this.#token.kind !== 'ident') this.#unexpected(expected, (token) => token.kind === 'ident');
    return this.#take();
  }

  #fail(at: number, message: string): never {
    this.#issues.push({ at, message });
    throw new SyntaxProblem();
  }
  /** A single token too many is reported and skipped; anything else ends the parse. Words as ANTLR's. */
  #unexpected(expected: string, fits: (token: Token) => boolean): void {
    const token = this.#token;
    const after = this.#tokens[this.#next + 1];
    const isExtra = after !== undefined && fits(after);
    const message = `Syntax error: ${isExtra ? 'extraneous' : 'mismatched'} input '${token.text}' expecting ${expected}`;
    if (!isExtra) this.#fail(token.at, message);
    this.#issues.push({ at: token.at, message });
    this.#next++;
  }

  #expr(): Expr {
    if (++this.#depth > MAX_DEPTH) this.#fail(-1, `expression recursion limit exceeded: ${MAX_DEPTH}`);
    const condition = this.#or();
    const mark = this.#accept('?');
    let result = condition;
    if (mark) {
      const whenTrue = this.#or();
      this.#expect(':');
      result = call(mark.at, '_?_:_', [condition, whenTrue, this.#expr()]);
    }
    this.#depth--;
    return result;
  }

  #or(): Expr {
    return this.#logical('||', '_||_', () => this.#logical('&&', '_&&_', () => this.#relation()));
  }

  /** Long chains are balanced, so that the tree does not get deep. */
  #logical(symbol: string, name: string, operand: () => Expr): Expr {
    const terms = [operand()];
    const operators: number[] = [];
    for (let token = this.#accept(symbol); token; token = this.#accept(symbol)) {
      operators.push(token.at);
      terms.push(operand());
    }
    if (operators.length === 0) return terms[0] as Expr;
    const balance = (low: number, high: number): Expr => {
      const middle = Math.floor((low + high + 1) / 2);
      const left = middle === low ? (terms[middle] as Expr) : balance(low, middle - 1);
      const right = middle === high ? (terms[middle + 1] as Expr) : balance(middle + 1, high);
      return call(operators[middle] as number, name, [left, right]);
    };
    return balance(0, operators.length - 1);
  }

  #relation(): Expr {
    let left = this.#sum();
    for (let count = 0; RELATIONS.has(this.#token.text) && this.#token.kind !== 'string'; count++) {
      if (count > MAX_DEPTH) this.#fail(-1, 'max recursion depth exceeded');
      const operator = this.#take();
      left = call(operator.at, operator.text === 'in' ? '@in' : `_${operator.text}_`, [left, this.#sum()]);
    }
    return left;
  }

  #sum(): Expr {
    let left = this.#product();
    for (let count = 0; this.#is('+') || this.#is('-'); count++) {
      if (count > MAX_DEPTH) this.#fail(-1, 'max recursion depth exceeded');
      const operator = this.#take();
      left = call(operator.at, `_${operator.text}_`, [left, this.#product()]);
    }
    return left;
  }

  #product(): Expr {
    let left = this.#unary();
    for (let count = 0; this.#is('*') || this.#is('/') || this.#is('%'); count++) {
      if (count > MAX_DEPTH) this.#fail(-1, 'max recursion depth exceeded');
      const operator = this.#take();
      left = call(operator.at, `_${operator.text}_`, [left, this.#unary()]);
    }
    return left;
  }

  #unary(): Expr {
    for (const [symbol, name] of [
      ['!', '!_'],
      ['-', '-_'],
    ] as const) {
      if (!this.#is(symbol)) continue;
      if (symbol === '-' && this.#startsNumber(1)) return this.#member();
      const at = this.#token.at;
      let count = 0;
      for (; this.#is(symbol); count++) this.#take();
      const operand = this.#member();
      return count % 2 === 0 ? operand : call(at, name, [operand]);
    }
    return this.#member();
  }

  #startsNumber(ahead: number): boolean {
    const token = this.#tokens[this.#next + ahead];
    return token?.kind === 'int' || token?.kind === 'double';
  }

  #member(): Expr {
    let expr = this.#primary();
    for (let count = 0; ; count++) {
      if (count > MAX_DEPTH) this.#fail(-1, 'max recursion depth exceeded');
      const dot = this.#accept('.');
      if (dot) {
        expr = this.#selection(expr, dot);
        continue;
      }
      const bracket = this.#accept('[');
      if (bracket) {
        const name = this.#accept('?') ? '_[?_]' : '_[_]';
        const index = this.#expr();
        this.#expect(']');
        expr = call(bracket.at, name, [expr, index]);
        continue;
      }
      if (this.#is('{') && isPlainName(expr)) expr = this.#struct(expr);
      else return expr;
    }
  }

  #selection(operand: Expr, dot: Token): Expr {
    const isOptional = this.#accept('?') !== undefined;
    const { kind, text, at } = this.#token;
    if (kind === 'string' || kind === 'eof') {
      this.#fail(at, `Syntax error: no viable alternative at input '.${kind === 'eof' ? '' : text}'`);
    }
    const field = this.#identifier('IDENTIFIER');
    if (isOptional) {
      return call(dot.at, '_?._', [operand, { kind: 'literal', at: field.at, value: field.text }]);
    }
    const open = this.#accept('(');
    if (!open) return { kind: 'select', at: dot.at, operand, field: field.text, isTest: false };
    return this.#finishCall(open, field.text, operand);
  }

  #finishCall(open: Token, name: string, target: Expr | undefined): Expr {
    const args = this.#list(')', () => this.#expr());
    const written: CallExpr = { kind: 'call', at: open.at, name, target, args };
    const expanded = expandMacro(written);
    if (expanded === undefined) return written;
    if ('problem' in expanded) {
      this.#issues.push({ at: expanded.at, message: expanded.problem });
      return written;
    }
    return expanded.expr;
  }

  /** Items up to `end`, which is taken. */
  #list<T>(end: string, item: () => T, allowsTrailingComma = false): T[] {
    const items: T[] = [];
    if (this.#accept(end)) return items;
    if (allowsTrailingComma && this.#is(',')) {
      this.#take();
      this.#expect(end);
      return items;
    }
    for (;;) {
      items.push(item());
      if (this.#accept(end)) return items;
      if (!this.#accept(',')) this.#unexpected(`{'${end}', ','}`, (token) => token.text === end || token.text === ',');
      if (allowsTrailingComma && this.#accept(end)) return items;
    }
  }

  #primary(): Expr {
    const token = this.#token;
    switch (token.kind) {
      case 'int':
      case 'double':
      case 'uint':
        return this.#number(token, false);
      case 'string':
      case 'bytes':
        return this.#string();
      case 'ident':
        return this.#name('');
      case 'keyword':
        if (token.text === 'in') break;
        this.#take();
        return { kind: 'literal', at: token.at, value: token.text === 'null' ? null : token.text === 'true' };
      case 'symbol':
        return this.#bracketed(token);
      default:
    }
    this.#unexpected(OPERAND, startsOperand);
    return this.#primary();
  }

  #bracketed(token: Token): Expr {
    switch (token.text) {
      case '-':
        this.#take();
        if (this.#token.kind === 'int' || this.#token.kind === 'double') return this.#number(token, true);
        break;
      case '.':
        this.#take();
        if (this.#token.kind !== 'ident') this.#unexpected('IDENTIFIER', (after) => after.kind === 'ident');
        return this.#name('.');
      case '(': {
        this.#take();
        const expr = this.#expr();
        this.#expect(')');
        return expr;
      }
      case '[': {
        this.#take();
        const optional = new Set<number>();
        let index = 0;
        const elements = this.#list(
          ']',
          () => {
            if (this.#accept('?')) optional.add(index);
            index++;
            return this.#expr();
          },
          true,
        );
        return { kind: 'list', at: token.at, elements, optional };
      }
      case '{':
        this.#take();
        return { kind: 'map', at: token.at, entries: this.#list('}', () => this.#entry(), true) };
      default:
    }
    this.#unexpected(OPERAND, startsOperand);
    return this.#primary();
  }

  #entry(): MapEntry {
    const isOptional = this.#accept('?') !== undefined;
    if (!isOptional && !startsOperand(this.#token)) this.#unexpected(ENTRY, startsOperand);
    const key = this.#expr();
    const colon = this.#expect(':');
    return { at: colon.at, key, value: this.#expr(), isOptional };
  }

  #number(first: Token, isNegative: boolean): Expr {
    const token = this.#take();
    const kind = token.kind as 'int' | 'uint' | 'double';
    const value =
      kind === 'int'
        ? parseInt64(token.text, isNegative)
        : kind === 'uint'
          ? parseUint64(token.text)
          : parseDouble(token.text, isNegative);
    if (value === undefined) this.#issues.push({ at: first.at, message: `invalid ${kind} literal` });
    return { kind: 'literal', at: first.at, value: value ?? 0 };
  }

  #string(): Expr {
    const token = this.#take();
    const read = unquote(token.text, token.kind === 'bytes');
    if ('problem' in read) {
      this.#issues.push({ at: token.at, message: read.problem });
      return { kind: 'literal', at: token.at, value: '' };
    }
    return { kind: 'literal', at: token.at, value: read.value };
  }

  #name(prefix: string): Expr {
    const token = this.#take();
    if (RESERVED.has(token.text)) this.#issues.push({ at: token.at, message: `reserved identifier: ${token.text}` });
    const open = this.#accept('(');
    if (open) return this.#finishCall(open, prefix + token.text, undefined);
    return { kind: 'ident', at: token.at, name: prefix + token.text };
  }

  #struct(name: Expr): Expr {
    const open = this.#take();
    const fields = this.#list('}', () => this.#field(), true);
    return { kind: 'struct', at: open.at, name: qualifiedName(name) as string, fields };
  }

  #field(): StructField {
    const isOptional = this.#accept('?') !== undefined;
    const field = this.#identifier("{'}', ',', '?', IDENTIFIER, ESC_IDENTIFIER}");
    const colon = this.#expect(':');
    return { at: colon.at, name: field.text, value: this.#expr(), isOptional };
  }
}

function call(at: number, name: string, args: Expr[]): CallExpr {
  return { kind: 'call', at, name, target: undefined, args };
}

const isPlainName = (expr: Expr): boolean =>
  expr.kind === 'ident' || (expr.kind === 'select' && !expr.isTest && isPlainName(expr.operand));

function startsOperand(token: Token): boolean {
  if (token.kind === 'symbol') return ['[', '{', '(', '.', '-', '!'].includes(token.text);
  return token.kind !== 'eof' && token.text !== 'in' && token.kind !== 'escaped';
}
