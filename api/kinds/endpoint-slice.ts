// discovery.k8s.io/v1 EndpointSlice: a part of a Service's addresses.
import { age } from '../duration.ts';
import type { EndpointSlice } from '../types/discovery-v1.ts';
import { semanticEqual } from '../equality.ts';
import { ipWarnings } from '../validation/ip-warnings.ts';
import { validateEndpointSlice, validateEndpointSliceUpdate } from '../validation/endpoints.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { firstThree } from './parts/cells.ts';

export const endpointSlice = defineKind<EndpointSlice>({
  group: 'discovery.k8s.io',
  version: 'v1',
  kind: 'EndpointSlice',
  resource: 'endpointslices',
  namespaced: true,
  schema: 'discovery.v1.EndpointSlice',
  columns: [NAME_COLUMN, 'AddressType', 'Ports', 'Endpoints', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.addressType,
    firstThree(
      (object.ports ?? []).map((each) => String(each.port ?? each.name ?? '*')),
      '<unset>',
    ),
    firstThree(
      (object.endpoints ?? []).flatMap((each) => each.addresses ?? []),
      '<unset>',
    ),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,

  setDefaults(object) {
    for (const port of object.ports ?? []) {
      port.name ??= '';
      port.protocol ||= 'TCP';
    }
  },
  prepareForCreate: dropTopology,
  /** There is no spec: everything but the metadata counts, and the labels. */
  prepareForUpdate(object, old) {
    const { metadata, apiVersion: _a, kind: _k, ...content } = object;
    const { metadata: was, apiVersion: _b, kind: _l, ...oldContent } = old;
    if (!semanticEqual(content, oldContent) || !semanticEqual(metadata.labels, was.labels)) {
      metadata.generation = (was.generation ?? 0) + 1;
    }
    if (!semanticEqual(object.endpoints, old.endpoints)) dropTopology(object);
  },
  warnings: (object, old) => [
    ...(!old && object.addressType === 'FQDN' ? ['spec.addressType: FQDN endpoints are deprecated'] : []),
    ...addressWarnings(object),
  ],

  validate: validateEndpointSlice,
  validateUpdate: validateEndpointSliceUpdate,
});

/** Was v1beta1's way to say where an endpoint is; not written any more. */
function dropTopology({ endpoints = [] }: EndpointSlice): void {
  for (const each of endpoints) delete each.deprecatedTopology;
}

const CAREFUL_MANAGERS = ['endpointslice-controller.k8s.io', 'endpointslicemirroring-controller.k8s.io'];

function addressWarnings({ metadata, endpoints = [] }: EndpointSlice): string[] {
  if (CAREFUL_MANAGERS.includes(metadata.labels?.['endpointslice.kubernetes.io/managed-by'] ?? '')) return [];
  return endpoints.flatMap(({ addresses = [] }, i) =>
    addresses.flatMap((each, j) => ipWarnings(each, `endpoints[${i}].addresses[${j}]`)),
  );
}
