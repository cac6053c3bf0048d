// What keeps a server in operation beside its requests: metrics, priority and fairness, the audit log. Composed here, so that
// server.ts only says where it belongs.
import type { Scheme } from '../api/scheme.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { type AuditBackend, Auditor, type AuditMetrics, createAuditMetrics } from './audit/auditor.ts';
import type { Policy } from './audit/policy.ts';
import type { Follower } from './auth/follow.ts';
import { SERVER_USER } from './bootstrap.ts';
import type { CacheSet } from './cache/port.ts';
import { FlowConfig } from './flowcontrol/config.ts';
import { FlowControl } from './flowcontrol/flow-control.ts';
import { createFlowMetrics, exposeLevels } from './flowcontrol/metrics.ts';
import { exposeSeats, type ServerMetrics } from './http/metrics.ts';
import { Seats } from './http/seats.ts';
import type { Registry } from './registry/registry.ts';

export interface OperationsOptions {
  /** Seats of priority and fairness: the sum of both, as upstream has it. Defaults 400 and 200. */
  maxRequestsInflight?: number;
  maxMutatingRequestsInflight?: number;
  /** Of requests that are no watch, log or connection. Default 60,000. */
  requestTimeoutMs?: number;
  /** `backends` is called once. Absent: no audit. */
  audit?: { policy: Policy; backends(metrics: AuditMetrics): AuditBackend[] };
  /** Serves /debug: profiles, flags, and what priority and fairness holds. Default false. */
  profiling?: boolean;
  /** Text that is added to /metrics: of components in the same process. */
  moreMetrics?: () => string;
  /** What is wrong with key management services; undefined: none is used. For health checks. */
  kmsProblems?: () => readonly string[] | undefined;
  /** What /debug/flags/ shows. */
  flags?: Readonly<Record<string, unknown>>;
  /** The part of HTTP/2 requests whose connection is asked to be opened anew, 0 to 0.02. Default 0. */
  goawayChance?: number;
  /** How long the server goes on after readyz began to fail. Default 0. */
  shutdownDelayMs?: number;
  /** How long requests in progress may take then. Default 10,000. */
  shutdownGraceMs?: number;
}

export interface Operations {
  metrics: ServerMetrics;
  flows: FlowControl;
  seats: Seats;
  auditor: Auditor | undefined;
  requestTimeoutMs: number;
  /** Follows the objects that configure it. */
  follow(signal: AbortSignal): Follower[];
  /** The server can write: resolves when the objects are there that it makes for itself. */
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface OperationsNeeds {
  metrics: ServerMetrics;
  scheme: Scheme;
  registry: Registry;
  caches: CacheSet;
  clock: Clock;
  log: Logger;
}

export const REQUEST_TIMEOUT_MS = 60_000;

export function createOperations(options: OperationsOptions, needs: OperationsNeeds): Operations {
  const { metrics, scheme, registry, caches, clock, log } = needs;
  const requestTimeoutMs = options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS;
  const flows = new FlowControl({
    seats: (options.maxRequestsInflight ?? 400) + (options.maxMutatingRequestsInflight ?? 200),
    waitLimitMs: requestTimeoutMs / 4,
    clock,
    now: () => performance.now(),
    metrics: createFlowMetrics(metrics.registry),
  });
  exposeLevels(metrics.registry, flows);
  const seats = new Seats(flows, (info) => {
    const kind = scheme.byResource(info.group, info.version, info.resource);
    if (!kind?.verbs.includes('list')) return undefined;
    const cache = caches.of(kind);
    return {
      objects: cache.size,
      bytes: cache.sizeBytes,
      watchersOf: (namespace, name) => cache.watchersOf(namespace, name),
    };
  });
  exposeSeats(metrics.registry, seats);
  const auditMetrics = createAuditMetrics(metrics.registry);
  const auditor =
    options.audit &&
    new Auditor({
      policy: options.audit.policy,
      backends: options.audit.backends(auditMetrics),
      metrics: auditMetrics,
    });
  let config: FlowConfig | undefined;
  return {
    metrics,
    flows,
    seats,
    auditor,
    requestTimeoutMs,
    follow(signal) {
      if (!scheme.byGroupResource('flowcontrol.apiserver.k8s.io', 'flowschemas')) return [];
      config = new FlowConfig({ registry, flows, user: SERVER_USER, clock, log, signal });
      return [...config.followers];
    },
    async start() {
      flows.start();
      await config?.produce();
    },
    async stop() {
      flows.stop();
      await auditor?.close();
    },
  };
}
