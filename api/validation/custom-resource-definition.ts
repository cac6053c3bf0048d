// What a CustomResourceDefinition may be (k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation). What all
// versions have in common is one thing to upstream, and its paths say so: `spec.validation`, not `spec.versions[0].schema`.
import { fieldPathIn } from '../custom/field-path.ts';
import { structuralOf } from '../custom/structural.ts';
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isDns1035Label, isDns1123Subdomain } from '../names.ts';
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinition,
  CustomResourceDefinitionNames,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  CustomResourceValidation,
  SelectableField,
} from '../types/apiextensions-v1.ts';
import { IMMUTABLE } from './checks.ts';
import { validateConversion } from './custom-conversion.ts';
import { type RuleCheckOptions, validateRules } from './custom-rules.ts';
import { validateOpenApiSchema } from './open-api-schema.ts';
import { validateDefaults } from './schema-defaults.ts';
import { validateStructural } from './structural-schema.ts';

const { duplicate, invalid, notSupported, required, tooMany } = fieldErrors;

const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string'];
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];
const MAX_SELECTABLE_FIELDS = 8;
const APPROVAL = 'api-approved.kubernetes.io';
const APPROVAL_WHERE = 'see https://github.com/kubernetes/enhancements/pull/1111';

export const isEstablished = (definition: CustomResourceDefinition): boolean =>
  conditionOf(definition, 'Established')?.status === 'True';

export const conditionOf = ({ status }: CustomResourceDefinition, type: string) =>
  status?.conditions?.find((each) => each.type === type);

export function validateDefinition(definition: CustomResourceDefinition): FieldError[] {
  const { spec, metadata } = definition;
  const found: FieldError[] = [];
  if (metadata.name !== undefined && metadata.name !== `${spec.names.plural}.${spec.group}`) {
    found.push(invalid('metadata.name', metadata.name, 'must be spec.names.plural+"."+spec.group'));
  }
  found.push(
    ...validateSpec(spec, { isNew: true, allowInvalidCaBundle: true }),
    ...validateStatus(definition),
    ...validateStoredVersions(definition),
    ...validateApproval(definition),
  );
  if (spec.preserveUnknownFields) found.push(invalid('spec.preserveUnknownFields', true, 'must be false'));
  return found;
}

export function validateDefinitionUpdate(
  definition: CustomResourceDefinition,
  old: CustomResourceDefinition,
): FieldError[] {
  const { spec } = definition;
  const before = old.spec;
  const allowInvalidCaBundle = !isEstablished(old) || hasInvalidCaBundle(before);
  const found = validateSpec(spec, { isNew: false, allowInvalidCaBundle, old: before });
  const immutable = (value: unknown, was: unknown, field: string) => {
    if (!deepEqual(value, was)) found.push(invalid(field, value, IMMUTABLE));
  };
  if (isEstablished(old)) {
    immutable(spec.scope, before.scope, 'spec.scope');
    immutable(spec.names.kind, before.names.kind, 'spec.names.kind');
  }
  immutable(spec.group, before.group, 'spec.group');
  immutable(spec.names.plural, before.names.plural, 'spec.names.plural');
  found.push(
    ...validateStatus(definition),
    ...validateStoredVersions(definition),
    ...validateApproval(definition, old),
  );
  if (spec.preserveUnknownFields && !before.preserveUnknownFields) {
    found.push(invalid('spec.preserveUnknownFields', true, 'must be false'));
  }
  return found;
}

/** Of a write of the status alone. */
export const validateDefinitionStatus = (definition: CustomResourceDefinition): FieldError[] => [
  ...validateStatus(definition),
  ...validateStoredVersions(definition),
];

const hasInvalidCaBundle = ({ conversion }: CustomResourceDefinitionSpec): boolean => {
  const bundle = conversion?.webhook?.clientConfig?.caBundle;
  return (
    bundle !== undefined && !Buffer.from(bundle, 'base64').toString('utf8').includes('-----BEGIN CERTIFICATE-----')
  );
};

interface SpecOptions extends RuleCheckOptions {
  isNew: boolean;
  allowInvalidCaBundle: boolean;
  old?: CustomResourceDefinitionSpec;
}

function validateSpec(spec: CustomResourceDefinitionSpec, options: SpecOptions): FieldError[] {
  const found: FieldError[] = [];
  const { group, scope, names, versions } = spec;
  if (!group) found.push(required('spec.group'));
  else {
    const wrong = isDns1123Subdomain(group);
    if (wrong.length > 0) found.push(invalid('spec.group', group, wrong.join(',')));
    else if (!group.includes('.')) found.push(invalid('spec.group', group, 'should be a domain with at least one dot'));
  }
  if (!scope) found.push(required('spec.scope'));
  else if (scope !== 'Cluster' && scope !== 'Namespaced') {
    found.push(notSupported('spec.scope', scope, ['Cluster', 'Namespaced']));
  }
  versions.forEach((version, i) => {
    if (!version.schema?.openAPIV3Schema) found.push(required(`spec.versions[${i}].schema.openAPIV3Schema`));
  });
  versions.forEach((version, i) => {
    const wrong = isDns1035Label(version.name);
    if (wrong.length > 0) found.push(invalid(`spec.versions[${i}].name`, version.name, wrong.join(',')));
    found.push(...deprecation(version, `spec.versions[${i}].deprecationWarning`));
  });
  found.push(...validateVersions(versions, options));
  if (new Set(versions.map((each) => each.name)).size !== versions.length) {
    found.push(invalid('spec.versions', versions, 'must contain unique version names'));
  }
  if (versions.filter((each) => each.storage).length !== 1) {
    found.push(invalid('spec.versions', versions, 'must have exactly one version marked as storage version'));
  }
  for (const name of ['plural', 'singular', 'kind', 'listKind'] as const) {
    if (!names[name]) found.push(required(`spec.names.${name}`));
  }
  found.push(...validateNames(names, 'spec.names'));
  found.push(...validateConversion(spec.conversion, 'spec.conversion', options));
  return found;
}

function* deprecation({ deprecated, deprecationWarning }: CustomResourceDefinitionVersion, field: string) {
  if (deprecationWarning === undefined) return;
  const say = (why: string) => invalid(field, deprecationWarning, why);
  if (!deprecated) {
    yield say('can only be set for deprecated versions');
    return;
  }
  if (Buffer.byteLength(deprecationWarning) > 256) yield say('must be <= 256 characters long');
  if (deprecationWarning === '') yield say('must not be an empty string');
  const at = deprecationWarning.search(/[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u);
  if (at >= 0) {
    yield say(`must only contain printable UTF-8 characters; non-printable character found at index ${at}`);
  }
}

/** What all versions share is checked once, where upstream has it; else each version's own. */
function* validateVersions(
  versions: readonly CustomResourceDefinitionVersion[],
  options: SpecOptions,
): Iterable<FieldError> {
  const first = versions[0];
  if (!first) return;
  const isShared = (name: keyof CustomResourceDefinitionVersion) =>
    versions.every((each) => deepEqual(each[name], first[name]));
  const place = (name: keyof CustomResourceDefinitionVersion, shared: string, own: string) =>
    isShared(name)
      ? [{ version: first, field: shared }]
      : versions.map((version, i) => ({ version, field: `spec.versions[${i}].${own}` }));
  const statusOf = ({ subresources }: CustomResourceDefinitionVersion) => subresources?.status !== undefined;
  for (const { version, field } of place('schema', 'spec.validation', 'schema')) {
    const hasStatus = isShared('schema') ? versions.some(statusOf) : statusOf(version);
    if (version.schema) yield* validateSchema(version, version.schema, field, hasStatus, options);
  }
  for (const { version, field } of place('subresources', 'spec.subresources', 'subresources')) {
    if (version.subresources) yield* validateSubresources(version.subresources, field);
  }
  const columns = 'additionalPrinterColumns';
  for (const { version, field } of place(columns, `spec.${columns}`, columns)) {
    for (const [i, column] of (version.additionalPrinterColumns ?? []).entries()) {
      yield* validateColumn(column, `${field}[${i}]`);
    }
  }
  for (const { version, field } of place('selectableFields', 'spec.selectableFields', 'selectableFields')) {
    yield* validateSelectable(version.selectableFields ?? [], version.schema, field);
  }
}

function validateSchema(
  version: CustomResourceDefinitionVersion,
  { openAPIV3Schema: schema }: CustomResourceValidation,
  field: string,
  hasStatus: boolean,
  options: SpecOptions,
): FieldError[] {
  if (!schema) return [];
  const at = `${field}.openAPIV3Schema`;
  const structure = validateStructural(schema, at);
  const defaults = structure.length > 0 ? [] : validateDefaults(schema, at);
  const found = [...structure, ...defaults, ...validateOpenApiSchema(schema, at, hasStatus)];
  // Rules about a schema that is wrong could only be misunderstood.
  if (found.length === 0) {
    const old = options.old?.versions.find((each) => each.name === version.name)?.schema?.openAPIV3Schema;
    found.push(...validateRules(schema, at, { isUnchanged: deepEqual(old, schema) }));
  }
  return found;
}

function* validateSubresources({ scale }: CustomResourceSubresources, field: string): Iterable<FieldError> {
  if (!scale) return;
  const check = function* (path: string, name: string, roots: readonly string[], why: string): Iterable<FieldError> {
    const at = `${field}.scale.${name}`;
    if (!path.startsWith('.')) yield invalid(at, path, 'must be a simple json path starting with .');
    else if (!roots.some((root) => path.startsWith(root))) yield invalid(at, path, why);
  };
  if (!scale.specReplicasPath) yield required(`${field}.scale.specReplicasPath`);
  else yield* check(scale.specReplicasPath, 'specReplicasPath', ['.spec.'], 'should be a json path under .spec');
  if (!scale.statusReplicasPath) yield required(`${field}.scale.statusReplicasPath`);
  else
    yield* check(scale.statusReplicasPath, 'statusReplicasPath', ['.status.'], 'should be a json path under .status');
  if (!scale.labelSelectorPath) return;
  const why = 'should be a json path under either .spec or .status';
  yield* check(scale.labelSelectorPath, 'labelSelectorPath', ['.spec.', '.status.'], why);
}

function* validateColumn(column: CustomResourceColumnDefinition, field: string): Iterable<FieldError> {
  const { name, type, format, jsonPath } = column;
  if (!name) yield required(`${field}.name`);
  const types = `must be one of ${COLUMN_TYPES.join(',')}`;
  if (!type) yield required(`${field}.type`, types);
  else if (!COLUMN_TYPES.includes(type)) yield invalid(`${field}.type`, type, types);
  if (format && !COLUMN_FORMATS.includes(format)) {
    yield invalid(`${field}.format`, format, `must be one of ${COLUMN_FORMATS.join(',')}`);
  }
  if (!jsonPath) yield required(`${field}.JSONPath`);
  else if (!jsonPath.startsWith('.')) {
    yield invalid(`${field}.JSONPath`, jsonPath, 'must be a simple json path starting with .');
  }
}

function* validateSelectable(
  fields: readonly SelectableField[],
  schema: CustomResourceValidation | undefined,
  field: string,
): Iterable<FieldError> {
  if (fields.length === 0) return;
  if (!schema?.openAPIV3Schema) {
    yield invalid(field, '', 'may only be set when `version.schema.openAPIV3Schema` is not included');
    return;
  }
  const root = structuralOf(schema.openAPIV3Schema);
  const seen = new Set<string>();
  for (const [i, { jsonPath }] of fields.entries()) {
    const at = `${field}[${i}].jsonPath`;
    if (!jsonPath) {
      yield required(at);
      continue;
    }
    const target = fieldPathIn(root, jsonPath, false);
    if ('error' in target) {
      yield invalid(at, jsonPath, `is an invalid path: ${target.error}`);
      continue;
    }
    if (/^metadata\b/.test(target.path)) yield invalid(at, jsonPath, 'must not point to fields in metadata');
    if (!['string', 'boolean', 'integer'].includes(target.schema.type)) {
      yield invalid(
        at,
        jsonPath,
        'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
      );
    }
    if (seen.has(target.path)) yield duplicate(at, jsonPath);
    seen.add(target.path);
  }
  if (seen.size > MAX_SELECTABLE_FIELDS) yield tooMany(field, seen.size, MAX_SELECTABLE_FIELDS);
}

function validateNames(names: CustomResourceDefinitionNames, field: string): FieldError[] {
  const found: FieldError[] = [];
  const check = (name: string | undefined, path: string, mixedCase = false) => {
    if (!name) return;
    const wrong = isDns1035Label(mixedCase ? name.toLowerCase() : name);
    if (wrong.length === 0) return;
    const prefix = mixedCase ? 'may have mixed case, but should otherwise match: ' : '';
    found.push(invalid(`${field}.${path}`, name, prefix + wrong.join(',')));
  };
  check(names.plural, 'plural');
  check(names.singular, 'singular');
  check(names.kind, 'kind', true);
  check(names.listKind, 'listKind', true);
  const entries = (list: readonly string[] | undefined, path: string) =>
    list?.forEach((each, i) => {
      const wrong = isDns1035Label(each);
      if (wrong.length > 0) found.push(invalid(`${field}.${path}[${i}]`, each, wrong.join(',')));
    });
  entries(names.shortNames, 'shortNames');
  if (names.kind && names.kind === names.listKind) {
    found.push(invalid(`${field}.listKind`, names.listKind, 'kind and listKind may not be the same'));
  }
  entries(names.categories, 'categories');
  return found;
}

function validateStatus({ status }: CustomResourceDefinition): FieldError[] {
  return status?.acceptedNames ? validateNames(status.acceptedNames, 'status.acceptedNames') : [];
}

function* validateStoredVersions({ spec, status }: CustomResourceDefinition): Iterable<FieldError> {
  const field = 'status.storedVersions';
  const stored = status?.storedVersions ?? [];
  if (stored.length === 0) {
    yield invalid(field, stored, 'must have at least one stored version');
    return;
  }
  for (const { name, storage } of spec.versions) {
    if (storage && !stored.includes(name)) yield invalid(field, stored, `must have the storage version ${name}`);
  }
  for (const [i, name] of stored.entries()) {
    if (spec.versions.some((each) => each.name === name)) continue;
    yield invalid(
      `${field}[${i}]`,
      name,
      `missing from spec.versions; ${name} was previously a storage version, and must remain in spec.versions until a storage migration ensures no data remains persisted in ${name} and removes ${name} from status.storedVersions`,
    );
  }
}

/** Groups of the project itself need its approval, or say that they have none. */
function* validateApproval(definition: CustomResourceDefinition, old?: CustomResourceDefinition): Iterable<FieldError> {
  const { group } = definition.spec;
  if (!/(^|\.)(k8s|kubernetes)\.io$/.test(group)) return;
  const state = approvalOf(definition);
  if (state.isFine || (old && !approvalOf(old).isFine && approvalOf(old).value === state.value)) return;
  const field = `metadata.annotations[${APPROVAL}]`;
  if (state.value === '') {
    yield required(field, `protected groups must have approval annotation "${APPROVAL}", ${APPROVAL_WHERE}`);
  } else {
    yield invalid(
      field,
      state.value,
      `protected groups must have approval annotation "${APPROVAL}" with either a URL or a reason starting with "unapproved", ${APPROVAL_WHERE}`,
    );
  }
}

/** Upstream's condition of the same name is made of it. */
export function approvalOf({ metadata }: CustomResourceDefinition): { value: string; isFine: boolean } {
  const value = metadata.annotations?.[APPROVAL] ?? '';
  return { value, isFine: value.startsWith('unapproved') || (URL.canParse(value) && /^https?:/.test(value)) };
}
