// One aggregated API server: how it is asked as the front proxy on somebody's behalf, what it says about itself.
import type { OutgoingHttpHeaders } from 'node:http';
import type { APIResourceList } from '../../api/types/meta.ts';
import type { Identity } from '../auth/identity.ts';
import type { KeyPair } from '../auth/pki.ts';
import { dialError, type Outbound, type OutboundTls } from '../proxy/outbound.ts';
import type { Address } from './availability.ts';
import type { ApiServiceObject } from './priorities.ts';

/** What an aggregated server has told about one group version. */
export interface RemoteFacts {
  resources: APIResourceList;
  /** Its entry in /openapi/v3; absent when it has none. */
  openApiUrl?: string;
  /** Its /openapi/v2; absent when it has none. */
  swagger?: Swagger;
}

export interface Swagger {
  paths?: Record<string, unknown>;
  definitions?: Record<string, unknown>;
  parameters?: Record<string, unknown>;
}

/** Who asks for discovery and OpenAPI. */
const AGGREGATOR: Identity = { name: 'system:kube-aggregator', groups: ['system:masters'] };
const ASK_TIMEOUT_MS = 5000;
/** What is read of a document; the largest of upstream's own is about 4 MB. */
const DOCUMENT_BYTES = 32 * 1024 * 1024;

/** How the server's certificate is checked, and ours that says that we are the front proxy. */
export function remoteTls(apiService: ApiServiceObject, frontProxy: KeyPair): OutboundTls {
  const { service, caBundle, insecureSkipTLSVerify = false } = apiService.spec ?? {};
  return {
    ...(caBundle && { ca: Buffer.from(caBundle, 'base64').toString('utf8') }),
    cert: frontProxy.certificatePem,
    key: frontProxy.keyPem,
    verify: !insecureSkipTLSVerify,
    serverName: `${service?.name}.${service?.namespace}.svc`,
  };
}

/** The user, in the headers that the extension-apiserver-authentication ConfigMap names. */
export function userHeaders(user: Identity): OutgoingHttpHeaders {
  const headers: OutgoingHttpHeaders = { 'x-remote-user': user.name, 'x-remote-group': [...user.groups] };
  if (user.uid) headers['x-remote-uid'] = user.uid;
  for (const [key, values] of Object.entries(user.extra ?? {})) {
    headers[`x-remote-extra-${encodeURIComponent(key.toLowerCase())}`] = [...values];
  }
  return headers;
}

export interface RemoteAnswer {
  code: number;
  etag: string;
  body: Buffer;
}

/** GET, as the aggregator itself. Throws an Error with Go's words when there is no answer. */
export function askRemote(
  outbound: Outbound,
  to: Address,
  tls: OutboundTls,
  path: string,
  headers: OutgoingHttpHeaders = {},
): Promise<RemoteAnswer> {
  const location = { scheme: 'https' as const, ...to };
  return new Promise((resolve, reject) => {
    const request = outbound.request({
      ...location,
      path,
      method: 'GET',
      tls,
      headers: {
        host: `${to.host}:${to.port}`,
        accept: 'application/json',
        ...userHeaders(AGGREGATOR),
        ...headers,
      },
    });
    const url = `https://${to.host}:${to.port}${path}`;
    const timeout = new Error(`Get ${JSON.stringify(url)}: context deadline exceeded`);
    const timer = setTimeout(() => request.destroy(timeout), ASK_TIMEOUT_MS);
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error === timeout ? error : new Error(`Get ${JSON.stringify(url)}: ${dialError(location, error)}`));
    });
    request.on('response', (answer) => {
      const chunks: Buffer[] = [];
      let size = 0;
      answer.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > DOCUMENT_BYTES) request.destroy(new Error(`the answer of ${url} is too large`));
        else chunks.push(chunk);
      });
      answer.on('error', reject);
      answer.on('end', () => {
        clearTimeout(timer);
        resolve({ code: answer.statusCode ?? 0, etag: answer.headers.etag ?? '', body: Buffer.concat(chunks) });
      });
    });
    request.end();
  });
}

/** The JSON of a 200; undefined for anything else. */
export function jsonOf<T>(answer: RemoteAnswer): T | undefined {
  if (answer.code !== 200) return undefined;
  try {
    const value: unknown = JSON.parse(answer.body.toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as T) : undefined;
  } catch {
    return undefined;
  }
}
