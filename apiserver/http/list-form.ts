// A list as an answer: what it says of itself and its items, from which every form of it is made. JSON is joined from bytes that
// are there; YAML and indented JSON are made an item at a time.
import { writeYamlList } from '../../api/yaml-write.ts';
import type { CachedObject } from '../cache/port.ts';
import type { Exchange } from './exchange.ts';
import { YAML } from './negotiate.ts';
import { byteLength, joinParts, type Part } from './parts.ts';

export interface ListForm {
  /** Kind, apiVersion, metadata, ... */
  head: object;
  /** The member that holds the items, the last. */
  key: 'items' | 'rows';
  items: readonly CachedObject[];
  /** Adds the JSON of one. */
  add(parts: Part[], item: CachedObject): void;
}

export function sendListForm(exchange: Exchange, form: ListForm, mediaType: string): Promise<void> {
  if (mediaType === YAML) {
    return exchange.sendPieces(
      200,
      mediaType,
      writeYamlList(form.head as Record<string, unknown>, form.key, values(form)),
      () => jsonParts(form),
    );
  }
  if (exchange.wantsPretty) return exchange.sendPieces(200, mediaType, indented(form), () => jsonParts(form));
  return exchange.sendJson(200, jsonParts(form), mediaType);
}

export function jsonParts({ head, key, items, add }: ListForm): Part[] {
  const parts: Part[] = [`${JSON.stringify(head).slice(0, -1)},"${key}":[`];
  for (const [index, item] of items.entries()) {
    if (index > 0) parts.push(',');
    add(parts, item);
  }
  parts.push(']}');
  return parts;
}

function* values({ items, add }: ListForm): Generator<unknown> {
  for (const item of items) {
    const parts: Part[] = [];
    add(parts, item);
    yield JSON.parse(joinParts(parts, byteLength(parts)).toString('utf8'));
  }
}

function* indented(form: ListForm): Generator<string> {
  const head = JSON.stringify(form.head, null, 2).slice(0, -2);
  if (form.items.length === 0) return yield `${head},\n  "${form.key}": []\n}\n`;
  yield `${head},\n  "${form.key}": [`;
  let separator = '\n    ';
  for (const value of values(form)) {
    // Text in JSON has no line breaks of its own.
    yield separator + JSON.stringify(value, null, 2).replaceAll('\n', '\n    ');
    separator = ',\n    ';
  }
  return yield '\n  ]\n}\n';
}
