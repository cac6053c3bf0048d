// Content negotiation. We write JSON and YAML and, where a resource allows it,
// Tables and metadata-only objects. Protobuf is read, never written: clients that list it first list JSON second.
import { errors } from '../../api/errors.ts';

export type Shape = { kind: 'object' } | { kind: 'table'; version: string } | { kind: 'partial'; version: string };

export interface Negotiated {
  shape: Shape;
  mediaType: 'application/json' | 'application/yaml';
}

export interface AcceptedType {
  type: string;
  parameters: Readonly<Record<string, string>>;
  quality: number;
}

export const YAML = 'application/yaml';
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
export function negotiate(accept: string | undefined, transforms: boolean): Negotiated {
  if (!accept || accept === 'application/json' || accept === '*/*') return JSON_ANSWER;
  for (const range of parseAccept(accept)) {
    if (range.quality === 0) continue;
    const matches = range.type === '*/*' || range.type === 'application/*' || WRITTEN.includes(range.type);
    if (!matches) continue;
    const mediaType = range.type === 'application/yaml' ? 'application/yaml' : 'application/json';
    const { as, g, v } = range.parameters;
    if (as === undefined) return { shape: { kind: 'object' }, mediaType };
    if (!transforms || g !== 'meta.k8s.io' || (v !== 'v1' && v !== 'v1beta1')) continue;
    if (as === 'Table') return { shape: { kind: 'table', version: v }, mediaType };
    if (as === 'PartialObjectMetadata' || as === 'PartialObjectMetadataList') {
      return { shape: { kind: 'partial', version: v }, mediaType };
    }
  }
  throw errors.notAcceptable(['application/json', 'application/yaml']);
}

/** For errors, and what else is answered whatever was accepted. */
export function plainMediaType(accept: string | undefined): Negotiated['mediaType'] {
  if (!accept?.includes('yaml')) return 'application/json';
  try {
    return negotiate(accept, false).mediaType;
  } catch {
    return 'application/json';
  }
}

/** Events of a watch come one after another, for which YAML has no form. Throws 406. */
export function negotiateStream(accept: string | undefined): Negotiated {
  if (!accept?.includes('yaml')) return negotiate(accept, true);
  const ranges = accept.split(',').filter((range) => !range.includes('yaml'));
  if (ranges.length === 0) throw errors.notAcceptable(['application/json']);
  return negotiate(ranges.join(','), true);
}

/** The media type of a Content-Type header without its parameters; JSON when there is none. */
export function contentType(header: string | undefined): string {
  if (!header) return 'application/json';
  const semicolon = header.indexOf(';');
  return (semicolon < 0 ? header : header.slice(0, semicolon)).trim().toLowerCase();
}
