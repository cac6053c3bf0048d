// Counts of replicas in specifications and statuses of workloads, and numbers that may be percentages of them.
import { fieldErrors } from '../field-error.ts';
import { isPercent } from '../names.ts';
import { type Findings, invalidEach, nonNegative } from './checks.ts';

const { invalid } = fieldErrors;

type IntOrPercent = number | string | undefined;

export function* intOrPercent(value: IntOrPercent, field: string): Findings {
  if (typeof value === 'string') yield* invalidEach(field, value, isPercent(value));
  else yield* nonNegative(value, field);
}

export function* notMoreThan100Percent(value: IntOrPercent, field: string): Findings {
  if (typeof value === 'string' && percentOf(value) > 100) yield invalid(field, value, 'must not be greater than 100%');
}

const percentOf = (value: string): number => (isPercent(value).length === 0 ? Number(value.slice(0, -1)) : 0);

export const isZero = (value: IntOrPercent): boolean =>
  typeof value === 'string' ? percentOf(value) === 0 : (value ?? 0) === 0;

interface ReplicaCounts {
  replicas?: number;
  fullyLabeledReplicas?: number;
  updatedReplicas?: number;
  readyReplicas?: number;
  availableReplicas?: number;
  unavailableReplicas?: number;
  terminatingReplicas?: number;
  observedGeneration?: number;
  collisionCount?: number;
}

/** None is negative, and none counts more than the replicas there are. */
export function* validateReplicaCounts(status: ReplicaCounts, old: ReplicaCounts | undefined): Findings {
  const counts: (keyof ReplicaCounts)[] = [
    'replicas',
    'fullyLabeledReplicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'terminatingReplicas',
    'observedGeneration',
    'collisionCount',
  ];
  for (const name of counts) yield* nonNegative(status[name], `status.${name}`);
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0 } = status;
  for (const name of ['fullyLabeledReplicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas'] as const) {
    const count = status[name] ?? 0;
    if (count > replicas) yield invalid(`status.${name}`, count, 'cannot be greater than status.replicas');
  }
  if (availableReplicas > readyReplicas) {
    yield invalid('status.availableReplicas', availableReplicas, 'cannot be greater than readyReplicas');
  }
  if (old?.collisionCount !== undefined && (status.collisionCount ?? -1) < old.collisionCount) {
    yield invalid('status.collisionCount', status.collisionCount, 'cannot be decremented');
  }
}
