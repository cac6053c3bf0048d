// Keys of a Secret or ConfigMap as files in a volume.
import { fieldErrors } from '../field-error.ts';
import type { KeyToPath } from '../types/core-v1.ts';
import { fileMode, type Findings, unreservedPath } from './checks.ts';

const { required } = fieldErrors;

export function* validateKeysToPaths(items: readonly KeyToPath[] | undefined, field: string): Findings {
  for (const [i, item] of (items ?? []).entries()) yield* validateKeyToPath(item, `${field}[${i}]`);
}

export function* validateKeyToPath(item: KeyToPath, field: string): Findings {
  if (!item.key) yield required(`${field}.key`);
  if (!item.path) yield required(`${field}.path`);
  yield* unreservedPath(item.path ?? '', `${field}.path`);
  yield* fileMode(item.mode, `${field}.mode`);
}
