// Everything that is no resource: health, version, metrics, discovery, OpenAPI, keys of tokens, and the list of paths.
import { errors } from '../../api/errors.ts';
import type { MetricsRegistry } from '../../lib/metrics.ts';
import type { TokenSigner } from '../auth/jwt.ts';
import type { Exchange } from './exchange.ts';
import type { Debug } from './debug.ts';
import { ENDPOINTS, type Health } from './health.ts';
import type { ServerMetrics } from './metrics.ts';

export interface PathsContext {
  version: Readonly<Record<string, string>>;
  health: Health;
  /** Absent: there is no /debug. */
  debug: Debug | undefined;
  metrics: ServerMetrics;
  /** More text for /metrics. */
  moreMetrics: (() => string) | undefined;
  signer: TokenSigner;
  issuer: string;
  /** Answers /api, /apis and below; false when the path is not one of them. */
  discovery(exchange: Exchange): Promise<boolean>;
  /** Answers /openapi/...; false when the path is not one of them. */
  openapi(exchange: Exchange): Promise<boolean>;
  /** Discovery paths, for the list at `/`. */
  apiPaths(): string[];
}

export async function servePath(context: PathsContext, exchange: Exchange): Promise<void> {
  const path = exchange.info.path.length > 1 ? exchange.info.path.replace(/\/+$/, '') : '/';
  if (exchange.method !== 'GET' && exchange.method !== 'HEAD') {
    throw KNOWN.test(path) || path === '/' ? errors.methodNotAllowedPath() : errors.unknownPath();
  }
  if (await context.health.serve(exchange)) return;
  switch (path) {
    case '/':
      return exchange.sendJson(200, JSON.stringify({ paths: allPaths(context) }));
    case '/version':
      return exchange.sendJson(200, JSON.stringify(context.version));
    case '/metrics':
      return sendMetrics(exchange, context.metrics.registry, context.moreMetrics);
    case '/metrics/slis':
      return sendMetrics(exchange, context.health.registry);
    case '/.well-known/openid-configuration':
      return exchange.sendJson(200, JSON.stringify(openIdConfiguration(context)));
    case '/openid/v1/jwks':
      return exchange.sendJson(200, JSON.stringify(context.signer.jwks()), 'application/jwk-set+json');
    default:
  }
  if (path.startsWith('/openapi') && (await context.openapi(exchange))) return;
  if (/^\/apis?(\/|$)/.test(path) && (await context.discovery(exchange))) return;
  if (path.startsWith('/debug') && (await context.debug?.serve(exchange, path))) return;
  throw errors.unknownPath();
}

const sendMetrics = (exchange: Exchange, registry: MetricsRegistry, more = () => '') =>
  exchange.send(
    200,
    'text/plain; version=0.0.4; charset=utf-8; escaping=underscores',
    Buffer.from(registry.render() + more()),
  );

const KNOWN = /^\/(apis?|version|metrics|healthz|livez|readyz|openapi|openid|\.well-known)(\/|$)/;

function openIdConfiguration({ issuer, signer }: PathsContext): object {
  return {
    issuer,
    jwks_uri: `${issuer}/openid/v1/jwks`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: signer.algorithms(),
  };
}

function allPaths(context: PathsContext): string[] {
  const health = ENDPOINTS.flatMap((endpoint) => [
    `/${endpoint}`,
    ...context.health.of(endpoint).map((each) => `/${endpoint}/${each.name}`),
  ]);
  return [
    '/.well-known/openid-configuration',
    ...context.apiPaths(),
    ...health,
    ...(context.debug?.paths ?? []),
    '/metrics',
    '/metrics/slis',
    '/openapi/v2',
    '/openapi/v3',
    '/openid/v1/jwks',
    '/version',
  ].sort();
}
