// networking.k8s.io/v1 ServiceCIDR: a range of addresses for Services.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import type { ServiceCIDR } from '../types/networking-v1.ts';
import { type Findings, IMMUTABLE } from '../validation/checks.ts';
import { canonicalCidr, isDualStack } from '../validation/ip.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { invalid, required } = fieldErrors;

export const serviceCidr = defineKind<ServiceCIDR>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'ServiceCIDR',
  resource: 'servicecidrs',
  namespaced: false,
  schema: 'networking.v1.ServiceCIDR',
  columns: [NAME_COLUMN, 'CIDRs', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    (object.spec?.cidrs ?? []).join(','),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasStatus: true,
  prepareForCreate(object) {
    object.status = {};
  },
  validate: (object) => [...findings(object)],
  validateUpdate: ({ spec }, old) =>
    semanticEqual(spec?.cidrs, old.spec?.cidrs) ? [] : [invalid('spec.cidrs', spec?.cidrs, IMMUTABLE)],
});

function* findings({ spec = {} }: ServiceCIDR): Findings {
  const field = 'spec.cidrs';
  const cidrs = spec.cidrs ?? [];
  if (cidrs.length === 0) yield required(field, 'at least one CIDR required');
  else if (cidrs.length > 2) yield invalid(field, spec, 'may only hold up to 2 values');
  else if (cidrs.length === 2 && !isDualStack(cidrs)) {
    const text = 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64';
    yield invalid(field, spec, text);
  } else for (const [i, cidr] of cidrs.entries()) yield* canonicalCidr(cidr, `${field}[${i}]`);
}
