// Server-side apply: lays a configuration over an object, takes away what its manager applied before and does no longer,
// and says who else owns what it would change (https://kubernetes.io/docs/reference/using-api/server-side-apply/).
import { deepClone } from '../equality.ts';
import { ApiError, errors } from '../errors.ts';
import { apiVersionOf, type KubeObject } from '../object.ts';
import { type Comparison, compareObjects } from './compare.ts';
import {
  difference,
  EMPTY,
  equals,
  type FieldSet,
  FieldsError,
  filterTop,
  intersection,
  isEmpty,
  paths,
  stripUnowned,
  union,
} from './field-set.ts';
import {
  type Conflict,
  conflictsOf,
  decodeManagers,
  type Manager,
  managerId,
  type Managers,
  recordUpdate,
  release,
} from './managers.ts';
import { appliedFields, mergeApplied, validateApplied, withNamedFields, withoutFields } from './merge.ts';
import { isMap, type Json, objectShape, type Shape } from './shape.ts';
import {
  comparisonOf,
  ignoredFields,
  setManagers,
  updateName,
  type VersionedView,
  viewOf,
  type WriteFacts,
  zeroObject,
} from './update.ts';

const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const BEFORE_FIRST_APPLY = 'before-first-apply';
/** Only this manager takes over what was applied by clients. */
const KUBECTL = 'kubectl';
const TOTAL_ANNOTATION_SIZE_LIMIT = 256 * 1024;

/**
 * The object that `live` (undefined: there is none yet) becomes, with its managed fields: JSON, to be decoded and completed
 * like any patched object. Nothing given is touched. Throws ApiError 400 for what is no configuration of this kind, 409 for
 * conflicts, and 500, as upstream, for fields that the schema does not have.
 */
export function applyConfiguration(
  live: KubeObject | undefined,
  config: unknown,
  facts: WriteFacts,
  force: boolean,
): KubeObject {
  const { target } = facts;
  const applied = checkConfiguration(config, facts);
  const shape = objectShape(target);
  const wrong = validateApplied(shape, applied);
  if (wrong.length > 0) {
    const text = wrong.length === 1 ? wrong[0] : `errors:\n${wrong.map((each) => `  ${each}`).join('\n')}`;
    throw plain(`failed to create typed patch object (${nameOf(applied, facts)}): ${text}`);
  }
  const { managedFields, ...metadata } = (live ?? zeroObject(target)).metadata;
  const base = { ...(live ?? zeroObject(target)), metadata } as unknown as Json;
  let managers: Managers;
  try {
    managers = decodeManagers(managedFields);
  } catch (error) {
    if (error instanceof FieldsError) throw plain(`failed to decode managed fields: ${error.message}`);
    throw error;
  }
  if (managers.size === 0 && live) {
    const all = compareObjects(shape, zeroObject(target) as unknown as Json, base, ignoredFields(facts));
    recordUpdate(managers, updateName({ ...facts, manager: BEFORE_FIRST_APPLY }), () => all, facts.time);
  }
  const attempt: Attempt = { shape, base, applied, managers, facts };
  let result = merge(attempt, force);
  if ('conflicts' in result && facts.manager === KUBECTL) {
    const allowed = ownedByLastApplied(attempt);
    const left = allowed
      ? result.conflicts
          .map((each) => ({ ...each, fields: difference(each.fields, allowed) }))
          .filter((each) => !isEmpty(each.fields))
      : result.conflicts;
    result = left.length === 0 ? merge(attempt, true) : { conflicts: left };
  }
  if ('conflicts' in result) throw conflictError(result.conflicts);
  const object = result.object as unknown as KubeObject;
  if (facts.manager === KUBECTL && object.metadata.annotations?.[LAST_APPLIED] !== undefined) {
    syncLastApplied(object, applied);
  }
  setManagers(object, result.managers);
  return object;
}

interface Attempt {
  shape: Shape;
  base: Json;
  applied: Json;
  managers: Managers;
  facts: WriteFacts;
}

function merge(attempt: Attempt, force: boolean): { conflicts: Conflict[] } | { object: Json; managers: Managers } {
  const { shape, base, applied, facts } = attempt;
  const skip = ignoredFields(facts);
  const name = { ...updateName(facts), operation: 'Apply' as const };
  const self = managerId(name);
  const former = attempt.managers.get(self);
  const set = filterTop(appliedFields(shape, applied), (key) => !skip(key.slice(2)));
  const managers: Managers = new Map(attempt.managers);
  const mine: Manager = { ...name, fields: set, time: former?.time, ...(former?.entry && { entry: former.entry }) };
  managers.set(self, mine);
  const merged = mergeApplied(shape, base, applied) as Json;
  // Most applies set again all that they set before: then there is nothing to take away.
  const isRepeated =
    former && former.apiVersion === apiVersionOf(facts.target) && isEmpty(difference(former.fields, set));
  const object = former && !isRepeated ? prune(facts, merged, managers, former) : merged;
  const comparison = compareObjects(shape, base, object, skip);
  const seenIn = comparisonOf(facts, base, object, comparison);
  if (!force) {
    const conflicts = conflictsOf(managers, self, seenIn);
    if (conflicts.length > 0) return { conflicts };
  }
  release(managers, self, seenIn, true);
  const own = stripUnowned(set);
  if (isEmpty(own)) managers.delete(self);
  else managers.set(self, { ...mine, fields: former && equals(former.fields, own) ? former.fields : own });
  const isSame = isEmpty(comparison.changed) && isEmpty(comparison.removed);
  const now = managers.get(self);
  if (now && !(isSame && sameOwners(attempt.managers, managers))) managers.set(self, { ...now, time: facts.time });
  return { object: isSame ? (deepClone(base) as Json) : object, managers };
}

function sameOwners(before: Managers, after: Managers): boolean {
  if (before.size !== after.size) return false;
  for (const [id, each] of before) {
    const other = after.get(id);
    if (!other || other.apiVersion !== each.apiVersion || !equals(each.fields, other.fields)) return false;
  }
  return true;
}

/**
 * Removes what the manager had applied before, unless it still does, somebody else owns it, or it was never its own. Every
 * version of the kind that a manager speaks is looked at in that version: first the one of the former configuration.
 */
function prune(facts: WriteFacts, merged: Json, managers: Managers, former: Manager): Json {
  const last = former.fields;
  if (isEmpty(last)) return merged;
  const own = viewOf(facts, merged, former.apiVersion);
  if (!own) return merged;
  let pruned = removed(own, withNamedFields(own.shape, last));
  const owned = new Map<string, FieldSet>([[former.apiVersion, EMPTY]]);
  for (const { apiVersion, fields } of managers.values()) {
    owned.set(apiVersion, union(owned.get(apiVersion) ?? EMPTY, fields));
  }
  for (const [apiVersion, fields] of owned) {
    const whole = viewOf(facts, own.value, apiVersion);
    const rest = whole && viewOf(facts, pruned, apiVersion);
    if (!rest) continue;
    const keep = union(namedFields(rest), withNamedFields(whole.shape, fields));
    pruned = removed(whole, difference(namedFields(whole), keep));
  }
  const rest = viewOf(facts, pruned, former.apiVersion);
  if (!rest) return merged;
  const dangling = intersection(difference(namedFields(own), namedFields(rest)), withNamedFields(own.shape, last));
  return viewOf(facts, removed(own, dangling), apiVersionOf(facts.target))?.value ?? merged;
}

const removed = ({ shape, value }: VersionedView, fields: FieldSet): Json =>
  (withoutFields(shape, value, fields) ?? {}) as Json;

const namedFields = ({ shape, value }: VersionedView): FieldSet => withNamedFields(shape, appliedFields(shape, value));

function checkConfiguration(config: unknown, facts: WriteFacts): Json {
  const { target } = facts;
  if (!isMap(config)) {
    throw errors.badRequest(
      `error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal ${
        Array.isArray(config) ? 'array' : typeof config
      } into Go value of type map[string]interface {}`,
    );
  }
  const expected = apiVersionOf(target);
  const { apiVersion, kind, metadata } = config;
  const version = typeof apiVersion === 'string' ? apiVersion : '';
  const found = typeof kind === 'string' ? kind : '';
  if (version !== expected || found !== target.kind) {
    const slash = version.lastIndexOf('/');
    throw errors.badRequest(
      `invalid object type: ${version.slice(0, Math.max(slash, 0))}/${version.slice(slash + 1)}, Kind=${found}`,
    );
  }
  if (isMap(metadata) && metadata['managedFields'] !== undefined && metadata['managedFields'] !== null) {
    throw errors.badRequest('metadata.managedFields must be nil');
  }
  return config;
}

function nameOf(applied: Json, { target }: WriteFacts): string {
  const metadata = isMap(applied['metadata']) ? applied['metadata'] : {};
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return `${text(metadata['namespace'])}/${text(metadata['name'])}; ${target.group}/${target.version}, Kind=${target.kind}`;
}

/** An error that upstream does not classify: 500 without a reason. */
const plain = (message: string) => new ApiError(500, '', message);

/** What `kubectl apply` has set by its annotation and nobody has changed since; undefined when that cannot be told. */
function ownedByLastApplied({ shape, base, facts }: Attempt): FieldSet | undefined {
  const text = (base['metadata'] as { annotations?: Record<string, string> }).annotations?.[LAST_APPLIED];
  if (!text) return undefined;
  let last: unknown;
  try {
    last = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isMap(last) || last['apiVersion'] !== apiVersionOf(facts.target)) return undefined;
  if (validateApplied(shape, last).length > 0) return undefined;
  const { changed, removed }: Comparison = compareObjects(shape, last, base);
  return difference(difference(appliedFields(shape, last), changed), removed);
}

/** Keeps the annotation of client-side apply true, so that one can go back to it. */
function syncLastApplied(object: KubeObject, applied: Json): void {
  const config = deepClone(applied) as Json & { metadata?: { annotations?: Record<string, string> } };
  if (config.metadata?.annotations) delete config.metadata.annotations[LAST_APPLIED];
  const text = `${JSON.stringify(config)}\n`;
  const annotations = { ...object.metadata.annotations };
  if (Buffer.byteLength(text) > TOTAL_ANNOTATION_SIZE_LIMIT) delete annotations[LAST_APPLIED];
  else annotations[LAST_APPLIED] = text;
  object.metadata.annotations = annotations;
}

function conflictError(conflicts: readonly Conflict[]): ApiError {
  const all = conflicts.flatMap(({ manager, fields }) =>
    paths(fields).map((path) => ({ manager: managerText(manager), path })),
  );
  const [first] = all;
  let message: string;
  if (all.length === 1 && first)
    message = `Apply failed with 1 conflict: conflict with ${first.manager}: ${first.path}`;
  else {
    const lines: string[] = [];
    for (const manager of [...new Set(all.map((each) => each.manager))].sort()) {
      lines.push(`conflicts with ${manager}:`);
      for (const each of all) if (each.manager === manager) lines.push(`- ${each.path}`);
    }
    message = `Apply failed with ${all.length} conflicts: ${lines.join('\n')}`;
  }
  return new ApiError(409, 'Conflict', message, {
    causes: all.map(({ manager, path }) => ({
      reason: 'FieldManagerConflict',
      message: `conflict with ${manager}`,
      field: path,
    })),
  });
}

function managerText({ manager, operation, apiVersion, subresource }: Manager): string {
  const name = JSON.stringify(manager) + (subresource ? ` with subresource ${JSON.stringify(subresource)}` : '');
  return operation === 'Update' ? `${name} using ${apiVersion}` : name;
}
