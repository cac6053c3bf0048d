// When a Job's pods fail or succeed it early (podFailurePolicy, successPolicy), and lists of completion indexes.
import { type FieldError, fieldErrors } from '../field-error.ts';
import type {
  JobSpec,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyOnPodConditionsPattern,
  PodFailurePolicyRule,
  SuccessPolicyRule,
} from '../types/batch-v1.ts';
import { type Findings, nonNegative, qualifiedName } from './checks.ts';

const { duplicate, invalid, notSupported, required, tooLong, tooMany } = fieldErrors;

const MAX_RULES = 20;
const MAX_EXIT_CODES = 255;
const MAX_CONDITIONS = 20;
const MAX_INDEXES_LENGTH = 64 * 1024;
const ACTIONS = ['Count', 'FailIndex', 'FailJob', 'Ignore'];
const OPERATORS = ['In', 'NotIn'];
const STATUSES = ['False', 'True', 'Unknown'];

/** Where the value would be the whole object, upstream leaves it out. */
export const invalidWithoutValue = (field: string, detail: string): FieldError => ({
  type: 'FieldValueInvalid',
  field,
  body: `Invalid value: ${detail}`,
});

function* listed(value: string | undefined, supported: readonly string[], field: string): Findings {
  if (!value) yield required(field, `valid values: [${supported.map((each) => JSON.stringify(each)).join(' ')}]`);
  else if (!supported.includes(value)) yield notSupported(field, value, supported);
}

export function* validatePodFailurePolicy(spec: JobSpec, field: string): Findings {
  const rules = spec.podFailurePolicy?.rules ?? [];
  if (rules.length > MAX_RULES) yield tooMany(`${field}.rules`, rules.length, MAX_RULES);
  const { containers = [], initContainers = [] } = spec.template?.spec ?? {};
  const names = new Set([...containers, ...initContainers].map((each) => each.name));
  for (const [i, rule] of rules.entries()) yield* failureRule(spec, rule, names, `${field}.rules[${i}]`);
}

function* failureRule(spec: JobSpec, rule: PodFailurePolicyRule, names: Set<string>, field: string): Findings {
  if (rule.action === 'FailIndex') {
    if (spec.backoffLimitPerIndex === undefined) {
      yield invalid(`${field}.action`, rule.action, 'requires the backoffLimitPerIndex to be set');
    }
  } else yield* listed(rule.action, ACTIONS, `${field}.action`);
  const conditions = rule.onPodConditions ?? [];
  if (rule.onExitCodes) yield* exitCodes(rule.onExitCodes, names, `${field}.onExitCodes`);
  yield* podConditions(conditions, `${field}.onPodConditions`);
  if (rule.onExitCodes && conditions.length > 0) {
    yield invalidWithoutValue(field, 'specifying both OnExitCodes and OnPodConditions is not supported');
  }
  if (!rule.onExitCodes && conditions.length === 0) {
    yield invalidWithoutValue(field, 'specifying one of OnExitCodes and OnPodConditions is required');
  }
}

function* podConditions(patterns: readonly PodFailurePolicyOnPodConditionsPattern[], field: string): Findings {
  if (patterns.length > MAX_CONDITIONS) yield tooMany(field, patterns.length, MAX_CONDITIONS);
  for (const [i, { type, status }] of patterns.entries()) {
    yield* qualifiedName(type ?? '', `${field}[${i}].type`);
    yield* listed(status, STATUSES, `${field}[${i}].status`);
  }
}

function* exitCodes(
  { operator, containerName, values = [] }: PodFailurePolicyOnExitCodesRequirement,
  names: Set<string>,
  field: string,
): Findings {
  yield* listed(operator, OPERATORS, `${field}.operator`);
  if (containerName !== undefined && !names.has(containerName)) {
    const detail = 'must be one of the container or initContainer names in the pod template';
    yield invalid(`${field}.containerName`, containerName, detail);
  }
  if (values.length === 0) yield invalid(`${field}.values`, values, 'at least one value is required');
  else if (values.length > MAX_EXIT_CODES) yield tooMany(`${field}.values`, values.length, MAX_EXIT_CODES);
  const seen = new Set<number>();
  for (const [i, value] of values.entries()) {
    if (value === 0 && operator === 'In') {
      yield invalid(`${field}.values[${i}]`, value, 'must not be 0 for the In operator');
    }
    if (seen.has(value)) yield duplicate(`${field}.values[${i}]`, value);
    seen.add(value);
  }
  if (values.some((value, i) => i > 0 && (values[i - 1] as number) > value)) {
    yield invalid(`${field}.values`, values, 'must be ordered');
  }
}

export function* validateSuccessPolicy(spec: JobSpec, field: string): Findings {
  const rules = spec.successPolicy?.rules ?? [];
  if (rules.length === 0) {
    yield required(`${field}.rules`, 'at least one rules must be specified when the successPolicy is specified');
  }
  if (rules.length > MAX_RULES) yield tooMany(`${field}.rules`, rules.length, MAX_RULES);
  for (const [i, rule] of rules.entries()) yield* successRule(rule, spec.completions ?? 0, `${field}.rules[${i}]`);
}

function* successRule({ succeededIndexes, succeededCount }: SuccessPolicyRule, completions: number, field: string) {
  if (succeededIndexes === undefined && succeededCount === undefined) {
    yield required(field, 'at least one of succeededCount or succeededIndexes must be specified');
  }
  let total = 0;
  if (succeededIndexes !== undefined) {
    if (succeededIndexes.length > MAX_INDEXES_LENGTH) yield tooLong(`${field}.succeededIndexes`, MAX_INDEXES_LENGTH);
    const found = countIndexes(succeededIndexes, completions);
    if (typeof found === 'number') total = found;
    else {
      yield invalid(`${field}.succeededIndexes`, succeededIndexes, `error parsing succeededIndexes: ${found.error}`);
    }
  }
  if (succeededCount === undefined) return;
  yield* nonNegative(succeededCount, `${field}.succeededCount`);
  if (succeededCount > completions) {
    const detail = `must be less than or equal to ${completions} (the number of specified completions)`;
    yield invalid(`${field}.succeededCount`, succeededCount, detail);
  }
  if (succeededIndexes !== undefined && succeededCount > total) {
    const detail = `must be less than or equal to ${total} (the number of indexes in the specified succeededIndexes field)`;
    yield invalid(`${field}.succeededCount`, succeededCount, detail);
  }
}

export type Interval = readonly [first: number, last: number];

/** `2-4`, or `7` alone; below `completions`. */
export function parseInterval(text: string, completions: number): Interval | { error: string } {
  const ends = text.split('-');
  if (ends.length > 2) {
    const rule = "violates the requirement that an index interval can have at most two parts separated by '-'";
    return { error: `the fragment ${JSON.stringify(text)} ${rule}` };
  }
  for (const end of ends) {
    if (!/^\+?[0-9]{1,15}$/.test(end)) {
      return { error: `cannot convert string to integer for index: ${JSON.stringify(end)}` };
    }
    if (Number(end) >= completions) return { error: `too large index: ${JSON.stringify(end)}` };
  }
  const [first = 0, last] = ends.map(Number);
  if (last !== undefined && first >= last) return { error: notIncreasing(first, last) };
  return [first, last ?? first];
}

const notIncreasing = (previous: number, current: number): string =>
  `non-increasing order, previous: ${previous}, current: ${current}`;

/** How many indexes `0,2-4,7` names; each interval lies above the one before it and below `completions`. */
export function countIndexes(text: string, completions: number): number | { error: string } {
  if (text === '') return 0;
  let previous = -1;
  let total = 0;
  for (const each of text.split(',')) {
    const interval = parseInterval(each, completions);
    if ('error' in interval) return interval;
    const [first, last] = interval;
    if (previous >= first) return { error: notIncreasing(previous, first) };
    total += last - first + 1;
    previous = last;
  }
  return total;
}
