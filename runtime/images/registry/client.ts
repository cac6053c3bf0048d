// A registry over HTTP, as the OCI distribution specification has it: the API version check is left out, requests are
// authorised when they are refused (basic or bearer), redirects lose the credentials when they leave the host, and
// passing faults are tried again with back-off.
import { sleep } from '../../../lib/abort.ts';
import { type BackoffPolicy, backoffMs } from '../../../lib/backoff.ts';
import type { Clock, Random } from '../../../lib/clock.ts';
import { ImageError, messageOf } from '../errors.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import { defaultProgressTimeoutMs, fetchWithProgress } from './progress.ts';

export type Credentials =
  | { kind: 'basic'; username: string; password: string }
  | { kind: 'identity'; token: string }
  | { kind: 'bearer'; token: string };

export interface RegistryOptions {
  credentials?: Credentials;
  /** `host[:port]` that are spoken to over plain HTTP; loopback always is when HTTPS is not asked for. */
  insecureRegistries?: readonly string[];
  /** How long a registry may be silent in an answer before the transfer fails. Default 60 s. */
  progressTimeoutMs?: number;
  clock: Clock;
  random: Random;
}

export interface RegistryRequest {
  method?: string;
  headers?: Record<string, string>;
  body?: Uint8Array | ReadableStream<Uint8Array> | (() => ReadableStream<Uint8Array>);
  /** `pull` or `pull,push`. */
  scope: string;
  /** Status codes that are answers; others become errors. */
  accept: readonly number[];
}

const retries: BackoffPolicy = { initialMs: 200, maxMs: 5_000, jitter: 0.5 };
const attempts = 4;
const maxRedirects = 5;

export class Registry {
  readonly host: string;
  readonly base: string;
  #path: string;
  #options: RegistryOptions;
  #authorization = new Map<string, string>();

  /** `host` as in image names; Docker Hub's real address is filled in. */
  constructor(host: string, path: string, options: RegistryOptions) {
    this.host = host;
    this.#path = path;
    this.#options = options;
    const real = host === 'docker.io' ? 'registry-1.docker.io' : host;
    this.base = `${isPlain(host, options.insecureRegistries ?? []) ? 'http' : 'https'}://${real}`;
  }

  /** `what` is below /v2/<path>/ or an absolute URL; tries passing faults again. */
  async request(what: string, request: RegistryRequest): Promise<Response> {
    const url = new URL(
      /^https?:/.test(what) ? what : what.startsWith('/') ? what : `/v2/${this.#path}/${what}`,
      this.base,
    );
    const canRepeat = !(request.body instanceof ReadableStream);
    for (let failures = 0; ; ) {
      let fault: unknown;
      try {
        const response = await this.#authorised(url, request);
        if (response.status < 500 && response.status !== 429) return this.#judge(response, url, request);
        fault = await failureOf(response, url, request);
      } catch (error) {
        if (error instanceof ImageError) throw error;
        fault = new ImageError('unavailable', `${request.method ?? 'GET'} ${url.href}: ${messageOf(error)}`, {
          cause: error,
        });
      }
      if (!canRepeat || ++failures >= attempts) throw fault;
      await sleep(this.#options.clock, backoffMs(retries, failures, this.#options.random));
    }
  }

  async #judge(response: Response, url: URL, request: RegistryRequest): Promise<Response> {
    if (request.accept.includes(response.status)) return response;
    throw await failureOf(response, url, request);
  }

  async #authorised(url: URL, request: RegistryRequest): Promise<Response> {
    const known = this.#authorization.get(request.scope);
    const response = await this.#follow(url, request, known);
    if (response.status !== 401 || url.origin !== new URL(this.base).origin) return response;
    await response.body?.cancel();
    const authorization = await this.#authorise(
      parseChallenges(response.headers.get('www-authenticate') ?? ''),
      request.scope,
    );
    if (authorization === undefined || request.body instanceof ReadableStream) {
      throw new ImageError('unauthorized', `${url.href}: the registry wants a login (401)`);
    }
    this.#authorization.set(request.scope, authorization);
    const second = await this.#follow(url, request, authorization);
    if (second.status !== 401) return second;
    throw await failureOf(second, url, request);
  }

  async #follow(start: URL, request: RegistryRequest, authorization: string | undefined): Promise<Response> {
    let url = start;
    for (let hops = 0; hops <= maxRedirects; hops++) {
      const headers: Record<string, string> = { 'user-agent': 'sampan', ...request.headers };
      if (authorization !== undefined && url.origin === start.origin) headers['authorization'] = authorization;
      const body = typeof request.body === 'function' ? request.body() : request.body;
      const response = await this.#fetch(url, {
        method: request.method ?? 'GET',
        headers,
        redirect: 'manual',
        ...(body === undefined ? {} : { body: body as RequestInit['body'], duplex: 'half' }),
      });
      const location = response.headers.get('location');
      if (![301, 302, 303, 307, 308].includes(response.status) || location === null) return response;
      await response.body?.cancel();
      const next = new URL(location, url);
      if (url.protocol === 'https:' && next.protocol !== 'https:') {
        throw new ImageError('unavailable', `${url.href} redirects to ${next.href}, which is not encrypted`);
      }
      url = next;
    }
    throw new ImageError('unavailable', `${start.href}: more than ${maxRedirects} redirects`);
  }

  #fetch(url: URL, init: RequestInit): Promise<Response> {
    const { clock, progressTimeoutMs = defaultProgressTimeoutMs } = this.#options;
    return fetchWithProgress(clock, progressTimeoutMs, url, init);
  }

  /** The Authorization header for a challenge, or undefined when nothing we have answers it. */
  async #authorise(challenges: readonly Challenge[], scope: string): Promise<string | undefined> {
    const credentials = this.#options.credentials;
    const basic = credentials?.kind === 'basic' ? basicHeader(credentials.username, credentials.password) : undefined;
    const bearer = challenges.find((c) => c.scheme === 'bearer' && c.parameters['realm']);
    if (bearer) {
      if (credentials?.kind === 'bearer') return `Bearer ${credentials.token}`;
      return `Bearer ${await this.#token(bearer, scope, basic)}`;
    }
    return challenges.some((c) => c.scheme === 'basic') ? basic : undefined;
  }

  async #token(challenge: Challenge, scope: string, basic: string | undefined): Promise<string> {
    const realm = new URL(challenge.parameters['realm'] as string, this.base);
    const service = challenge.parameters['service'];
    const wanted = `repository:${this.#path}:${scope}`;
    const identity = this.#options.credentials?.kind === 'identity' ? this.#options.credentials.token : undefined;
    let response: Response;
    if (identity !== undefined) {
      const form = new URLSearchParams({
        grant_type: 'refresh_token',
        refresh_token: identity,
        scope: wanted,
        client_id: 'sampan',
      });
      if (service) form.set('service', service);
      response = await this.#fetch(realm, { method: 'POST', body: form });
    } else {
      if (service) realm.searchParams.set('service', service);
      realm.searchParams.set('scope', wanted);
      response = await this.#fetch(realm, { headers: basic ? { authorization: basic } : {} });
    }
    if (!response.ok) {
      await response.body?.cancel();
      const kind = response.status === 401 || response.status === 403 ? 'unauthorized' : 'unavailable';
      throw new ImageError(kind, `${realm.origin}${realm.pathname}: token for ${wanted} refused (${response.status})`);
    }
    const body = (await response.json()) as { token?: string; access_token?: string };
    const token = body.token ?? body.access_token;
    if (!token) throw new ImageError('unauthorized', `${realm.origin}${realm.pathname}: the answer holds no token`);
    return token;
  }
}

function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function isPlain(host: string, insecure: readonly string[]): boolean {
  const name = host.replace(/:\d+$/, '');
  return insecure.includes(host) || name === 'localhost' || name === '[::1]' || name.startsWith('127.');
}

/** The registry's own words where it has some. */
async function failureOf(response: Response, url: URL, request: RegistryRequest): Promise<ImageError> {
  let words = '';
  try {
    const text = (await response.text()).slice(0, 4096);
    const parsed = JSON.parse(text) as { errors?: { code?: string; message?: string }[] };
    words = (parsed.errors ?? []).map((e) => [e.code, e.message].filter(Boolean).join(': ')).join('; ');
  } catch {
    // Not every answer is the specification's JSON; the status says enough.
  }
  const message = `${request.method ?? 'GET'} ${url.href}: ${response.status} ${response.statusText}${words ? ` (${words})` : ''}`;
  if (response.status === 404) return new ImageError('not-found', message);
  if (response.status === 401 || response.status === 403) return new ImageError('unauthorized', message);
  return new ImageError('unavailable', message);
}
