// /openapi/v3, its documents, and /openapi/v2 as JSON or as the protobuf that kubectl asks for; built on first use.
import { errors } from '../../api/errors.ts';
import { encodeGnostic } from '../../api/openapi-gnostic.ts';
import { OPENAPI_V2_PROTOBUF, type OpenApiDocument, OpenApiDocuments } from '../../api/openapi.ts';
import type { Scheme } from '../../api/scheme.ts';
import { mergeSwagger } from '../aggregation/documents.ts';
import { CachedDocuments, sendDocument } from './cached-documents.ts';
import type { Exchange } from './exchange.ts';
import { negotiate, parseAccept } from './negotiate.ts';

export interface OpenApi {
  /** False when the path is none of ours. */
  serve(exchange: Exchange): Promise<boolean>;
}

/** How a document's hash in a URL lets clients keep it: as long as they like. */
const FOREVER = { 'cache-control': 'public, immutable', vary: 'Accept' };

/** The documents of group versions that other servers answer. */
export interface OpenApiBeside {
  readonly revision: number;
  openApiPaths(): ReadonlyMap<string, string>;
  swaggers(): readonly { group: string; swagger: object }[];
  serveOpenApi(exchange: Exchange, path: string): Promise<boolean>;
}

export function createOpenApi(scheme: Scheme, version: string, beside?: OpenApiBeside): OpenApi {
  const merged = new CachedDocuments(() => `${scheme.revision} ${beside?.revision}`);
  const documents = new OpenApiDocuments(scheme, { version });

  async function serve(exchange: Exchange): Promise<boolean> {
    const path = exchange.info.path.replace(/\/+$/, '');
    if (path === '/openapi/v2') {
      const wantsProtobuf = parseAccept(exchange.header('accept') ?? '')[0]?.type === OPENAPI_V2_PROTOBUF.toLowerCase();
      if (!wantsProtobuf) negotiate(exchange.header('accept'), false);
      const type = wantsProtobuf ? OPENAPI_V2_PROTOBUF.replace('@', '.') : 'application/json';
      await sendSwagger(exchange, wantsProtobuf, type);
      return true;
    }
    if (path !== '/openapi/v3' && !path.startsWith('/openapi/v3/')) return false;
    negotiate(exchange.header('accept'), false);
    if (path === '/openapi/v3') {
      await sendIndex(exchange);
      return true;
    }
    const place = path.slice('/openapi/v3/'.length);
    const hash = exchange.info.query.get('hash');
    if (beside && (await beside.serveOpenApi(exchange, place))) return true;
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

  async function sendIndex(exchange: Exchange): Promise<void> {
    const others = beside?.openApiPaths();
    if (!others || others.size === 0) return send(exchange, documents.index(), 'application/json');
    const document = merged.get('index', () => {
      const { paths } = JSON.parse(documents.index().bytes.toString()) as { paths: Record<string, object> };
      for (const [path, url] of others) paths[path] = { serverRelativeURL: url };
      return Buffer.from(JSON.stringify({ paths }));
    });
    return sendDocument(exchange, document, 'application/json', { vary: 'Accept' });
  }

  async function sendSwagger(exchange: Exchange, wantsProtobuf: boolean, type: string): Promise<void> {
    const others = beside?.swaggers() ?? [];
    if (others.length === 0) return send(exchange, wantsProtobuf ? documents.v2Protobuf() : documents.v2(), type);
    const json = () =>
      merged.get('v2', () => Buffer.from(JSON.stringify(mergeSwagger(parsed(documents.v2()), others))));
    const document = wantsProtobuf ? merged.get('v2 protobuf', () => encodeGnostic(parsed(json()))) : json();
    return sendDocument(exchange, document, type, { vary: 'Accept' });
  }

  return { serve };
}

const parsed = ({ bytes }: { bytes: Buffer }) => JSON.parse(bytes.toString());

function send(
  exchange: Exchange,
  { bytes, etag }: OpenApiDocument,
  type: string,
  headers: Readonly<Record<string, string>> = { vary: 'Accept' },
): Promise<void> {
  return sendDocument(exchange, { bytes, etag: `"${etag}"` }, type, headers);
}
