// What happens to every request, in order: read what it asks for, who asks, may they, is there room, then the handler.
//
//   request info ─► authentication ─► impersonation ─► seat (priority and fairness) ─► authorization ─► handler ─► metrics
//
// Whatever is thrown on the way becomes one Status answer.
import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { ApiError, errors } from '../../api/errors.ts';
import type { Clock, Timer } from '../../lib/clock.ts';
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
import { CompactedError, StoreFullError, StoreUnavailableError } from '../storage/port.ts';
import { Exchange, type RawRequest } from './exchange.ts';
import { impersonated, isImpersonating } from './impersonation.ts';
import type { Operations } from '../operations.ts';
import { deadlineMs } from './deadline.ts';
import { isTrue, parseRequest, type RequestInfo } from './request-info.ts';
import { selectorAttributes } from './selector-attributes.ts';
import { http } from '../../lib/node-http.ts';

export interface PipelineOptions {
  authenticator: Authenticator;
  authorizer: Authorizer;
  operations: Pick<Operations, 'seats' | 'metrics' | 'auditor' | 'requestTimeoutMs'>;
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
  #sweeper: Timer | undefined;

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
    let isPanic = false;
    try {
      exchange.info = parseRequest(request.method, request.url);
      await this.#serve(exchange, peer, started);
    } catch (error) {
      isPanic = !isExpected(error);
      await this.#answerError(exchange, error).catch((cause) =>
        log.error({ err: cause }, 'could not answer a request'),
      );
    } finally {
      this.#running.delete(exchange);
      const seconds = (performance.now() - started) / 1000;
      this.#options.operations.metrics.observe(exchange, this.#options.isKnown(exchange.info), seconds);
      if (exchange.audit) finishAudit(exchange, isPanic, seconds);
    }
  }

  async #serve(exchange: Exchange, peer: PeerCertificate, started: number): Promise<void> {
    const { operations } = this.#options;
    const { info } = exchange;
    if (this.#stopping && !isHealthPath(info.path)) {
      return exchange.sendTooManyRequests(SHUTTING_DOWN, 5, true);
    }
    const isLong = isLongRunning(info);
    if (!isLong) this.#limitTime(exchange, started);
    const user = await this.#authenticate(exchange, peer, started);
    const { metrics } = operations;
    if (operations.auditor) {
      const auditing = performance.now();
      exchange.audit = operations.auditor.begin(exchange, user);
      exchange.audit?.stage('RequestReceived');
      metrics.filtered('audit', (performance.now() - auditing) / 1000);
    }
    const { headers } = exchange.request;
    if (isImpersonating(headers)) {
      const impersonating = performance.now();
      exchange.user = await impersonated(user, headers, (attributes) => this.#authorize(attributes));
      metrics.filtered('impersonation', (performance.now() - impersonating) / 1000);
      if (exchange.audit) exchange.audit.impersonated = exchange.user;
    } else exchange.user = user;
    const work = async () => {
      const denied = this.#authorizeRequest(exchange);
      if (denied) await denied;
      return isLong && this.#options.isKnown(info) ? this.#handleLong(exchange) : this.#options.handle(exchange);
    };
    // A connection to a node or a pod lasts as long as its client wants, a watch only begins with work.
    if (isLong && info.verb !== 'watch') return work();
    return operations.seats.run(exchange, () => {
      metrics.filtered('priorityandfairness', exchange.waitedSeconds);
      return work();
    });
  }

  async #authenticate(exchange: Exchange, peer: PeerCertificate, started: number): Promise<Identity> {
    const { authenticator, operations } = this.#options;
    const { metrics, auditor } = operations;
    try {
      const identity = authenticator.authenticate(peer, exchange.request.headers, exchange.info.path);
      const user = identity instanceof Promise ? await identity : identity;
      metrics.authenticated('success', (performance.now() - started) / 1000, user);
      if (peer.kind === 'valid' && peer.user === user) {
        metrics.certificateUsed((peer.untilMs - this.#options.clock.now()) / 1000);
      }
      return user;
    } catch (error) {
      const isRefused = error instanceof ApiError && error.code === 401;
      metrics.authenticated(isRefused ? 'failure' : 'error', (performance.now() - started) / 1000);
      if (auditor) exchange.audit = auditor.begin(exchange, undefined);
      throw error;
    }
  }

  #authorizeRequest(exchange: Exchange): Promise<void> | undefined {
    const started = performance.now();
    const attributes = attributesOf(exchange.user, exchange.info);
    const decision = this.#options.authorizer.authorize(attributes);
    if (decision instanceof Promise) return decision.then((late) => this.#decided(exchange, attributes, late, started));
    this.#decided(exchange, attributes, decision, started);
    return undefined;
  }

  #decided(exchange: Exchange, attributes: Attributes, decision: Decision, started: number): void {
    const { metrics } = this.#options.operations;
    metrics.authorized(decision.allowed ? 'allowed' : 'no-opinion', (performance.now() - started) / 1000);
    if (exchange.audit) {
      exchange.auditAnnotations.set('authorization.k8s.io/decision', decision.allowed ? 'allow' : 'forbid');
      exchange.auditAnnotations.set('authorization.k8s.io/reason', decision.reason);
    }
    throwUnlessAllowed(decision, attributes);
  }

  /** Most requests share one sweep; only a client that asks for less than the limit costs a timer. */
  #limitTime(exchange: Exchange, started: number): void {
    const { clock, operations } = this.#options;
    const limitMs = deadlineMs(exchange.info.query.get('timeout'), operations.requestTimeoutMs);
    exchange.deadlineMs = started + limitMs;
    if (limitMs < operations.requestTimeoutMs || limitMs < SWEEP_MS) {
      const timer = clock.after(limitMs, () => this.#expire(exchange), { background: true });
      exchange.response.once('close', () => timer.cancel());
    } else this.#sweeper ??= clock.after(SWEEP_MS, () => this.#sweep(), { background: true });
  }

  #sweep(): void {
    this.#sweeper = undefined;
    const now = performance.now();
    let left = 0;
    for (const exchange of this.#running) {
      if (exchange.deadlineMs <= now) this.#expire(exchange);
      else if (exchange.deadlineMs < Number.POSITIVE_INFINITY) left++;
    }
    if (left > 0) this.#sweeper = this.#options.clock.after(SWEEP_MS, () => this.#sweep(), { background: true });
  }

  /** Its handler may go on; what it sends goes nowhere. */
  #expire(exchange: Exchange): void {
    const isEndless = exchange.deadlineMs === Number.POSITIVE_INFINITY;
    if (isEndless || exchange.isExpired || !this.#running.has(exchange)) return;
    const isAnswered = exchange.isAnswered;
    exchange.isExpired = true;
    this.#options.operations.metrics.terminated(exchange, this.#options.isKnown(exchange.info), 504);
    if (isAnswered) exchange.response.destroy();
    else {
      const error = errors.timeout('request did not complete within the allotted timeout', 0);
      exchange.sendError(error).catch(() => exchange.response.destroy());
    }
    exchange.abort();
  }

  async #handleLong(exchange: Exchange): Promise<void> {
    const gauge = this.#options.operations.metrics.longRunning(exchange);
    gauge.add(1);
    try {
      await this.#options.handle(exchange);
    } finally {
      gauge.add(-1);
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
    const response = new http.ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket as Socket);
    response.on('finish', () => socket.end());
    await this.serve({ method, url, headers, body: request, response, upgrade: { socket, head } }, peer);
  }

  /** Ends watches, logs and upgraded connections; new requests are refused from now on. */
  stop(): void {
    this.#stopping = true;
    this.#sweeper?.cancel();
    for (const exchange of this.#running) if (isLongRunning(exchange.info)) exchange.abort();
    for (const socket of this.#upgraded) socket.destroy();
  }

  #authorize(attributes: Attributes): Promise<void> | undefined {
    return authorizeOrThrow(this.#options.authorizer, attributes);
  }

  async #answerError(exchange: Exchange, thrown: unknown): Promise<void> {
    if (exchange.isExpired) return undefined;
    if (exchange.isAnswered) {
      // Part of the answer is out: all that is left is to break it off.
      exchange.response.destroy();
      return;
    }
    if (thrown instanceof TooManyRequestsError) {
      this.#options.operations.metrics.terminated(exchange, this.#options.isKnown(exchange.info), 429);
      return exchange.sendTooManyRequests(thrown.message, thrown.retryAfterSeconds);
    }
    await exchange.sendError(this.#translate(thrown, exchange.method, exchange.info.rawPath));
  }

  #translate(thrown: unknown, method: string | undefined, path: string | undefined): ApiError {
    if (thrown instanceof ApiError) return thrown;
    if (thrown instanceof CompactedError)
      return errors.expired('The resourceVersion for the provided list is too old.');
    if (thrown instanceof StoreFullError) return errors.unknown(thrown.message);
    if (thrown instanceof StoreUnavailableError)
      return errors.serviceUnavailable(`storage is not available: ${thrown.message}`);
    this.#options.log.error({ err: thrown, method, path }, 'request failed');
    return ApiError.from(thrown);
  }
}

function finishAudit(exchange: Exchange, isPanic: boolean, seconds: number): void {
  if (seconds > 0.5) exchange.auditAnnotations.set('apiserver.latency.k8s.io/total', `${seconds.toFixed(6)}s`);
  try {
    exchange.audit?.stage(isPanic ? 'Panic' : 'ResponseComplete', exchange.code);
  } catch {
    // A strict backend has counted and told it; the answer is out.
  }
}

/** What handlers throw on purpose. */
const isExpected = (error: unknown) =>
  error instanceof ApiError ||
  error instanceof TooManyRequestsError ||
  error instanceof CompactedError ||
  error instanceof StoreFullError ||
  error instanceof StoreUnavailableError;

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

/** How exact the limit of a request's time is. */
const SWEEP_MS = 1000;

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
