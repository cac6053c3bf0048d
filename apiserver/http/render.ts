// Answers in the shape that was negotiated: the object's own bytes, a Table, or metadata only.
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import { type IncludeObject, parseIncludeObject, tableOf, tableRow } from '../../api/table.ts';
import type { CachedObject } from '../cache/port.ts';
import type { ListResult } from '../registry/list.ts';
import type { Exchange } from './exchange.ts';
import { type Negotiated, negotiate, type Shape } from './negotiate.ts';

const COMMA = Buffer.from(',');
const END = Buffer.from(']}');
const PIECE_BYTES = 64 * 1024;

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
    return exchange.sendJson(code, JSON.stringify(partialOf(entry.object, shape.version)), mediaType);
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
    const objects = list.items.map((each) => each.object);
    const table = tableOf(kind, objects, {
      nowMs,
      version: shape.version,
      includeObject: includeObjectOf(exchange),
      metadata,
    });
    return exchange.sendJson(200, JSON.stringify(table), mediaType);
  }
  if (shape.kind === 'partial') {
    const items = list.items.map((each) => partialOf(each.object, shape.version));
    const head = { kind: 'PartialObjectMetadataList', apiVersion: `meta.k8s.io/${shape.version}`, metadata, items };
    return exchange.sendJson(200, JSON.stringify(head), mediaType);
  }
  return exchange.sendJson(200, joinList(kind, metadata, list.items), mediaType);
}

/** The list's bytes, from the bytes of its items, in pieces of moderate size: one large buffer costs more than its copy. */
function joinList(kind: Kind, metadata: object, items: readonly CachedObject[]): Buffer[] {
  const head = `{"kind":${JSON.stringify(kind.listKind)},"apiVersion":${JSON.stringify(apiVersionOf(kind))},"metadata":${JSON.stringify(metadata)},"items":[`;
  const pieces: Buffer[] = [];
  let parts: Buffer[] = [Buffer.from(head)];
  let size = 0;
  items.forEach((item, index) => {
    if (index > 0) parts.push(COMMA);
    parts.push(item.bytes);
    size += item.bytes.length;
    if (size < PIECE_BYTES) return;
    pieces.push(Buffer.concat(parts));
    parts = [];
    size = 0;
  });
  parts.push(END);
  pieces.push(Buffer.concat(parts));
  return pieces;
}

export function partialOf(object: KubeObject, version: string): object {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}

/** One watch event's object in `shape`; `isFirst` decides whether a Table carries its column definitions. */
export function shapedEvent(
  kind: Kind,
  object: KubeObject,
  shape: Shape,
  options: { nowMs: number; includeObject: IncludeObject; isFirst: boolean },
): object {
  if (shape.kind === 'partial') return partialOf(object, shape.version);
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
