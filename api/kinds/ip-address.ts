// networking.k8s.io/v1 IPAddress: an address of the cluster and whose it is.
import { semanticEqual } from '../equality.ts';
import { fieldErrors, goStruct } from '../field-error.ts';
import type { IPAddress } from '../types/networking-v1.ts';
import { dnsSubdomain, type Findings, IMMUTABLE, pathSegment } from '../validation/checks.ts';
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
  validateUpdate: (object, old) => {
    const parent = object.spec?.parentRef;
    const isSame = semanticEqual(parent, old.spec?.parentRef);
    const shown = parent && goStruct(parent, { Group: '', Resource: '', Namespace: '', Name: '' });
    return [...findings(object), ...(isSame ? [] : [invalid('spec.parentRef', shown, IMMUTABLE)])];
  },
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
  if (group) yield* dnsSubdomain(group, `${field}.group`);
  yield* pathSegment(resource, `${field}.resource`);
  yield* pathSegment(name, `${field}.name`);
  if (namespace) yield* pathSegment(namespace, `${field}.namespace`);
}
