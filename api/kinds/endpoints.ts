// core/v1 Endpoints: a Service's addresses in the old form (deprecated in favour of EndpointSlice, still read by many).
import { age } from '../duration.ts';
import type { Endpoints } from '../types/core-v1.ts';
import { validateEndpoints } from '../validation/endpoints.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { firstThree, hostPort } from './parts/cells.ts';

export const endpoints = defineKind<Endpoints>({
  group: '',
  version: 'v1',
  kind: 'Endpoints',
  resource: 'endpoints',
  shortNames: ['ep'],
  namespaced: true,
  schema: 'core.v1.Endpoints',
  columns: [NAME_COLUMN, 'Endpoints', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    firstThree(readyAddresses(object), '<none>'),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  allowCreateOnUpdate: true,
  deprecation: 'v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice',

  setDefaults(object) {
    for (const subset of object.subsets ?? []) {
      for (const port of subset.ports ?? []) port.protocol ||= 'TCP';
    }
  },

  validate: validateEndpoints,
});

function readyAddresses(object: Endpoints): string[] {
  return (object.subsets ?? []).flatMap((subset) => {
    const addresses = subset.addresses ?? [];
    // A headless Service may have none.
    if (!subset.ports?.length) return addresses.map((each) => each.ip);
    return subset.ports.flatMap((port) => addresses.map((each) => hostPort(each.ip, port.port)));
  });
}
