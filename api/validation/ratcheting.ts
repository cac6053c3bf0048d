// Rules that are younger than the objects in a store: an update is not refused for what the object has already
// (k8s.io/apimachinery IsValidIPForLegacyField and its `validOldIPs`; k8s.io/kubernetes/pkg/api/pod
// GetValidationOptionsFromPodSpecAndMeta). Pure.
import type { FieldError } from '../field-error.ts';
import type { Findings } from './checks.ts';

/**
 * `found` without what the old object, whose own findings `before` gives, had already: the same value of a new rule, any value
 * of a named one. Asked only where it matters.
 */
export function ratcheted(found: FieldError[], before: () => readonly FieldError[]): FieldError[] {
  if (!found.some((each) => each.isNewRule || each.rule)) return found;
  const old = before();
  // The value is part of the body; where it stands may have changed.
  const values = new Set(old.flatMap((each) => (each.isNewRule ? [each.body] : [])));
  const rules = new Set(old.flatMap((each) => each.rule ?? []));
  return found.filter((each) => !(each.isNewRule && values.has(each.body)) && !(each.rule && rules.has(each.rule)));
}

/** The findings as those of a named rule. */
export function* ofRule(rule: string, findings: Findings): Findings {
  for (const each of findings) yield { ...each, rule };
}

/** The same of those alone that are about a value in a selector's or a node's expressions. */
export function* valuesOfRule(rule: string, findings: Findings): Findings {
  for (const each of findings)
    yield /matchExpressions\[\d+\]\.values\[\d+\]$/.test(each.field) ? { ...each, rule } : each;
}
