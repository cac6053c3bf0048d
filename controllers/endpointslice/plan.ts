// From a Service and its pods to EndpointSlices: at most 100 endpoints each, changed as little as possible. Pure.
import { deepEqual } from '../../api/equality.ts';
import { service as serviceKind } from '../../api/kinds/service.ts';
import type { Node, Pod, Service } from '../../api/types/core-v1.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '../../api/types/discovery-v1.ts';
import { controllerReference } from '../parts/owners.ts';
import { type AddressType, addressOf, addressTypesOf, endpointOf, isReachable, portsOf } from './endpoints-of-pods.ts';

export const maxEndpointsPerSlice = 100;
export const serviceNameLabel = 'kubernetes.io/service-name';
export const managedByLabel = 'endpointslice.kubernetes.io/managed-by';
export const managedBy = 'endpointslice-controller.k8s.io';
export const headlessLabel = 'service.kubernetes.io/headless';

export interface SlicePlan {
  /** Without a name: the controller chooses it. */
  create: EndpointSlice[];
  update: EndpointSlice[];
  remove: EndpointSlice[];
}

export interface SliceInput {
  service: Service;
  /** Those that the Service selects. */
  pods: readonly Pod[];
  /** Slices of the Service that this controller manages. */
  slices: readonly EndpointSlice[];
  nodeOf(name: string | undefined): Node | undefined;
}

/** One endpoint is the same one as long as its pod and address are. */
const identityOf = (endpoint: Endpoint) => `${endpoint.addresses[0]}/${endpoint.targetRef?.uid ?? ''}`;
const portsKey = (ports: readonly EndpointPort[] | undefined) => JSON.stringify(ports ?? []);

interface Group {
  ports: EndpointPort[];
  endpoints: Map<string, Endpoint>;
}

export function planSlices(input: SliceInput): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  const types = addressTypesOf(input.service);
  for (const slice of input.slices) if (!types.includes(slice.addressType as AddressType)) plan.remove.push(slice);
  for (const type of types) planAddressType(input, type, plan);
  return plan;
}

function groupsOf({ service, pods, nodeOf }: SliceInput, type: AddressType): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const pod of pods) {
    const address = addressOf(pod, type);
    if (address === undefined || !isReachable(pod)) continue;
    const ports = portsOf(service, pod);
    const key = portsKey(ports);
    let group = groups.get(key);
    if (!group) groups.set(key, (group = { ports, endpoints: new Map() }));
    const endpoint = endpointOf(service, pod, address, nodeOf(pod.spec?.nodeName));
    group.endpoints.set(identityOf(endpoint), endpoint);
  }
  return groups;
}

function planAddressType(input: SliceInput, type: AddressType, plan: SlicePlan): void {
  const groups = groupsOf(input, type);
  const present = input.slices.filter((slice) => slice.addressType === type && !slice.metadata.deletionTimestamp);
  const unused: EndpointSlice[] = [];
  let count = 0;
  for (const slice of present) if (!groups.has(portsKey(slice.ports))) unused.push(slice);
  for (const [key, group] of groups) {
    const own = present.filter((slice) => portsKey(slice.ports) === key);
    count += planGroup(input.service, type, group, own, unused, plan);
  }
  // A Service always has a slice, empty if need be, so that readers can tell none from not yet known.
  if (count === 0) {
    const placeholder = unused.shift();
    if (placeholder)
      keepOrUpdate(
        placeholder,
        { ...describe(input.service, type, []), metadata: placeholder.metadata, endpoints: [] },
        input.service,
        plan,
      );
    else plan.create.push(describe(input.service, type, []));
  }
  plan.remove.push(...unused);
}

/** Puts a group's endpoints into its slices; returns how many slices it has then. */
function planGroup(
  service: Service,
  type: AddressType,
  group: Group,
  own: EndpointSlice[],
  unused: EndpointSlice[],
  plan: SlicePlan,
): number {
  const left = new Map(group.endpoints);
  const drafts = own.map((slice) => {
    const endpoints: Endpoint[] = [];
    for (const old of slice.endpoints ?? []) {
      const identity = identityOf(old);
      const endpoint = left.get(identity);
      if (endpoint) endpoints.push(endpoint);
      left.delete(identity);
    }
    return { slice, endpoints, isChanged: !deepEqual(endpoints, slice.endpoints ?? []) };
  });
  // New endpoints go first into slices that are written anyway, then into the fullest ones that have room.
  const byPreference = [...drafts].sort(
    (a, b) => Number(b.isChanged) - Number(a.isChanged) || b.endpoints.length - a.endpoints.length,
  );
  const waiting = [...left.values()];
  for (const draft of byPreference) {
    const room = maxEndpointsPerSlice - draft.endpoints.length;
    if (room > 0) draft.endpoints.push(...waiting.splice(0, room));
  }
  let count = 0;
  for (const { slice, endpoints } of drafts) {
    if (endpoints.length === 0) {
      unused.push(slice);
      continue;
    }
    count++;
    keepOrUpdate(
      slice,
      { ...describe(service, type, group.ports), metadata: slice.metadata, endpoints },
      service,
      plan,
    );
  }
  while (waiting.length > 0) {
    plan.create.push({ ...describe(service, type, group.ports), endpoints: waiting.splice(0, maxEndpointsPerSlice) });
    count++;
  }
  return count;
}

function keepOrUpdate(before: EndpointSlice, after: EndpointSlice, service: Service, plan: SlicePlan): void {
  const labels = labelsOf(service);
  const isSame =
    deepEqual(after.endpoints ?? [], before.endpoints ?? []) &&
    deepEqual(after.ports ?? [], before.ports ?? []) &&
    deepEqual(labels, before.metadata.labels ?? {});
  if (isSame) return;
  plan.update.push({
    ...before,
    endpoints: after.endpoints,
    ports: after.ports,
    metadata: { ...before.metadata, labels },
  });
}

/** The Service's labels and ours. */
function labelsOf(service: Service): Record<string, string> {
  const labels: Record<string, string> = { ...service.metadata.labels };
  delete labels[headlessLabel];
  if (service.spec?.clusterIP === 'None') labels[headlessLabel] = '';
  return { ...labels, [serviceNameLabel]: service.metadata.name as string, [managedByLabel]: managedBy };
}

const describe = (service: Service, addressType: AddressType, ports: EndpointPort[]): EndpointSlice => ({
  addressType,
  metadata: {
    generateName: `${service.metadata.name}-`,
    namespace: service.metadata.namespace,
    labels: labelsOf(service),
    ownerReferences: [controllerReference(serviceKind, service)],
  },
  endpoints: [],
  ports,
});
