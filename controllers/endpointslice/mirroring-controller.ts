// Keeps slices of Endpoints that nobody's selector finds, so that readers of slices see them too.
import { endpointSlice as sliceKind } from '../../api/kinds/endpoint-slice.ts';
import { endpoints as endpointsKind } from '../../api/kinds/endpoints.ts';
import { service as serviceKind } from '../../api/kinds/service.ts';
import { keyOf } from '../../api/object.ts';
import type { Endpoints, Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import { createWorkQueue, type ReconcileResult, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { Expectations } from '../parts/expectations.ts';
import { applySlices } from './apply-slices.ts';
import { isMirrored, mirroredBy, planMirror } from './mirroring-plan.ts';
import { managedByLabel, serviceNameLabel } from './plan.ts';

const byService = 'mirrored-slices-by-service';

export function runEndpointSliceMirroring(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const name = 'endpointslicemirroring';
  const { client, clock, random, informers } = context;
  const log = context.log.child({ controller: name });
  const queue = createWorkQueue({ clock, random });
  const endpoints = informers.of<Endpoints>(endpointsKind);
  const services = informers.of<Service>(serviceKind);
  const slices = informers.of<EndpointSlice>(sliceKind);
  const expectations = new Expectations(clock);
  const isOurs = (slice: EndpointSlice) => slice.metadata.labels?.[managedByLabel] === mirroredBy;
  const serviceOf = (slice: EndpointSlice) =>
    `${slice.metadata.namespace}/${slice.metadata.labels?.[serviceNameLabel] ?? ''}`;
  slices.addIndex(byService, (slice) => (isOurs(slice) ? [serviceOf(slice)] : []));
  const wake = (object: Endpoints | Service) => queue.add(keyOf(object));
  endpoints.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });
  services.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });
  const seen = (slice: EndpointSlice) => {
    if (!isOurs(slice)) return;
    expectations.settle(serviceOf(slice), slice.metadata.name as string);
    queue.add(serviceOf(slice));
  };
  slices.addHandler({
    onAdd: seen,
    onUpdate(slice, old) {
      seen(slice);
      if (serviceOf(old) !== serviceOf(slice) || isOurs(old) !== isOurs(slice)) seen(old);
    },
    onDelete: seen,
  });

  async function reconcile(key: string): Promise<ReconcileResult> {
    const waitMs = expectations.waitMs(key);
    if (waitMs > 0) return { requeueAfterMs: waitMs };
    const source = endpoints.get(key);
    const own = slices.byIndex(byService, key);
    const plan = isMirrored(source, services.get(key))
      ? planMirror(source, own)
      : { create: [], update: [], remove: own };
    await applySlices({ client, random, expectations }, key, plan);
  }

  return runController({ name, queue, reconcile, workers: 5, informers: [endpoints, services, slices], log }, signal);
}
