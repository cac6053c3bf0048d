// What policies of admission and their bindings print alike.
import type { LabelSelector } from '../../types/meta.ts';
import type { ParamKind, ParamRef } from '../../types/admissionregistration-v1.ts';

/** `v1/ConfigMap`; `<unset>` without parameters. */
export const paramKindCell = (kind: ParamKind | undefined): string =>
  kind ? `${kind.apiVersion ?? ''}/${kind.kind ?? ''}` : '<unset>';

/** Namespace and name, `*` for a namespace that is not given, or the selector as Go prints it. */
export function paramRefCell(reference: ParamRef | undefined): string {
  if (reference?.name) return `${reference.namespace || '*'}/${reference.name}`;
  return reference?.selector ? selectorText(reference.selector) : '<unset>';
}

function selectorText({ matchLabels = {}, matchExpressions = [] }: LabelSelector): string {
  const labels = Object.keys(matchLabels)
    .sort()
    .map((key) => `${key}: ${matchLabels[key]},`);
  const expressions = matchExpressions.map(
    ({ key, operator, values = [] }) =>
      `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${values.join(' ')}],},`,
  );
  return `&LabelSelector{MatchLabels:map[string]string{${labels.join('')}},MatchExpressions:[]LabelSelectorRequirement{${expressions.join('')}},}`;
}
