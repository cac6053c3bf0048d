// OpenAPI schemas from the schema facts, in the two dialects: 3.0 (components) and 2.0 (definitions). Names are upstream's,
// because clients find types by them and by their `x-kubernetes-group-version-kind`. Descriptions are our own.
import { fieldText, typeText } from './descriptions.ts';
import { type Definition, type Field, findDefinition, groupDefinitions, type Scalar, type TypeRef } from './schema.ts';
import type { Scheme } from './scheme.ts';

export type Dialect = 'v2' | 'v3';
export type JsonSchema = Record<string, unknown>;

export interface GroupVersionKindEntry {
  group: string;
  version: string;
  kind: string;
}

const PREFIXES: Readonly<Record<string, string>> = {
  meta: 'io.k8s.apimachinery.pkg.apis.meta.v1',
  version: 'io.k8s.apimachinery.pkg.version',
  'apiextensions.v1': 'io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1',
  'apiregistration.v1': 'io.k8s.kube-aggregator.pkg.apis.apiregistration.v1',
};

/** Definitions that stand for scalars with a name of their own. */
const NAMED_SCALARS: Partial<Record<Scalar, string>> = {
  time: 'io.k8s.apimachinery.pkg.apis.meta.v1.Time',
  microtime: 'io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime',
  fields: 'io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1',
  quantity: 'io.k8s.apimachinery.pkg.api.resource.Quantity',
  intstr: 'io.k8s.apimachinery.pkg.util.intstr.IntOrString',
  raw: 'io.k8s.apimachinery.pkg.runtime.RawExtension',
};

/** `core.v1.Pod` → `io.k8s.api.core.v1.Pod`. */
export function openApiName(definitionName: string): string {
  const dot = definitionName.lastIndexOf('.');
  const group = definitionName.slice(0, dot);
  return `${PREFIXES[group] ?? `io.k8s.api.${group}`}.${definitionName.slice(dot + 1)}`;
}

/** The schema file of an API group's version: `rbac.authorization.k8s.io`, `v1` → `rbac.v1`. */
export function schemaGroup(group: string, version: string): string {
  return `${group === '' ? 'core' : group.split('.')[0]}.${version}`;
}

/** The definition of a kind that is not in the scheme itself (lists, subresources), if there is one. */
export function definitionOf(group: string, version: string, kind: string): string | undefined {
  const name = `${schemaGroup(group, version)}.${kind}`;
  return findDefinition(name) ? name : undefined;
}

export const described = (text: string | undefined): JsonSchema => (text ? { description: text } : {});

/** Collects the schemas that some roots need, each once. */
export class SchemaSet {
  readonly schemas: Record<string, JsonSchema> = {};
  #dialect: Dialect;
  #kindGroups: Map<string, string>;
  #deleteOptions: GroupVersionKindEntry[];

  constructor(dialect: Dialect, scheme: Scheme) {
    this.#dialect = dialect;
    this.#kindGroups = new Map([['meta', '']]);
    const seen = new Map<string, GroupVersionKindEntry>();
    for (const kind of scheme.kinds()) {
      if (kind.schema !== '') {
        this.#kindGroups.set(kind.schema.slice(0, kind.schema.lastIndexOf('.')), kind.group);
      }
      const entry = { group: kind.group, version: kind.version, kind: 'DeleteOptions' };
      seen.set(`${kind.group}/${kind.version}`, entry);
    }
    this.#deleteOptions = [...seen.values()];
  }

  /** A reference to the definition, which is added with everything it needs. */
  ref(definitionName: string): JsonSchema {
    const found = findDefinition(definitionName);
    if (!found) throw new Error(`no schema definition ${definitionName}`);
    const name = openApiName(definitionName);
    if (!(name in this.schemas)) {
      // Taken before it is built: definitions may contain themselves.
      this.schemas[name] = {};
      this.schemas[name] = this.#definition(found);
    }
    return this.#refTo(name);
  }

  /** Adds a schema of the caller's own, such as a custom resource's. */
  add(name: string, schema: JsonSchema): JsonSchema {
    this.schemas[name] = schema;
    return this.#refTo(name);
  }

  #refTo(name: string): JsonSchema {
    return { $ref: `${this.#dialect === 'v3' ? '#/components/schemas/' : '#/definitions/'}${name}` };
  }

  #definition(found: Definition): JsonSchema {
    const description = described(typeText(found.name));
    if (found.scalar !== undefined) return { ...description, ...(found.scalar === 'object' && { type: 'object' }) };
    const properties: Record<string, JsonSchema> = {};
    if (found.isKind) {
      for (const name of ['apiVersion', 'kind']) {
        properties[name] = { type: 'string', ...described(fieldText(found, name)) };
      }
    }
    const required: string[] = [];
    for (const field of found.fields.values()) {
      properties[field.name] = this.#field(field, fieldText(found, field.name));
      if (field.required) required.push(field.name);
    }
    const entries = this.#entriesOf(found);
    return {
      ...description,
      type: 'object',
      ...(required.length > 0 && { required: required.sort() }),
      properties,
      ...(found.mapType === 'atomic' && { 'x-kubernetes-map-type': 'atomic' }),
      ...(entries.length > 0 && { 'x-kubernetes-group-version-kind': entries }),
    };
  }

  #entriesOf(found: Definition): GroupVersionKindEntry[] {
    const dot = found.name.lastIndexOf('.');
    const file = found.name.slice(0, dot);
    const kind = found.name.slice(dot + 1);
    if (found.name === 'meta.DeleteOptions') return this.#deleteOptions;
    if (!found.isKind) return [];
    const version = file === 'meta' ? 'v1' : file.slice(file.indexOf('.') + 1);
    const group = this.#kindGroups.get(file) ?? file.slice(0, Math.max(0, file.indexOf('.')));
    return [{ group, version, kind }];
  }

  #field(field: Field, text: string | undefined): JsonSchema {
    const schema = this.#type(field.type);
    const extras: JsonSchema = described(text);
    if (field.enum) {
      const target = field.type.kind === 'list' ? (schema['items'] as JsonSchema) : schema;
      target['enum'] = [...field.enum];
    }
    if (field.default !== undefined) extras['default'] = field.default;
    if (field.type.kind === 'list') {
      extras['x-kubernetes-list-type'] = field.listType;
      if (field.listType === 'map') extras['x-kubernetes-list-map-keys'] = [...field.mapKeys];
    }
    if (field.mapType === 'atomic') extras['x-kubernetes-map-type'] = 'atomic';
    if (field.patchStrategy.length > 0) extras['x-kubernetes-patch-strategy'] = field.patchStrategy.join(',');
    if (field.patchMergeKey !== undefined) extras['x-kubernetes-patch-merge-key'] = field.patchMergeKey;
    if (Object.keys(extras).length === 0) return schema;
    return this.beside(schema, extras);
  }

  /** `schema` with more members: a reference has no siblings in 3.0. */
  beside(schema: JsonSchema, extras: JsonSchema): JsonSchema {
    return this.#dialect === 'v3' && '$ref' in schema ? { allOf: [schema], ...extras } : { ...schema, ...extras };
  }

  #type(type: TypeRef): JsonSchema {
    switch (type.kind) {
      case 'list':
        return { type: 'array', items: this.#type(type.of) };
      case 'map':
        return { type: 'object', additionalProperties: this.#type(type.of) };
      case 'ref':
        return this.ref(type.name);
      case 'scalar':
        return this.#scalar(type.scalar);
    }
  }

  #scalar(scalar: Scalar): JsonSchema {
    const named = NAMED_SCALARS[scalar];
    if (named) {
      this.schemas[named] ??= { ...described(typeText(`meta.${named.split('.').at(-1)}`)), ...this.#named(scalar) };
      return this.#refTo(named);
    }
    switch (scalar) {
      case 'bool':
        return { type: 'boolean' };
      case 'int32':
      case 'int64':
        return { type: 'integer', format: scalar };
      case 'double':
        return { type: 'number', format: 'double' };
      case 'bytes':
        return { type: 'string', format: 'byte' };
      case 'any':
        return {};
      case 'object':
        return { type: 'object' };
      default:
        return { type: 'string' };
    }
  }

  #named(scalar: Scalar): JsonSchema {
    const isV3 = this.#dialect === 'v3';
    switch (scalar) {
      case 'time':
      case 'microtime':
        return { type: 'string', format: 'date-time' };
      case 'quantity':
        return isV3 ? { oneOf: [{ type: 'string' }, { type: 'number' }] } : { type: 'string' };
      case 'intstr':
        return isV3
          ? { format: 'int-or-string', oneOf: [{ type: 'integer' }, { type: 'string' }] }
          : { type: 'string', format: 'int-or-string' };
      default:
        return { type: 'object' };
    }
  }
}

/** Every definition of a group's version that carries apiVersion and kind. */
export function kindDefinitions(group: string, version: string): string[] {
  return [...groupDefinitions(schemaGroup(group, version)).values()]
    .filter((each) => each.isKind)
    .map((each) => each.name);
}
