// Everything that is no resource: health, version, metrics, discovery, OpenAPI, keys of tokens, and the list of paths.
import { errors } from '../../api/errors.ts';
import type { TokenSigner } from '../auth/jwt.ts';
import type { Exchange } from './exchange.ts';
import { type HealthCheck, serveHealth } from './health.ts';
import type { ServerMetrics } from './metrics.ts';

export interface PathsContext {
  version: Readonly<Record<string, string>>;
  checks: readonly HealthCheck[];
  metrics: ServerMetrics;
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
  if (await serveHealth(exchange, context.checks)) return;
  switch (path) {
    case '/':
      return exchange.sendJson(200, JSON.stringify({ paths: allPaths(context) }));
    case '/version':
      return exchange.sendJson(200, JSON.stringify(context.version));
    case '/metrics':
      return exchange.send(
        200,
        'text/plain; version=0.0.4; charset=utf-8',
        Buffer.from(context.metrics.registry.render()),
      );
    case '/.well-known/openid-configuration':
      return exchange.sendJson(200, JSON.stringify(openIdConfiguration(context)));
    case '/openid/v1/jwks':
      return exchange.sendJson(200, JSON.stringify(context.signer.jwks()), 'application/jwk-set+json');
    default:
  }
  if (path.startsWith('/openapi') && (await context.openapi(exchange))) return;
  if (/^\/apis?(\/|$)/.test(path) && (await context.discovery(exchange))) return;
  throw errors.unknownPath();
}

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
  const health = ['healthz', 'livez', 'readyz'].flatMap((endpoint) => [
    `/${endpoint}`,
    ...context.checks
      .filter((each) => !each.on || each.on.includes(endpoint as never))
      .map((each) => `/${endpoint}/${each.name}`),
  ]);
  return [
    '/.well-known/openid-configuration',
    ...context.apiPaths(),
    ...health,
    '/metrics',
    '/openapi/v2',
    '/openapi/v3',
    '/openid/v1/jwks',
    '/version',
  ].sort();
}
