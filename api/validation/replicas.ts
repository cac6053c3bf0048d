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

/** What each kind counts, in upstream's order. */
const COUNTS = {
  deployment: [
    'observedGeneration',
    'replicas',
    'updatedReplicas',
    'readyReplicas',
    'availableReplicas',
    'unavailableReplicas',
    'terminatingReplicas',
    'collisionCount',
  ],
  replicaSet: [
    'replicas',
    'fullyLabeledReplicas',
    'readyReplicas',
    'availableReplicas',
    'observedGeneration',
    'terminatingReplicas',
  ],
} as const;
const PARTS = ['fullyLabeledReplicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas'] as const;

/** None is negative, and none counts more than the replicas there are. */
export function* validateReplicaCounts(
  kind: keyof typeof COUNTS,
  status: ReplicaCounts = {},
  old: ReplicaCounts = {},
): Findings {
  for (const name of COUNTS[kind]) yield* nonNegative(status[name], `status.${name}`);
  const { replicas = 0, readyReplicas = 0, availableReplicas = 0, collisionCount } = status;
  for (const name of PARTS) {
    const count = status[name] ?? 0;
    if (count > replicas) yield invalid(`status.${name}`, count, 'cannot be greater than status.replicas');
  }
  if (availableReplicas > readyReplicas) {
    yield invalid('status.availableReplicas', availableReplicas, 'cannot be greater than readyReplicas');
  }
  if (old.collisionCount !== undefined && (collisionCount ?? -1) < old.collisionCount) {
    yield invalid('status.collisionCount', collisionCount ?? 0, 'cannot be decremented');
  }
}
