// One of several replicas works at a time: whoever holds the Lease (coordination.k8s.io/v1), as client-go does it.
// A holder that cannot renew within renewDeadlineMs ends its work before leaseDurationMs lets another one start.
//
//   waiting ──► holding ──► lost (work aborted)  |  released on shutdown
import type { Lease, LeaseSpec } from '../api/types/coordination-v1.ts';
import { sleep } from '../lib/abort.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import type { Client, ResourceRef } from './port.ts';
import { isAlreadyExists, isConflict, isNotFound } from './status.ts';

export const leaseRef: ResourceRef = {
  group: 'coordination.k8s.io',
  version: 'v1',
  resource: 'leases',
  kind: 'Lease',
  namespaced: true,
};

export interface LeaderOptions {
  client: Client;
  clock: Clock;
  random: Random;
  log: Logger;
  namespace: string;
  name: string;
  /** Unique per replica. */
  identity: string;
  leaseDurationMs?: number;
  renewDeadlineMs?: number;
  retryPeriodMs?: number;
  /** The work; its signal aborts when leadership is lost or the caller stops. */
  lead(signal: AbortSignal): Promise<void>;
}

export class LeadershipLostError extends Error {
  constructor(lease: string) {
    super(`leadership of ${lease} is lost`);
    this.name = 'LeadershipLostError';
  }
}

/** `2026-11-20T20:57:41.123000Z`: MicroTime. */
export const microTime = (ms: number): string => new Date(ms).toISOString().replace('Z', '000Z');

/** Waits to lead, leads, and settles when `signal` aborts or `lead` ends; throws LeadershipLostError when deposed. */
export async function runLeaderElected(options: LeaderOptions, signal: AbortSignal): Promise<void> {
  const { clock, random, log, identity } = options;
  const leaseDurationMs = options.leaseDurationMs ?? 15_000;
  const renewDeadlineMs = options.renewDeadlineMs ?? 10_000;
  const retryPeriodMs = options.retryPeriodMs ?? 2_000;
  const leases = options.client.resource<Lease>(leaseRef, options.namespace);
  const leaseKey = `${options.namespace}/${options.name}`;
  // Expiry counts from when *we* saw the record change: clocks of hosts differ.
  let observed: { record: string; atMs: number } | undefined;

  /** True when we hold the lease now. */
  async function acquireOrRenew(): Promise<boolean> {
    const nowMs = clock.now();
    const askedMs = clock.monotonic();
    const fresh: LeaseSpec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(leaseDurationMs / 1000),
      renewTime: microTime(nowMs),
      acquireTime: microTime(nowMs),
      leaseTransitions: 0,
    };
    let lease: Lease;
    try {
      lease = await leases.get(options.name, { signal });
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await leases.create({ metadata: { name: options.name, namespace: options.namespace }, spec: fresh }, { signal });
      return true;
    }
    const spec = lease.spec ?? {};
    const record = JSON.stringify(spec);
    if (observed?.record !== record) observed = { record, atMs: askedMs };
    const isOurs = spec.holderIdentity === identity;
    const heldMs = (spec.leaseDurationSeconds ?? 0) * 1000;
    if (!isOurs && spec.holderIdentity && observed.atMs + heldMs > askedMs) return false;
    const next: LeaseSpec = isOurs
      ? { ...spec, ...fresh, acquireTime: spec.acquireTime, leaseTransitions: spec.leaseTransitions }
      : { ...spec, ...fresh, leaseTransitions: (spec.leaseTransitions ?? 0) + 1 };
    const stored = await leases.update({ ...lease, spec: next }, { signal });
    observed = { record: JSON.stringify(stored.spec ?? {}), atMs: askedMs };
    return true;
  }

  async function attempt(): Promise<boolean> {
    try {
      return await acquireOrRenew();
    } catch (err) {
      if (!signal.aborted && !isConflict(err) && !isAlreadyExists(err))
        log.warn({ err, lease: leaseKey }, 'lease not updated');
      return false;
    }
  }

  /** Resolves when renewing has failed for renewDeadlineMs, or when stopped. */
  async function renewUntil(stopped: AbortSignal): Promise<void> {
    let renewedMs = clock.monotonic();
    while (await sleep(clock, retryPeriodMs, stopped)) {
      if (await attempt()) renewedMs = clock.monotonic();
      else if (clock.monotonic() - renewedMs >= renewDeadlineMs) return;
    }
  }

  async function release(): Promise<void> {
    try {
      const lease = await leases.get(options.name);
      if (lease.spec?.holderIdentity !== identity) return;
      await leases.update({
        ...lease,
        spec: { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(clock.now()) },
      });
    } catch (err) {
      log.info({ err, lease: leaseKey }, 'lease not released; it will expire');
    }
  }

  while (!signal.aborted && !(await attempt())) await sleep(clock, retryPeriodMs * (1 + 0.2 * random()), signal);
  if (signal.aborted) return;

  log.info({ lease: leaseKey, identity }, 'leading');
  const term = new AbortController();
  const onAbort = () => term.abort(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  let deposed = false;
  const renewing = renewUntil(term.signal).then(() => {
    if (term.signal.aborted) return;
    deposed = true;
    log.error({ lease: leaseKey, identity }, 'leadership lost');
    term.abort(new LeadershipLostError(leaseKey));
  });
  try {
    await options.lead(term.signal);
  } catch (error) {
    if (!deposed) throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    term.abort();
    await renewing;
    if (!deposed) await release();
  }
  if (deposed) throw new LeadershipLostError(leaseKey);
}
