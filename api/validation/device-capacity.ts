// How much of a device's capacity one request may take (k8s.io/kubernetes/pkg/apis/resource/validation).
import { fieldErrors } from '../field-error.ts';
import { addQuantities, compareQuantities, formatQuantity, type Quantity, quantityOf } from '../quantity.ts';
import type { CapacityRequestPolicy, CapacityRequestPolicyRange, DeviceCapacity } from '../types/resource-v1.ts';
import type { Findings } from './checks.ts';
import { limitedSet } from './devices.ts';

const { forbidden, invalid, required } = fieldErrors;

const MAX_OPTIONS = 10;

/** Only a device that several claims share has a policy. */
export function* validateDeviceCapacity(capacity: DeviceCapacity, isShared: boolean, field: string): Findings {
  const policy = capacity.requestPolicy;
  if (!policy) return;
  const path = `${field}.requestPolicy`;
  if (!isShared) yield forbidden(path, 'allowMultipleAllocations must be true');
  else if (policy.validValues?.length && policy.validRange) {
    yield forbidden(
      path,
      'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time',
    );
  } else yield* requestPolicy(policy, quantityOf(capacity.value), path);
}

function* requestPolicy(policy: CapacityRequestPolicy, capacity: Quantity, field: string): Findings {
  const name = policy.validValues?.length ? 'validValues' : policy.validRange ? 'validRange' : undefined;
  if (!name) return;
  if (policy.default === undefined) yield required(`${field}.default`, `required when ${name} is defined`);
  else if (policy.validValues?.length) {
    yield* options(policy.validValues.map(quantityOf), quantityOf(policy.default), capacity, `${field}.${name}`);
  } else if (policy.validRange) {
    yield* range(policy.validRange, quantityOf(policy.default), capacity, `${field}.${name}`);
  }
}

const isMore = (left: Quantity, right: Quantity) => compareQuantities(left, right) > 0;

function* options(values: readonly Quantity[], preset: Quantity, capacity: Quantity, field: string): Findings {
  for (const [i, value] of values.entries()) {
    const before = values[i - 1];
    if (before && isMore(before, value)) {
      yield invalid(`${field}[${i}]`, formatQuantity(value), 'values must be sorted in ascending order');
    }
  }
  yield* limitedSet(
    values,
    MAX_OPTIONS,
    function* (value, path) {
      if (isMore(value, capacity)) {
        const text = `option is larger than capacity value: ${formatQuantity(capacity)}`;
        yield invalid(path, formatQuantity(value), text);
      }
    },
    (value) => String(value.nanos),
    field,
  );
  if (!values.some((value) => compareQuantities(value, preset) === 0)) {
    yield invalid(field, formatQuantity(preset), 'default value is not valid according to the requestPolicy');
  }
}

function* range(valid: CapacityRequestPolicyRange, preset: Quantity, capacity: Quantity, field: string): Findings {
  if (valid.min === undefined) {
    yield required(`${field}.min`, 'required when validRange is defined');
    return;
  }
  const show = formatQuantity;
  const min = quantityOf(valid.min);
  const max = valid.max === undefined ? undefined : quantityOf(valid.max);
  if (isMore(min, capacity))
    yield invalid(`${field}.min`, show(min), `min is larger than capacity value: ${show(capacity)}`);
  if (isMore(min, preset)) yield invalid(`${field}.default`, show(preset), `default is less than min: ${show(min)}`);
  if (max) {
    if (isMore(min, max)) yield invalid(`${field}.max`, show(min), `min is larger than max: ${show(max)}`);
    if (isMore(max, capacity)) {
      yield invalid(`${field}.max`, show(max), `max is larger than capacity value: ${show(capacity)}`);
    }
    if (isMore(preset, max)) yield invalid(`${field}.default`, show(preset), `default is more than max: ${show(max)}`);
  }
  if (valid.step === undefined) return;
  const step = quantityOf(valid.step);
  if (step.nanos <= 0n) {
    yield invalid(`${field}.step`, show(step), 'must be greater than zero');
    return;
  }
  const first = addQuantities(min, step);
  if (isMore(first, capacity)) {
    const text = `one step ${show(first)} is larger than capacity value: ${show(capacity)}`;
    yield invalid(`${field}.step`, show(step), text);
  }
  for (const value of max ? [preset, max] : [preset]) {
    if ((value.nanos - min.nanos) % step.nanos !== 0n) {
      const text = `value is not a multiple of a given step (${show(step)}) from (${show(min)})`;
      yield invalid(`${field}.step`, show(value), text);
    }
  }
}
