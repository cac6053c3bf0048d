// Tables, as `kubectl get` shows them: column definitions and one row of cells per object, from the kind's own data. Pure.
import type { Cell, Column, Kind, RowCondition } from './kind.ts';
import { sectionText } from './descriptions.ts';
import { errors } from './errors.ts';
import type { KubeObject } from './object.ts';
import { fieldErrorMessage, fieldErrors } from './field-error.ts';

/** How much of each object a row carries besides its cells. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableListMeta {
  resourceVersion?: string;
  continue?: string;
  remainingItemCount?: number;
}

export interface TableColumnDefinition {
  name: string;
  type: Column['type'];
  format: string;
  description: string;
  priority: number;
}

export interface TableRow {
  cells: Cell[];
  conditions?: readonly RowCondition[];
  object?: object;
}

export interface Table {
  kind: 'Table';
  apiVersion: string;
  metadata: TableListMeta;
  columnDefinitions: TableColumnDefinition[];
  rows: TableRow[];
}

export interface TableOptions {
  nowMs: number;
  /** Of meta.k8s.io: `v1` or `v1beta1`. */
  version: string;
  includeObject: IncludeObject;
}

/** Reads `?includeObject=`; absent means metadata. Throws ApiError 400 in upstream's words. */
export function parseIncludeObject(value: string | null | undefined): IncludeObject {
  if (value === null || value === undefined || value === '') return 'Metadata';
  if (value === 'None' || value === 'Metadata' || value === 'Object') return value;
  throw errors.badRequest(
    fieldErrorMessage(fieldErrors.invalid('includeObject', value, "must be 'Metadata', 'Object', 'None', or empty")),
  );
}

export function tableOf(
  kind: Kind,
  objects: readonly KubeObject[],
  options: TableOptions & { metadata: TableListMeta },
): Table {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: options.metadata,
    columnDefinitions: columnDefinitions(kind),
    rows: objects.map((each) => tableRow(kind, each, options)),
  };
}

/** Said again with every table of a kind. */
const definitions = new WeakMap<Kind, TableColumnDefinition[]>();

export function columnDefinitions(kind: Kind): TableColumnDefinition[] {
  let found = definitions.get(kind);
  if (!found) {
    found = kind.columns.map((each) => ({
      name: each.name,
      type: each.type,
      format: each.format ?? '',
      description: each.description ?? columnText(kind.kind, each.name) ?? '',
      priority: each.priority,
    }));
    definitions.set(kind, found);
  }
  return found;
}

/** What a column of a built-in kind shows. */
export function columnText(kind: string, column: string): string | undefined {
  return sectionText('columns', kind, column) ?? sectionText('columns', '*', column);
}

/** The object must have its apiVersion and kind for `Object`. */
export function tableRow(kind: Kind, object: KubeObject, options: TableOptions): TableRow {
  const conditions = kind.rowConditions?.(object) ?? [];
  const row = {
    cells: kind.cells(object, { nowMs: options.nowMs }),
    ...(conditions.length > 0 && { conditions }),
  };
  switch (options.includeObject) {
    case 'None':
      return row;
    case 'Object':
      return { ...row, object };
    case 'Metadata':
      return { ...row, object: partialObject(object, options.version) };
  }
}

/** The object with its metadata only. */
export function partialObject(object: KubeObject, version = 'v1'): object {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata };
}
