// Generated from api/schema/discovery.v1.txt by scripts/generate-types.ts; do not edit.
import type * as core_v1 from './core-v1.ts';
import type * as meta from './meta.ts';

export interface Endpoint {
  addresses: string[];
  conditions?: EndpointConditions;
  hostname?: string;
  targetRef?: core_v1.ObjectReference;
  deprecatedTopology?: Record<string, string>;
  nodeName?: string;
  zone?: string;
  hints?: EndpointHints;
}

export interface EndpointConditions {
  ready?: boolean;
  serving?: boolean;
  terminating?: boolean;
}

export interface EndpointHints {
  forZones?: ForZone[];
  forNodes?: ForNode[];
}

export interface EndpointPort {
  name?: string;
  protocol?: string;
  port?: number;
  appProtocol?: string;
}

export interface EndpointSlice {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ObjectMeta;
  endpoints?: Endpoint[];
  ports?: EndpointPort[];
  addressType: string;
}

export interface EndpointSliceList {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ListMeta;
  items: EndpointSlice[];
}

export interface ForNode {
  name: string;
}

export interface ForZone {
  name: string;
}
