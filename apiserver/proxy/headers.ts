// Which headers go on to a backend and which come back: hop-by-hop headers (RFC 9110, 7.6.1) stay on their connection, and
// what a client showed this server to be let in stays here. Pure.
import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeaders } from 'node:http';

const HOP_BY_HOP = new Set([
  'connection',
  'proxy-connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'http2-settings',
]);

/** A backend must not open this server's origin to pages of others. */
const CORS = new Set([
  'access-control-allow-credentials',
  'access-control-allow-headers',
  'access-control-allow-methods',
  'access-control-allow-origin',
]);

/** Credentials, and words that only the front of an aggregated server may say. */
function staysHere(name: string): boolean {
  return name === 'authorization' || name.startsWith('impersonate-') || name.startsWith('x-remote-');
}

/**
 * What a backend gets of a request. `upgrade`: the connection itself is handed on, so `Connection` and `Upgrade` go along.
 * `host` of the answer is the one that the client named; `remoteAddress` is appended to X-Forwarded-For.
 */
export function requestHeaders(
  from: IncomingHttpHeaders,
  options: { remoteAddress: string | undefined; upgrade: boolean },
): OutgoingHttpHeaders {
  const named = connectionNames(from.connection);
  const headers: OutgoingHttpHeaders = {};
  for (const [name, value] of Object.entries(from)) {
    if (value === undefined || name.startsWith(':') || staysHere(name)) continue;
    if (!HOP_BY_HOP.has(name) && !named.has(name)) headers[name] = value;
  }
  if (options.upgrade) {
    headers['connection'] = 'Upgrade';
    headers['upgrade'] = from.upgrade;
  }
  const authority = from[':authority'];
  if (typeof authority === 'string') headers['host'] = authority;
  if (options.remoteAddress) {
    const before = from['x-forwarded-for'];
    const address = options.remoteAddress.replace(/^::ffff:/, '');
    headers['x-forwarded-for'] = before ? `${String(before)}, ${address}` : address;
  }
  return headers;
}

/** What a client gets of a backend's answer; a header that came several times stays several. */
export function answerHeaders(
  answer: IncomingMessage,
  options: { dropCors: boolean },
): Record<string, string | string[]> {
  const named = connectionNames(answer.headers.connection);
  const headers: Record<string, string | string[]> = {};
  for (let index = 0; index < answer.rawHeaders.length; index += 2) {
    const name = (answer.rawHeaders[index] as string).toLowerCase();
    if (HOP_BY_HOP.has(name) || named.has(name) || (options.dropCors && CORS.has(name))) continue;
    const value = answer.rawHeaders[index + 1] as string;
    const before = headers[name];
    headers[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value];
  }
  return headers;
}

/** Headers that `Connection` names are hop-by-hop too. */
function connectionNames(connection: string | undefined): ReadonlySet<string> {
  if (!connection) return NONE;
  return new Set(connection.split(',').map((each) => each.trim().toLowerCase()));
}

const NONE: ReadonlySet<string> = new Set();
