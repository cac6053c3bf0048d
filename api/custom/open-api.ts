// The schema of a custom resource as OpenAPI documents show it: whole in 3.0; in 2.0 without what that dialect does not have
// (k8s.io/apiextensions-apiserver/pkg/controller/openapi).
import { sectionText } from '../descriptions.ts';
import type { JSONSchemaProps } from '../types/apiextensions-v1.ts';
import { isMap, type Json } from './structural.ts';

type Dialect = 'v2' | 'v3';

const OBJECT_META = 'io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta';
/** Not in 2.0, where clients must not refuse what the server would take. */
const ONLY_V3 = new Set(['oneOf', 'anyOf', 'allOf', 'not', 'nullable', 'x-kubernetes-validations']);
const LISTS = new Set(['oneOf', 'anyOf', 'allOf']);

export function publishedSchema(props: JSONSchemaProps | undefined, dialect: Dialect): Json {
  if (!props) return { type: 'object', 'x-kubernetes-preserve-unknown-fields': true };
  return publish(props as Json, dialect, true);
}

function publish(props: Json, dialect: Dialect, isRoot: boolean): Json {
  // Of what may have any fields, 2.0 says nothing more: its clients would refuse the unknown ones.
  const isOpen = dialect === 'v2' && props['x-kubernetes-preserve-unknown-fields'] === true;
  const isAnyType = dialect === 'v2' && (props['x-kubernetes-int-or-string'] === true || props['nullable'] === true);
  const schema: Json = {};
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || (dialect === 'v2' && ONLY_V3.has(name))) continue;
    if (isOpen && (name === 'properties' || name === 'items' || name === 'required' || name === 'additionalProperties'))
      continue;
    if ((isOpen && !isRoot && name === 'type') || (isAnyType && name === 'type')) continue;
    if (name === 'properties' && isMap(value)) schema[name] = eachSchema(value, dialect);
    else if ((name === 'items' || name === 'additionalProperties' || name === 'not') && isMap(value)) {
      schema[name] = publish(value, dialect, false);
    } else if (LISTS.has(name) && Array.isArray(value)) {
      schema[name] = value.map((each) => (isMap(each) ? publish(each, dialect, false) : each));
    } else schema[name] = value;
  }
  if (props['x-kubernetes-embedded-resource'] === true && !isRoot && !isOpen) {
    const reference = { $ref: `${dialect === 'v3' ? '#/components/schemas/' : '#/definitions/'}${OBJECT_META}` };
    schema['properties'] = {
      ...(schema['properties'] as Json | undefined),
      apiVersion: { ...told('apiVersion'), type: 'string' },
      kind: { ...told('kind'), type: 'string' },
      metadata: { ...told('metadata'), ...(dialect === 'v3' ? { allOf: [reference] } : reference) },
    };
  }
  return schema;
}

/** What every object has is said once. */
const told = (field: string): Json => ({ description: sectionText('shared', '*', field) });

const eachSchema = (schemas: Json, dialect: Dialect): Json =>
  Object.fromEntries(
    Object.entries(schemas).map(([name, each]) => [name, isMap(each) ? publish(each, dialect, false) : each]),
  );
