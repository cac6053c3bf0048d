// /openapi/v3, its documents, and /openapi/v2 as JSON or as the protobuf that kubectl asks for; built on first use.
import { errors } from '../../api/errors.ts';
import { OPENAPI_V2_PROTOBUF, type OpenApiDocument, OpenApiDocuments } from '../../api/openapi.ts';
import type { Scheme } from '../../api/scheme.ts';
import { sendDocument } from './cached-documents.ts';
import type { Exchange } from './exchange.ts';
import { negotiate, parseAccept } from './negotiate.ts';

export interface OpenApi {
  /** False when the path is none of ours. */
  serve(exchange: Exchange): Promise<boolean>;
}

/** How a document's hash in a URL lets clients keep it: as long as they like. */
const FOREVER = { 'cache-control': 'public, immutable', vary: 'Accept' };

export function createOpenApi(scheme: Scheme, version: string): OpenApi {
  const documents = new OpenApiDocuments(scheme, { version });

  async function serve(exchange: Exchange): Promise<boolean> {
    const path = exchange.info.path.replace(/\/+$/, '');
    if (path === '/openapi/v2') {
      const wantsProtobuf = parseAccept(exchange.header('accept') ?? '')[0]?.type === OPENAPI_V2_PROTOBUF.toLowerCase();
      if (!wantsProtobuf) negotiate(exchange.header('accept'), false);
      const type = wantsProtobuf ? OPENAPI_V2_PROTOBUF.replace('@', '.') : 'application/json';
      await send(exchange, wantsProtobuf ? documents.v2Protobuf() : documents.v2(), type);
      return true;
    }
    if (path !== '/openapi/v3' && !path.startsWith('/openapi/v3/')) return false;
    negotiate(exchange.header('accept'), false);
    if (path === '/openapi/v3') {
      await send(exchange, documents.index(), 'application/json');
      return true;
    }
    const place = path.slice('/openapi/v3/'.length);
    const hash = exchange.info.query.get('hash');
    const document = documents.v3(place);
    if (!document) throw errors.unknownPath();
    // A hash of another content is sent on to the right one, as upstream does.
    if (hash !== null && hash !== '' && hash !== documents.hash(place)) {
      await exchange.send(301, 'text/plain', Buffer.alloc(0), {
        location: `/openapi/v3/${place}?hash=${documents.hash(place)}`,
      });
      return true;
    }
    await send(exchange, document, 'application/json', hash ? FOREVER : undefined);
    return true;
  }

  return { serve };
}

function send(
  exchange: Exchange,
  { bytes, etag }: OpenApiDocument,
  type: string,
  headers: Readonly<Record<string, string>> = { vary: 'Accept' },
): Promise<void> {
  return sendDocument(exchange, { bytes, etag: `"${etag}"` }, type, headers);
}
