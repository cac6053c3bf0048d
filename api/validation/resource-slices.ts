// What drivers offer: pools of devices and their counters (k8s.io/kubernetes/pkg/apis/resource/validation).
import { semanticEqual } from '../equality.ts';
import { fieldErrors } from '../field-error.ts';
import { byteLength, isLabelValue, nameIsDnsSubdomain } from '../names.ts';
import type {
  CounterSet,
  Device,
  DeviceAttribute,
  DeviceCounterConsumption,
  DeviceTaint,
  ResourceSliceSpec,
} from '../types/resource-v1.ts';
import { dnsLabel, type Findings, IMMUTABLE, invalidEach, labelKey } from './checks.ts';
import { csiDriverName } from './csi.ts';
import { validateDeviceCapacity } from './device-capacity.ts';
import { attributeName, bindingConditions, limitedList, limitedSet, poolName, TAINT_EFFECTS } from './devices.ts';
import { validateNodeSelector } from './scheduling.ts';

const { invalid, notSupported, required, tooLong, tooMany } = fieldErrors;

const MAX_DEVICES = 128;
const MAX_ADVANCED_DEVICES = 64;
const MAX_COUNTER_SETS = 8;
const MAX_COUNTERS = 32;
const MAX_CONSUMPTIONS = 2;
const MAX_ATTRIBUTES = 32;
const MAX_ATTRIBUTE_BYTES = 64;
const MAX_TAINTS = 16;
const SEMVER =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$/;

export function* validateResourceSlice(spec: ResourceSliceSpec | undefined, old?: ResourceSliceSpec): Findings {
  const { driver = '', pool } = spec ?? {};
  yield* csiDriverName(driver, 'spec.driver');
  yield* poolName(pool?.name ?? '', 'spec.pool.name');
  const { resourceSliceCount = 0, generation = 0 } = pool ?? {};
  if (resourceSliceCount <= 0) {
    yield invalid('spec.pool.resourceSliceCount', resourceSliceCount, 'must be greater than zero');
  }
  if (generation < 0) yield invalid('spec.pool.generation', generation, 'must be greater than or equal to zero');
  if (!spec) return;
  if (old) {
    if (pool?.name !== old.pool?.name) yield invalid('spec.pool.name', pool?.name, IMMUTABLE);
    if (driver !== old.driver) yield invalid('spec.driver', driver, IMMUTABLE);
    if (spec.nodeName !== old.nodeName) yield invalid('spec.nodeName', spec.nodeName, IMMUTABLE);
  }
  yield* sliceNodes(spec);
  if (spec.sharedCounters && spec.devices) {
    yield invalid('spec', '', 'only one of `sharedCounters` or `devices` is allowed');
  }
  const isAdvanced = (spec.devices ?? []).some((each) => each.taints?.length || each.consumesCounters?.length);
  yield* limitedSet(
    spec.devices,
    isAdvanced ? MAX_ADVANCED_DEVICES : MAX_DEVICES,
    (each, path) =>
      device(
        each,
        (old?.devices ?? []).find((known) => known.name === each.name),
        path,
        spec.perDeviceNodeSelection ?? false,
      ),
    (each) => each.name ?? '',
    'spec.devices',
  );
  yield* limitedSet(
    spec.sharedCounters,
    MAX_COUNTER_SETS,
    counterSet,
    (each) => each.name ?? '',
    'spec.sharedCounters',
  );
}

function* sliceNodes(spec: ResourceSliceSpec): Findings {
  const set: string[] = [];
  const { nodeName, nodeSelector } = spec;
  if (nodeName) {
    set.push('`nodeName`');
    yield* invalidEach('spec.nodeName', nodeName, nameIsDnsSubdomain(nodeName, false));
  } else if (nodeName === '') {
    yield invalid('spec.nodeName', nodeName, 'must be either unset or set to a non-empty string');
  }
  if (nodeSelector) {
    set.push('`nodeSelector`');
    yield* validateNodeSelector(nodeSelector, 'spec.nodeSelector');
    const terms = nodeSelector.nodeSelectorTerms ?? [];
    if (terms.length !== 1) {
      yield invalid('spec.nodeSelector.nodeSelectorTerms', terms, 'must have exactly one node selector term');
    }
  }
  for (const name of ['allNodes', 'perDeviceNodeSelection'] as const) {
    if (spec[name]) set.push(`\`${name}\``);
    else if (spec[name] === false) yield invalid(`spec.${name}`, false, 'must be either unset or set to true');
  }
  const one = 'exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required';
  if (set.length === 0) yield required('spec', one);
  if (set.length > 1) yield invalid('spec', `{${set.join(', ')}}`, `${one}, but multiple fields are set`);
}

function* device(each: Device, old: Device | undefined, field: string, choosesNodes: boolean): Findings {
  yield* dnsLabel(each.name ?? '', `${field}.name`);
  const attributes = Object.entries(each.attributes ?? {});
  const count = attributes.length + Object.keys(each.capacity ?? {}).length;
  if (count > MAX_ATTRIBUTES) {
    yield invalid(field, count, `the total number of attributes and capacities must not exceed ${MAX_ATTRIBUTES}`);
  }
  for (const [name, value] of attributes) {
    yield* attributeName(name, `${field}.attributes`);
    yield* attribute(value, `${field}.attributes[${name}]`);
  }
  if (!old || !semanticEqual(each.capacity, old.capacity)) {
    for (const [name, value] of Object.entries(each.capacity ?? {})) {
      yield* attributeName(name, `${field}.capacity`);
      yield* validateDeviceCapacity(value, each.allowMultipleAllocations ?? false, `${field}.capacity[${name}]`);
    }
  }
  if (!old || !semanticEqual(each.taints, old.taints)) {
    yield* limitedList(each.taints, MAX_TAINTS, taint, `${field}.taints`);
  }
  yield* limitedSet(
    each.consumesCounters,
    MAX_CONSUMPTIONS,
    consumption,
    (item) => item.counterSet ?? '',
    `${field}.consumesCounters`,
  );
  yield* deviceNodes(each, field, choosesNodes);
  yield* bindingConditions(each, field);
}

function* deviceNodes(each: Device, field: string, choosesNodes: boolean): Findings {
  const { nodeName, nodeSelector, allNodes } = each;
  if (!choosesNodes) {
    if (nodeName !== undefined || nodeSelector || allNodes !== undefined) {
      const text =
        '`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in the ResourceSlice spec';
      yield invalid(field, null, text);
    }
    return;
  }
  const set: string[] = [];
  if (nodeName) {
    set.push('`nodeName`');
    yield* invalidEach(`${field}.nodeName`, nodeName, nameIsDnsSubdomain(nodeName, false));
  } else if (nodeName === '') yield invalid(`${field}.nodeName`, nodeName, 'must not be empty');
  if (nodeSelector) {
    set.push('`nodeSelector`');
    yield* validateNodeSelector(nodeSelector, `${field}.nodeSelector`);
  }
  if (allNodes) set.push('`allNodes`');
  else if (allNodes === false) yield invalid(`${field}.allNodes`, false, 'must be either unset or set to true');
  const one =
    'exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true in the ResourceSlice spec';
  if (set.length === 0) yield required(field, one);
  if (set.length > 1) yield invalid(field, `{${set.join(', ')}}`, one);
}

const VALUES = ['bool', 'int', 'string', 'version', 'bools', 'ints', 'strings', 'versions'] as const;

function* attribute(value: DeviceAttribute, field: string): Findings {
  if (value.string !== undefined) yield* attributeText(value.string, `${field}.string`);
  if (value.version !== undefined) yield* versionText(value.version, `${field}.version`);
  for (const name of ['bools', 'ints', 'strings', 'versions'] as const) {
    const list = value[name];
    if (list?.length === 0) yield invalid(`${field}.${name}`, list, 'must not be empty if specified');
  }
  for (const [i, each] of (value.strings ?? []).entries()) yield* attributeText(each, `${field}.strings[${i}]`);
  for (const [i, each] of (value.versions ?? []).entries()) yield* versionText(each, `${field}.versions[${i}]`);
  const set = VALUES.filter((name) => value[name] !== undefined);
  if (set.length !== 1) {
    yield invalid(field, set.length === 0 ? '' : value, 'exactly one value must be specified');
  }
}

function* attributeText(text: string, field: string): Findings {
  if (byteLength(text) > MAX_ATTRIBUTE_BYTES) yield tooLong(field, MAX_ATTRIBUTE_BYTES);
}

function* versionText(text: string, field: string): Findings {
  if (text.length > 1024 || !SEMVER.test(text)) {
    yield invalid(field, text, 'must be a string compatible with semver.org spec 2.0.0');
  }
  yield* attributeText(text, field);
}

function* taint({ key = '', value = '', effect = '' }: DeviceTaint, field: string): Findings {
  yield* labelKey(key, `${field}.key`);
  if (value) yield* invalidEach(`${field}.value`, value, isLabelValue(value));
  if (!effect) yield required(`${field}.effect`);
  else if (!TAINT_EFFECTS.includes(effect)) yield notSupported(`${field}.effect`, effect, TAINT_EFFECTS);
}

function* counterSet(set: CounterSet, field: string): Findings {
  if (!set.name) yield required(`${field}.name`);
  else yield* dnsLabel(set.name, `${field}.name`);
  yield* counters(Object.keys(set.counters ?? {}), `${field}.counters`);
}

function* consumption(each: DeviceCounterConsumption, field: string): Findings {
  if (!each.counterSet) yield required(`${field}.counterSet`);
  else yield* dnsLabel(each.counterSet, `${field}.counterSet`);
  yield* counters(Object.keys(each.counters ?? {}), `${field}.counters`);
}

function* counters(names: readonly string[], field: string): Findings {
  if (names.length === 0) yield required(field);
  else if (names.length > MAX_COUNTERS) yield tooMany(field, names.length, MAX_COUNTERS);
  else for (const name of names) yield* dnsLabel(name, field);
}
