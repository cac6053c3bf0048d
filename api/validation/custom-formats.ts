// The formats in the schemas of a definition: one that nobody knows is not checked, and its author is told so
// (k8s.io/apiextensions-apiserver/pkg/registry/customresourcedefinition/strategy.go).
import { isKnownFormat } from '../custom/formats.ts';
import { isMap } from '../custom/structural.ts';
import type { CustomResourceDefinitionSpec, JSONSchemaProps } from '../types/apiextensions-v1.ts';

/** Every schema of every version, each before what is below it. */
export function schemasIn({ versions }: CustomResourceDefinitionSpec): JSONSchemaProps[] {
  const found: JSONSchemaProps[] = [];
  for (const { schema } of versions) collect(schema?.openAPIV3Schema, found);
  return found;
}

function collect(schema: unknown, found: JSONSchemaProps[]): void {
  if (Array.isArray(schema)) {
    for (const each of schema) collect(each, found);
    return;
  }
  if (!isMap(schema)) return;
  const each = schema as JSONSchemaProps;
  found.push(each);
  for (const part of [each.items, each.allOf, each.anyOf, each.oneOf, each.not]) collect(part, found);
  for (const below of Object.values(each.properties ?? {})) collect(below, found);
  collect(each.additionalProperties, found);
}

const unknownFormats = (spec: CustomResourceDefinitionSpec): Set<string> =>
  new Set(
    schemasIn(spec).flatMap(({ type, format }) => (format && !isKnownFormat(type ?? '', format) ? [format] : [])),
  );

/** Of an update, of what is new in it. */
export function formatWarnings(spec: CustomResourceDefinitionSpec, old?: CustomResourceDefinitionSpec): string[] {
  const before = old && unknownFormats(old);
  return [...unknownFormats(spec)]
    .filter((each) => !before?.has(each))
    .map((each) => `unrecognized format ${JSON.stringify(each)}`);
}
