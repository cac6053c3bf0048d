// Generated from api/schema/scheduling.v1.txt by scripts/generate-types.ts; do not edit.
import type * as meta from './meta.ts';

export interface PriorityClass {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ObjectMeta;
  value?: number;
  globalDefault?: boolean;
  description?: string;
  preemptionPolicy?: string;
}

export interface PriorityClassList {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ListMeta;
  items: PriorityClass[];
}
