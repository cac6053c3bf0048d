// Slices of Endpoints that a person or another controller wrote: one slice for each set of ports and address family. Pure.
import { deepEqual } from '../../api/equality.ts';
import { endpoints as endpointsKind } from '../../api/kinds/endpoints.ts';
import type { EndpointAddress, Endpoints, Service } from '../../api/types/core-v1.ts';
import type { Endpoint, EndpointPort, EndpointSlice } from '../../api/types/discovery-v1.ts';
import { controllerReference } from '../parts/owners.ts';
import { type AddressType, addressTypeOf } from './endpoints-of-pods.ts';
import { managedByLabel, serviceNameLabel, type SlicePlan } from './plan.ts';

export const mirroredBy = 'endpointslicemirroring-controller.k8s.io';
/** Addresses of a subset beyond this are left out. */
export const maxEndpointsPerSubset = 1_000;

const skipLabel = 'endpointslice.kubernetes.io/skip-mirror';
const leaderAnnotation = 'control-plane.alpha.kubernetes.io/leader';
const notMirrored = new Set([
  'endpoints.kubernetes.io/last-change-trigger-time',
  'kubectl.kubernetes.io/last-applied-configuration',
]);

/** Only for Services that have no selector: what a selector finds has slices of its own. */
export function isMirrored(
  endpoints: Endpoints | undefined,
  service: Service | undefined,
): endpoints is Endpoints & { metadata: object } {
  if (!endpoints || !service || service.spec?.selector) return false;
  const { labels, annotations } = endpoints.metadata;
  return labels?.[skipLabel] !== 'true' && annotations?.[leaderAnnotation] === undefined;
}

const keyOfGroup = (type: string, ports: readonly EndpointPort[] | undefined) =>
  JSON.stringify([
    type,
    (ports ?? []).map(({ name = '', protocol = 'TCP', port, appProtocol }) => [name, protocol, port, appProtocol]),
  ]);

interface Group {
  addressType: AddressType;
  ports: EndpointPort[];
  endpoints: Endpoint[];
}

/** `slices` are those that this controller keeps for the Service. */
export function planMirror(endpoints: Endpoints, slices: readonly EndpointSlice[]): SlicePlan {
  const plan: SlicePlan = { create: [], update: [], remove: [] };
  const groups = groupsOf(endpoints);
  // Readers tell "none" from "not yet known" by an empty slice.
  if (groups.size === 0) groups.set(keyOfGroup('IPv4', []), { addressType: 'IPv4', ports: [], endpoints: [] });
  const { labels, annotations } = metadataOf(endpoints);
  for (const slice of slices) {
    if (slice.metadata.deletionTimestamp) continue;
    const key = keyOfGroup(slice.addressType, slice.ports);
    const group = groups.get(key);
    groups.delete(key);
    if (!group) plan.remove.push(slice);
    else if (
      !deepEqual(group.endpoints, slice.endpoints ?? []) ||
      !deepEqual(labels, slice.metadata.labels) ||
      !deepEqual(annotations ?? {}, slice.metadata.annotations ?? {})
    )
      plan.update.push({ ...slice, endpoints: group.endpoints, metadata: { ...slice.metadata, labels, annotations } });
  }
  for (const group of groups.values()) {
    plan.create.push({
      ...group,
      metadata: {
        generateName: `${endpoints.metadata.name}-`,
        namespace: endpoints.metadata.namespace,
        labels,
        annotations,
        ownerReferences: [controllerReference(endpointsKind, endpoints)],
      },
    });
  }
  return plan;
}

function groupsOf({ subsets = [] }: Endpoints): Map<string, Group> {
  const groups = new Map<string, Group>();
  for (const subset of subsets) {
    const ports = (subset.ports ?? []).map(({ name = '', port, protocol = 'TCP', appProtocol }) => ({
      name,
      protocol,
      port,
      ...(appProtocol !== undefined && { appProtocol }),
    }));
    const all = [
      ...(subset.addresses ?? []).map((address) => endpointOf(address, true)),
      ...(subset.notReadyAddresses ?? []).map((address) => endpointOf(address, false)),
    ];
    for (const endpoint of all.slice(0, maxEndpointsPerSubset)) {
      const addressType = addressTypeOf(endpoint.addresses[0] as string);
      const key = keyOfGroup(addressType, ports);
      const group = groups.get(key) ?? { addressType, ports, endpoints: [] };
      groups.set(key, group);
      group.endpoints.push(endpoint);
    }
  }
  return groups;
}

const endpointOf = ({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint => ({
  addresses: [ip],
  conditions: { ready },
  ...(hostname && { hostname }),
  ...(targetRef && { targetRef }),
  ...(nodeName && { nodeName }),
});

function metadataOf({ metadata }: Endpoints) {
  const annotations = Object.fromEntries(
    Object.entries(metadata.annotations ?? {}).filter(([name]) => !notMirrored.has(name)),
  );
  return {
    labels: { ...metadata.labels, [serviceNameLabel]: metadata.name as string, [managedByLabel]: mirroredBy },
    annotations: Object.keys(annotations).length > 0 ? annotations : undefined,
  };
}
