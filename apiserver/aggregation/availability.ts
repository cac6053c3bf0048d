// Whether an aggregated API can be asked, as far as the objects tell, and where. Pure; reasons and messages are upstream's.
import type { KubeObject } from '../../api/object.ts';
import type { APIService, APIServiceCondition } from '../../api/types/apiregistration-v1.ts';
import type { Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import type { Random } from '../../lib/clock.ts';

export type Finding = Pick<APIServiceCondition, 'status' | 'reason' | 'message'>;

export const PASSED: Finding = { status: 'True', reason: 'Passed', message: 'all checks passed' };

/** What stands against asking the service; undefined when nothing does. */
export function serviceProblem(
  apiService: APIService,
  service: Service | undefined,
  slices: readonly EndpointSlice[],
): Finding | undefined {
  const { name = '', namespace = '', port = 443 } = apiService.spec?.service ?? {};
  const place = `service/${name} in ${JSON.stringify(namespace)}`;
  if (!service) return failed('ServiceNotFound', `${place} is not present`);
  if ((service.spec?.type ?? 'ClusterIP') !== 'ClusterIP') return undefined;
  const declared = service.spec?.ports?.find((each) => each.port === port);
  if (!declared) return failed('ServicePortError', `${place} is not listening on port ${port}`);
  if (slices.length === 0) return failed('EndpointsNotFound', `cannot find endpointslices for ${place}`);
  const portName = declared.name ?? '';
  if (readyEndpoints(slices, portName).length > 0) return undefined;
  return failed(
    'MissingEndpoints',
    `endpointslices for ${place} have no addresses with port name ${JSON.stringify(portName)}`,
  );
}

const failed = (reason: string, message: string): Finding => ({ status: 'False', reason, message });

export function discoveryFailure(message: string): Finding {
  return failed('FailedDiscoveryCheck', message);
}

export interface Address {
  host: string;
  port: number;
}

function readyEndpoints(slices: readonly EndpointSlice[], portName: string): Address[] {
  return slices.flatMap((slice) => {
    const port = slice.ports?.find((each) => (each.name ?? '') === portName)?.port;
    if (port === undefined) return [];
    return (slice.endpoints ?? [])
      .filter((each) => each.conditions?.ready !== false)
      .flatMap((each) => each.addresses.map((host) => ({ host, port })));
  });
}

/**
 * Where the service is reached: at one of its ready endpoints, so that no rules of the service network are needed here;
 * a service without endpoints of ours at its own address. Undefined when there is nowhere to go.
 */
export function resolveService(
  service: Service & KubeObject,
  slices: readonly EndpointSlice[],
  port: number,
  random: Random,
): Address | undefined {
  if (service.spec?.type === 'ExternalName') return { host: service.spec.externalName ?? '', port };
  const declared = service.spec?.ports?.find((each) => each.port === port);
  if (!declared) return undefined;
  const ready = readyEndpoints(slices, declared.name ?? '');
  if (ready.length > 0) return ready[Math.floor(random() * ready.length)];
  const clusterIp = service.spec?.clusterIP;
  return clusterIp && clusterIp !== 'None' ? { host: clusterIp, port } : undefined;
}

/** The condition to be written; undefined when it says so already. */
export function changedCondition(
  apiService: APIService,
  finding: Finding,
  now: string,
): APIServiceCondition[] | undefined {
  const conditions = apiService.status?.conditions ?? [];
  const old = conditions.find((each) => each.type === 'Available');
  if (old?.status === finding.status && old.reason === finding.reason && old.message === finding.message) {
    return undefined;
  }
  const lastTransitionTime = old?.status === finding.status && old.lastTransitionTime ? old.lastTransitionTime : now;
  return [
    ...conditions.filter((each) => each.type !== 'Available'),
    { type: 'Available', ...finding, lastTransitionTime },
  ];
}
