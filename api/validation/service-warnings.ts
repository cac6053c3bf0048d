// What is accepted of a Service and still probably a mistake (k8s.io/kubernetes/pkg/api/service GetWarningsForService).
import type { Service } from '../types/core-v1.ts';
import { cidrWarnings, ipWarnings } from './ip-warnings.ts';
import { TOPOLOGY_HINTS, TOPOLOGY_MODE } from './service.ts';

export function serviceWarnings({ metadata, spec = {} }: Service): string[] {
  const found: string[] = [];
  const isExternalName = spec.type === 'ExternalName';
  const isHeadless = spec.type === 'ClusterIP' && spec.clusterIP === 'None';
  const externalIPs = spec.externalIPs ?? [];
  if (metadata.annotations?.[TOPOLOGY_HINTS] !== undefined) {
    found.push(`annotation ${TOPOLOGY_HINTS} is deprecated, please use ${TOPOLOGY_MODE} instead`);
  }
  if (!isExternalName && spec.clusterIP && spec.clusterIP !== 'None') {
    for (const [i, ip] of (spec.clusterIPs ?? []).entries()) found.push(...ipWarnings(ip, `spec.clusterIPs[${i}]`));
  }
  if (isHeadless) {
    if (spec.loadBalancerIP) found.push('spec.loadBalancerIP is ignored for headless services');
    if (externalIPs.length > 0) found.push('spec.externalIPs is ignored for headless services');
    if (spec.sessionAffinity !== 'None') found.push('spec.SessionAffinity is ignored for headless services');
  }
  for (const [i, ip] of externalIPs.entries()) found.push(...ipWarnings(ip, `spec.externalIPs[${i}]`));
  if (externalIPs.length > 0 && !isHeadless && !isExternalName) {
    found.push('spec.externalIPs is deprecated and may no longer be implemented in some clusters');
  }
  found.push(...ipWarnings(spec.loadBalancerIP, 'spec.loadBalancerIP'));
  for (const [i, cidr] of (spec.loadBalancerSourceRanges ?? []).entries()) {
    found.push(...cidrWarnings(cidr, `spec.loadBalancerSourceRanges[${i}]`));
  }
  if (isExternalName && externalIPs.length > 0) {
    found.push('spec.externalIPs is ignored when spec.type is "ExternalName"');
  }
  if (!isExternalName && spec.externalName) {
    found.push('spec.externalName is ignored when spec.type is not "ExternalName"');
  }
  if (spec.trafficDistribution === 'PreferClose') {
    found.push('spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"');
  }
  return found;
}
