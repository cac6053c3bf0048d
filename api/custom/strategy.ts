// What a write makes of a custom resource: generation, what each subresource may change, and every rule that its schema
// gives (k8s.io/apiextensions-apiserver/pkg/registry/customresource).
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import type { CustomResourceSubresources } from '../types/apiextensions-v1.ts';
import { validateEmbedded } from './embedded.ts';
import { validateListTypes } from './list-types.ts';
import type { RuleValidator } from './rules.ts';
import { dottedPath, valueAt } from './scale.ts';
import { type Json, type Structural, structuralOf } from './structural.ts';
import { validateValue } from './validate.ts';

const MAX_INT32 = 2 ** 31 - 1;
/** Rules are not asked about objects that are not even of the right form. */
const BLOCKING = new Set<FieldError['type']>([
  'FieldValueNotSupported',
  'FieldValueRequired',
  'FieldValueTooLong',
  'FieldValueTooMany',
  'FieldValueTypeInvalid',
]);

export type Strategy = Pick<
  Kind,
  | 'prepareForCreate'
  | 'prepareForUpdate'
  | 'prepareForStatusUpdate'
  | 'validate'
  | 'validateUpdate'
  | 'validateStatusUpdate'
>;

export function customStrategy(
  schema: Structural,
  subresources: CustomResourceSubresources | undefined,
  rules: RuleValidator | undefined,
): Strategy {
  const hasStatus = subresources?.status !== undefined;
  const statusSchema = structuralOf({
    type: 'object',
    properties: { status: schema.properties?.get('status')?.props },
    'x-kubernetes-preserve-unknown-fields': true,
  });
  const replicasPath = subresources?.scale?.specReplicasPath;

  function everything(object: KubeObject, against: Structural, old?: KubeObject): FieldError[] {
    const value = object as unknown as Json;
    const before = old as unknown as Json | undefined;
    const found = validateMembers(value, against, before);
    if (replicasPath && against === schema) found.push(...validateReplicas(value, replicasPath));
    if (!before || !deepEqual(withoutMeta(value), withoutMeta(before))) found.push(...validateEmbedded(value, schema));
    found.push(...validateListTypes(value, schema, '', before));
    if (!rules) return found;
    if (found.some((each) => BLOCKING.has(each.type))) {
      found.push({
        type: 'FieldValueInvalid',
        field: '<nil>',
        body: 'Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation',
      });
      return found;
    }
    found.push(...rules.validate(value, before));
    return found;
  }

  return {
    prepareForCreate(object) {
      dropUndefined(object);
      object.metadata.generation = 1;
    },
    prepareForUpdate(object, old) {
      dropUndefined(object);
      const ignored = hasStatus ? ['metadata', 'status'] : ['metadata'];
      if (!sameBut(ignored, object as unknown as Json, old as unknown as Json)) {
        object.metadata.generation = (old.metadata.generation ?? 0) + 1;
      }
    },
    prepareForStatusUpdate(object, old) {
      dropUndefined(object);
      // Nothing but the status, and who manages it.
      const { managedFields } = object.metadata;
      object.metadata = { ...old.metadata };
      if (managedFields) object.metadata.managedFields = managedFields;
      else delete object.metadata.managedFields;
    },
    validate: (object) => everything(object, schema),
    validateUpdate: (object, old) => everything(object, schema, old),
    validateStatusUpdate: (object, old) => everything(object, statusSchema, old),
  };
}

/** The root is not compared as a whole: its metadata always changes. */
function validateMembers(value: Json, schema: Structural, before: Json | undefined): FieldError[] {
  const { metadata, ...rest } = value;
  const checkedMeta = schema.properties?.get('metadata') ? { metadata } : {};
  const found = validateValue({ ...rest, ...checkedMeta }, withoutRequiredMeta(schema), before);
  // Upstream's path of what concerns the whole object.
  return found.map((each) => (each.field === '' ? { ...each, field: '<nil>' } : each));
}

const relaxed = new WeakMap<Structural, Structural>();

/** metadata, kind and apiVersion are there whatever the schema requires. */
function withoutRequiredMeta(schema: Structural): Structural {
  let found = relaxed.get(schema);
  if (!found) {
    const required = schema.values.required.filter((each) => each !== 'metadata');
    found = { ...schema, values: { ...schema.values, required } };
    relaxed.set(schema, found);
  }
  return found;
}

const withoutMeta = ({ metadata: _metadata, ...rest }: Json): Json => rest;

function validateReplicas(value: Json, path: string): FieldError[] {
  const replicas = valueAt(value, dottedPath(path));
  if (typeof replicas !== 'number') return [];
  if (replicas < 0) return [fieldErrors.invalid(path, replicas, 'should be a non-negative integer')];
  if (replicas > MAX_INT32) {
    return [fieldErrors.invalid(path, replicas, `should be less than or equal to ${MAX_INT32}`)];
  }
  return [];
}

/** A member that is undefined is none. */
function dropUndefined(object: KubeObject): void {
  const members = object as unknown as Json;
  for (const name of Object.keys(members)) if (members[name] === undefined) delete members[name];
}

function sameBut(ignored: readonly string[], a: Json, b: Json): boolean {
  for (const name of new Set([...Object.keys(a), ...Object.keys(b)])) {
    if (name === 'apiVersion' || name === 'kind' || ignored.includes(name)) continue;
    if (!deepEqual(a[name], b[name])) return false;
  }
  return true;
}
