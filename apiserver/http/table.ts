// Tables: what kubectl prints (https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables).
import { errors } from '../../api/errors.ts';
import { fieldErrors } from '../../api/field-error.ts';
import type { Cell, Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';

/** What each row carries of its object. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

export interface TableOptions {
  nowMs: number;
  /** `v1` or `v1beta1` of meta.k8s.io. */
  version: string;
  includeObject: IncludeObject;
}

export function parseIncludeObject(text: string | null): IncludeObject {
  if (text === null || text === '') return 'Metadata';
  if (text === 'None' || text === 'Metadata' || text === 'Object') return text;
  throw errors.invalid({ group: 'meta.k8s.io', kind: 'TableOptions' }, '', [
    fieldErrors.notSupported('includeObject', text, ['Metadata', 'None', 'Object']),
  ]);
}

export function tableOf(
  kind: Kind,
  objects: readonly KubeObject[],
  options: TableOptions & { metadata: object },
): object {
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: options.metadata,
    columnDefinitions: kind.columns.map((column) => ({
      name: column.name,
      type: column.type,
      format: column.format ?? '',
      description: column.description ?? '',
      priority: column.priority,
    })),
    rows: objects.map((object) => tableRow(kind, object, options)),
  };
}

export function tableRow(kind: Kind, object: KubeObject, options: TableOptions): { cells: Cell[]; object?: object } {
  const cells = kind.cells(object, { nowMs: options.nowMs });
  switch (options.includeObject) {
    case 'None':
      return { cells };
    case 'Object':
      return { cells, object };
    default:
      return {
        cells,
        object: {
          kind: 'PartialObjectMetadata',
          apiVersion: `meta.k8s.io/${options.version}`,
          metadata: object.metadata,
        },
      };
  }
}
