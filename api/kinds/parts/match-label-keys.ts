// matchLabelKeys of affinity terms and spread constraints become selector expressions when the pod is created, with the pod's own label values.
import type { Pod, PodAffinityTerm } from '../../types/core-v1.ts';

export function applyMatchLabelKeys(pod: Pod): void {
  const labels = pod.metadata.labels ?? {};
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  for (const affinity of [podAffinity, podAntiAffinity]) {
    for (const term of affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) applyTo(term, labels);
    for (const { podAffinityTerm } of affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []) {
      if (podAffinityTerm) applyTo(podAffinityTerm, labels);
    }
  }
  for (const constraint of pod.spec?.topologySpreadConstraints ?? []) applyTo(constraint, labels);
}

type Term = Pick<PodAffinityTerm, 'labelSelector' | 'matchLabelKeys' | 'mismatchLabelKeys'>;

function applyTo(term: Term, labels: Readonly<Record<string, string>>): void {
  if (!term.labelSelector) return;
  const add = (key: string, operator: 'In' | 'NotIn') => {
    const value = labels[key];
    if (value === undefined) return;
    const expressions = (term.labelSelector!.matchExpressions ??= []);
    expressions.push({ key, operator, values: [value] });
  };
  for (const key of term.matchLabelKeys ?? []) add(key, 'In');
  for (const key of term.mismatchLabelKeys ?? []) add(key, 'NotIn');
}
