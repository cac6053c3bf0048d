// Claims for devices, and the classes they name (k8s.io/kubernetes/pkg/apis/resource/validation). Whether a selector's
// expression compiles is asked where devices are chosen.
import { fieldErrors } from '../field-error.ts';
import { byteLength } from '../names.ts';
import type {
  DeviceClaim,
  DeviceClassSpec,
  DeviceConstraint,
  DeviceRequest,
  DeviceSelector,
  DeviceSubRequest,
  ExactDeviceRequest,
} from '../types/resource-v1.ts';
import { dnsLabel, dnsSubdomain, type Findings } from './checks.ts';
import {
  deviceConfiguration,
  deviceToleration,
  fullyQualifiedAttributeName,
  limitedList,
  limitedSet,
} from './devices.ts';
import { isExtendedResource } from './resources.ts';

const { invalid, notSupported, required, tooLong, tooMany } = fieldErrors;

const MAX_REQUESTS = 32;
const MAX_ALTERNATIVES = 8;
const MAX_CONSTRAINTS = 32;
const MAX_SELECTORS = 32;
const MAX_TOLERATIONS = 16;
export const MAX_CONFIGS = 32;
const MAX_EXPRESSION_BYTES = 10 * 1024;

/** What may stand in the place of a request's name: `request`, or `request/alternative`. */
export type RequestNames = ReadonlyMap<string, ReadonlySet<string>>;

export const requestNamesOf = (claim: DeviceClaim | undefined): RequestNames =>
  new Map(
    (claim?.requests ?? []).map((each) => [each.name, new Set((each.firstAvailable ?? []).map(({ name }) => name))]),
  );

export function* validateDeviceClaim(claim: DeviceClaim, field: string): Findings {
  const names = requestNamesOf(claim);
  yield* limitedSet(claim.requests, MAX_REQUESTS, request, (each) => each.name ?? '', `${field}.requests`);
  yield* limitedList(
    claim.constraints,
    MAX_CONSTRAINTS,
    (each, path) => constraint(each, path, names),
    `${field}.constraints`,
  );
  yield* limitedList(
    claim.config,
    MAX_CONFIGS,
    function* (each, path) {
      yield* requestReferences(each.requests, `${path}.requests`, names);
      yield* deviceConfiguration(each.opaque, path);
    },
    `${field}.config`,
  );
}

function* request(each: DeviceRequest, field: string): Findings {
  yield* dnsLabel(each.name ?? '', `${field}.name`);
  const alternatives = each.firstAvailable ?? [];
  const either = 'exactly one of `exactly` or `firstAvailable` is required';
  if (!each.exactly && alternatives.length === 0) yield required(field, either);
  else if (each.exactly && alternatives.length > 0) {
    yield invalid(field, null, `${either}, but multiple fields are set`);
  } else if (each.exactly) yield* wanted(each.exactly, `${field}.exactly`);
  else {
    yield* limitedSet(
      alternatives,
      MAX_ALTERNATIVES,
      function* (sub, path) {
        yield* dnsLabel(sub.name ?? '', `${path}.name`);
        yield* wanted(sub, path);
      },
      (sub) => sub.name ?? '',
      `${field}.firstAvailable`,
    );
  }
}

function* wanted(each: ExactDeviceRequest | DeviceSubRequest, field: string): Findings {
  const { deviceClassName: className, allocationMode = '', count = 0 } = each;
  if (!className) yield required(`${field}.deviceClassName`);
  else yield* dnsSubdomain(className, `${field}.deviceClassName`);
  yield* limitedList(each.selectors, MAX_SELECTORS, selector, `${field}.selectors`);
  if (allocationMode === 'All') {
    if (count !== 0) yield invalid(`${field}.count`, count, "must not be specified when allocationMode is 'All'");
  } else if (allocationMode === 'ExactCount') {
    if (count <= 0) yield invalid(`${field}.count`, count, 'must be greater than zero');
  } else yield notSupported(`${field}.allocationMode`, allocationMode, ['All', 'ExactCount']);
  const tolerations = each.tolerations ?? [];
  if (tolerations.length > MAX_TOLERATIONS) {
    yield tooMany(`${field}.tolerations`, tolerations.length, MAX_TOLERATIONS);
  } else for (const [i, item] of tolerations.entries()) yield* deviceToleration(item, `${field}.tolerations[${i}]`);
}

function* selector(each: DeviceSelector, field: string): Findings {
  if (!each.cel) yield required(`${field}.cel`);
  else if (byteLength(each.cel.expression ?? '') > MAX_EXPRESSION_BYTES) {
    yield tooLong(`${field}.cel.expression`, MAX_EXPRESSION_BYTES);
  }
}

function* constraint(each: DeviceConstraint, field: string, names: RequestNames): Findings {
  yield* requestReferences(each.requests, `${field}.requests`, names);
  const { matchAttribute, distinctAttribute } = each;
  // Of two the second is not looked at, and where there is none upstream says that there are two.
  if (matchAttribute !== undefined) {
    yield* fullyQualifiedAttributeName(matchAttribute, `${field}.matchAttribute`);
  } else if (distinctAttribute !== undefined) {
    yield* fullyQualifiedAttributeName(distinctAttribute, `${field}.distinctAttribute`);
  } else {
    const text = 'exactly one of "matchAttribute" or "distinctAttribute" is required, but multiple fields are set';
    yield required(field, text);
  }
}

export const requestReferences = (
  references: readonly string[] | undefined,
  field: string,
  names: RequestNames,
): Findings =>
  limitedSet(
    references,
    MAX_REQUESTS,
    (each, path) => requestReference(each, path, names),
    (each) => each,
    field,
  );

export function* requestReference(reference: string, field: string, names: RequestNames): Findings {
  const text = "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";
  const segments = reference.split('/');
  if (segments.length > 2) {
    yield invalid(field, reference, text);
    return;
  }
  for (const segment of segments) yield* dnsLabel(segment, field);
  const [name = '', alternative] = segments;
  const isKnown = alternative === undefined ? names.has(name) : names.get(name)?.has(alternative);
  if (!isKnown) yield invalid(field, reference, text);
}

/** `isStored`: the configuration is as it was. */
export function* validateDeviceClass(spec: DeviceClassSpec, isStored = false): Findings {
  yield* limitedList(spec.selectors, MAX_SELECTORS, selector, 'spec.selectors');
  yield* limitedList(
    spec.config,
    MAX_CONFIGS,
    (each, path) => deviceConfiguration(each.opaque, path, isStored),
    'spec.config',
  );
  const name = spec.extendedResourceName;
  if (name !== undefined && !isExtendedResource(name)) {
    yield invalid('spec.extendedResourceName', name, 'must be a valid extended resource name');
  }
}
