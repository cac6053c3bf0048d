// Printer columns of a custom resource (k8s.io/apiextensions-apiserver/pkg/registry/customresource/tableconvertor): the name,
// then what the definition asks for, or the age.
import { age } from '../duration.ts';
import type { Cell, Column, TableContext } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import type { CustomResourceColumnDefinition } from '../types/apiextensions-v1.ts';
import { JsonPathError, type JsonPath, parseJsonPath, printJsonValue } from './json-path.ts';

const NAME: Column = { name: 'Name', type: 'string', format: 'name', priority: 0 };

const AGE: CustomResourceColumnDefinition = { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' };

export interface CustomTable {
  columns: Column[];
  cells(object: KubeObject, context: TableContext): Cell[];
}

export function customTable(additional: readonly CustomResourceColumnDefinition[] | undefined): CustomTable {
  const wanted = additional && additional.length > 0 ? additional : [AGE];
  const readers = wanted.map(({ type, jsonPath }) => ({ type, path: pathOf(jsonPath) }));
  return {
    columns: [
      NAME,
      ...wanted.map((each) => ({
        name: each.name,
        type: each.type as Column['type'],
        ...(each.format && { format: each.format }),
        ...(each !== AGE && { description: describe(each) }),
        priority: each.priority ?? 0,
      })),
    ],
    cells: (object, context) => [
      object.metadata.name ?? '',
      ...readers.map(({ type, path }) => cellOf(type, path?.find(object)[0], context)),
    ],
  };
}

/** Upstream's words for a column that says nothing of itself: clients know them. */
const describe = ({ description, jsonPath }: CustomResourceColumnDefinition): string =>
  description || `Custom resource definition column (in JSONPath format): ${jsonPath}`;

/** A path that was accepted once and cannot be read shows nothing. */
function pathOf(text: string): JsonPath | undefined {
  try {
    return parseJsonPath(text);
  } catch (error) {
    if (error instanceof JsonPathError) return undefined;
    throw error;
  }
}

function cellOf(type: string, value: unknown, { nowMs }: TableContext): Cell {
  if (value === undefined || value === null) return null;
  switch (type) {
    case 'string':
      return printJsonValue(value);
    case 'integer':
      return typeof value === 'number' ? Math.trunc(value) : null;
    case 'number':
      return typeof value === 'number' ? value : null;
    case 'boolean':
      return typeof value === 'boolean' ? value : null;
    case 'date':
      if (typeof value !== 'string') return null;
      return Number.isNaN(Date.parse(value)) ? '<invalid>' : age(value, nowMs);
    default:
      return null;
  }
}
