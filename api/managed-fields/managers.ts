// metadata.managedFields: who owns which fields. Entries are read into a table of managers, changed by a write, and written
// back in upstream's order; an entry that a write leaves alone is the same object before and after.
import type { ManagedFieldsEntry } from '../types/meta.ts';
import type { Comparison } from './compare.ts';
import {
  decodeFields,
  difference,
  EMPTY,
  encodeFields,
  type FieldSet,
  FieldsError,
  intersection,
  isEmpty,
  stripUnowned,
  union,
} from './field-set.ts';

export interface Manager {
  manager: string;
  operation: 'Apply' | 'Update';
  apiVersion: string;
  subresource: string;
  /** RFC 3339; undefined when an entry has none. */
  time: string | undefined;
  fields: FieldSet;
  /** What this was read from. */
  entry?: ManagedFieldsEntry;
}

/** By `managerId`. */
export type Managers = Map<string, Manager>;

/** At most so many managers with operation Update are kept apart; older ones become one. */
const MAX_UPDATE_MANAGERS = 10;
const OLD_UPDATES = 'ancient-changes';

export type ManagerName = Pick<Manager, 'manager' | 'operation' | 'apiVersion' | 'subresource'>;

/** What makes two entries one: appliers go on under a new version, updaters do not. */
export function managerId(name: ManagerName): string {
  const apiVersion = name.operation === 'Apply' ? '' : name.apiVersion;
  return `${name.operation}\n${apiVersion}\n${name.subresource}\n${name.manager}`;
}

/** Throws FieldsError for entries that are not well-formed. */
export function decodeManagers(entries: readonly ManagedFieldsEntry[] | null | undefined): Managers {
  const found: Managers = new Map();
  entries?.forEach((entry, i) => {
    const { operation, apiVersion, fieldsType } = entry;
    if (operation !== 'Apply' && operation !== 'Update') throw new FieldsError('operation must be `Apply` or `Update`');
    if (!apiVersion) throw new FieldsError('apiVersion must not be empty');
    if (!fieldsType) throw new FieldsError(`missing fieldsType in managed fields entry ${i}`);
    if (fieldsType !== 'FieldsV1') {
      throw new FieldsError(`invalid fieldsType ${JSON.stringify(fieldsType)} in managed fields entry ${i}`);
    }
    const manager: Manager = {
      manager: entry.manager ?? '',
      operation,
      apiVersion,
      subresource: entry.subresource ?? '',
      time: entry.time,
      fields: entry.fieldsV1 ? decodeFields(entry.fieldsV1) : EMPTY,
      entry,
    };
    found.set(managerId(manager), manager);
  });
  return found;
}

/** Undefined when nobody manages anything. */
export function encodeManagers(managers: Managers): ManagedFieldsEntry[] | undefined {
  if (managers.size === 0) return undefined;
  const seconds = (each: Manager) => (each.time ? Date.parse(each.time) / 1000 : 0);
  const order = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
  return [...managers.values()]
    .sort(
      (a, b) =>
        order(a.operation, b.operation) ||
        seconds(a) - seconds(b) ||
        order(a.manager, b.manager) ||
        order(a.apiVersion, b.apiVersion) ||
        order(a.subresource, b.subresource),
    )
    .map(encodeManager);
}

function encodeManager(manager: Manager): ManagedFieldsEntry {
  const { entry } = manager;
  const fieldsV1 = encodeFields(manager.fields);
  if (
    entry &&
    entry.fieldsV1 === fieldsV1 &&
    entry.time === manager.time &&
    entry.apiVersion === manager.apiVersion &&
    (entry.subresource ?? '') === manager.subresource
  ) {
    return entry;
  }
  return {
    ...(manager.manager && { manager: manager.manager }),
    operation: manager.operation,
    apiVersion: manager.apiVersion,
    ...(manager.time && { time: manager.time }),
    fieldsType: 'FieldsV1',
    fieldsV1: fieldsV1 as NonNullable<ManagedFieldsEntry['fieldsV1']>,
    ...(manager.subresource && { subresource: manager.subresource }),
  };
}

export interface Conflict {
  manager: Manager;
  fields: FieldSet;
}

/** A change as it looks in another version of the kind; undefined when that version is no more. */
export type ComparisonOf = (apiVersion: string) => Comparison | undefined;

/** What the change takes from managers other than `self`. */
export function conflictsOf(managers: Managers, self: string, comparisonOf: ComparisonOf): Conflict[] {
  const found: Conflict[] = [];
  for (const [id, manager] of managers) {
    if (id === self) continue;
    const comparison = comparisonOf(manager.apiVersion);
    if (!comparison) continue;
    const fields = intersection(manager.fields, comparison.changed);
    if (!isEmpty(fields)) found.push({ manager, fields });
  }
  return found;
}

/**
 * Takes what was changed from everybody but `self`, and what is gone from everybody (`self` too unless it applies). Managers
 * of versions that are no more are forgotten.
 */
export function release(managers: Managers, self: string, comparisonOf: ComparisonOf, isApply: boolean): void {
  for (const [id, manager] of managers) {
    if (id === self && isApply) continue;
    const comparison = comparisonOf(manager.apiVersion);
    if (!comparison) {
      managers.delete(id);
      continue;
    }
    let fields = difference(manager.fields, comparison.removed);
    if (id !== self) fields = difference(fields, comparison.changed);
    if (fields === manager.fields) continue;
    if (isEmpty(fields)) managers.delete(id);
    else managers.set(id, { ...manager, fields });
  }
}

/** Books a write that changed fields under a name with operation Update. */
export function recordUpdate(managers: Managers, name: ManagerName, comparisonOf: ComparisonOf, time: string): void {
  const self = managerId(name);
  release(managers, self, comparisonOf, false);
  const taken = stripUnowned(comparisonOf(name.apiVersion)?.changed ?? EMPTY);
  if (!isEmpty(taken)) {
    const before = managers.get(self);
    managers.set(
      self,
      before ? { ...before, fields: union(before.fields, taken), time } : { ...name, fields: taken, time },
    );
  }
  capUpdates(managers);
}

/** Folds the oldest Update managers of a version into one. */
function capUpdates(managers: Managers): void {
  if (managers.size <= MAX_UPDATE_MANAGERS) return;
  const updaters = [...managers].filter(([, each]) => each.operation === 'Update');
  let count = updaters.length;
  if (count <= MAX_UPDATE_MANAGERS) return;
  const seconds = (each: Manager) => (each.time ? Date.parse(each.time) : 0);
  updaters.sort(([idA, a], [idB, b]) => seconds(a) - seconds(b) || (idA < idB ? -1 : 1));
  const firsts = new Map<string, string>();
  for (const [id, manager] of updaters) {
    if (count <= MAX_UPDATE_MANAGERS) break;
    const name: ManagerName = {
      manager: OLD_UPDATES,
      operation: 'Update',
      apiVersion: manager.apiVersion,
      subresource: '',
    };
    const bucket = managerId(name);
    const first = firsts.get(manager.apiVersion);
    if (first === undefined) {
      firsts.set(manager.apiVersion, id);
      continue;
    }
    const base = managers.get(bucket) ?? managers.get(first);
    if (!managers.has(bucket)) managers.delete(first);
    managers.delete(id);
    managers.set(bucket, { ...name, fields: union(manager.fields, base?.fields ?? EMPTY), time: manager.time });
    count--;
  }
}

/** Equal but for the times. */
export function sameManagers(
  a: readonly ManagedFieldsEntry[] | undefined,
  b: readonly ManagedFieldsEntry[] | undefined,
): boolean {
  if (a === b) return true;
  if (a?.length !== b?.length || !a || !b) return false;
  // Nearly always the same entries at the same places, but for a time.
  const isSame = a.every((ours, i) => {
    const theirs = b[i] as ManagedFieldsEntry;
    return (
      ours === theirs ||
      (ours.fieldsV1 === theirs.fieldsV1 &&
        ours.manager === theirs.manager &&
        ours.operation === theirs.operation &&
        ours.apiVersion === theirs.apiVersion &&
        ours.subresource === theirs.subresource)
    );
  });
  if (isSame) return true;
  const right = decodeManagers(b);
  return [...decodeManagers(a)].every(([id, ours]) => {
    const theirs = right.get(id);
    return theirs !== undefined && ours.apiVersion === theirs.apiVersion && equalFields(ours.fields, theirs.fields);
  });
}

function equalFields(a: FieldSet, b: FieldSet): boolean {
  return isEmpty(difference(a, b)) && isEmpty(difference(b, a));
}
