// Calls webhooks: one JSON POST over verified TLS, with a deadline for everything together and a bounded answer. Serves
// admission and conversion alike. Connections are kept and used again. Redirects are not followed: an answer comes from
// whom the configuration names, or not at all.
import { Agent, request as httpsRequest } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { CredentialsOf, WebhookCredentials } from './credentials.ts';

/** `clientConfig` of webhooks and conversions; `caBundle` is base64 of PEM. */
export interface WebhookClientConfig {
  url?: string;
  service?: { namespace: string; name: string; path?: string; port?: number };
  caBundle?: string;
}

/** Where a service answers now. Throws Error when it is missing or has nobody behind it. */
export type ServiceResolver = (
  namespace: string,
  name: string,
  port: number,
) => Promise<{ host: string; port: number }> | { host: string; port: number };

/** What is read of one answer; a converted list of many objects may be large. */
const MAX_ANSWER_BYTES = 32 * 1024 * 1024;
/** What a message repeats of an answer that was no answer. */
const MAX_QUOTED = 1024;
/** Connections per webhook; calls above it wait, within their deadline. */
const MAX_CONNECTIONS = 64;
const MAX_IDLE = 8;
/** CA bundles that stay decoded. */
const MAX_BUNDLES = 1024;

/** The message reads on after `failed to call webhook: `. */
export class WebhookError extends Error {
  /** Of an answer that was none. */
  readonly code: number | undefined;

  constructor(message: string, options?: ErrorOptions & { code?: number }) {
    super(message, options);
    this.name = 'WebhookError';
    this.code = options?.code;
  }
}

interface Target {
  /** As messages show it. */
  url: string;
  host: string;
  port: number;
  path: string;
  serverName: string;
  hostHeader: string;
}

/** With whom is trusted there, and who asks. */
type Asked = Target & { ca: string | undefined; shows: WebhookCredentials | undefined };

export class WebhookClient {
  #resolve: ServiceResolver;
  #agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS, maxFreeSockets: MAX_IDLE, scheduling: 'lifo' });
  #bundles = new Map<string, string>();
  #maxAnswerBytes: number;

  constructor(options: { resolve: ServiceResolver; maxAnswerBytes?: number }) {
    this.#resolve = options.resolve;
    this.#maxAnswerBytes = options.maxAnswerBytes ?? MAX_ANSWER_BYTES;
  }

  /**
   * POSTs `body` (JSON) and gives back the parsed answer, whatever it says. Throws WebhookError for everything that is not
   * a 200 with JSON within `timeoutMs`.
   */
  async call(
    config: WebhookClientConfig,
    body: string,
    options: { timeoutMs: number; signal?: AbortSignal; credentials?: CredentialsOf | undefined },
  ): Promise<unknown> {
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), options.timeoutMs);
    const onAbort = () => deadline.abort();
    options.signal?.addEventListener('abort', onAbort, { once: true });
    const query = `timeout=${formatTimeout(options.timeoutMs)}`;
    let shown = shownUrl(config, query);
    try {
      const target = await this.#target(config, query);
      shown = target.url;
      const ca = this.#ca(config.caBundle);
      const shows = options.credentials?.(hostPortOf(config, target));
      return await this.#post({ ...target, ca, shows }, body, deadline.signal);
    } catch (error) {
      if (error instanceof WebhookError) throw error;
      const why = deadline.signal.aborted
        ? options.signal?.aborted
          ? 'context canceled'
          : 'context deadline exceeded'
        : error instanceof Error
          ? error.message
          : String(error);
      throw new WebhookError(`Post ${JSON.stringify(shown)}: ${why}`, { cause: error });
    } finally {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
    }
  }

  close(): void {
    this.#agent.destroy();
  }

  async #target(config: WebhookClientConfig, query: string): Promise<Target> {
    const { service } = config;
    if (service) {
      const port = service.port ?? 443;
      const serverName = `${service.name}.${service.namespace}.svc`;
      const address = await this.#resolve(service.namespace, service.name, port);
      return {
        url: shownUrl(config, query),
        ...address,
        path: `${pathOf(service.path)}?${query}`,
        serverName,
        hostHeader: `${serverName}:${port}`,
      };
    }
    const url = new URL(config.url ?? '');
    if (url.protocol !== 'https:') throw new Error(`unsupported protocol scheme ${JSON.stringify(url.protocol)}`);
    const host = url.hostname.replace(/^\[|\]$/g, '');
    const path = `${url.pathname}?${query}`;
    return {
      url: `https://${url.host}${path}`,
      host,
      port: url.port === '' ? 443 : Number(url.port),
      path,
      serverName: host,
      hostHeader: url.host,
    };
  }

  /** The same string for the same bundle, so that connections are found again. */
  #ca(bundle: string | undefined): string | undefined {
    if (!bundle) return undefined;
    let pem = this.#bundles.get(bundle);
    if (pem === undefined) {
      pem = Buffer.from(bundle, 'base64').toString('utf8');
      if (!pem.includes('-----BEGIN CERTIFICATE-----')) {
        throw new WebhookError('unable to load root certificates: unable to parse bytes as PEM block');
      }
      if (this.#bundles.size >= MAX_BUNDLES) this.#bundles.clear();
      this.#bundles.set(bundle, pem);
    }
    return pem;
  }

  async #post(target: Asked, body: string, signal: AbortSignal): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const outcome = await this.#exchange(target, body, signal);
      // A kept connection that its server had closed meanwhile: nothing was heard, once more on a new one.
      if (outcome === 'stale' && attempt === 1) continue;
      if (outcome === 'stale') throw new Error('EOF');
      return parseAnswer(outcome);
    }
  }

  #exchange(target: Asked, body: string, signal: AbortSignal): Promise<{ code: number; text: string } | 'stale'> {
    const { ca, shows } = target;
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(new Error('aborted'));
      const sent = httpsRequest({
        host: target.host,
        port: target.port,
        path: target.path,
        method: 'POST',
        agent: this.#agent,
        // An address has no server name; certificates are then checked against the address.
        ...(isName(target.serverName) && { servername: target.serverName }),
        ...(ca !== undefined && { ca }),
        ...(shows?.certificatePem && { cert: shows.certificatePem, key: shows.keyPem }),
        headers: {
          host: target.hostHeader,
          'content-type': 'application/json',
          accept: 'application/json',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'kube-apiserver-admission',
          ...(shows?.token && { authorization: `Bearer ${shows.token}` }),
        },
      });
      const onAbort = () => sent.destroy(new Error('aborted'));
      signal.addEventListener('abort', onAbort, { once: true });
      const settled = () => signal.removeEventListener('abort', onAbort);
      let answered = false;
      sent.on('error', (error: NodeJS.ErrnoException) => {
        settled();
        const isStale = sent.reusedSocket && !answered && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
        if (isStale && !signal.aborted) resolve('stale');
        else reject(new Error(connectionText(target, error), { cause: error }));
      });
      sent.on('response', (answer) => {
        answered = true;
        readAnswer(answer, this.#maxAnswerBytes).then(
          (text) => {
            settled();
            resolve({ code: answer.statusCode ?? 0, text });
          },
          (error) => {
            settled();
            sent.destroy();
            reject(error);
          },
        );
      });
      sent.end(body);
    });
  }
}

async function readAnswer(answer: IncomingMessage, limit: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) throw new Error(`the answer is larger than ${limit} bytes`);
    chunks.push(chunk);
  }
  if (!answer.complete) throw new Error('unexpected EOF');
  return Buffer.concat(chunks).toString('utf8');
}

function parseAnswer({ code, text }: { code: number; text: string }): unknown {
  if (code < 200 || code > 299) throw new WebhookError(refusalText(code, text), { code });
  try {
    return JSON.parse(text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new WebhookError(`couldn't get version/kind; json parse error: ${why.slice(0, MAX_QUOTED)}`);
  }
}

/** As clients of the API word an answer that is no success. */
function refusalText(code: number, text: string): string {
  const quoted = text.trim().slice(0, MAX_QUOTED);
  if (code >= 300 && code < 400) return `the server answered ${code}: redirects are not followed`;
  switch (code) {
    case 400:
      return 'the server rejected our request for an unknown reason';
    case 401:
      return 'the server has asked for the client to provide credentials';
    case 403:
      return quoted || 'forbidden';
    case 404:
      return 'the server could not find the requested resource';
    case 405:
      return 'the server does not allow this method on the requested resource';
    case 429:
      return 'the server has received too many requests and has asked us to try again later';
    case 503:
      return 'the server is currently unable to handle the request';
    case 504:
      return 'the server was unable to return a response in the time allotted, but may still be processing the request';
    default:
      return code >= 500
        ? `an error on the server (${JSON.stringify(quoted || 'unknown')}) has prevented the request from succeeding`
        : 'the server responded with the status code ' + code + ' but did not return more information';
  }
}

function connectionText(target: Target, error: NodeJS.ErrnoException): string {
  const address = target.host.includes(':') ? `[${target.host}]:${target.port}` : `${target.host}:${target.port}`;
  switch (error.code) {
    case 'ECONNREFUSED':
      return `dial tcp ${address}: connect: connection refused`;
    case 'EHOSTUNREACH':
      return `dial tcp ${address}: connect: no route to host`;
    case 'ENETUNREACH':
      return `dial tcp ${address}: connect: network is unreachable`;
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return `dial tcp: lookup ${target.host}: no such host`;
    case 'ECONNRESET':
    case 'EPIPE':
      return 'EOF';
    case 'UNABLE_TO_VERIFY_LEAF_SIGNATURE':
    case 'SELF_SIGNED_CERT_IN_CHAIN':
    case 'DEPTH_ZERO_SELF_SIGNED_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT':
    case 'UNABLE_TO_GET_ISSUER_CERT_LOCALLY':
    case 'CERT_SIGNATURE_FAILURE':
      return 'tls: failed to verify certificate: x509: certificate signed by unknown authority';
    case 'CERT_HAS_EXPIRED':
      return 'tls: failed to verify certificate: x509: certificate has expired or is not yet valid';
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return `tls: failed to verify certificate: x509: certificate is not valid for ${target.serverName}`;
    default:
      return error.message;
  }
}

function shownUrl({ url, service }: WebhookClientConfig, query: string): string {
  if (!service) return url ?? '';
  const { namespace, name, path, port } = service;
  return `https://${name}.${namespace}.svc:${port ?? 443}${pathOf(path)}?${query}`;
}

/** As users of a kubeconfig are named after it. */
function hostPortOf({ service, url }: WebhookClientConfig, { serverName, port }: Target): string {
  return service ? `${serverName}:${service.port ?? 443}` : `${new URL(url ?? '').hostname}:${port}`;
}

const pathOf = (path: string | undefined) => (!path ? '/' : path.startsWith('/') ? path : `/${path}`);

/** Go's way to write whole seconds and milliseconds. */
const formatTimeout = (ms: number) => (ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`);

const isName = (host: string) => !/^[\d.]+$/.test(host) && !host.includes(':');
