// JSONPath as printer columns and selectable fields use it (k8s.io/client-go/util/jsonpath): fields, indexes, slices,
// wildcards, recursive descent, unions and filters. What is missing yields nothing, never an error.
import { isMap } from './structural.ts';

type Step = (nodes: unknown[]) => unknown[];

export class JsonPathError extends Error {}

export interface JsonPath {
  /** Every value it finds, in order. */
  find(value: unknown): unknown[];
}

/** `.status.conditions[?(@.type=="Ready")].status`, without braces. Throws JsonPathError. */
export function parseJsonPath(text: string): JsonPath {
  const steps = new Parser(text).parse();
  return {
    find(value) {
      let nodes: unknown[] = [value];
      for (const step of steps) {
        if (nodes.length === 0) return nodes;
        nodes = step(nodes);
      }
      return nodes;
    },
  };
}

class Parser {
  #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  parse(): Step[] {
    const steps: Step[] = [];
    while (this.#at < this.#text.length) {
      const char = this.#text[this.#at] as string;
      if (char === '[') steps.push(this.#bracket());
      else if (char === '.') {
        this.#at++;
        if (this.#text[this.#at] === '.') {
          this.#at++;
          steps.push(descend);
          if (this.#text[this.#at] === '[') continue;
        }
        const name = this.#name();
        if (name === '*') steps.push(everyMember);
        else if (name !== '') steps.push(field(name));
      } else if ((char === '@' || char === '$') && this.#at === 0) this.#at++;
      else if (/\s/.test(char)) this.#at++;
      else if (steps.length === 0) steps.push(field(this.#name()));
      else throw new JsonPathError(`unrecognized character in action: U+${char.charCodeAt(0).toString(16)}`);
    }
    return steps;
  }

  #name(): string {
    let name = '';
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at] as string;
      if (char === '\\' && this.#at + 1 < this.#text.length) {
        name += this.#text[++this.#at];
        continue;
      }
      if (char === '.' || char === '[' || /[\s,()=!<>|&\]]/.test(char)) break;
      name += char;
    }
    return name;
  }

  #bracket(): Step {
    const inside = this.#inside();
    if (inside.startsWith('?(') && inside.endsWith(')')) return filter(inside.slice(2, -1));
    if (inside.startsWith('?')) throw new JsonPathError('unterminated filter');
    const parts = splitOutsideQuotes(inside, ',');
    const steps = parts.map((part) => element(part.trim()));
    return steps.length === 1
      ? (steps[0] as Step)
      : (nodes) => nodes.flatMap((node) => steps.flatMap((step) => step([node])));
  }

  /** The text up to the bracket that closes; quotes and inner brackets are its own. */
  #inside(): string {
    const start = ++this.#at;
    let depth = 1;
    let quote = '';
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at] as string;
      if (quote) {
        if (char === '\\') this.#at++;
        else if (char === quote) quote = '';
      } else if (char === '"' || char === "'") quote = char;
      else if (char === '[') depth++;
      else if (char === ']' && --depth === 0) return this.#text.slice(start, this.#at++);
    }
    throw new JsonPathError('unterminated array');
  }
}

function splitOutsideQuotes(text: string, separator: string): string[] {
  const parts: string[] = [];
  let quote = '';
  let part = '';
  for (const char of text) {
    if (quote) {
      if (char === quote) quote = '';
    } else if (char === '"' || char === "'") quote = char;
    else if (char === separator) {
      parts.push(part);
      part = '';
      continue;
    }
    part += char;
  }
  parts.push(part);
  return parts;
}

const field =
  (name: string): Step =>
  (nodes) =>
    nodes.flatMap((node) => (isMap(node) && Object.hasOwn(node, name) ? [node[name]] : []));

const everyMember: Step = (nodes) =>
  nodes.flatMap((node) => (Array.isArray(node) ? node : isMap(node) ? Object.values(node) : []));

const descend: Step = (nodes) => {
  const found: unknown[] = [];
  const walk = (node: unknown) => {
    if (typeof node !== 'object' || node === null) return;
    found.push(node);
    for (const each of Array.isArray(node) ? node : Object.values(node)) walk(each);
  };
  nodes.forEach(walk);
  return found;
};

function element(text: string): Step {
  if (text === '*' || text === '') return everyMember;
  const quoted = /^(['"])(.*)\1$/s.exec(text);
  if (quoted) return field((quoted[2] as string).replace(/\\(.)/g, '$1'));
  if (/^-?\d+$/.test(text)) {
    const index = Number(text);
    return (nodes) =>
      nodes.flatMap((node) => {
        if (!Array.isArray(node)) return [];
        const at = index < 0 ? node.length + index : index;
        return at in node ? [node[at]] : [];
      });
  }
  const slice = /^(-?\d*):(-?\d*)(?::(-?\d*))?$/.exec(text);
  if (slice) return slices(slice);
  return field(text);
}

function slices([, from, to, by]: RegExpExecArray): Step {
  const step = by ? Number(by) : 1;
  if (step < 1) throw new JsonPathError('step must be > 0');
  return (nodes) =>
    nodes.flatMap((node) => {
      if (!Array.isArray(node)) return [];
      const start = from ? Number(from) : 0;
      const end = to ? Number(to) : node.length;
      return node.slice(start, end).filter((_each, i) => i % step === 0);
    });
}

const COMPARISON = /^(.*?)\s*(==|!=|<=|>=|<|>)\s*(.*)$/s;

function filter(text: string): Step {
  const match = COMPARISON.exec(text.trim());
  if (!match) {
    const path = operand(text.trim());
    return select((item) => path(item).length > 0);
  }
  const [left, operator, right] = [operand(match[1] as string), match[2] as string, operand(match[3] as string)];
  return select((item) => {
    const a = left(item);
    const b = right(item);
    if (a.length === 0 || b.length === 0) return false;
    return compare(a[0], operator, b[0]);
  });
}

const select =
  (accepts: (item: unknown) => boolean): Step =>
  (nodes) =>
    nodes.flatMap((node) =>
      Array.isArray(node) ? node.filter(accepts) : isMap(node) ? Object.values(node).filter(accepts) : [],
    );

function operand(text: string): (item: unknown) => unknown[] {
  const quoted = /^(['"])(.*)\1$/s.exec(text);
  if (quoted) return () => [quoted[2]];
  if (/^-?\d+(\.\d+)?$/.test(text)) return () => [Number(text)];
  if (text === 'true' || text === 'false') return () => [text === 'true'];
  if (!text.startsWith('@')) throw new JsonPathError(`unrecognized identifier ${text}`);
  const path = parseJsonPath(text.slice(1));
  return (item) => path.find(item);
}

function compare(a: unknown, operator: string, b: unknown): boolean {
  const [left, right] = typeof a === typeof b ? [a, b] : [String(a), String(b)];
  switch (operator) {
    case '==':
      return left === right;
    case '!=':
      return left !== right;
    case '<':
      return (left as number) < (right as number);
    case '>':
      return (left as number) > (right as number);
    case '<=':
      return (left as number) <= (right as number);
    default:
      return (left as number) >= (right as number);
  }
}

/** How kubectl's JSONPath prints a value. */
export function printJsonValue(value: unknown): string {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? value : JSON.stringify(value);
}
