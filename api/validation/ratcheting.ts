// Rules that are younger than the objects in a store: an update is not refused for a value that the object has already
// (k8s.io/apimachinery IsValidIPForLegacyField and its `validOldIPs`). Pure.
import type { FieldError } from '../field-error.ts';

/** `found` without what the old object, whose own findings `before` gives, had already. Asked only where it matters. */
export function ratcheted(found: FieldError[], before: () => readonly FieldError[]): FieldError[] {
  if (!found.some((each) => each.isNewRule)) return found;
  // The value is part of the body; where it stands may have changed.
  const known = new Set(before().flatMap((each) => (each.isNewRule ? [each.body] : [])));
  return found.filter((each) => !each.isNewRule || !known.has(each.body));
}
