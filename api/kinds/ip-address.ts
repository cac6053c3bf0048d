// networking.k8s.io/v1 IPAddress: an address of the cluster and whose it is.
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { isDns1123Subdomain, nameIsPathSegment } from '../names.ts';
import type { IPAddress } from '../types/networking-v1.ts';
import { type Findings, IMMUTABLE, invalidEach } from '../validation/checks.ts';
import { canonicalIpMessages } from '../validation/ip.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { invalid, required } = fieldErrors;

export const ipAddress = defineKind<IPAddress>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IPAddress',
  resource: 'ipaddresses',
  shortNames: ['ip'],
  namespaced: false,
  schema: 'networking.v1.IPAddress',
  columns: [NAME_COLUMN, 'ParentRef'],
  cells: (object) => [nameOf(object), parentOf(object)],
  validateName: (name) => canonicalIpMessages(name),
  validate: (object) => [...findings(object)],
  validateUpdate: ({ spec }, old) =>
    semanticEqual(spec?.parentRef, old.spec?.parentRef) ? [] : [invalid('spec.parentRef', spec?.parentRef, IMMUTABLE)],
});

function parentOf({ spec }: IPAddress): string {
  const parent = spec?.parentRef;
  if (!parent) return '<none>';
  const { group, resource = '', namespace, name = '' } = parent;
  const words = [(group ? `${resource}.${group}` : resource).toLowerCase(), ...(namespace ? [namespace] : []), name];
  return words.join('/');
}

function* findings({ spec }: IPAddress): Findings {
  const field = 'spec.parentRef';
  if (!spec?.parentRef) {
    yield required(field);
    return;
  }
  const { group, resource, namespace, name } = spec.parentRef;
  if (group) yield* invalidEach(`${field}.group`, group, isDns1123Subdomain(group));
  if (!resource) yield required(`${field}.resource`);
  else yield* invalidEach(`${field}.resource`, resource, nameIsPathSegment(resource, false));
  if (!name) yield required(`${field}.name`);
  else yield* invalidEach(`${field}.name`, name, nameIsPathSegment(name, false));
  if (namespace) yield* invalidEach(`${field}.namespace`, namespace, nameIsPathSegment(namespace, false));
}
