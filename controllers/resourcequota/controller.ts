// Counts again what quotas say is used: admission charges as it goes, what is deleted, ended or never came to be is given
// back here. Deletions wake it at once, additions (which were charged) a moment later, for the ones that failed after it.
import { resourceQuota as quotaKind } from '../../api/kinds/resource-quota.ts';
import type { Kind } from '../../api/kind.ts';
import { type KubeObject, keyOf } from '../../api/object.ts';
import { compareQuantities } from '../../api/quantity.ts';
import { amountsOf } from '../../api/quota/amounts.ts';
import { isPodTerminal } from '../../api/pod-conditions.ts';
import type { Pod, ResourceQuota, ResourceQuotaStatus } from '../../api/types/core-v1.ts';
import { createWorkQueue, isNotFound, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { watchableKinds } from '../parts/kinds.ts';
import { countedBy, nextChangeMs, planQuota } from './plan.ts';

/** Many objects that are made one after another are counted once. */
const settleMs = 1_000;
/** Upstream's --resource-quota-sync-period. */
const resyncMs = 300_000;

const byNamespace = 'quotas-by-namespace';
const isPods = (kind: Kind) => kind.group === '' && kind.resource === 'pods';

export function runResourceQuotaController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers, scheme } = context;
  const log = context.log.child({ controller: 'resourcequota' });
  const queue = createWorkQueue({ clock, random });
  const quotas = informers.of<ResourceQuota>(quotaKind);
  quotas.addIndex(byNamespace, (quota) => [quota.metadata.namespace ?? '']);
  quotas.addHandler({
    onAdd: (quota) => queue.add(keyOf(quota)),
    // A status that admission wrote is right until something else happens.
    onUpdate: (quota, old) =>
      void (JSON.stringify(quota.spec) !== JSON.stringify(old.spec) ||
      JSON.stringify(quota.status?.hard) !== JSON.stringify(old.status?.hard)
        ? queue.add(keyOf(quota))
        : queue.addAfter(keyOf(quota), settleMs)),
  });

  const wake = (object: KubeObject, afterMs: number) => {
    for (const quota of quotas.byIndex(byNamespace, object.metadata.namespace ?? '')) {
      if (afterMs === 0) queue.add(keyOf(quota));
      else queue.addAfter(keyOf(quota), afterMs);
    }
  };

  /** The kinds that some quota counts; none is mirrored before. */
  const followed = new Set<Kind>();
  const mirror = (kind: Kind) => {
    const informer = informers.of<KubeObject>(kind);
    if (followed.has(kind)) return informer;
    followed.add(kind);
    informer.addHandler({
      onAdd: (object) => wake(object, settleMs),
      onUpdate(object, old) {
        const hasEnded = isPods(kind) && isPodTerminal(object as Pod) && !isPodTerminal(old as Pod);
        wake(object, hasEnded ? 0 : settleMs);
      },
      onDelete: (object) => wake(object, 0),
    });
    return informer;
  };

  async function reconcile(key: string): Promise<ReconcileResult> {
    const quota = quotas.get(key);
    if (!quota) return;
    const { namespace } = quota.metadata;
    const kinds = countedBy(
      quota,
      watchableKinds(scheme).filter((kind) => kind.namespaced),
    );
    const mirrors = kinds.map((kind) => ({ kind, informer: mirror(kind) }));
    await Promise.all(mirrors.map(({ informer }) => informer.synced(signal)));
    let objects = mirrors.map(({ kind, informer }) => ({ kind, items: informer.list(namespace) }));
    let status = planQuota(quota, objects, clock.now());
    if (status && givesBack(quota, status)) {
      // Nothing is given back on the word of a mirror: it may not show yet what was just made.
      objects = await Promise.all(
        kinds.map(async (kind) => ({
          kind,
          items: (await client.resource<KubeObject>(kind, namespace).listAll()).items,
        })),
      );
      status = planQuota(quota, objects, clock.now());
    }
    if (status) {
      try {
        await client
          .resource<ResourceQuota>(quotaKind, namespace)
          .update({ ...quota, status }, { subresource: 'status' });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        return;
      }
    }
    const pods = objects.find(({ kind }) => isPods(kind))?.items ?? [];
    const next = nextChangeMs(pods, clock.now());
    return { requeueAfterMs: Math.min(next === undefined ? resyncMs : next - clock.now(), resyncMs) };
  }

  return runController({ name: 'resourcequota', queue, reconcile, workers: 5, informers: [quotas], log }, signal);
}

function givesBack(quota: ResourceQuota, status: ResourceQuotaStatus): boolean {
  const used = amountsOf(status.used);
  return [...amountsOf(quota.status?.used)].some(([name, was]) => {
    const now = used.get(name);
    return now !== undefined && compareQuantities(now, was) < 0;
  });
}
