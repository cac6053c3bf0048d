// Content negotiation. We write JSON and YAML, protobuf of built-in kinds and of all metadata, and, where a resource allows it,
// Tables and metadata-only objects. Who accepts JSON as gladly as protobuf gets JSON: its bytes are there.
import { errors } from '../../api/errors.ts';

export type Shape = { kind: 'object' } | { kind: 'table'; version: string } | { kind: 'partial'; version: string };

export interface Negotiated {
  shape: Shape;
  mediaType: 'application/json' | 'application/yaml' | typeof PROTOBUF;
}

export interface AcceptedType {
  type: string;
  parameters: Readonly<Record<string, string>>;
  quality: number;
}

/** What has a form in protobuf: everything, metadata alone, nothing. */
export type ProtobufForms = 'all' | 'metadata' | 'none';

export const YAML = 'application/yaml';
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const WRITTEN = ['application/json', YAML];
const JSON_ANSWER: Negotiated = { shape: { kind: 'object' }, mediaType: 'application/json' };

const parsed = new Map<string, AcceptedType[]>();
/** Clients send a handful of different headers; the bound keeps a hostile one from growing the map. */
const PARSED_LIMIT = 256;

/** The media ranges of an Accept header, best first. */
export function parseAccept(header: string): AcceptedType[] {
  const known = parsed.get(header);
  if (known) return known;
  const ranges: AcceptedType[] = [];
  for (const part of header.split(',')) {
    const [type = '', ...rest] = part.split(';').map((each) => each.trim());
    if (type === '') continue;
    const parameters: Record<string, string> = {};
    let quality = 1;
    for (const each of rest) {
      const equals = each.indexOf('=');
      if (equals < 0) continue;
      const name = each.slice(0, equals).trim().toLowerCase();
      const value = each
        .slice(equals + 1)
        .trim()
        .replace(/^"(.*)"$/, '$1');
      if (name === 'q') quality = Number.isNaN(Number(value)) ? 1 : Number(value);
      else parameters[name] = value;
    }
    ranges.push({ type: type.toLowerCase(), parameters, quality });
  }
  ranges.sort((left, right) => right.quality - left.quality || specificity(right) - specificity(left));
  if (parsed.size < PARSED_LIMIT && header.length < 1024) parsed.set(header, ranges);
  return ranges;
}

/** Only wildcards rank lower: two concrete types keep the client's order. */
const specificity = (range: AcceptedType) => (range.type === '*/*' ? 0 : range.type.endsWith('/*') ? 1 : 2);

/**
 * Chooses the answer's form. `transforms`: the resource can be written as Table and metadata only.
 * Throws 406 when nothing we write is accepted.
 */
export function negotiate(
  accept: string | undefined,
  transforms: boolean,
  protobuf: ProtobufForms = 'none',
): Negotiated {
  if (!accept || accept === 'application/json' || accept === '*/*') return JSON_ANSWER;
  const ranges = parseAccept(accept);
  const found = bestOf(ranges, transforms, (type) =>
    type === '*/*' || type === 'application/*' || WRITTEN.includes(type)
      ? type === YAML
        ? YAML
        : 'application/json'
      : undefined,
  );
  if (protobuf !== 'none' && accept.includes('protobuf')) {
    const compact = bestOf(ranges, transforms, (type) => (type === PROTOBUF ? PROTOBUF : undefined));
    const { shape } = compact?.answer ?? {};
    const isWritten = shape?.kind === 'partial' || (shape?.kind === 'object' && protobuf === 'all');
    if (compact && isWritten && (!found || compact.quality > found.quality)) return compact.answer;
  }
  if (found) return found.answer;
  throw errors.notAcceptable(['application/json', 'application/yaml', ...(protobuf === 'none' ? [] : [PROTOBUF])]);
}

function bestOf(
  ranges: readonly AcceptedType[],
  transforms: boolean,
  writtenAs: (type: string) => Negotiated['mediaType'] | undefined,
): { answer: Negotiated; quality: number } | undefined {
  for (const { type, quality, parameters } of ranges) {
    const mediaType = quality === 0 ? undefined : writtenAs(type);
    if (!mediaType) continue;
    const { as, g, v } = parameters;
    if (as === undefined) return { answer: { shape: { kind: 'object' }, mediaType }, quality };
    if (!transforms || g !== 'meta.k8s.io' || (v !== 'v1' && v !== 'v1beta1')) continue;
    if (as === 'Table') return { answer: { shape: { kind: 'table', version: v }, mediaType }, quality };
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') {
      return { answer: { shape: { kind: 'partial', version: v }, mediaType }, quality };
    }
  }
  return undefined;
}

/** For errors, and what else is answered whatever was accepted. */
export function plainMediaType(accept: string | undefined): Negotiated['mediaType'] {
  if (!accept?.includes('yaml') && !accept?.includes('protobuf')) return 'application/json';
  try {
    return negotiate(accept, true, 'all').mediaType;
  } catch {
    return 'application/json';
  }
}

/** Events of a watch come one after another, for which YAML has no form. Throws 406. */
export function negotiateStream(accept: string | undefined, protobuf: ProtobufForms = 'none'): Negotiated {
  if (!accept?.includes('yaml')) return negotiate(accept, true, protobuf);
  const ranges = accept.split(',').filter((range) => !range.includes('yaml'));
  if (ranges.length === 0) throw errors.notAcceptable(['application/json']);
  return negotiate(ranges.join(','), true, protobuf);
}

/** The media type of a Content-Type header without its parameters; JSON when there is none. */
export function contentType(header: string | undefined): string {
  if (!header) return 'application/json';
  const semicolon = header.indexOf(';');
  return (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
}
