// Conditions of the common form (metav1.Condition), as upstream checks them (k8s.io/apimachinery/pkg/apis/meta/v1/validation).
import { fieldErrors } from '../field-error.ts';
import { byteLength, regexError } from '../names.ts';
import type { Condition } from '../types/meta.ts';
import { type Findings, labelKey } from './checks.ts';

const { duplicate, invalid, notSupported, required, tooLong } = fieldErrors;

const STATUSES = ['False', 'True', 'Unknown'];
const REASON = '[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?';
const reasonPattern = new RegExp(`^${REASON}$`);
const REASON_ERROR = regexError(
  "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'",
  REASON,
  'my_name',
  'MY_NAME',
  'MyName',
  'ReasonA,ReasonB',
  'ReasonA:ReasonB',
);
const REASON_MAX = 1024;
const MESSAGE_MAX = 32 * 1024;

export function* validateConditions(conditions: readonly Partial<Condition>[] | undefined, field: string): Findings {
  const seen = new Set<string>();
  for (const [i, condition] of (conditions ?? []).entries()) {
    const type = condition.type ?? '';
    if (seen.has(type)) yield duplicate(`${field}[${i}].type`, type);
    seen.add(type);
    yield* validateCondition(condition, `${field}[${i}]`);
  }
}

function* validateCondition(condition: Partial<Condition>, field: string): Findings {
  const { type = '', status = '', reason = '', message = '', observedGeneration = 0 } = condition;
  yield* labelKey(type, `${field}.type`);
  if (!STATUSES.includes(status)) yield notSupported(`${field}.status`, status, STATUSES);
  if (observedGeneration < 0) {
    yield invalid(`${field}.observedGeneration`, observedGeneration, 'must be greater than or equal to zero');
  }
  if (!condition.lastTransitionTime) yield required(`${field}.lastTransitionTime`, 'must be set');
  if (!reason) yield required(`${field}.reason`, 'must be set');
  else {
    const isLong = byteLength(reason) > REASON_MAX;
    // What is much too long is not matched: the pattern backtracks.
    if (!reasonPattern.test(reason.slice(0, 2 * REASON_MAX))) yield invalid(`${field}.reason`, reason, REASON_ERROR);
    if (isLong) yield tooLong(`${field}.reason`, REASON_MAX);
  }
  if (Buffer.byteLength(message) > MESSAGE_MAX) yield tooLong(`${field}.message`, MESSAGE_MAX);
}
