// The older Endpoints object of a Service, for readers that do not know slices. At most 1,000 addresses. Pure.
import { isPodReady } from '../../api/pod-conditions.ts';
import type {
  EndpointAddress,
  EndpointPort,
  Endpoints,
  EndpointSubset,
  Pod,
  Service,
} from '../../api/types/core-v1.ts';
import { addressOf, addressTypesOf, hostnameOf, isReachable, portsOf, targetRefOf } from './endpoints-of-pods.ts';
import { headlessLabel } from './plan.ts';

export const maxAddresses = 1_000;
export const managedByEndpointsLabel = 'endpoints.kubernetes.io/managed-by';
export const endpointsManager = 'endpoint-controller';
const overCapacity = 'endpoints.kubernetes.io/over-capacity';

interface Row {
  address: EndpointAddress;
  ready: boolean;
}

const byIp = (a: EndpointAddress, b: EndpointAddress) =>
  a.ip < b.ip ? -1 : a.ip > b.ip ? 1 : (a.targetRef?.uid ?? '') < (b.targetRef?.uid ?? '') ? -1 : 1;

/** What the object's labels, annotations and subsets shall be; `present` keeps what others wrote on it. */
export function planEndpoints(service: Service, pods: readonly Pod[], present: Endpoints | undefined): Endpoints {
  const tolerates = service.spec?.publishNotReadyAddresses === true;
  const type = addressTypesOf(service)[0] as 'IPv4' | 'IPv6';
  const rowsOfPort = new Map<string, Row[]>();
  const ports = new Map<string, EndpointPort | undefined>();
  const reachable = pods
    .filter(
      (pod) => isReachable(pod) && (tolerates || !pod.metadata.deletionTimestamp) && addressOf(pod, type) !== undefined,
    )
    .sort(
      (a, b) =>
        Number(isPodReady(b)) - Number(isPodReady(a)) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1),
    );
  for (const pod of reachable.slice(0, maxAddresses)) {
    const hostname = hostnameOf(service, pod);
    const address: EndpointAddress = {
      ip: addressOf(pod, type) as string,
      ...(hostname && { hostname }),
      ...(pod.spec?.nodeName && { nodeName: pod.spec.nodeName }),
      targetRef: targetRefOf(pod),
    };
    const own: (EndpointPort | undefined)[] =
      (service.spec?.ports?.length ?? 0) === 0 ? [undefined] : portsOf(service, pod).map(coreEndpointPort);
    for (const port of own) {
      const key = JSON.stringify(port ?? null);
      ports.set(key, port);
      const rows = rowsOfPort.get(key) ?? [];
      rows.push({ address, ready: tolerates || isPodReady(pod) });
      rowsOfPort.set(key, rows);
    }
  }
  const subsets = packSubsets(rowsOfPort, ports);
  const labels: Record<string, string> = { ...service.metadata.labels, [managedByEndpointsLabel]: endpointsManager };
  delete labels[headlessLabel];
  if (service.spec?.clusterIP === 'None') labels[headlessLabel] = '';
  const annotations = { ...present?.metadata.annotations };
  if (reachable.length > maxAddresses) annotations[overCapacity] = 'truncated';
  else delete annotations[overCapacity];
  return {
    ...present,
    metadata: {
      ...present?.metadata,
      name: service.metadata.name,
      namespace: service.metadata.namespace,
      labels,
      annotations: Object.keys(annotations).length > 0 ? annotations : undefined,
    },
    ...(subsets.length > 0 ? { subsets } : { subsets: undefined }),
  };
}

/** core/v1's port leaves an empty name out. */
const coreEndpointPort = ({
  name,
  port,
  protocol,
  appProtocol,
}: {
  name?: string;
  port?: number;
  protocol?: string;
  appProtocol?: string;
}): EndpointPort => ({
  ...(name && { name }),
  port: port as number,
  ...(protocol && { protocol }),
  ...(appProtocol && { appProtocol }),
});

/** Ports with the same addresses share a subset. */
function packSubsets(rowsOfPort: Map<string, Row[]>, ports: Map<string, EndpointPort | undefined>): EndpointSubset[] {
  const subsets = new Map<string, { rows: Row[]; ports: EndpointPort[] }>();
  for (const [portKey, rows] of rowsOfPort) {
    const key = JSON.stringify(rows);
    let subset = subsets.get(key);
    if (!subset) subsets.set(key, (subset = { rows, ports: [] }));
    const port = ports.get(portKey);
    if (port) subset.ports.push(port);
  }
  const packed = [...subsets.values()].map(({ rows, ports }): EndpointSubset => {
    const ready = rows
      .filter((row) => row.ready)
      .map((row) => row.address)
      .sort(byIp);
    const notReady = rows
      .filter((row) => !row.ready)
      .map((row) => row.address)
      .sort(byIp);
    return {
      ...(ready.length > 0 && { addresses: ready }),
      ...(notReady.length > 0 && { notReadyAddresses: notReady }),
      ...(ports.length > 0 && { ports: ports.sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1)) }),
    };
  });
  return packed.sort((a, b) => (JSON.stringify(a.ports ?? []) < JSON.stringify(b.ports ?? []) ? -1 : 1));
}
