// The versions of a CustomResourceDefinition: what each is, and what all have in common. To upstream that is one thing, after
// the versions, and its paths say so: `spec.validation`, not `spec.versions[0].schema`.
import { fieldPathIn } from '../custom/field-path.ts';
import { structuralOf } from '../custom/structural.ts';
import { deepEqual } from '../equality.ts';
import { type FieldError, fieldErrors, goStruct } from '../field-error.ts';
import type {
  CustomResourceColumnDefinition,
  CustomResourceDefinitionSpec,
  CustomResourceDefinitionVersion,
  CustomResourceSubresources,
  CustomResourceValidation,
  SelectableField,
} from '../types/apiextensions-v1.ts';
import { validateRules } from './custom-rules.ts';
import { validateOpenApiSchema, validateSchemaRoot } from './open-api-schema.ts';
import { validateDefaults } from './schema-defaults.ts';
import { validateStructural } from './structural-schema.ts';

const { duplicate, invalid, required, tooMany } = fieldErrors;

type Version = CustomResourceDefinitionVersion;
type Versions = readonly Version[];
type Part = 'schema' | 'subresources' | 'additionalPrinterColumns' | 'selectableFields';

const PARTS: readonly Part[] = ['schema', 'subresources', 'additionalPrinterColumns', 'selectableFields'];
const COLUMN_TYPES = ['boolean', 'date', 'integer', 'number', 'string'];
const COLUMN_FORMATS = ['byte', 'date', 'date-time', 'double', 'float', 'int32', 'int64', 'password'];
const MAX_SELECTABLE_FIELDS = 8;

const isEmpty = (value: unknown) => value === undefined || (Array.isArray(value) && value.length === 0);

function isShared(versions: Versions, part: Part): boolean {
  const first = versions[0]?.[part];
  return versions.every((each) => (isEmpty(first) ? isEmpty(each[part]) : deepEqual(each[part], first)));
}

/** Fields are found in the schema beside them, so that they are shared with it only. */
const sharedParts = (versions: Versions): Set<Part> =>
  new Set(
    PARTS.filter((part) => isShared(versions, part) && (part !== 'selectableFields' || isShared(versions, 'schema'))),
  );

const hasStatus = ({ subresources }: Version) => subresources?.status !== undefined;

/** Of one version what it does not share with all others. */
export function* validateOwnParts(
  versions: Versions,
  index: number,
  old: CustomResourceDefinitionSpec | undefined,
): Iterable<FieldError> {
  const version = versions[index];
  if (!version) return;
  const field = `spec.versions[${index}]`;
  yield* deprecation(version, `${field}.deprecationWarning`);
  const shared = sharedParts(versions);
  const parts = PARTS.filter((part) => !shared.has(part));
  const without = 'may only be set when `version.schema.openAPIV3Schema` is not included';
  yield* validateParts({ version, parts, field, schemaName: 'schema', hasStatus: hasStatus(version), without, old });
}

export function* validateSharedParts(
  versions: Versions,
  old: CustomResourceDefinitionSpec | undefined,
): Iterable<FieldError> {
  const version = versions[0];
  if (!version) return;
  yield* validateParts({
    version,
    parts: [...sharedParts(versions)],
    field: 'spec',
    schemaName: 'validation',
    hasStatus: versions.some(hasStatus),
    without: 'may only be set when validations.schema is included',
    old,
  });
}

interface Parts {
  version: Version;
  parts: readonly Part[];
  field: string;
  schemaName: string;
  hasStatus: boolean;
  /** What is said of selectable fields without a schema. */
  without: string;
  old: CustomResourceDefinitionSpec | undefined;
}

function* validateParts(each: Parts): Iterable<FieldError> {
  const { version, parts, field } = each;
  const { schema, subresources } = version;
  for (const part of parts) {
    const at = `${field}.${part}`;
    if (part === 'schema' && schema) yield* validateSchema(each, schema, `${field}.${each.schemaName}`);
    if (part === 'subresources' && subresources) yield* validateSubresources(subresources, at);
    if (part === 'additionalPrinterColumns') {
      for (const [i, column] of (version[part] ?? []).entries()) yield* validateColumn(column, `${at}[${i}]`);
    }
    if (part === 'selectableFields') yield* validateSelectable(version[part] ?? [], schema, at, each.without);
  }
}

/** As upstream's own type of versions is written; what they have in common is not in it. */
export function shownVersions(versions: Versions): object[] {
  const shared = sharedParts(versions);
  const nothing = Object.fromEntries([...shared].map((part) => [part, undefined]));
  return versions.map((version) =>
    goStruct(
      { ...version, ...nothing },
      {
        Name: '',
        Served: false,
        Storage: false,
        Deprecated: false,
        DeprecationWarning: null,
        Schema: null,
        Subresources: null,
        AdditionalPrinterColumns: null,
        SelectableFields: null,
      },
    ),
  );
}

function* deprecation(
  { deprecated, deprecationWarning }: CustomResourceDefinitionVersion,
  field: string,
): Iterable<FieldError> {
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
    const index = Buffer.byteLength(deprecationWarning.slice(0, at));
    yield say(`must only contain printable UTF-8 characters; non-printable character found at index ${index}`);
  }
}

function validateSchema(
  { version, hasStatus: isStatusApart, old }: Parts,
  { openAPIV3Schema: schema }: CustomResourceValidation,
  field: string,
): FieldError[] {
  if (!schema) return [];
  const at = `${field}.openAPIV3Schema`;
  const found = [...validateSchemaRoot(schema, at, isStatusApart)];
  const structure = validateStructural(schema, at);
  const shape = structure.length > 0 ? structure : validateDefaults(schema, at);
  const wrong = validateOpenApiSchema(schema, at);
  found.push(...shape, ...wrong);
  if (shape.length > 0) return found;
  // Rules about a schema that is wrong, there or below, could only be misunderstood.
  const isWrong = (place: string) => wrong.some((each) => isWithin(each.field, place));
  const before = old?.versions.find((each) => each.name === version.name)?.schema?.openAPIV3Schema;
  found.push(...validateRules(schema, at, { isUnchanged: deepEqual(before, schema), isWrong }));
  return found;
}

const isWithin = (field: string, place: string) =>
  field === place || field.startsWith(`${place}.`) || field.startsWith(`${place}[`);

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
  withoutSchema: string,
): Iterable<FieldError> {
  if (fields.length === 0) return;
  if (!schema?.openAPIV3Schema) {
    yield invalid(field, '', withoutSchema);
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
