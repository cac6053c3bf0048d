// The downward API: fields of the pod and its resources as text. Pure.
// https://kubernetes.io/docs/concepts/workloads/pods/downward-api/
import type { Container, ObjectFieldSelector, Pod, ResourceFieldSelector } from '../../api/types/core-v1.ts';
import { findContainer } from '../pods/containers-of.ts';
import { dividedBy } from './amounts.ts';

/** What a field reference can see besides the pod as the API has it. */
export interface PodFieldFacts {
  pod: Pod;
  podIps: readonly string[];
  hostIps: readonly string[];
  nodeName: string;
  /** For limits that are not set: what the node can give. */
  allocatable: Record<string, string | number>;
}

/** Keys sorted, `key="value"` with Go's quoting, one per line. */
export function formatMap(map: Record<string, string> | undefined): string {
  return Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${JSON.stringify((map as Record<string, string>)[key])}`)
    .join('\n');
}

/** Throws an Error with upstream's text for a path that is not supported. */
export function fieldValue(facts: PodFieldFacts, selector: ObjectFieldSelector): string {
  const { pod } = facts;
  const path = selector.fieldPath;
  const subscript = /^(metadata\.(?:labels|annotations))\['(.*)'\]$/.exec(path);
  if (subscript) {
    const map = subscript[1] === 'metadata.labels' ? pod.metadata.labels : pod.metadata.annotations;
    return map?.[subscript[2] as string] ?? '';
  }
  switch (path) {
    case 'metadata.name':
      return pod.metadata.name ?? '';
    case 'metadata.namespace':
      return pod.metadata.namespace ?? '';
    case 'metadata.uid':
      return pod.metadata.uid ?? '';
    case 'metadata.labels':
      return formatMap(pod.metadata.labels);
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations);
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? facts.nodeName;
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? '';
    case 'status.hostIP':
      return facts.hostIps[0] ?? '';
    case 'status.hostIPs':
      return facts.hostIps.join(',');
    case 'status.podIP':
      return facts.podIps[0] ?? '';
    case 'status.podIPs':
      return facts.podIps.join(',');
    default:
      throw new Error(`unsupported fieldPath: ${path}`);
  }
}

export function resourceValue(facts: PodFieldFacts, selector: ResourceFieldSelector, own?: Container): string {
  const container = selector.containerName ? findContainer(facts.pod, selector.containerName) : own;
  if (!container) throw new Error(`container ${selector.containerName ?? ''} not found`);
  const dot = selector.resource.indexOf('.');
  const list = selector.resource.slice(0, dot);
  const name = selector.resource.slice(dot + 1);
  const known = name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-');
  if ((list !== 'limits' && list !== 'requests') || !known) {
    throw new Error(`unsupported container resource : ${selector.resource}`);
  }
  const limit = container.resources?.limits?.[name];
  const set = list === 'limits' ? limit : container.resources?.requests?.[name];
  const fallback = list === 'limits' && !name.startsWith('hugepages-') ? facts.allocatable[name] : undefined;
  return String(dividedBy(set ?? fallback, selector.divisor));
}
