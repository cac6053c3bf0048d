// Answers in the shape that was negotiated: the object's own bytes, a Table, or metadata only.
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import { type IncludeObject, parseIncludeObject, partialObject, tableOf, tableRow } from '../../api/table.ts';
import type { CachedObject } from '../cache/port.ts';
import type { ListResult } from '../registry/list.ts';
import type { Exchange } from './exchange.ts';
import { jsonParts, type ListForm, sendListForm } from './list-form.ts';
import { type Negotiated, negotiate, PROTOBUF, type ProtobufForms, type Shape } from './negotiate.ts';
import { listProtobuf, objectProtobuf } from './protobuf-answers.ts';
import type { Part } from './parts.ts';

/** Decided before the work, so that a 406 changes nothing. */
export function negotiateFor(exchange: Exchange, transforms: boolean, kind: Kind): Negotiated {
  return negotiate(exchange.header('accept'), transforms, protobufForms(kind));
}

/** Custom resources have no messages, but their metadata has. */
export const protobufForms = (kind: Kind): ProtobufForms => (kind.schema === '' ? 'metadata' : 'all');

export function includeObjectOf(exchange: Exchange): IncludeObject {
  return parseIncludeObject(exchange.info.query.get('includeObject'));
}

export function sendEntry(
  exchange: Exchange,
  code: number,
  kind: Kind,
  entry: CachedObject,
  negotiated: Negotiated,
  nowMs: number,
): Promise<void> {
  const { shape, mediaType } = negotiated;
  if (mediaType === PROTOBUF) {
    return exchange.sendMade(code, mediaType, [objectProtobuf(kind, entry, shape)], () => [entry.bytes]);
  }
  if (shape.kind === 'object') return exchange.sendJson(code, entry.bytes, mediaType);
  if (shape.kind === 'partial')
    return exchange.sendJson(code, JSON.stringify(partialObject(entry.object, shape.version)), mediaType);
  const table = tableOf(kind, [entry.object], {
    nowMs,
    version: shape.version,
    includeObject: includeObjectOf(exchange),
    metadata: { resourceVersion: entry.object.metadata.resourceVersion ?? '' },
  });
  return exchange.sendJson(code, JSON.stringify(table), mediaType);
}

export function sendList(
  exchange: Exchange,
  kind: Kind,
  list: ListResult,
  negotiated: Negotiated,
  nowMs: number,
): Promise<void> {
  const { shape, mediaType } = negotiated;
  const metadata = {
    resourceVersion: String(list.revision),
    ...(list.continue !== '' && { continue: list.continue }),
    ...(list.remaining !== undefined && { remainingItemCount: list.remaining }),
  };
  if (mediaType === PROTOBUF) return sendListProtobuf(exchange, kind, list, metadata, shape, nowMs);
  return sendListForm(exchange, formOf(exchange, kind, list, shape, metadata, nowMs), mediaType);
}

async function sendListProtobuf(
  exchange: Exchange,
  kind: Kind,
  list: ListResult,
  metadata: object,
  shape: Shape,
  nowMs: number,
): Promise<void> {
  const parts = await listProtobuf(kind, list.items, metadata, shape);
  return exchange.sendMade(200, PROTOBUF, parts, () => jsonParts(formOf(exchange, kind, list, shape, metadata, nowMs)));
}

function formOf(
  exchange: Exchange,
  kind: Kind,
  { items }: ListResult,
  shape: Shape,
  metadata: object,
  nowMs: number,
): ListForm {
  const rest = { key: 'items', items } as const;
  if (shape.kind === 'table') return tableForm(kind, items, shape, metadata, includeObjectOf(exchange), nowMs);
  if (shape.kind === 'partial') {
    const opening = partialOpening(shape);
    const head = { kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${shape.version}`, metadata };
    return { head, ...rest, add: (parts, item) => parts.push(opening, metadataOf(item), '}') };
  }
  const head = { kind: kind.listKind, apiVersion: apiVersionOf(kind), metadata };
  return { head, ...rest, add: (parts, item) => parts.push(item.bytes) };
}

/** A Table whose rows carry the objects, or their metadata, in the bytes that the cache has of them. */
function tableForm(
  kind: Kind,
  items: readonly CachedObject[],
  shape: Shape & { kind: 'table' },
  metadata: object,
  includeObject: IncludeObject,
  nowMs: number,
): ListForm {
  const { version } = shape;
  const { rows: _, ...head } = tableOf(kind, [], { nowMs, version, includeObject, metadata });
  const opening = partialOpening(shape);
  return {
    head,
    key: 'rows',
    items,
    add(parts, item) {
      const text = JSON.stringify(tableRow(kind, item.object, { nowMs, version, includeObject: 'None' }));
      if (includeObject === 'None') parts.push(text);
      else if (includeObject === 'Object') parts.push(`${text.slice(0, -1)},"object":`, item.bytes, '}');
      else parts.push(`${text.slice(0, -1)},"object":${opening}`, metadataOf(item), '}}');
    },
  };
}

const partialOpening = (shape: { version: string }) =>
  `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/${shape.version}","metadata":`;

/** The metadata as the cache has encoded it, encoded now where it has not. */
function metadataOf(item: CachedObject): Part {
  return item.metadataBytes ?? JSON.stringify(item.object.metadata);
}

/** One watch event's object in `shape`; `isFirst` decides whether a Table carries its column definitions. */
export function shapedEvent(
  kind: Kind,
  object: KubeObject,
  shape: Shape,
  options: { nowMs: number; includeObject: IncludeObject; isFirst: boolean },
): object {
  if (shape.kind === 'partial') return partialObject(object, shape.version);
  if (shape.kind === 'object') return object;
  const resourceVersion = object.metadata.resourceVersion ?? '';
  if (options.isFirst) {
    return tableOf(kind, [object], { ...options, version: shape.version, metadata: { resourceVersion } });
  }
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${shape.version}`,
    metadata: { resourceVersion },
    columnDefinitions: null,
    rows: [
      tableRow(kind, object, { nowMs: options.nowMs, version: shape.version, includeObject: options.includeObject }),
    ],
  };
}
