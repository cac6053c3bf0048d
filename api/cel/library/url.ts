// Kubernetes' URLs, parsed as Go's url.ParseRequestURI: an absolute URI or an absolute path.
import { types } from '../types.ts';
import { fn, type Library, member, overload } from '../functions.ts';
import { CelList, CelOpaque, type CelValue, codePoints, EntryMap } from '../values.ts';
import { failure } from './arithmetic.ts';

const urlType = types.opaque('kubernetes.URL');
const { string, bool } = types;

interface Parts {
  scheme: string;
  host: string;
  path: string;
  query: string;
}

class CelUrl extends CelOpaque {
  readonly typeName = 'kubernetes.URL';
  readonly text: string;
  readonly parts: Parts;
  constructor(text: string, parts: Parts) {
    super();
    this.text = text;
    this.parts = parts;
  }
  override get size(): number {
    return codePoints(this.text);
  }
  equals(other: CelValue): boolean {
    return other instanceof CelUrl && other.text === this.text;
  }
  override toString(): string {
    return this.text;
  }
}

/** A string is what is wrong, in Go's words. */
export function parseRequestUri(text: string): Parts | string {
  const fail = (why: string) => `parse ${JSON.stringify(text)}: ${why}`;
  if (/\p{Cc}/u.test(text.replaceAll(/[\u0080-\u009f]/g, ''))) return fail('net/url: invalid control character in URL');
  if (text === '') return fail('empty url');
  if (text === '*') return { scheme: '', host: '', path: '*', query: '' };
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text)?.[1]?.toLowerCase() ?? '';
  if (scheme === '' && text.startsWith(':')) return fail('missing protocol scheme');
  let rest = scheme ? text.slice(scheme.length + 1) : text;
  let query = '';
  const mark = rest.indexOf('?');
  if (mark >= 0) {
    query = rest.slice(mark + 1);
    rest = rest.slice(0, mark);
  }
  if (!rest.startsWith('/')) {
    if (scheme) return { scheme, host: '', path: '', query };
    return fail('invalid URI for request');
  }
  let host = '';
  if (scheme && rest.startsWith('//') && !rest.startsWith('///')) {
    const end = rest.indexOf('/', 2);
    const authority = rest.slice(2, end < 0 ? undefined : end);
    rest = end < 0 ? '' : rest.slice(end);
    host = authority.slice(authority.lastIndexOf('@') + 1);
    const problem = hostProblem(host);
    if (problem) return fail(problem);
  }
  const escape = /%(?![0-9A-Fa-f]{2})(.{0,2})/.exec(rest);
  return escape ? fail(`invalid URL escape ${JSON.stringify(escape[0])}`) : { scheme, host, path: rest, query };
}

function hostProblem(host: string): string | undefined {
  if (host.startsWith('[')) {
    const end = host.lastIndexOf(']');
    if (end < 0) return "missing ']' in host";
    const port = host.slice(end + 1);
    return /^(?::[0-9]*)?$/.test(port) ? undefined : `invalid port ${JSON.stringify(port)} after host`;
  }
  const colon = host.indexOf(':');
  if (colon >= 0 && !/^:[0-9]*$/.test(host.slice(colon))) {
    return `invalid port ${JSON.stringify(host.slice(host.lastIndexOf(':')))} after host`;
  }
  const bad = /[ "<>\\^`{|}]/.exec(host);
  return bad ? `invalid character ${JSON.stringify(bad[0])} in host name` : undefined;
}

const hostname = ({ host }: Parts): string =>
  host.startsWith('[') ? host.slice(1, host.lastIndexOf(']')) : (host.split(':')[0] as string);
const port = ({ host }: Parts): string => /:([0-9]*)$/.exec(host.replace(/^\[[^\]]*\]/, ''))?.[1] ?? '';

/** Characters that a path may hold as they are; others are escaped. */
const escapedPath = ({ path }: Parts): string =>
  path.replaceAll(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/%[\]]/gu, (each) => encodeURIComponent(each.toWellFormed()));

function queryOf({ query }: Parts): CelValue {
  const values = new Map<string, string[]>();
  for (const pair of query.split('&')) {
    if (pair === '' || pair.includes(';')) continue;
    const [key, value] = splitOnce(pair).map((each) => unescapeQuery(each));
    if (key === undefined || value === undefined) continue;
    values.set(key, [...(values.get(key) ?? []), value]);
  }
  const map = new EntryMap();
  for (const [key, list] of values) map.add(key, new CelList(list));
  return map;
}

function splitOnce(pair: string): [string, string] {
  const at = pair.indexOf('=');
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)];
}

function unescapeQuery(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    return undefined;
  }
}

function toUrl(text: string): CelValue {
  const parts = parseRequestUri(text);
  if (typeof parts === 'string') return failure(`URL parse error during conversion from string: ${parts}`);
  return new CelUrl(text, parts);
}

const getter = (name: string, id: string, get: (parts: Parts) => string) =>
  fn(
    name,
    member(id, [urlType], string, ({ parts }: CelUrl) => get(parts)),
  );

export const urlLibrary: Library = {
  name: 'kubernetes.urls',
  types: [urlType],
  functions: [
    fn('url', overload('string_to_url', [string], urlType, toUrl)),
    fn(
      'isURL',
      overload('is_url_string', [string], bool, (text: string) => typeof parseRequestUri(text) !== 'string'),
    ),
    getter('getScheme', 'url_get_scheme', ({ scheme }) => scheme),
    getter('getHost', 'url_get_host', ({ host }) => host),
    getter('getHostname', 'url_get_hostname', hostname),
    getter('getPort', 'url_get_port', port),
    getter('getEscapedPath', 'url_get_escaped_path', escapedPath),
    fn(
      'getQuery',
      member('url_get_query', [urlType], types.map(string, types.list(string)), ({ parts }: CelUrl) => queryOf(parts)),
    ),
  ],
};
