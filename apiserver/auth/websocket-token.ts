// A bearer token as a WebSocket subprotocol, for browsers, which cannot set headers:
// `Sec-WebSocket-Protocol: base64url.bearer.authorization.k8s.io.TOKEN, v4.channel.k8s.io`.
import type { IncomingHttpHeaders } from 'node:http';
import { errors } from '../../api/errors.ts';

const HEADER = 'sec-websocket-protocol';
const PREFIX = 'base64url.bearer.authorization.k8s.io.';

/**
 * The token of an upgrade to WebSocket, which is taken out of the header: it is not a protocol to agree on, and goes to
 * nobody else. Throws 401 when it is given twice, cannot be read, or stands alone.
 */
export function websocketToken(headers: IncomingHttpHeaders): string | undefined {
  const listed = headers[HEADER];
  if (listed === undefined || !listed.includes(PREFIX) || headers.upgrade?.toLowerCase() !== 'websocket') {
    return undefined;
  }
  const protocols = listed.split(',').map((each) => each.trim());
  const others = protocols.filter((each) => !each.startsWith(PREFIX));
  const encoded = protocols.find((each) => each.startsWith(PREFIX))?.slice(PREFIX.length) ?? '';
  if (protocols.length - others.length !== 1 || others.length === 0) throw errors.unauthorized();
  if (encoded === '' || !/^[A-Za-z0-9_-]+$/.test(encoded)) throw errors.unauthorized();
  headers[HEADER] = others.join(', ');
  return Buffer.from(encoded, 'base64url').toString('utf8');
}
