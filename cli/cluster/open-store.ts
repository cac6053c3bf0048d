// The store that `--store` names.
import { systemClock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { Store } from '../../apiserver/storage/port.ts';
import type { Layout } from '../layout.ts';
import { UserError } from '../user-error.ts';

/** Imports only the store that is used: the etcd client alone is slower to load than the rest of the server. */
export async function openStore(name: string, layout: Layout, log: Logger): Promise<Store> {
  if (name === 'embedded') {
    const { createEmbeddedStore } = await import('../../apiserver/storage/embedded.ts');
    return createEmbeddedStore({ path: layout.database, log, clock: systemClock });
  }
  if (name === 'memory') {
    const { createMemoryStore } = await import('../../apiserver/storage/memory.ts');
    return createMemoryStore();
  }
  const endpoints = name.split(',').map((each) => each.trim());
  if (!endpoints.every((each) => /^https?:\/\/[^/]+$/.test(each))) {
    throw new UserError(
      `--store is 'embedded', 'memory' or etcd endpoints such as http://127.0.0.1:2379, not ${JSON.stringify(name)}`,
    );
  }
  const { createEtcdStore } = await import('../../apiserver/storage/etcd.ts');
  return createEtcdStore({ endpoints, log, clock: systemClock });
}
