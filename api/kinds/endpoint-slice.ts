// discovery.k8s.io/v1 EndpointSlice: a part of a Service's addresses.
import { age } from '../duration.ts';
import type { EndpointSlice } from '../types/discovery-v1.ts';
import { semanticEqual } from '../equality.ts';
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
  /** There is no spec: everything but the metadata counts. */
  prepareForUpdate(object, old) {
    const { metadata, apiVersion: _a, kind: _k, ...content } = object;
    const { metadata: was, apiVersion: _b, kind: _l, ...oldContent } = old;
    if (!semanticEqual(content, oldContent)) metadata.generation = (was.generation ?? 0) + 1;
  },

  validate: validateEndpointSlice,
  validateUpdate: validateEndpointSliceUpdate,
});
