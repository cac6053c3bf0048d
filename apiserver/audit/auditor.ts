// Decides for each request whether it is recorded, and hands its events to the backends.
import type { Counter, MetricsRegistry } from '../../lib/metrics.ts';
import type { Identity } from '../auth/identity.ts';
import type { Exchange } from '../http/exchange.ts';
import { LEVELS, type Level, type Policy } from './policy.ts';
import { type AuditEvent, AuditRecord } from './record.ts';

/** Takes events; must not throw, but for a strict one. */
export interface AuditBackend {
  readonly name: string;
  write(event: AuditEvent): void;
  /** Everything it holds is out, or given up. */
  close(): Promise<void>;
}

export interface AuditMetrics {
  events: Counter;
  levels: Record<Level, Counter>;
  rejected: Counter;
  errors(plugin: string, count?: number): void;
}

export function createAuditMetrics(registry: MetricsRegistry): AuditMetrics {
  const events = registry.counter({
    name: 'apiserver_audit_event_total',
    help: 'Counter of audit events generated and sent to the audit backend.',
  });
  const levels = registry.counter({
    name: 'apiserver_audit_level_total',
    help: 'Counter of policy levels for audit events (1 per request).',
    labels: ['level'],
  });
  const errors = registry.counter({
    name: 'apiserver_audit_error_total',
    help: 'Counter of audit events that failed to be audited properly. Plugin identifies the plugin affected by the error.',
    labels: ['plugin'],
  });
  const rejected = registry.counter({
    name: 'apiserver_audit_requests_rejected_total',
    help: 'Counter of apiserver requests rejected due to an error in audit logging backend.',
  });
  return {
    events: events.with(),
    levels: Object.fromEntries(LEVELS.map((each) => [each, levels.with(each)])) as Record<Level, Counter>,
    rejected: rejected.with(),
    errors: (plugin, count = 1) => errors.with(plugin).inc(count),
  };
}

export class Auditor {
  #policy: Policy;
  #backends: readonly AuditBackend[];
  #metrics: AuditMetrics;

  constructor(options: { policy: Policy; backends: readonly AuditBackend[]; metrics: AuditMetrics }) {
    this.#policy = options.policy;
    this.#backends = options.backends;
    this.#metrics = options.metrics;
  }

  /** The record of a request, undefined when it is not to be recorded. `user`: who authenticated. */
  begin(exchange: Exchange, user: Identity | undefined): AuditRecord | undefined {
    const verdict = this.#policy.evaluate(user, exchange.info);
    this.#metrics.levels[verdict.level].inc();
    if (verdict.level === 'None') return undefined;
    return new AuditRecord({
      verdict,
      auditId: exchange.auditId,
      info: exchange.info,
      requestUri: exchange.request.url,
      user,
      sourceIps: sourceIps(exchange),
      userAgent: exchange.header('user-agent'),
      receivedMs: exchange.startedMs,
      annotations: exchange.auditAnnotations,
      emit: (event) => {
        this.#metrics.events.inc();
        for (const backend of this.#backends) backend.write(event);
      },
      now: () => performance.timeOrigin + performance.now(),
    });
  }

  async close(): Promise<void> {
    await Promise.all(this.#backends.map((each) => each.close()));
  }
}

/** What proxies say they have seen, then who is connected. */
function sourceIps(exchange: Exchange): string[] {
  const forwarded = (exchange.header('x-forwarded-for') ?? '').split(',').map((each) => each.trim());
  const found = [...forwarded, exchange.header('x-real-ip') ?? '', exchange.remoteAddress];
  // Whatever a client makes up, these are addresses and few.
  return [...new Set(found)].filter((each) => /^[0-9a-fA-F.:]{2,45}$/.test(each)).slice(-16);
}
