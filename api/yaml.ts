// YAML as kubectl and the API server read it: YAML 1.1 scalars (`yes` is true, `0644` is 420, `1_000` is 1000), keys become
// strings, aliases and `<<` are expanded within bounds. The result is JSON values; errors carry the line.
import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, type Pair, parseAllDocuments, Scalar } from 'yaml';
import { setOwn } from './equality.ts';

/** `line` counts from 1; 0 when unknown. The message is worded as upstream's parser words it. */
export class YamlError extends Error {
  readonly line: number;

  constructor(reason: string, line = 0) {
    super(`yaml: ${line > 0 ? `line ${line}: ` : ''}${reason}`);
    this.name = 'YamlError';
    this.line = line;
  }
}

export interface YamlDocument {
  value: unknown;
  /** Where it starts, from 1. */
  line: number;
  /** Keys set twice in one map (the last one wins): `line 2: key "a" already set in map`. */
  duplicates: string[];
}

/** Values made by expanding aliases, over all documents of one text. */
const MAX_ALIASED = 100_000;
const MAX_DEPTH = 1000;

const REASONS: Record<string, string> = {
  TAB_AS_INDENT: 'found character that cannot start any token',
  BLOCK_AS_IMPLICIT_KEY: 'mapping values are not allowed in this context',
  MULTILINE_IMPLICIT_KEY: 'mapping values are not allowed in this context',
  MISSING_CHAR: 'found unexpected end of stream',
  BAD_INDENT: "did not find expected ',' or ']'",
};

const MERGE_KEY = '<<';
const INTEGER = /^[-+]?(?:0b[01]+|0o[0-7]+|0x[0-9a-fA-F]+|[0-9]+)$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
const WORDS = new Map<string, unknown>();
for (const [value, words] of [
  [true, ['y', 'yes', 'true', 'on']],
  [false, ['n', 'no', 'false', 'off']],
] as const) {
  for (const word of words) {
    WORDS.set(word, value)
      .set(word.toUpperCase(), value)
      .set(word[0]?.toUpperCase() + word.slice(1), value);
  }
}
for (const word of ['', '~', 'null', 'Null', 'NULL']) WORDS.set(word, null);
const UNSUPPORTED = new Map([
  ['.inf', '+Inf'],
  ['+.inf', '+Inf'],
  ['-.inf', '-Inf'],
  ['.nan', 'NaN'],
]);

/** Every document of the text; empty ones have the value null. Throws YamlError. */
export function parseYamlDocuments(text: string): YamlDocument[] {
  const lines = new LineCounter();
  let documents: ReturnType<typeof parseAllDocuments>;
  try {
    // The failsafe schema leaves every scalar as it was written: which type it has is decided here.
    documents = parseAllDocuments(text, {
      schema: 'failsafe',
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter: lines,
    });
  } catch (error) {
    if (error instanceof RangeError) throw new YamlError('exceeded max depth of 1000');
    throw error;
  }
  if (!Array.isArray(documents)) return [];
  const budget = { aliased: 0 };
  return documents.map((document) => {
    const [error] = document.errors;
    if (error) {
      const reason = REASONS[error.code] ?? (error.message.split('\n')[0] as string);
      throw new YamlError(reason, lines.linePos(error.pos[0]).line);
    }
    const reader = new DocumentReader(lines, budget);
    const value = document.contents ? reader.read(document.contents as Node, 0) : null;
    const start = document.contents?.range?.[0] ?? document.range?.[0] ?? 0;
    return { value, line: Math.max(1, lines.linePos(start).line), duplicates: reader.duplicates };
  });
}

/** The first document of the text, as the server reads a body; null when there is none. Throws YamlError. */
export function parseYaml(text: string): YamlDocument {
  return parseYamlDocuments(text)[0] ?? { value: null, line: 1, duplicates: [] };
}

class DocumentReader {
  readonly duplicates: string[] = [];
  #lines: LineCounter;
  #budget: { aliased: number };
  #anchors = new Map<string, Node>();
  /** Anchors being expanded: an alias to one of them would never end. */
  #expanding = new Set<string>();
  #aliasDepth = 0;

  constructor(lines: LineCounter, budget: { aliased: number }) {
    this.#lines = lines;
    this.#budget = budget;
  }

  read(node: Node | null, depth: number): unknown {
    if (node === null) return null;
    if (depth > MAX_DEPTH) throw new YamlError('exceeded max depth of 1000', this.#line(node));
    if (this.#aliasDepth > 0 && ++this.#budget.aliased > MAX_ALIASED) {
      throw new YamlError('document contains excessive aliasing');
    }
    if (isAlias(node)) return this.#alias(node.source, depth);
    const anchor = (node as { anchor?: string }).anchor;
    if (anchor) this.#anchors.set(anchor, node);
    if (isScalar(node)) return this.#scalar(node);
    if (anchor) this.#expanding.add(anchor);
    try {
      if (isSeq(node)) return node.items.map((each) => this.read(each as Node | null, depth + 1));
      if (isMap(node)) return this.#map(node.items as Pair<Node, Node | null>[], depth);
    } finally {
      if (anchor) this.#expanding.delete(anchor);
    }
    throw new YamlError('unknown node', this.#line(node));
  }

  #alias(name: string, depth: number): unknown {
    const target = this.#anchors.get(name);
    if (!target) throw new YamlError(`unknown anchor '${name}' referenced`);
    if (this.#expanding.has(name)) throw new YamlError(`anchor '${name}' value contains itself`);
    this.#aliasDepth++;
    try {
      return this.read(target, depth + 1);
    } finally {
      this.#aliasDepth--;
    }
  }

  #map(pairs: Pair<Node, Node | null>[], depth: number): Record<string, unknown> {
    const map: Record<string, unknown> = {};
    const merged: unknown[] = [];
    for (const pair of pairs) {
      if (isScalar(pair.key) && pair.key.value === MERGE_KEY && pair.key.type === Scalar.PLAIN) {
        merged.push(this.read(pair.value, depth + 1));
        continue;
      }
      const key = this.read(pair.key, depth + 1);
      if (typeof key === 'object' && key !== null) {
        throw new YamlError(`invalid map key: ${JSON.stringify(key)}`, this.#line(pair.key));
      }
      const name = String(key);
      if (Object.hasOwn(map, name)) {
        this.duplicates.push(`line ${this.#line(pair.key)}: key ${JSON.stringify(name)} already set in map`);
      }
      setOwn(map, name, this.read(pair.value, depth + 1));
    }
    // Merged keys never replace the map's own; earlier maps of a list win over later ones.
    for (const each of merged.flat()) {
      if (typeof each !== 'object' || each === null)
        throw new YamlError('map merge requires map or sequence of maps as the value');
      for (const [key, value] of Object.entries(each)) if (!Object.hasOwn(map, key)) setOwn(map, key, value);
    }
    return map;
  }

  #scalar(node: Scalar): unknown {
    // The parser knows !!binary by itself.
    if (node.value instanceof Uint8Array) return Buffer.from(node.value).toString('utf8');
    const text = String(node.value ?? '');
    const tag = node.tag?.replace(/^(?:tag:yaml\.org,2002:|!!)/, '');
    if (tag === 'str' || (tag !== undefined && tag.startsWith('!'))) return text;
    const isTyped = tag === 'int' || tag === 'float' || tag === 'bool' || tag === 'null';
    if (node.type !== Scalar.PLAIN && !isTyped) return text;
    return this.#resolve(text, node);
  }

  #resolve(text: string, node: Scalar): unknown {
    if (WORDS.has(text)) return WORDS.get(text);
    const first = text.charCodeAt(0);
    // Digits, signs and dots start numbers; everything else is text.
    if (!((first >= 48 && first <= 57) || first === 43 || first === 45 || first === 46)) return text;
    const unsupported = UNSUPPORTED.get(text.toLowerCase());
    if (unsupported) throw new YamlError(`json: unsupported value: ${unsupported}`, this.#line(node));
    const plain = text.replaceAll('_', '');
    if (INTEGER.test(plain)) {
      const negative = plain.startsWith('-');
      let digits = plain.replace(/^[-+]/, '');
      if (/^0[0-7]+$/.test(digits)) digits = `0o${digits}`;
      const value = Number(digits);
      return negative ? 0 - value : value;
    }
    if (FLOAT.test(plain)) {
      const value = Number(plain);
      if (Number.isFinite(value)) return value;
    }
    return text;
  }

  #line(node: Node): number {
    return node.range ? this.#lines.linePos(node.range[0]).line : 0;
  }
}
