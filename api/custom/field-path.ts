// Paths that definitions name fields by: `.spec.containers['a-b']`, checked against the schema (ValidFieldPath of
// k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel).
import type { Structural } from './structural.ts';

export type FoundPath = { path: string; schema: Structural } | { error: string };

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  "'": "'",
  '\\': '\\',
};

/** `path` as field errors write it: `.spec.a[b]` without the leading dot. */
export function fieldPathIn(root: Structural, text: string, allowBrackets = true): FoundPath {
  const tokens = text.match(/'(?:[^'\\]|\\.)*'|[.[\]]|[^.[\]]+/g) ?? [];
  let schema = root;
  let path = '';
  const step = (name: string): string | undefined => {
    const property = schema.properties?.get(name);
    if (property) {
      path += path === '' ? name : `.${name}`;
      schema = property;
      return undefined;
    }
    if (schema.properties || !schema.additional || schema.additional === true) return 'does not refer to a valid field';
    path += `[${name}]`;
    schema = schema.additional;
    return undefined;
  };
  for (let i = 0; i < tokens.length; i++) {
    const token = tokens[i] as string;
    let wrong: string | undefined;
    if (token === '.') {
      const name = tokens[++i];
      if (name === undefined) return { error: 'unexpected end of JSON path' };
      wrong = step(name);
    } else if (token === '[') {
      if (!allowBrackets) return { error: 'array notation is not allowed' };
      const quoted = tokens[++i];
      if (quoted === undefined) return { error: 'unexpected end of JSON path' };
      if (quoted.length < 2 || !quoted.startsWith("'") || !quoted.endsWith("'")) {
        return { error: `expected single quoted string but got ${quoted}` };
      }
      const bad = /\\(?![abfnrtv'\\])./.exec(quoted)?.[0];
      if (bad) return { error: `invalid string literal: invalid escape char ${bad}` };
      wrong = step(quoted.slice(1, -1).replace(/\\(.)/g, (_whole, char: string) => ESCAPES[char] ?? char));
      const close = tokens[++i];
      if (close === undefined) return { error: 'unexpected end of JSON path' };
      if (!wrong && close !== ']') return { error: `expected ] but got ${close}` };
    } else return { error: `expected [ or . but got: ${token}` };
    if (wrong) return { error: wrong };
  }
  return { path, schema };
}
