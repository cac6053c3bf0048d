// Which other pods a pod belongs with: those that its Services and its workload select. For default spreading.
import type { KubeObject } from '../api/object.ts';
import { selectorFromObject } from '../api/selectors.ts';
import type { ReplicaSet, StatefulSet } from '../api/types/apps-v1.ts';
import type { ReplicationController, Service } from '../api/types/core-v1.ts';
import type { LabelSelector, LabelSelectorRequirement } from '../api/types/meta.ts';
import type { Informer } from '../client/port.ts';
import type { PodInfo, PodMatcher } from './framework.ts';
import { spreadMatcher } from './pod-terms.ts';

export interface Selecting {
  services?: Informer<Service>;
  replicationControllers?: Informer<ReplicationController>;
  replicaSets?: Informer<ReplicaSet>;
  statefulSets?: Informer<StatefulSet>;
}

/** Undefined when nothing selects the pod. */
export function selectedWith(pod: PodInfo, from: Selecting): PodMatcher | undefined {
  const matchLabels: Record<string, string> = {};
  for (const service of from.services?.list(pod.namespace) ?? []) {
    const selector = service.spec?.selector;
    if (selector && Object.keys(selector).length > 0 && isPartOf(selector, pod.labels)) {
      Object.assign(matchLabels, selector);
    }
  }
  const matchExpressions = requirementsOf(workloadSelector(pod, from));
  if (Object.keys(matchLabels).length === 0 && matchExpressions.length === 0) return undefined;
  return spreadMatcher(pod.namespace, selectorFromObject({ matchLabels, matchExpressions }));
}

function isPartOf(selector: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false;
  return true;
}

function workloadSelector(pod: PodInfo, from: Selecting): LabelSelector | undefined {
  const owner = pod.pod.metadata.ownerReferences?.find((each) => each.controller);
  if (!owner) return undefined;
  const find = <T extends KubeObject>(informer: Informer<T> | undefined) =>
    informer?.get(`${pod.namespace}/${owner.name}`);
  switch (owner.kind) {
    case 'ReplicationController':
      return { matchLabels: find(from.replicationControllers)?.spec?.selector };
    case 'ReplicaSet':
      return find(from.replicaSets)?.spec?.selector;
    case 'StatefulSet':
      return find(from.statefulSets)?.spec?.selector;
    default:
      return undefined;
  }
}

function requirementsOf(selector: LabelSelector | undefined): LabelSelectorRequirement[] {
  const equal = Object.entries(selector?.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: 'In',
    values: [value],
  }));
  return [...equal, ...(selector?.matchExpressions ?? [])];
}
