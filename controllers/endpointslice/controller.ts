// Keeps the EndpointSlices of every Service with a selector. Slices of deleted Services go with their owner reference.
import { endpointSlice as sliceKind } from '../../api/kinds/endpoint-slice.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import { createWorkQueue, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { Expectations } from '../parts/expectations.ts';
import { applySlices } from './apply-slices.ts';
import { isSelecting } from './endpoints-of-pods.ts';
import { managedBy, managedByLabel, planSlices, serviceNameLabel } from './plan.ts';
import { watchServices } from './service-watch.ts';

const byService = 'endpointslices-by-service';

export function runEndpointSliceController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const log = context.log.child({ controller: 'endpointslice' });
  const queue = createWorkQueue({ clock, random });
  const slices = informers.of<EndpointSlice>(sliceKind);
  const expectations = new Expectations(clock);
  const serviceOf = (slice: EndpointSlice) =>
    `${slice.metadata.namespace}/${slice.metadata.labels?.[serviceNameLabel] ?? ''}`;
  const isOurs = (slice: EndpointSlice) => slice.metadata.labels?.[managedByLabel] === managedBy;
  slices.addIndex(byService, (slice) => (isOurs(slice) ? [serviceOf(slice)] : []));
  const { services, pods, nodes, podsOf } = watchServices(context, queue);

  const seen = (slice: EndpointSlice) => {
    expectations.settle(serviceOf(slice), slice.metadata.name as string);
    if (isOurs(slice)) queue.add(serviceOf(slice));
  };
  slices.addHandler({
    onAdd: seen,
    onUpdate(slice, old) {
      seen(slice);
      if (serviceOf(old) !== serviceOf(slice)) seen(old);
    },
    onDelete: seen,
  });

  async function reconcile(key: string): Promise<ReconcileResult> {
    const service = services.get(key);
    if (!service) return expectations.forget(key);
    if (!isSelecting(service) || service.metadata.deletionTimestamp) return;
    const waitMs = expectations.waitMs(key);
    if (waitMs > 0) return { requeueAfterMs: waitMs };
    const plan = planSlices({
      service,
      pods: podsOf(service),
      slices: slices.byIndex(byService, key),
      nodeOf: (name) => (name ? nodes.get(name) : undefined),
    });
    await applySlices({ client, random, expectations }, key, plan);
  }

  return runController(
    { name: 'endpointslice', queue, reconcile, workers: 5, informers: [services, pods, nodes, slices], log },
    signal,
  );
}
