// What a create, update or patch makes of metadata.managedFields.
import { decodePatched, type DecodeTarget } from '../codec.ts';
import { deepEqual } from '../equality.ts';
import { apiVersionOf, type KubeObject } from '../object.ts';
import type { ManagedFieldsEntry } from '../types/meta.ts';
import { compareObjects, type Comparison } from './compare.ts';
import { FieldsError } from './field-set.ts';
import { type ComparisonOf, decodeManagers, encodeManagers, type Managers, recordUpdate } from './managers.ts';
import { type Json, objectShape, type Shape } from './shape.ts';

export interface WriteFacts {
  target: DecodeTarget;
  manager: string;
  /** '' for the object itself. */
  subresource: string;
  /** True when spec and status are written apart: the other one does not count then. */
  hasStatus: boolean;
  /** RFC 3339. */
  time: string;
  /**
   * The object in another version of its kind, with how to read it; undefined when there is no such version: its managers
   * are forgotten then. May throw. Absent: entries of other versions are taken as if they were of this one.
   */
  convert?(object: KubeObject, apiVersion: string): { object: KubeObject; target: DecodeTarget } | undefined;
}

/** An object in the version of a manager. */
export interface VersionedView {
  shape: Shape;
  value: Json;
}

/** `value`, of whatever version it says it is, in `apiVersion`; undefined when there is no such version. */
export function viewOf(facts: WriteFacts, value: Json, apiVersion: string): VersionedView | undefined {
  const own = apiVersionOf(facts.target);
  if (!facts.convert || (apiVersion === own && (value['apiVersion'] ?? own) === own)) {
    return { shape: objectShape(facts.target), value };
  }
  const found = facts.convert(value as unknown as KubeObject, apiVersion);
  return found && { shape: objectShape(found.target), value: found.object as unknown as Json };
}

/** What a write changed, as the managers of each version see it. */
export function comparisonOf(facts: WriteFacts, old: Json, now: Json, own: Comparison): ComparisonOf {
  const known = new Map<string, Comparison | undefined>([[apiVersionOf(facts.target), own]]);
  return (apiVersion) => {
    if (!known.has(apiVersion)) {
      const before = viewOf(facts, old, apiVersion);
      const after = before && viewOf(facts, now, apiVersion);
      known.set(apiVersion, after && compareObjects(after.shape, before.value, after.value, ignoredFields(facts)));
    }
    return known.get(apiVersion);
  };
}

const UNKNOWN_MANAGER = 'unknown';
const MAX_MANAGER_BYTES = 128;

/** The manager of a request that names none: its user agent up to the first slash, printable, at most 128 bytes. */
export function managerOfUserAgent(userAgent: string | undefined): string {
  const head = (userAgent ?? '').split('/', 1)[0] as string;
  let name = '';
  let bytes = 0;
  for (const char of head) {
    if (char !== ' ' && !/[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(char)) continue;
    bytes += Buffer.byteLength(char);
    if (bytes > MAX_MANAGER_BYTES) break;
    name += char;
  }
  return name;
}

export const updateName = (facts: WriteFacts) => ({
  manager: facts.manager || UNKNOWN_MANAGER,
  operation: 'Update' as const,
  apiVersion: apiVersionOf(facts.target),
  subresource: facts.subresource,
});

/** Top fields that a write of this subresource cannot own. */
export function ignoredFields(facts: Pick<WriteFacts, 'subresource' | 'hasStatus'>): (field: string) => boolean {
  if (facts.subresource === 'status') return (field) => field !== 'metadata' && field !== 'status';
  if (facts.hasStatus) return (field) => field === 'status';
  return () => false;
}

const zeros = new WeakMap<DecodeTarget, KubeObject>();

/** An object of this kind with nothing in it: what a new one is compared with. Shared: never mutate. */
export function zeroObject(target: DecodeTarget): KubeObject {
  let zero = zeros.get(target);
  if (!zero) {
    zero = decodePatched(target, { apiVersion: apiVersionOf(target), kind: target.kind, metadata: {} }).object;
    zeros.set(target, zero);
  }
  return zero;
}

/**
 * Sets `object.metadata.managedFields` for a write that turns `old` (undefined: a create) into `object`. What the object
 * brings counts when it is well-formed, else what `old` has; an empty list or entry forgets all managers. Throws only what
 * `facts.convert` throws; the object is as it was then.
 */
export function trackUpdate(old: KubeObject | undefined, object: KubeObject, facts: WriteFacts): void {
  const live = old ?? zeroObject(facts.target);
  const given = object.metadata.managedFields;
  const managers = startingManagers(live.metadata.managedFields, given, facts.subresource !== '');
  // An object without managers that exists stays without, until somebody applies.
  if (managers.size > 0 || !old) {
    object.metadata.managedFields = live.metadata.managedFields;
    const [before, after] = [live, object] as unknown as [Json, Json];
    const comparison = compareObjects(objectShape(facts.target), before, after, ignoredFields(facts));
    try {
      recordUpdate(managers, updateName(facts), comparisonOf(facts, before, after, comparison), facts.time);
    } catch (error) {
      object.metadata.managedFields = given;
      throw error;
    }
  }
  setManagers(object, managers);
}

export function setManagers(object: KubeObject, managers: Managers): void {
  const entries = encodeManagers(managers);
  if (entries) object.metadata.managedFields = entries;
  else delete object.metadata.managedFields;
}

function startingManagers(
  live: ManagedFieldsEntry[] | undefined,
  given: ManagedFieldsEntry[] | undefined,
  isSubresource: boolean,
): Managers {
  if (isSubresource || given === undefined || given === live) return readable(live);
  if (given.length === 0 || (given.length === 1 && Object.keys(given[0] ?? {}).length === 0)) return new Map();
  // The object's own entries are remembered: what a client sends back is nearly always that.
  if (deepEqual(given, live)) return readable(live);
  const managers = readable(given);
  return managers.size > 0 ? managers : readable(live);
}

function readable(entries: ManagedFieldsEntry[] | undefined): Managers {
  try {
    return decodeManagers(entries);
  } catch (error) {
    if (error instanceof FieldsError) return new Map();
    throw error;
  }
}
