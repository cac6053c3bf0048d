// A component's way to the cluster. A file of its own: a node does not load the API server.
import { createClient, createEventRecorder, createInformerFactory } from '../../client/index.ts';
import type { ClientConfig } from '../../client/port.ts';
import { systemClock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';

/** What a component needs to talk to the cluster, as itself. */
export function connect(config: Omit<ClientConfig, 'userAgent'>, component: string, log: Logger, host?: string) {
  const clock = systemClock;
  const random = Math.random;
  const client = createClient({ ...config, userAgent: `sampan-${component}` }, { clock, log });
  return {
    client,
    informers: createInformerFactory({ client, clock, random, log }),
    events: createEventRecorder({ client, component, host, clock, random, log }),
    clock,
    random,
    log,
  };
}
