// ResourceQuota: the last plugin, so that nothing is charged that is then refused by another.
import { ApiError, errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Quota } from '../../../api/quota/charge.ts';
import { type Evaluator, evaluatorOf } from '../../../api/quota/evaluators.ts';
import type { LimitedResource } from '../../../api/quota/limited.ts';
import type { Clock } from '../../../lib/clock.ts';
import type { Registry } from '../../registry/registry.ts';
import type { AdmissionPlugin, AdmissionRequest } from '../chain.ts';
import type { Lookup } from '../lookup.ts';
import { QuotaAccounts, type QuotaStore } from './accounts.ts';

/** Too many to be counted, and no harm in their number. */
const IGNORED = new Set(['events', 'events.events.k8s.io']);

export function resourceQuota(options: {
  registry: Registry;
  lookup: Lookup;
  clock: Clock;
  /** What is consumed only where a quota covers it. */
  limitedResources?: readonly LimitedResource[] | undefined;
}): AdmissionPlugin {
  const { registry, lookup, clock, limitedResources = [] } = options;
  const limitedOf = (kind: Kind) =>
    limitedResources.filter((each) => each.group === kind.group && each.resource === kind.resource);
  const evaluators = new WeakMap<Kind, Evaluator>();
  const evaluator = (kind: Kind): Evaluator => {
    let found = evaluators.get(kind);
    if (!found) evaluators.set(kind, (found = evaluatorOf(kind.group, kind.resource)));
    return found;
  };
  const accounts = new QuotaAccounts(quotaStore(registry));
  return {
    name: 'ResourceQuota',
    handles: (kind, subresource, operation) =>
      kind.namespaced &&
      kind.verbs.includes('list') &&
      !IGNORED.has(kind.group ? `${kind.resource}.${kind.group}` : kind.resource) &&
      evaluator(kind).charges(operation, subresource),
    async validate(request) {
      const { kind, namespace } = request;
      const limited = limitedResources.length > 0 ? limitedOf(kind) : limitedResources;
      // Most namespaces have no quota.
      if (limited.length === 0 && (await lookup.list('', 'resourcequotas', namespace)).length === 0) return;
      const { object, old, name } = request as AdmissionRequest & { object: KubeObject };
      await accounts.charge(namespace, {
        write: { evaluator: evaluator(kind), object, old, nowMs: clock.now(), limited },
        dryRun: request.dryRun,
        refuse: (why) => errors.forbidden({ group: kind.group, resource: kind.resource }, name, why),
      });
    },
  };
}

class StaleQuota extends Error {}

function quotaStore(registry: Registry): QuotaStore {
  const kind = registry.kind('', 'resourcequotas');
  const cache = () => registry.context.caches.of(kind);
  return {
    async list(namespace, fresh) {
      if (fresh) await cache().current();
      return cache()
        .list({ namespace })
        .items.map((each) => each.object as Quota);
    },
    async write(quota, used) {
      const {
        name,
        namespace = '',
        resourceVersion,
      } = quota.metadata as { name: string; namespace?: string; resourceVersion: string };
      const request = {
        user: { name: 'system:apiserver', groups: ['system:masters'] },
        namespace,
        name,
        subresource: 'status',
        dryRun: false,
        isPatch: true,
        internal: true,
        warn() {},
      };
      try {
        const { entry } = await registry.update(kind, request, (old) => {
          if (old.metadata.resourceVersion !== resourceVersion) throw new StaleQuota();
          return { ...structuredClone(old), status: { ...(old as Quota).status, used: { ...used } } } as KubeObject;
        });
        return entry.object as Quota;
      } catch (error) {
        const isStale =
          error instanceof StaleQuota || (error instanceof ApiError && (error.code === 404 || error.code === 409));
        if (isStale) return undefined;
        throw error;
      }
    },
  };
}
