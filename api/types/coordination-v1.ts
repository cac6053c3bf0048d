// Generated from api/schema/coordination.v1.txt by scripts/generate-types.ts; do not edit.
import type * as meta from './meta.ts';

export interface Lease {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ObjectMeta;
  spec?: LeaseSpec;
}

export interface LeaseList {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ListMeta;
  items: Lease[];
}

export interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
  strategy?: string;
  preferredHolder?: string;
}
