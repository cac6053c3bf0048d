// networking.k8s.io/v1 ServiceCIDR: a range of addresses for Services.
import { age } from '../duration.ts';
import { fieldErrors, goStruct } from '../field-error.ts';
import type { ServiceCIDR } from '../types/networking-v1.ts';
import { type Findings, IMMUTABLE } from '../validation/checks.ts';
import { canonicalCidr, isCidr, isDualStack } from '../validation/ip.ts';
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
  statusKeepsMetadata: true,
  statusOnCreate: true,
  validate: (object) => [...findings(object)],
  validateUpdate: (object, old) => [...changes(object, old)],
});

const FIELD = 'spec.cidrs';

/** A second range may be added, for the other family. */
function* changes(object: ServiceCIDR, old: ServiceCIDR): Findings {
  const cidrs = object.spec?.cidrs ?? [];
  const before = old.spec?.cidrs ?? [];
  const isGrown = before.length === 1 && cidrs.length === 2;
  if (cidrs.length !== before.length && !isGrown) {
    yield invalid(FIELD, object.spec?.cidrs, IMMUTABLE);
    return;
  }
  for (const [i, cidr] of before.entries()) {
    if (cidrs[i] !== cidr) yield invalid(`${FIELD}[${i}]`, cidrs[i], IMMUTABLE);
  }
  if (isGrown) yield* findings(object);
}

function* findings({ spec = {} }: ServiceCIDR): Findings {
  const cidrs = spec.cidrs ?? [];
  if (cidrs.length === 0) yield required(FIELD, 'at least one CIDR required');
  else if (cidrs.length > 2) yield invalid(FIELD, goStruct(spec, { CIDRs: null }), 'may only hold up to 2 values');
  else {
    for (const [i, cidr] of cidrs.entries()) yield* canonicalCidr(cidr, `${FIELD}[${i}]`);
    if (cidrs.length === 2 && cidrs.every(isCidr) && !isDualStack(cidrs)) {
      const text = 'may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64';
      yield invalid(FIELD, cidrs, text);
    }
  }
}
