// What happens to every request, in order: read what it asks for, who asks, may they, is there room, then the handler.
//
//   request info ─► authentication ─► impersonation ─► seat (priority and fairness) ─► authorization ─► handler ─► metrics
//
// Whatever is thrown on the way becomes one Status answer.
import { randomUUID } from 'node:crypto';
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError, errors } from '../../api/errors.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Authenticator } from '../auth/authenticate.ts';
import type { PeerCertificate } from '../auth/peer-certificate.ts';
import {
  ANONYMOUS,
  type Authorizer,
  type Attributes,
  type Decision,
  denialText,
  type Identity,
} from '../auth/identity.ts';
import { TooManyRequestsError } from '../flowcontrol/flow-control.ts';
import { CompactedError, StoreUnavailableError } from '../storage/port.ts';
import { Exchange, type RawRequest } from './exchange.ts';
import { impersonated, isImpersonating } from './impersonation.ts';
import { metricScope, metricVerb, type ServerMetrics } from './metrics.ts';
import { isTrue, parseRequest, type RequestInfo } from './request-info.ts';
import type { Seats } from './seats.ts';
import { selectorAttributes } from './selector-attributes.ts';

export interface PipelineOptions {
  authenticator: Authenticator;
  authorizer: Authorizer;
  seats: Seats;
  metrics: ServerMetrics;
  clock: Clock;
  log: Logger;
  /** True when the labels of a request name things that exist (so that metrics stay bounded). */
  isKnown(info: RequestInfo): boolean;
  /** Answers, or takes over the connection of an upgrade. */
  handle(exchange: Exchange): Promise<void>;
}

export class Pipeline {
  #options: PipelineOptions;
  /** Requests that run now, long ones included: what a shutdown ends. */
  #running = new Set<Exchange>();
  #upgraded = new Set<Duplex>();
  #stopping = false;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** Never throws. */
  async serve(request: RawRequest, peer: PeerCertificate): Promise<void> {
    const { log, clock } = this.#options;
    const auditHeader = request.headers['audit-id'];
    const exchange = new Exchange({
      request,
      info: EMPTY_INFO,
      auditId: typeof auditHeader === 'string' && /^[\w.-]{1,64}$/.test(auditHeader) ? auditHeader : randomUUID(),
      user: ANONYMOUS,
      startedMs: clock.now(),
    });
    const started = performance.now();
    // Streams that break off are seen as closed; without listeners their errors would end the process.
    request.body.on('error', () => {});
    if (request.response !== request.body) request.response.on('error', () => {});
    this.#running.add(exchange);
    try {
      exchange.info = parseRequest(request.method, request.url);
      await this.#serve(exchange, peer);
    } catch (error) {
      await this.#answerError(exchange, error).catch((cause) =>
        log.error({ err: cause }, 'could not answer a request'),
      );
    } finally {
      this.#running.delete(exchange);
      this.#observe(exchange, (performance.now() - started) / 1000);
    }
  }

  async #serve(exchange: Exchange, peer: PeerCertificate): Promise<void> {
    const { authenticator, seats } = this.#options;
    const { info } = exchange;
    if (this.#stopping && !isHealthPath(info.path)) {
      return exchange.sendTooManyRequests(SHUTTING_DOWN, 5, true);
    }
    const { headers } = exchange.request;
    const identity = authenticator.authenticate(peer, headers, info.path);
    const user = identity instanceof Promise ? await identity : identity;
    exchange.user = isImpersonating(headers)
      ? await impersonated(user, headers, (attributes) => this.#authorize(attributes))
      : user;
    const isLong = isLongRunning(info);
    const work = async () => {
      const denied = this.#authorize(attributesOf(exchange.user, info));
      if (denied) await denied;
      return isLong && this.#options.isKnown(info) ? this.#handleLong(exchange) : this.#options.handle(exchange);
    };
    // A connection to a node or a pod lasts as long as its client wants, a watch only begins with work.
    return isLong && info.verb !== 'watch' ? work() : seats.run(exchange, work);
  }

  async #handleLong(exchange: Exchange): Promise<void> {
    const { metrics } = this.#options;
    const { resource } = exchange.info;
    const verb = metricVerb(exchange);
    metrics.longRunning(verb, resource, 1);
    try {
      await this.#options.handle(exchange);
    } finally {
      metrics.longRunning(verb, resource, -1);
    }
  }

  /**
   * The same for a request that wants another protocol on its connection. A handler that knows the protocol takes the
   * connection over; any other answers as if nobody had asked. Never throws.
   */
  async upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, peer: PeerCertificate): Promise<void> {
    const { method = 'GET', url = '/', headers } = request;
    this.#upgraded.add(socket);
    socket.on('close', () => this.#upgraded.delete(socket));
    socket.on('error', () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    response.on('finish', () => socket.end());
    await this.serve({ method, url, headers, body: request, response, upgrade: { socket, head } }, peer);
  }

  /** Ends watches, logs and upgraded connections; new requests are refused from now on. */
  stop(): void {
    this.#stopping = true;
    for (const exchange of this.#running) if (isLongRunning(exchange.info)) exchange.abort();
    for (const socket of this.#upgraded) socket.destroy();
  }

  #authorize(attributes: Attributes): Promise<void> | undefined {
    return authorizeOrThrow(this.#options.authorizer, attributes);
  }

  async #answerError(exchange: Exchange, thrown: unknown): Promise<void> {
    if (exchange.isAnswered) {
      // Part of the answer is out: all that is left is to break it off.
      exchange.response.destroy();
      return;
    }
    if (thrown instanceof TooManyRequestsError) {
      return exchange.sendTooManyRequests(thrown.message, thrown.retryAfterSeconds);
    }
    await exchange.sendError(this.#translate(thrown, exchange.method, exchange.info.rawPath));
  }

  #translate(thrown: unknown, method: string | undefined, path: string | undefined): ApiError {
    if (thrown instanceof ApiError) return thrown;
    if (thrown instanceof CompactedError)
      return errors.expired('The resourceVersion for the provided list is too old.');
    if (thrown instanceof StoreUnavailableError)
      return errors.serviceUnavailable(`storage is not available: ${thrown.message}`);
    this.#options.log.error({ err: thrown, method, path }, 'request failed');
    return ApiError.from(thrown);
  }

  #observe(exchange: Exchange, seconds: number): void {
    const { info } = exchange;
    const known = this.#options.isKnown(info);
    const { code } = exchange;
    this.#options.metrics.observe(
      {
        verb: known ? metricVerb(exchange) : 'other',
        group: known ? info.group : '',
        version: known ? info.version : '',
        resource: known ? info.resource : '',
        subresource: known ? info.subresource : '',
        scope: known ? metricScope(exchange) : '',
        dryRun: known && info.query.has('dryRun'),
      },
      code,
      seconds,
    );
  }
}

/** Throws 403 with upstream's sentence; a promise only when an authorizer has to wait. */
export function authorizeOrThrow(authorizer: Authorizer, attributes: Attributes): Promise<void> | undefined {
  const decision = authorizer.authorize(attributes);
  if (decision instanceof Promise) return decision.then((late) => throwUnlessAllowed(late, attributes));
  throwUnlessAllowed(decision, attributes);
  return undefined;
}

function throwUnlessAllowed(decision: Decision, attributes: Attributes): void {
  if (decision.allowed) return;
  const { group, resource, name, isResource } = attributes;
  throw errors.forbidden(
    isResource ? { group, resource } : { group: '', resource: '' },
    name,
    denialText(attributes, decision.reason),
  );
}

/** Upstream's words; clients come back by themselves. */
const SHUTTING_DOWN = 'The apiserver is shutting down, please try again later.';

const EMPTY_INFO: RequestInfo = {
  isResource: false,
  verb: '',
  prefix: '',
  group: '',
  version: '',
  namespace: '',
  resource: '',
  subresource: '',
  name: '',
  parts: [],
  path: '',
  rawPath: '',
  query: new URLSearchParams(),
};

export function attributesOf(user: Identity, info: RequestInfo): Attributes {
  return {
    user,
    verb: info.verb,
    isResource: info.isResource,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    path: info.path,
    ...(info.query.size > 0 && selectorAttributes(info)),
  };
}

const CONNECTS = new Set(['log', 'exec', 'attach', 'portforward', 'proxy']);

/** Requests that last as long as the client wants: they take no seat and are ended at shutdown. */
export function isLongRunning(info: RequestInfo): boolean {
  if (!info.isResource) return false;
  return info.verb === 'watch' || CONNECTS.has(info.subresource) || isTrue(info.query.get('watch'));
}

const isHealthPath = (path: string) => /^\/(healthz|livez|readyz|version)(\/|$)/.test(path);
