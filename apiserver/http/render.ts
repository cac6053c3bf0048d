// Answers in the shape that was negotiated: the object's own bytes, a Table, or metadata only.
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import { type IncludeObject, parseIncludeObject, partialObject, tableOf, tableRow } from '../../api/table.ts';
import type { CachedObject } from '../cache/port.ts';
import type { ListResult } from '../registry/list.ts';
import type { Exchange } from './exchange.ts';
import { type Negotiated, negotiate, type Shape } from './negotiate.ts';
import type { Part } from './parts.ts';

/** Decided before the work, so that a 406 changes nothing. */
export function negotiateFor(exchange: Exchange, transforms: boolean): Negotiated {
  return negotiate(exchange.header('accept'), transforms);
}

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
  if (shape.kind === 'table') {
    return exchange.sendJson(200, tableParts(kind, list, shape, metadata, includeObjectOf(exchange), nowMs), mediaType);
  }
  if (shape.kind === 'partial') {
    const group = `meta.k8s.io/${shape.version}`;
    const opening = partialOpening(shape);
    return exchange.sendJson(
      200,
      listParts('PartialObjectMetadataList', group, metadata, list.items, (parts, item) => {
        parts.push(opening, metadataOf(item), '}');
      }),
      mediaType,
    );
  }
  return exchange.sendJson(
    200,
    listParts(kind.listKind, apiVersionOf(kind), metadata, list.items, (parts, item) => parts.push(item.bytes)),
    mediaType,
  );
}

/** A list's text around what `add` puts in for each item. */
function listParts(
  listKind: string,
  apiVersion: string,
  metadata: object,
  items: readonly CachedObject[],
  add: (parts: Part[], item: CachedObject) => void,
): Part[] {
  const parts: Part[] = [
    `{"kind":${JSON.stringify(listKind)},"apiVersion":${JSON.stringify(apiVersion)},"metadata":${JSON.stringify(metadata)},"items":[`,
  ];
  items.forEach((item, index) => {
    if (index > 0) parts.push(',');
    add(parts, item);
  });
  parts.push(']}');
  return parts;
}

/** A Table whose rows carry the objects, or their metadata, in the bytes that the cache has of them. */
function tableParts(
  kind: Kind,
  list: ListResult,
  shape: Shape & { kind: 'table' },
  metadata: object,
  includeObject: IncludeObject,
  nowMs: number,
): Part[] {
  const { rows: _, ...head } = tableOf(kind, [], { nowMs, version: shape.version, includeObject, metadata });
  const parts: Part[] = [`${JSON.stringify(head).slice(0, -1)},"rows":[`];
  const opening = partialOpening(shape);
  list.items.forEach((item, index) => {
    const row = JSON.stringify(tableRow(kind, item.object, { nowMs, version: shape.version, includeObject: 'None' }));
    const text = `${index > 0 ? ',' : ''}${row}`;
    if (includeObject === 'None') parts.push(text);
    else if (includeObject === 'Object') parts.push(`${text.slice(0, -1)},"object":`, item.bytes, '}');
    else parts.push(`${text.slice(0, -1)},"object":${opening}`, metadataOf(item), '}}');
  });
  parts.push(']}');
  return parts;
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
