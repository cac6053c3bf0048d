// What a request asks for, read from its method, path and query alone. Rules: Kubernetes API concepts, "resource URIs".
// Pure. Malformed percent-encoding throws 400.
import { errors } from '../../api/errors.ts';

export interface RequestInfo {
  /** False for paths such as /version: then `verb` is the method in lower case and only `path` matters. */
  isResource: boolean;
  /** get list watch create update patch delete deletecollection; empty for a method that is no verb. */
  verb: string;
  /** `api` or `apis`. */
  prefix: string;
  group: string;
  version: string;
  namespace: string;
  resource: string;
  subresource: string;
  name: string;
  /** Decoded path segments from the resource on; more than three only below `proxy`. */
  parts: readonly string[];
  /** Decoded, without the query. */
  path: string;
  /** As the client wrote it, without the query: what is passed on to others. */
  rawPath: string;
  query: URLSearchParams;
}

/** `/api/v1/namespaces/x/status` is a subresource of the namespace, not a resource inside it. */
const NAMESPACE_SUBRESOURCES = new Set(['status', 'finalize']);

const METHOD_VERBS: Readonly<Record<string, string>> = {
  POST: 'create',
  GET: 'get',
  HEAD: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
};

/** `url` is the request target: path and query, still encoded. */
export function parseRequest(method: string, url: string): RequestInfo {
  const mark = url.indexOf('?');
  const rawPath = mark < 0 ? url : url.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1));
  const path = decodePath(rawPath);
  const info: RequestInfo = {
    isResource: false,
    verb: method.toLowerCase(),
    prefix: '',
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    parts: [],
    path,
    rawPath,
    query,
  };
  const segments = path.replace(/^\/+|\/+$/g, '').split('/');
  const prefix = segments[0] as string;
  if (segments.length < 3 || (prefix !== 'api' && prefix !== 'apis')) return info;
  let rest = segments.slice(1);
  if (prefix === 'apis') {
    if (rest.length < 3) return info;
    info.group = rest[0] as string;
    rest = rest.slice(1);
  }
  info.prefix = prefix;
  info.isResource = true;
  info.version = rest[0] as string;
  rest = rest.slice(1);
  info.verb = METHOD_VERBS[method] ?? '';
  if (rest[0] === 'watch' && rest.length > 1) {
    // The old form /api/v1/watch/pods.
    info.verb = 'watch';
    rest = rest.slice(1);
  }
  if (rest[0] === 'namespaces' && rest.length > 1) {
    info.namespace = rest[1] as string;
    if (rest.length > 2 && !NAMESPACE_SUBRESOURCES.has(rest[2] as string)) rest = rest.slice(2);
  }
  info.parts = rest;
  info.resource = rest[0] as string;
  info.name = rest[1] ?? '';
  info.subresource = rest[2] ?? '';
  if (info.name === '' && info.verb === 'get') {
    info.verb = isTrue(query.get('watch')) ? 'watch' : 'list';
  }
  if (info.name === '' && info.verb === 'delete') info.verb = 'deletecollection';
  if (info.name === '' && (info.verb === 'list' || info.verb === 'watch' || info.verb === 'deletecollection')) {
    info.name = nameSelected(query.get('fieldSelector'));
  }
  return info;
}

/** How a boolean query parameter reads: absent and `false` and `0` are false, empty or anything else true. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== 'false' && value !== '0';
}

/** Go's rules: the whole path is decoded at once, a bad escape is an error. */
function decodePath(raw: string): string {
  if (!raw.startsWith('/')) throw errors.badRequest(`the request path ${JSON.stringify(raw)} must start with "/"`);
  if (!raw.includes('%')) return raw;
  try {
    return decodeURIComponent(raw);
  } catch {
    throw errors.badRequest(`the request path ${JSON.stringify(raw)} contains an invalid percent-encoding`);
  }
}

/** The name in a field selector that is `metadata.name=x` and maybe more: authorizers may then decide by name. */
function nameSelected(selector: string | null): string {
  if (!selector) return '';
  let name = '';
  for (const term of selector.split(',')) {
    const match = /^\s*metadata\.name\s*==?\s*([^=!,\s]+)\s*$/.exec(term);
    if (match) name = match[1] as string;
  }
  return name;
}
