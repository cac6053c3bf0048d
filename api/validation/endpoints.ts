// Addresses behind a Service, in both forms: Endpoints and EndpointSlices.
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { isDns1123Label, isDns1123Subdomain, isLabelValue, nameIsDnsSubdomain } from '../names.ts';
import { validateLabels } from '../selectors.ts';
import type { EndpointAddress, EndpointPort, Endpoints } from '../types/core-v1.ts';
import type { Endpoint, EndpointPort as SlicePort, EndpointSlice } from '../types/discovery-v1.ts';
import {
  dnsLabel,
  dnsSubdomain,
  type Findings,
  IMMUTABLE,
  invalidEach,
  oneOf,
  portNumber,
  PROTOCOLS,
  qualifiedName,
} from './checks.ts';
import { ipFamily, nonSpecialIp, parseIp, validIp } from './ip.ts';

const { duplicate, invalid, required, tooMany } = fieldErrors;

export function validateEndpoints(endpoints: Endpoints): FieldError[] {
  return [...subsets(endpoints)];
}

function* subsets({ subsets: all = [] }: Endpoints): Findings {
  for (const [i, { addresses = [], notReadyAddresses = [], ports = [] }] of all.entries()) {
    const at = `subsets[${i}]`;
    if (addresses.length + notReadyAddresses.length === 0) {
      yield required(at, 'must specify `addresses` or `notReadyAddresses`');
    }
    for (const [j, each] of addresses.entries()) yield* address(each, `${at}.addresses[${j}]`);
    for (const [j, each] of notReadyAddresses.entries()) yield* address(each, `${at}.notReadyAddresses[${j}]`);
    for (const [j, each] of ports.entries()) yield* port(each, ports.length > 1, `${at}.ports[${j}]`);
  }
}

function* address({ ip, hostname, nodeName }: EndpointAddress, field: string): Findings {
  yield* validIp(ip, `${field}.ip`);
  if (hostname) yield* dnsLabel(hostname, `${field}.hostname`);
  if (nodeName !== undefined) yield* invalidEach(`${field}.nodeName`, nodeName, nameIsDnsSubdomain(nodeName, false));
  yield* nonSpecialIp(ip, `${field}.ip`);
}

function* port(each: EndpointPort, needsName: boolean, field: string): Findings {
  if (each.name) yield* dnsLabel(each.name, `${field}.name`);
  else if (needsName) yield required(`${field}.name`);
  yield* portNumber(each.port, `${field}.port`);
  yield* oneOf(each.protocol, PROTOCOLS, `${field}.protocol`);
  if (each.appProtocol !== undefined) yield* qualifiedName(each.appProtocol, `${field}.appProtocol`);
}

const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6'];
const MAX_ENDPOINTS = 1000;
const MAX_ADDRESSES = 100;
const MAX_PORTS = 20_000;
const MAX_TOPOLOGY_LABELS = 16;
const MAX_HINTS = 8;

export function validateEndpointSlice(slice: EndpointSlice): FieldError[] {
  return [...sliceFindings(slice)];
}

export function validateEndpointSliceUpdate(slice: EndpointSlice, old: EndpointSlice): FieldError[] {
  const found = [...sliceFindings(slice, old)];
  if (slice.addressType !== old.addressType) found.push(invalid('addressType', slice.addressType, IMMUTABLE));
  return found;
}

function* sliceFindings(slice: EndpointSlice, old?: EndpointSlice): Findings {
  const endpoints = slice.endpoints ?? [];
  const ports = slice.ports ?? [];
  yield* oneOf(slice.addressType, ADDRESS_TYPES, 'addressType');
  if (ports.length > MAX_PORTS) yield tooMany('ports', ports.length, MAX_PORTS);
  else yield* slicePorts(ports);
  // Endpoints that stay as they are were accepted once, by rules that may have been laxer.
  if (old && semanticEqual(old.endpoints, slice.endpoints)) return;
  if (endpoints.length > MAX_ENDPOINTS) yield tooMany('endpoints', endpoints.length, MAX_ENDPOINTS);
  else for (const [i, each] of endpoints.entries()) yield* endpoint(each, slice.addressType, `endpoints[${i}]`);
}

function* endpoint(each: Endpoint, addressType: string, field: string): Findings {
  const addresses = each.addresses ?? [];
  const at = `${field}.addresses`;
  if (addresses.length === 0) yield required(at, 'must contain at least 1 address');
  else if (addresses.length > MAX_ADDRESSES) yield tooMany(at, addresses.length, MAX_ADDRESSES);
  for (const [i, value] of addresses.entries()) yield* sliceAddress(value, addressType, `${at}[${i}]`);
  if (each.nodeName !== undefined) {
    yield* invalidEach(`${field}.nodeName`, each.nodeName, nameIsDnsSubdomain(each.nodeName, false));
  }
  const topology = each.deprecatedTopology;
  if (Object.keys(topology ?? {}).length > MAX_TOPOLOGY_LABELS) {
    yield tooMany(`${field}.deprecatedTopology`, Object.keys(topology ?? {}).length, MAX_TOPOLOGY_LABELS);
  }
  yield* validateLabels(topology, `${field}.deprecatedTopology`);
  if (each.hostname !== undefined) yield* dnsLabel(each.hostname, `${field}.hostname`);
  yield* hintNames(each.hints?.forZones, `${field}.hints.forZones`, isLabelValue);
  yield* hintNames(each.hints?.forNodes, `${field}.hints.forNodes`, isDns1123Subdomain);
}

function* sliceAddress(value: string, addressType: string, field: string): Findings {
  if (addressType === 'IPv4' || addressType === 'IPv6') {
    if (!parseIp(value) || ipFamily(value) !== addressType) {
      yield invalid(field, value, `must be a valid ${addressType} address`);
    } else yield* validIp(value, field);
    yield* nonSpecialIp(value, field);
  } else if (addressType === 'FQDN') yield* fullyQualified(value, field);
}

function* fullyQualified(value: string, field: string): Findings {
  const name = value.replace(/\.$/, '');
  if (name === '') yield required(field);
  else {
    yield* dnsSubdomain(name, field);
    const labels = name.split('.');
    if (labels.length < 2)
      yield invalid(field, value, 'should be a domain with at least two segments separated by dots');
    for (const label of labels) yield* invalidEach(field, label, isDns1123Label(label));
  }
}

function* hintNames(
  hints: readonly { name: string }[] | undefined,
  field: string,
  check: (name: string) => string[],
): Findings {
  const all = hints ?? [];
  if (all.length > MAX_HINTS) {
    yield tooMany(field, all.length, MAX_HINTS);
    return;
  }
  const seen = new Set<string>();
  for (const [i, { name }] of all.entries()) {
    const at = `${field}[${i}].name`;
    if (seen.has(name)) yield duplicate(at, name);
    seen.add(name);
    yield* invalidEach(at, name, check(name));
  }
}

function* slicePorts(ports: readonly SlicePort[]): Findings {
  const names = new Set<string>();
  for (const [i, { name = '', protocol, appProtocol }] of ports.entries()) {
    const at = `ports[${i}]`;
    if (name !== '') yield* dnsLabel(name, `${at}.name`);
    if (names.has(name)) yield duplicate(`${at}.name`, name);
    names.add(name);
    yield* oneOf(protocol, PROTOCOLS, `${at}.protocol`);
    if (appProtocol !== undefined) yield* qualifiedName(appProtocol, `${at}.appProtocol`);
  }
}
