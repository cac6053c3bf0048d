// What the Services and EndpointSlices of the cluster mean for this node's data path, as a value. Pure.
import type { Service, ServicePort } from '../api/types/core-v1.ts';
import type { EndpointSlice } from '../api/types/discovery-v1.ts';

export type Protocol = 'tcp' | 'udp' | 'sctp';

export interface Endpoint {
  ip: string;
  port: number;
}

/** One port of one Service: where it can be reached and who answers. */
export interface PortRule {
  /** `namespace/name:port`, unique. */
  id: string;
  protocol: Protocol;
  port: number;
  /** Cluster IP and external IPs. */
  addresses: string[];
  /** 0: none. */
  nodePort: number;
  /** Who answers on `addresses`; empty means connections are refused. */
  endpoints: Endpoint[];
  /** Who answers on `nodePort` and external IPs; differs from `endpoints` by the traffic policies only. */
  externalEndpoints: Endpoint[];
  /** Client IP affinity in seconds; 0: none. */
  affinitySeconds: number;
  /** With externalTrafficPolicy Local the client's address is kept, so nothing is masqueraded. */
  keepsClientAddress: boolean;
}

/** By rule id, in a stable order. */
export type RuleSet = ReadonlyMap<string, PortRule>;

const SERVICE_NAME_LABEL = 'kubernetes.io/service-name';
const DEFAULT_AFFINITY_SECONDS = 10_800;

/** Slices by `namespace/service`; what the loop keeps up to date. */
export function serviceOfSlice(slice: EndpointSlice): string | undefined {
  const service = slice.metadata.labels?.[SERVICE_NAME_LABEL];
  return service ? `${slice.metadata.namespace}/${service}` : undefined;
}

/** True for Services that have a data path at all: headless and ExternalName ones have none. */
export function hasDataPath(service: Service): boolean {
  const { type, clusterIP } = service.spec ?? {};
  return type !== 'ExternalName' && Boolean(clusterIP) && clusterIP !== 'None' && (clusterIP as string).includes('.');
}

/** The rules of one Service. `nodeName` decides what "local" endpoints are. */
export function rulesOfService(service: Service, slices: readonly EndpointSlice[], nodeName: string): PortRule[] {
  if (!hasDataPath(service)) return [];
  const spec = service.spec ?? {};
  const { namespace, name } = service.metadata;
  const isExternal = spec.type === 'NodePort' || spec.type === 'LoadBalancer';
  return (spec.ports ?? []).map((port) => {
    const all = endpointsOf(port, slices, undefined);
    const local = () => endpointsOf(port, slices, nodeName);
    return {
      id: `${namespace}/${name}:${port.name ?? ''}`,
      protocol: (port.protocol ?? 'TCP').toLowerCase() as Protocol,
      port: port.port,
      addresses: [spec.clusterIP as string, ...(spec.externalIPs ?? []).filter((ip) => ip.includes('.'))],
      nodePort: isExternal ? (port.nodePort ?? 0) : 0,
      endpoints: spec.internalTrafficPolicy === 'Local' ? local() : all,
      externalEndpoints: isExternal && spec.externalTrafficPolicy === 'Local' ? local() : all,
      affinitySeconds:
        spec.sessionAffinity === 'ClientIP'
          ? (spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS)
          : 0,
      keepsClientAddress: isExternal && spec.externalTrafficPolicy === 'Local',
    };
  });
}

/**
 * Endpoints that take traffic: the ready ones, or, where none is ready, those still serving while they terminate
 * (https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-to-terminating-endpoints).
 */
function endpointsOf(port: ServicePort, slices: readonly EndpointSlice[], nodeName: string | undefined): Endpoint[] {
  const ready = new Map<string, Endpoint>();
  const terminating = new Map<string, Endpoint>();
  for (const slice of slices) {
    if (slice.addressType !== 'IPv4') continue;
    const target = (slice.ports ?? []).find(
      (each) => (each.name ?? '') === (port.name ?? '') && (each.protocol ?? 'TCP') === (port.protocol ?? 'TCP'),
    );
    if (!target?.port) continue;
    for (const endpoint of slice.endpoints ?? []) {
      if (nodeName !== undefined && endpoint.nodeName !== nodeName) continue;
      const ip = endpoint.addresses[0];
      if (!ip) continue;
      const { ready: isReady, serving, terminating: isTerminating } = endpoint.conditions ?? {};
      const entry = { ip, port: target.port };
      if (isReady ?? true) ready.set(`${ip}:${target.port}`, entry);
      else if (isTerminating && (serving ?? false)) terminating.set(`${ip}:${target.port}`, entry);
    }
  }
  const chosen = ready.size > 0 ? ready : terminating;
  return [...chosen].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, endpoint]) => endpoint);
}
