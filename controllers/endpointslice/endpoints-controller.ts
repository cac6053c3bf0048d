// Keeps the Endpoints object of every Service with a selector, and removes it with the Service.
import { deepEqual } from '../../api/equality.ts';
import { endpoints as endpointsKind } from '../../api/kinds/endpoints.ts';
import { keyOf } from '../../api/object.ts';
import type { Endpoints } from '../../api/types/core-v1.ts';
import { createWorkQueue, isNamespaceTerminating, isNotFound, runController } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { isSelecting } from './endpoints-of-pods.ts';
import { endpointsManager, managedByEndpointsLabel, planEndpoints } from './endpoints-plan.ts';
import { watchServices } from './service-watch.ts';

export function runEndpointsController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const log = context.log.child({ controller: 'endpoints' });
  const queue = createWorkQueue({ clock, random });
  const endpoints = informers.of<Endpoints>(endpointsKind);
  const { services, pods, nodes, podsOf } = watchServices(context, queue);
  const isOurs = (object: Endpoints) => object.metadata.labels?.[managedByEndpointsLabel] === endpointsManager;
  const wake = (object: Endpoints) => queue.add(keyOf(object));
  endpoints.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });

  async function reconcile(key: string): Promise<void> {
    const present = endpoints.get(key);
    const service = services.get(key);
    if (!service) {
      if (present && isOurs(present)) await remove(present);
      return;
    }
    if (!isSelecting(service) || service.metadata.deletionTimestamp) return;
    const next = planEndpoints(service, podsOf(service), present);
    const resource = client.resource<Endpoints>(endpointsKind, service.metadata.namespace);
    if (present) {
      if (!deepEqual(present, next)) await resource.update(next);
      return;
    }
    try {
      await resource.create(next);
    } catch (error) {
      if (!isNamespaceTerminating(error)) throw error;
    }
  }

  async function remove(present: Endpoints): Promise<void> {
    const { name, namespace, uid } = present.metadata;
    try {
      await client.resource<Endpoints>(endpointsKind, namespace).delete(name as string, { preconditions: { uid } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return runController(
    { name: 'endpoints', queue, reconcile, workers: 5, informers: [services, pods, nodes, endpoints], log },
    signal,
  );
}
