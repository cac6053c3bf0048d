// Charges writes against the quotas of their namespaces. Writes of one namespace that arrive together are charged together:
//
//   writes ─► queue of the namespace ─► charge one after another, in memory ─► one compare-and-set per quota ─► answers
//                                              ▲                                      │ somebody was faster
//                                              └────────── the quota as it is now ◄───┘
//
// A write is let go only when every quota that it costs has been written. Giving back is the controller's work.
import { deepClone } from '../../../api/equality.ts';
import { errors } from '../../../api/errors.ts';
import { type Amounts, listOf } from '../../../api/quota/amounts.ts';
import { charge, type ChargedWrite, type Quota } from '../../../api/quota/charge.ts';

export interface QuotaStore {
  /** The quotas of a namespace; `fresh`: in the store's newest state. */
  list(namespace: string, fresh: boolean): Promise<readonly Quota[]>;
  /** Writes `status.used` if the quota is still at that resourceVersion; the quota as written, or undefined. */
  write(quota: Quota, used: Readonly<Record<string, string>>): Promise<Quota | undefined>;
}

interface Waiting {
  write: ChargedWrite;
  dryRun: boolean;
  refuse(why: string): Error;
  resolve(): void;
  reject(error: unknown): void;
}

/** Each attempt that fails means that somebody else's write succeeded. */
const TRIES = 64;

export class QuotaAccounts {
  #store: QuotaStore;
  /** By namespace; a namespace is here while one of its writes waits. */
  #queues = new Map<string, Waiting[]>();
  /** The newest quotas that were written here, which the cache may not show yet. */
  #written = new Map<string, Quota>();

  constructor(store: QuotaStore) {
    this.#store = store;
  }

  /** Throws what `refuse` makes of the reason. */
  charge(namespace: string, asked: Omit<Waiting, 'resolve' | 'reject'>): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = { ...asked, resolve, reject };
      const queue = this.#queues.get(namespace);
      if (queue) {
        queue.push(waiting);
        return;
      }
      this.#queues.set(namespace, [waiting]);
      void this.#drain(namespace);
    });
  }

  async #drain(namespace: string): Promise<void> {
    for (;;) {
      const queue = this.#queues.get(namespace) as Waiting[];
      if (queue.length === 0) break;
      this.#queues.set(namespace, []);
      try {
        await this.#chargeAll(namespace, queue);
      } catch (error) {
        for (const each of queue) each.reject(error);
      }
    }
    this.#queues.delete(namespace);
    for (const [key] of this.#written) if (key.startsWith(`${namespace}/`)) this.#written.delete(key);
  }

  async #chargeAll(namespace: string, queue: readonly Waiting[]): Promise<void> {
    let open = [...queue];
    let quotas = await this.#quotas(namespace, false);
    let isFresh = false;
    /** Charged to these already: a second attempt does not charge them again. */
    const paid = new Map<Waiting, Set<string>>();
    for (let attempt = 1; open.length > 0; attempt++) {
      if (attempt > TRIES) throw errors.conflict({ group: '', resource: 'resourcequotas' }, '', undefined);
      const { granted, refused, used } = chargeInMemory(quotas, open, paid);
      if (refused.length > 0 && !isFresh) {
        // No is said on the newest state only.
        quotas = await this.#quotas(namespace, true);
        isFresh = true;
        continue;
      }
      for (const { waiting, why } of refused) waiting.reject(waiting.refuse(why));
      const failed = new Set<string>();
      for (const [name, amounts] of used) {
        const quota = quotas.find((each) => each.metadata.name === name) as Quota;
        const written = await this.#store.write(quota, listOf(amounts));
        if (written) this.#written.set(`${namespace}/${name}`, written);
        else failed.add(name);
      }
      open = granted
        .filter(({ waiting, costs }) => {
          const isOpen = costs.some((name) => failed.has(name));
          if (isOpen) {
            const settled = paid.get(waiting) ?? new Set();
            for (const name of costs) if (!failed.has(name)) settled.add(name);
            paid.set(waiting, settled);
          } else waiting.resolve();
          return isOpen;
        })
        .map(({ waiting }) => waiting);
      if (open.length > 0) {
        quotas = await this.#quotas(namespace, true);
        isFresh = true;
      }
    }
  }

  async #quotas(namespace: string, fresh: boolean): Promise<readonly Quota[]> {
    const found = await this.#store.list(namespace, fresh);
    return found.map((quota) => {
      const ours = this.#written.get(`${namespace}/${quota.metadata.name}`);
      const isNewer = ours?.metadata.uid === quota.metadata.uid && revisionOf(ours) > revisionOf(quota);
      return isNewer ? (ours as Quota) : quota;
    });
  }
}

const revisionOf = (quota: Quota | undefined) => Number(quota?.metadata.resourceVersion ?? 0);

interface Charged {
  granted: { waiting: Waiting; costs: string[] }[];
  refused: { waiting: Waiting; why: string }[];
  /** What the quotas are to say, of those that real writes cost. */
  used: Map<string, Amounts>;
}

/** Pure over its arguments. */
function chargeInMemory(
  quotas: readonly Quota[],
  writes: readonly Waiting[],
  paid: ReadonlyMap<Waiting, ReadonlySet<string>>,
): Charged {
  const state = new Map(quotas.map((quota) => [quota.metadata.name as string, quota]));
  const charged: Charged = { granted: [], refused: [], used: new Map() };
  for (const waiting of writes) {
    const settled = paid.get(waiting);
    const due = [...state.values()].filter((quota) => !settled?.has(quota.metadata.name as string));
    // What has to be covered was found covered, by quotas that are settled now.
    const outcome = charge(due, settled ? { ...waiting.write, limited: [] } : waiting.write);
    if (!outcome.ok) {
      charged.refused.push({ waiting, why: outcome.why });
      continue;
    }
    if (waiting.dryRun) {
      charged.granted.push({ waiting, costs: [] });
      continue;
    }
    charged.granted.push({ waiting, costs: [...outcome.used.keys()] });
    for (const [name, amounts] of outcome.used) {
      charged.used.set(name, amounts);
      const quota = deepClone(state.get(name) as Quota);
      quota.status = { ...quota.status, used: listOf(amounts) };
      state.set(name, quota);
    }
  }
  return charged;
}
