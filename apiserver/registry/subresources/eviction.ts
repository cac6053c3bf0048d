// pods/eviction: a deletion that asks first whether the pod's disruption budget can afford it.
//
//   admit ─► ended, pending or going? delete ─► budget: free, or one less by compare-and-set ─► mark the pod ─► delete
import { ApiError, errors } from '../../../api/errors.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import { withPodCondition } from '../../../api/pod-conditions.ts';
import type { Pod } from '../../../api/types/core-v1.ts';
import type { DeleteOptions } from '../../../api/types/meta.ts';
import type { Eviction } from '../../../api/types/policy-v1.ts';
import { admitBody } from '../../admission/subresource.ts';
import type { Exchange } from '../../http/exchange.ts';
import { readObject, type ResourceContext, writeRequest } from '../../http/resources.ts';
import { writeOptions } from '../../http/write-options.ts';
import { timestamp } from '../encode.ts';
import type { WriteRequest } from '../types.ts';
import {
  type Budget,
  budgetsOf,
  goesForFree,
  needsNoBudget,
  stillProcessed,
  withOneLess,
} from './disruption-budgets.ts';
import { evictionKind } from './kinds.ts';

/** Each attempt that fails means that the pod has changed meanwhile. */
const TRIES = 20;

export async function serveEviction(context: ResourceContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  if (info.verb !== 'create') throw errors.methodNotAllowedPath();
  const written = writeOptions(info.query, 'CreateOptions');
  let eviction = (await readObject(context, exchange, evictionKind, written.fieldValidation)) as KubeObject & Eviction;
  if (eviction.metadata.name && eviction.metadata.name !== info.name) {
    throw errors.badRequest('name in URL does not match name in Eviction object');
  }
  const dryRun = written.dryRun || (eviction.deleteOptions?.dryRun?.length ?? 0) > 0;
  const request = writeRequest(exchange, kind, dryRun);
  eviction = (await admitBody(
    context.admission,
    { kind, subresource: 'eviction', name: info.name, bodyKind: evictionKind },
    eviction,
    request,
  )) as KubeObject & Eviction;
  await evict(context, kind, info.name, eviction.deleteOptions ?? {}, request);
  await exchange.sendObject(201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 });
}

async function evict(
  context: ResourceContext,
  kind: Kind,
  name: string,
  options: DeleteOptions,
  request: WriteRequest,
): Promise<void> {
  const { registry } = context;
  const chosen = options.preconditions?.resourceVersion;
  for (let attempt = 1; ; attempt++) {
    const pod = (await registry.get(kind, request.namespace, name)).object as Pod & KubeObject;
    const price = needsNoBudget(pod) ? undefined : await payBudget(context, pod, request);
    // A pod that may go because of the state it is in must still be in it when it goes.
    const isEnded =
      pod.metadata.deletionTimestamp !== undefined || /^(Succeeded|Failed)$/.test(pod.status?.phase ?? '');
    const mustBeSame = chosen === undefined && (price ? price.isFree : !isEnded);
    try {
      const revision = await mark(context, kind, pod, mustBeSame, request);
      const preconditions = mustBeSame
        ? { ...options.preconditions, resourceVersion: revision }
        : options.preconditions;
      await registry.delete(kind, name, {
        ...request,
        internal: true,
        options: { ...options, ...(preconditions && { preconditions }) },
      });
      return;
    } catch (error) {
      const isChanged = error instanceof ApiError && error.code === 409 && mustBeSame;
      if (!isChanged) throw error;
      if (price) throw stillProcessed(price.budget);
      if (attempt >= TRIES) throw error;
    }
  }
}

/** Undefined when no budget selects the pod. Throws 429 when the one that does has nothing left. */
async function payBudget(
  context: ResourceContext,
  pod: Pod & KubeObject,
  request: WriteRequest,
): Promise<{ budget: string; isFree: boolean } | undefined> {
  const { registry } = context;
  const { scheme, caches } = registry.context;
  const kind = scheme.byGroupResource('policy', 'poddisruptionbudgets');
  if (!kind) return undefined;
  const cache = caches.of(kind);
  await cache.ready();
  await cache.current();
  const { namespace } = request;
  const found = budgetsOf(
    pod,
    cache.list({ namespace }).items.map((each) => each.object as Budget),
  );
  if (found.length === 0) return undefined;
  if (found.length > 1) {
    throw new ApiError(
      500,
      '',
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  }
  const budget = found[0] as Budget;
  const name = budget.metadata.name as string;
  if (goesForFree(pod, budget)) return { budget: name, isFree: true };
  const podName = pod.metadata.name as string;
  await registry.update(
    kind,
    { ...request, name, subresource: 'status', isPatch: true, internal: true, manager: 'kube-apiserver' },
    (old) => withOneLess(old as Budget, podName, context.clock.now()),
  );
  return { budget: name, isFree: false };
}

/** Notes on the pod why it goes; gives back its resourceVersion. */
async function mark(
  context: ResourceContext,
  kind: Kind,
  pod: Pod & KubeObject,
  mustBeSame: boolean,
  request: WriteRequest,
): Promise<string> {
  const { name, resourceVersion = '' } = pod.metadata as { name: string; resourceVersion?: string };
  if (request.dryRun) return resourceVersion;
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'EvictionByEvictionAPI',
    message: 'Eviction API: evicting',
    lastTransitionTime: timestamp(context.clock.now()),
  };
  const { entry } = await context.registry.update(
    kind,
    { ...request, name, subresource: 'status', isPatch: true, internal: true, manager: 'kube-apiserver' },
    (old) => {
      if (mustBeSame && old.metadata.resourceVersion !== resourceVersion) {
        throw errors.conflict({ group: '', resource: 'pods' }, name);
      }
      const { status } = old as Pod;
      const { conditions } = withPodCondition(status?.conditions, condition);
      return { ...structuredClone(old), status: { ...status, conditions } } as KubeObject;
    },
  );
  return entry.object.metadata.resourceVersion ?? '';
}
