// For the tests of kinds: a small pod, and findings as people read them.
import { deepClone } from '../equality.ts';
import { applyMergePatch } from '../merge-patch.ts';
import { type FieldError, fieldErrorMessage } from '../field-error.ts';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import type { Container, Pod, PodSpec } from '../types/core-v1.ts';
import { ratcheted } from '../validation/ratcheting.ts';

export const CONTEXT = { nowMs: Date.UTC(2026, 0, 1), user: 'tester' };

export const messagesOf = (found: readonly FieldError[]): string[] => found.map(fieldErrorMessage);

/** As much of each message as is wanted of it: of long ones the beginning says which rule it is. */
export const beginnings = (found: readonly string[], wanted: readonly string[]): string[] =>
  found.map((each, i) => each.slice(0, wanted[i]?.length));

/** As the registry makes it of what a client sent: defaulted and prepared. */
export function created<T extends KubeObject>(kind: Kind<T>, sent: T): T {
  const object = deepClone(sent);
  kind.setDefaults?.(object);
  kind.prepareForCreate?.(object, CONTEXT);
  return object;
}

/** What is wrong with an object that a client sends. */
export const createErrors = <T extends KubeObject>(kind: Kind<T>, sent: T): string[] =>
  messagesOf(kind.validate(created(kind, sent)));

/** What is wrong with changing the stored `before` into `after`. */
export function updateErrors<T extends KubeObject>(kind: Kind<T>, before: T, after: T): string[] {
  const old = created(kind, before);
  const object = created(kind, after);
  kind.prepareForUpdate?.(object, old, CONTEXT);
  return messagesOf(ratcheted(kind.validateUpdate(object, old), () => kind.validateUpdate(old, old)));
}

export function podOf(spec: Partial<PodSpec> = {}, container: Partial<Container> = {}): Pod {
  return {
    metadata: { name: 'web', namespace: 'default' },
    spec: { containers: [{ name: 'app', image: 'nginx:1', ...container }], ...spec },
  };
}

/** A sample with members changed, as a merge patch changes them (`null` takes away); and named, where it is not. */
export function variant<T extends KubeObject>(sample: object, patch: object): T {
  return applyMergePatch({ metadata: { name: 'sample' }, ...deepClone(sample) }, patch) as T;
}
