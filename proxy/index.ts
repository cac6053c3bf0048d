// The node's service proxy: informers say which Services changed, the rules are computed for those only, and one nft
// transaction takes the kernel from what it has to what it should have.
import type { Service } from '../api/types/core-v1.ts';
import type { EndpointSlice } from '../api/types/discovery-v1.ts';
import type { ComponentContext } from '../client/port.ts';
import { refs } from '../client/refs.ts';
import { sleep } from '../lib/abort.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock, Random } from '../lib/clock.ts';
import { renderRemoval, renderTable, renderUpdate } from './nft.ts';
import { type PortRule, rulesOfService, serviceOfSlice } from './rules.ts';

export interface ProxyOptions extends Omit<ComponentContext, 'events'> {
  clock: Clock;
  random: Random;
  nodeName: string;
  /** Runs one nft transaction; rejects with nft's message. */
  nft(transaction: string): Promise<void>;
}

/** Runs until `signal` aborts; then takes its table away, so that a stopped node answers for no Service. */
export async function runProxy(options: ProxyOptions, signal: AbortSignal): Promise<void> {
  const { informers, nodeName, nft, log, clock, random } = options;
  const serviceInformer = informers.of<Service>(refs.services);
  const sliceInformer = informers.of<EndpointSlice>(refs.endpointSlices);
  sliceInformer.addIndex('service', (slice) => [serviceOfSlice(slice) ?? '']);

  const dirty = new Set<string>();
  let wake: (() => void) | undefined;
  const touch = (key: string | undefined) => {
    if (!key) return;
    dirty.add(key);
    wake?.();
  };
  const keyOf = (service: Service) => `${service.metadata.namespace}/${service.metadata.name}`;
  const removers = [
    serviceInformer.addHandler({
      onAdd: (service) => touch(keyOf(service)),
      onUpdate: (service) => touch(keyOf(service)),
      onDelete: (service) => touch(keyOf(service)),
    }),
    sliceInformer.addHandler({
      onAdd: (slice) => touch(serviceOfSlice(slice)),
      onUpdate: (slice, old) => {
        touch(serviceOfSlice(old));
        touch(serviceOfSlice(slice));
      },
      onDelete: (slice) => touch(serviceOfSlice(slice)),
    }),
  ];
  const onAbort = () => wake?.();
  signal.addEventListener('abort', onAbort);

  /** What the kernel has; undefined when that is not known (at start, after a failure): then the whole table is written. */
  let applied: Map<string, PortRule> | undefined;
  let desired = new Map<string, PortRule>();
  let failures = 0;
  try {
    // A rule set before both lists are complete would refuse connections that should work.
    await Promise.all([serviceInformer.synced(signal), sliceInformer.synced(signal)]);
    while (!signal.aborted) {
      desired = nextRules(desired, dirty);
      dirty.clear();
      try {
        const transaction = applied ? renderUpdate(applied, desired) : renderTable(desired);
        if (transaction) await nft(transaction);
        applied = desired;
        failures = 0;
      } catch (error) {
        applied = undefined;
        failures++;
        log.error({ err: error, failures }, 'nftables transaction failed, the whole table will be written again');
        await sleep(clock, backoffMs({ initialMs: 200, maxMs: 30_000, jitter: 0.2 }, failures, random), signal);
        continue;
      }
      if (dirty.size === 0 && !signal.aborted) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
        wake = undefined;
      }
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener('abort', onAbort);
    for (const remove of removers) remove();
    await nft(renderRemoval()).catch((error: unknown) => log.warn({ err: error }, 'the proxy table was not removed'));
  }

  function nextRules(current: Map<string, PortRule>, keys: ReadonlySet<string>): Map<string, PortRule> {
    const next = new Map(current);
    for (const key of keys) {
      for (const id of next.keys()) if (id.startsWith(`${key}:`)) next.delete(id);
      const service = serviceInformer.get(key);
      if (!service) continue;
      for (const rule of rulesOfService(service, sliceInformer.byIndex('service', key), nodeName))
        next.set(rule.id, rule);
    }
    return next;
  }
}
