// Which pods a Service reaches, at which addresses and ports, in which condition. Pure; shared by slices and Endpoints.
import { isPodReady, isPodTerminal } from '../../api/pod-conditions.ts';
import type { Node, Pod, Service, ServicePort } from '../../api/types/core-v1.ts';
import type { Endpoint, EndpointPort } from '../../api/types/discovery-v1.ts';

export type AddressType = 'IPv4' | 'IPv6';

export const addressTypeOf = (ip: string): AddressType => (ip.includes(':') ? 'IPv6' : 'IPv4');

/** Of a Service that has none assigned (headless ones of older servers): IPv4. */
export function addressTypesOf(service: Service): AddressType[] {
  const families = service.spec?.ipFamilies ?? [];
  return families.length === 0 ? ['IPv4'] : (families as AddressType[]);
}

/** Services without selector and of type ExternalName have no endpoints of ours. */
export function isSelecting(service: Service): boolean {
  return service.spec?.type !== 'ExternalName' && Object.keys(service.spec?.selector ?? {}).length > 0;
}

/** A pod that has ended or has no address yet cannot be reached. */
export const isReachable = (pod: Pod): boolean => !isPodTerminal(pod) && addressesOf(pod).length > 0;

export function addressesOf(pod: Pod): string[] {
  const ips = (pod.status?.podIPs ?? []).map((each) => each.ip).filter(Boolean);
  return ips.length > 0 ? ips : pod.status?.podIP ? [pod.status.podIP] : [];
}

export const addressOf = (pod: Pod, type: AddressType): string | undefined =>
  addressesOf(pod).find((ip) => addressTypeOf(ip) === type);

/** The number behind targetPort; undefined when the pod has no port of that name and protocol. */
function targetPortOf(pod: Pod, port: ServicePort): number | undefined {
  const target = port.targetPort ?? port.port;
  if (typeof target === 'number') return target === 0 ? port.port : target;
  if (target === '') return port.port;
  const sidecars = (pod.spec?.initContainers ?? []).filter((each) => each.restartPolicy === 'Always');
  for (const container of [...(pod.spec?.containers ?? []), ...sidecars]) {
    for (const each of container.ports ?? []) {
      if (each.name === target && (each.protocol ?? 'TCP') === (port.protocol ?? 'TCP')) return each.containerPort;
    }
  }
  return undefined;
}

/** The Service's ports as this pod has them, in the Service's order; ports it does not have are left out. */
export function portsOf(service: Service, pod: Pod): EndpointPort[] {
  const ports: EndpointPort[] = [];
  for (const port of service.spec?.ports ?? []) {
    const number = targetPortOf(pod, port);
    if (number === undefined) continue;
    ports.push({
      name: port.name ?? '',
      protocol: port.protocol ?? 'TCP',
      port: number,
      ...(port.appProtocol !== undefined && { appProtocol: port.appProtocol }),
    });
  }
  return ports;
}

/** A pod's own DNS name below a headless Service. */
export const hostnameOf = (service: Service, pod: Pod): string | undefined =>
  pod.spec?.hostname && pod.spec.subdomain === service.metadata.name ? pod.spec.hostname : undefined;

export const targetRefOf = (pod: Pod) => ({
  kind: 'Pod',
  namespace: pod.metadata.namespace,
  name: pod.metadata.name,
  uid: pod.metadata.uid,
});

export function endpointOf(service: Service, pod: Pod, address: string, node: Node | undefined): Endpoint {
  const serving = isPodReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  const hostname = hostnameOf(service, pod);
  const zone = node?.metadata.labels?.['topology.kubernetes.io/zone'];
  return {
    addresses: [address],
    conditions: { ready, serving, terminating },
    ...(hostname && { hostname }),
    targetRef: targetRefOf(pod),
    ...(pod.spec?.nodeName && { nodeName: pod.spec.nodeName }),
    ...(zone && { zone }),
  };
}

/** Everything of a pod that endpoints are made of: while it stays the same, nothing needs to be done. */
export function fingerprint(pod: Pod): string {
  const { metadata, spec, status } = pod;
  return JSON.stringify([
    metadata.labels,
    metadata.deletionTimestamp !== undefined,
    isPodTerminal(pod),
    isPodReady(pod),
    addressesOf(pod),
    spec?.nodeName,
    spec?.hostname,
    status?.podIP,
  ]);
}
