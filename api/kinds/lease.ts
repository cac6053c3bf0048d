// coordination.k8s.io/v1 Lease: heartbeats and leader election.
import { age } from '../duration.ts';
import type { Lease } from '../types/coordination-v1.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isQualifiedName } from '../names.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const lease = defineKind<Lease>({
  group: 'coordination.k8s.io',
  version: 'v1',
  kind: 'Lease',
  resource: 'leases',
  namespaced: true,
  schema: 'coordination.v1.Lease',
  columns: [NAME_COLUMN, 'Holder', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.holderIdentity ?? '',
    age(object.metadata.creationTimestamp, nowMs),
  ],
  allowCreateOnUpdate: true,
  allowUnconditionalUpdate: false,
  validate,
});

function validate({ spec = {} }: Lease): FieldError[] {
  const { leaseDurationSeconds, leaseTransitions, strategy, preferredHolder } = spec;
  const found: FieldError[] = [];
  if (leaseDurationSeconds !== undefined && leaseDurationSeconds <= 0) {
    found.push(fieldErrors.invalid('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0'));
  }
  if (leaseTransitions !== undefined && leaseTransitions < 0) {
    found.push(fieldErrors.invalid('spec.leaseTransitions', leaseTransitions, 'must be greater than or equal to 0'));
  }
  if (strategy !== undefined) found.push(...validateStrategy(strategy, 'spec.strategy.strategy'));
  if (preferredHolder && !strategy) {
    found.push(fieldErrors.forbidden('spec.preferredHolder', 'may only be specified if `strategy` is defined'));
  }
  return found;
}

const STRATEGIES = ['OldestEmulationVersion'];

function validateStrategy(strategy: string, field: string): FieldError[] {
  if (strategy.includes('/')) {
    return isQualifiedName(strategy).map((message) => fieldErrors.invalid(field, strategy, message));
  }
  return STRATEGIES.includes(strategy) ? [] : [fieldErrors.notSupported(field, strategy, STRATEGIES)];
}
