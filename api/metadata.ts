// The rules of metadata, on create and on update, with upstream's paths and messages
// (k8s.io/apimachinery/pkg/api/validation/objectmeta.go). Pure; kinds bring only their own rule for names.
import { deepEqual } from './equality.ts';
import { type FieldError, fieldErrors } from './field-error.ts';
import {
  byteLength,
  isQualifiedName,
  type NameCheck,
  nameIsDnsLabel,
  nameIsDnsSubdomain,
  nameIsPathSegment,
} from './names.ts';
import { parseApiVersion } from './object.ts';
import { validateLabels } from './selectors.ts';
import type { ManagedFieldsEntry, ObjectMeta, OwnerReference } from './types/meta.ts';

export const TOTAL_ANNOTATION_SIZE_LIMIT = 256 * 1024;
export const FIELD_IMMUTABLE = 'field is immutable';
export const FINALIZER_ORPHAN = 'orphan';
export const FINALIZER_FOREGROUND = 'foregroundDeletion';
export const NEGATIVE = 'must be greater than or equal to 0';

export interface MetadataRules {
  namespaced: boolean;
  /** Default: a DNS-1123 subdomain. */
  validateName?: NameCheck;
}

/** Everything wrong with the metadata of a new object. `field` is `metadata` unless it is embedded. */
export function validateMetadata(meta: ObjectMeta, rules: MetadataRules, field = 'metadata'): FieldError[] {
  const found: FieldError[] = [];
  const checkName = rules.validateName ?? nameIsDnsSubdomain;
  if (meta.generateName) {
    for (const message of checkName(meta.generateName, true)) {
      found.push(fieldErrors.invalid(`${field}.generateName`, meta.generateName, message));
    }
  }
  if (!meta.name) {
    found.push(fieldErrors.required(`${field}.name`, 'name or generateName is required'));
  } else {
    for (const message of checkName(meta.name, false)) {
      found.push(fieldErrors.invalid(`${field}.name`, meta.name, message));
    }
  }
  if (rules.namespaced) {
    if (!meta.namespace) found.push(fieldErrors.required(`${field}.namespace`));
    else {
      for (const message of nameIsDnsLabel(meta.namespace, false)) {
        found.push(fieldErrors.invalid(`${field}.namespace`, meta.namespace, message));
      }
    }
  } else if (meta.namespace) {
    found.push(fieldErrors.forbidden(`${field}.namespace`, 'not allowed on this type'));
  }
  if ((meta.generation ?? 0) < 0) found.push(fieldErrors.invalid(`${field}.generation`, meta.generation, NEGATIVE));
  found.push(
    ...validateLabels(meta.labels, `${field}.labels`),
    ...validateAnnotations(meta.annotations, `${field}.annotations`),
    ...validateOwnerReferences(meta.ownerReferences, `${field}.ownerReferences`),
    ...validateFinalizers(meta.finalizers, `${field}.finalizers`),
    ...validateManagedFields(meta.managedFields, `${field}.managedFields`),
  );
  return found;
}

/**
 * Everything wrong with a change of metadata. `old` is the stored object's. The rules of a new object's metadata hold too, but
 * for its name, which cannot change: a kind's rule may be younger than the object.
 */
export function validateMetadataUpdate(
  meta: ObjectMeta,
  old: ObjectMeta,
  rules: Omit<MetadataRules, 'validateName'>,
  field = 'metadata',
): FieldError[] {
  const found = validateMetadata(meta, { ...rules, validateName: nameIsPathSegment }, field);
  if (old.deletionTimestamp) {
    const known = new Set(old.finalizers ?? []);
    const added = [...new Set(meta.finalizers ?? [])].filter((each) => !known.has(each)).sort();
    if (added.length > 0) {
      const list = `[]string{${added.map((each) => JSON.stringify(each)).join(', ')}}`;
      found.push(
        fieldErrors.forbidden(
          `${field}.finalizers`,
          `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`,
        ),
      );
    }
  }
  if (!meta.resourceVersion) {
    found.push(
      fieldErrors.invalid(`${field}.resourceVersion`, meta.resourceVersion ?? '', 'must be specified for an update'),
    );
  }
  if ((meta.generation ?? 0) < (old.generation ?? 0)) {
    found.push(fieldErrors.invalid(`${field}.generation`, meta.generation ?? 0, 'must not be decremented'));
  }
  found.push(
    ...validateImmutable(meta.name ?? '', old.name ?? '', `${field}.name`),
    ...validateImmutable(meta.namespace ?? '', old.namespace ?? '', `${field}.namespace`),
    ...validateImmutable(meta.uid ?? '', old.uid ?? '', `${field}.uid`),
    ...validateImmutable(meta.creationTimestamp ?? null, old.creationTimestamp ?? null, `${field}.creationTimestamp`),
    ...validateImmutable(meta.deletionTimestamp ?? null, old.deletionTimestamp ?? null, `${field}.deletionTimestamp`),
    ...validateImmutable(
      meta.deletionGracePeriodSeconds ?? null,
      old.deletionGracePeriodSeconds ?? null,
      `${field}.deletionGracePeriodSeconds`,
    ),
  );
  return found;
}

export function validateImmutable(value: unknown, old: unknown, field: string): FieldError[] {
  return deepEqual(value, old) ? [] : [fieldErrors.invalid(field, value, FIELD_IMMUTABLE)];
}

export function validateAnnotations(
  annotations: Readonly<Record<string, string>> | null | undefined,
  field: string,
): FieldError[] {
  const found: FieldError[] = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(annotations ?? {})) {
    for (const message of isQualifiedName(key.toLowerCase())) found.push(fieldErrors.invalid(field, key, message));
    bytes += byteLength(key) + byteLength(value);
  }
  if (bytes > TOTAL_ANNOTATION_SIZE_LIMIT) found.push(fieldErrors.tooLong(field, TOTAL_ANNOTATION_SIZE_LIMIT));
  return found;
}

function validateOwnerReferences(
  references: readonly OwnerReference[] | null | undefined,
  field: string,
): FieldError[] {
  const found: FieldError[] = [];
  let controller = '';
  for (const each of references ?? []) {
    const version = parseApiVersion(each.apiVersion ?? '')?.version ?? '';
    if (version === '')
      found.push(fieldErrors.invalid(`${field}.apiVersion`, each.apiVersion ?? '', 'version must not be empty'));
    if (!each.kind) found.push(fieldErrors.invalid(`${field}.kind`, each.kind ?? '', 'must not be empty'));
    if (!each.name) found.push(fieldErrors.invalid(`${field}.name`, each.name ?? '', 'must not be empty'));
    if (!each.uid) found.push(fieldErrors.invalid(`${field}.uid`, each.uid ?? '', 'must not be empty'));
    if (each.apiVersion === 'v1' && each.kind === 'Event') {
      found.push(fieldErrors.invalid(field, each, '/v1, Kind=Event is disallowed from being an owner'));
    }
    if (each.controller) {
      const name = `${each.kind}/${each.name}`;
      if (controller !== '') {
        found.push(
          fieldErrors.invalid(
            field,
            references,
            `Only one reference can have Controller set to true. Found "true" in references for ${controller} and ${name}`,
          ),
        );
      } else controller = name;
    }
  }
  return found;
}

export function validateFinalizers(finalizers: readonly string[] | null | undefined, field: string): FieldError[] {
  const found: FieldError[] = [];
  for (const each of finalizers ?? []) {
    for (const message of isQualifiedName(each)) found.push(fieldErrors.invalid(field, each, message));
  }
  if (finalizers?.includes(FINALIZER_ORPHAN) && finalizers.includes(FINALIZER_FOREGROUND)) {
    found.push(
      fieldErrors.invalid(
        field,
        finalizers,
        `finalizer ${FINALIZER_ORPHAN} and ${FINALIZER_FOREGROUND} cannot be both set`,
      ),
    );
  }
  return found;
}

const FIELD_MANAGER_MAX = 128;

/** A manager's name, as in `?fieldManager=`: at most 128 printable characters. */
export function validateFieldManager(manager: string, field: string): FieldError[] {
  const found: FieldError[] = [];
  if (byteLength(manager) > FIELD_MANAGER_MAX) found.push(fieldErrors.tooLong(field, FIELD_MANAGER_MAX));
  let bytes = 0;
  for (const char of manager) {
    // Go's unicode.IsPrint: letters, marks, numbers, punctuation, symbols and the ASCII space.
    if (char !== ' ' && !/[\p{L}\p{M}\p{N}\p{P}\p{S}]/u.test(char)) {
      const code = (char.codePointAt(0) as number).toString(16).toUpperCase().padStart(4, '0');
      found.push(fieldErrors.invalid(field, manager, `invalid character U+${code} (at position ${bytes})`));
    }
    bytes += Buffer.byteLength(char);
  }
  return found;
}

function validateManagedFields(entries: readonly ManagedFieldsEntry[] | null | undefined, field: string): FieldError[] {
  const found: FieldError[] = [];
  (entries ?? []).forEach((each, i) => {
    const path = `${field}[${i}]`;
    if (each.operation !== 'Apply' && each.operation !== 'Update') {
      found.push(fieldErrors.invalid(`${path}.operation`, each.operation ?? '', 'must be `Apply` or `Update`'));
    }
    if (each.fieldsType && each.fieldsType !== 'FieldsV1') {
      found.push(fieldErrors.invalid(`${path}.fieldsType`, each.fieldsType, 'must be `FieldsV1`'));
    }
    found.push(...validateFieldManager(each.manager ?? '', `${path}.manager`));
    if (byteLength(each.subresource ?? '') > 256) found.push(fieldErrors.tooLong(`${path}.subresource`, 256));
  });
  return found;
}
