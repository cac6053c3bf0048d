// core/v1 Node: a machine and what its agent reports of it.
import { age } from '../duration.ts';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors, goStruct } from '../field-error.ts';
import { isConfigMapKey, isDns1123Label, isDns1123Subdomain } from '../names.ts';
import type { Node, NodeConfigSource } from '../types/core-v1.ts';
import { type Findings, invalidEach } from '../validation/checks.ts';
import { cidrWarnings } from '../validation/ip-warnings.ts';
import { isCidr, isDualStack, validCidr } from '../validation/ip.ts';
import { quantityOfResource } from '../validation/resources.ts';
import { validateTaints } from '../validation/scheduling.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { duplicate, forbidden, internal, invalid, required } = fieldErrors;

const ROLE_PREFIX = 'node-role.kubernetes.io/';

export const node = defineKind<Node>({
  group: '',
  version: 'v1',
  kind: 'Node',
  resource: 'nodes',
  shortNames: ['no'],
  namespaced: false,
  schema: 'core.v1.Node',
  columns: [
    NAME_COLUMN,
    'Status',
    'Roles',
    'Age',
    'Version',
    'Internal-IP*',
    'External-IP*',
    'OS-Image*',
    'Kernel-Version*',
    'Container-Runtime*',
  ],
  cells: (object, { nowMs }) => [
    nameOf(object),
    statusOf(object),
    rolesOf(object).join(',') || '<none>',
    age(object.metadata.creationTimestamp, nowMs),
    object.status?.nodeInfo?.kubeletVersion ?? '',
    addressOf(object, 'InternalIP'),
    addressOf(object, 'ExternalIP'),
    object.status?.nodeInfo?.osImage || '<unknown>',
    object.status?.nodeInfo?.kernelVersion || '<unknown>',
    object.status?.nodeInfo?.containerRuntimeVersion || '<unknown>',
  ],
  selectableFields: { 'spec.unschedulable': (object) => String(object.spec?.unschedulable ?? false) },
  hasStatus: true,
  subresources: [{ name: 'proxy', kind: 'NodeProxyOptions', verbs: ['create', 'delete', 'get', 'patch', 'update'] }],

  setDefaults(object) {
    const status = (object.status ??= {});
    if (status.capacity && !status.allocatable) status.allocatable = { ...status.capacity };
    const spec = (object.spec ??= {});
    // The old single field mirrors the first of the list.
    const first = spec.podCIDRs?.[0];
    if (spec.podCIDR && spec.podCIDR !== first) spec.podCIDRs = [spec.podCIDR];
    else if (first) spec.podCIDR = first;
  },

  /** An agent tells all of its machine when it registers it. */
  statusOnCreate: true,
  validate,
  validateUpdate: (object, old) => [...validate(object), ...validateChange(object, old)],
  validateStatusUpdate: validateChange,
  warnings: ({ spec }) => [
    ...(spec?.configSource ? ['spec.configSource: the feature is removed'] : []),
    ...(spec?.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
    ...(spec?.podCIDRs ?? []).flatMap((cidr, i) => cidrWarnings(cidr, `spec.podCIDRs[${i}]`)),
  ],
});

function validate(object: Node): FieldError[] {
  return [...taints(object), ...resources(object), ...podCidrs(object.spec?.podCIDRs ?? [])];
}

/** The path is upstream's. */
const taints = ({ spec }: Node): FieldError[] => [...validateTaints(spec?.taints ?? [], 'metadata.taints')];

function resources({ status }: Node): FieldError[] {
  return (['capacity', 'allocatable'] as const).flatMap((list) =>
    Object.entries(status?.[list] ?? {}).flatMap(([name, value]) => [
      ...quantityOfResource(name, value, `status.${list}.${name}`),
    ]),
  );
}

function podCidrs(cidrs: readonly string[]): FieldError[] {
  const field = 'spec.podCIDRs';
  const found = cidrs.flatMap((cidr, i) => [...validCidr(cidr, `${field}[${i}]`)]);
  if (cidrs.length < 2) return found;
  const bad = cidrs.find((cidr) => !isCidr(cidr));
  if (bad !== undefined) {
    const text = `invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR address: ${bad}`;
    found.push(internal(field, text));
  }
  if (bad !== undefined || !isDualStack(cidrs) || cidrs.length > 2) {
    found.push(invalid(field, cidrs, 'may specify no more than one CIDR for each IP family'));
  }
  for (const [i, cidr] of cidrs.entries()) {
    if (cidrs.indexOf(cidr) < i) found.push(duplicate(`${field}[${i}]`, cidr));
  }
  return found;
}

/** A pod CIDR and a provider id, once given, stay. */
function validateChange(object: Node, old: Node): FieldError[] {
  const { spec = {}, status } = object;
  const was = old.spec ?? {};
  const found = resources(object);
  const addresses = new Set<string>();
  for (const [i, address] of (status?.addresses ?? []).entries()) {
    const key = `${address.type} ${address.address}`;
    const shown = goStruct(address, { Type: '', Address: '' });
    if (addresses.has(key)) found.push(duplicate(`status.addresses[${i}]`, shown));
    addresses.add(key);
  }
  if ((was.podCIDRs ?? []).length > 0 && !semanticEqual(spec.podCIDRs, was.podCIDRs)) {
    found.push(forbidden('spec.podCIDRs', 'node updates may not change podCIDR except from "" to valid'));
  }
  if (was.providerID && spec.providerID !== was.providerID) {
    found.push(forbidden('spec.providerID', 'node updates may not change providerID except from "" to valid'));
  }
  if (spec.configSource) found.push(...configSource(spec.configSource, false, 'spec.configSource'));
  for (const name of ['assigned', 'active', 'lastKnownGood'] as const) {
    const source = status?.config?.[name];
    if (source) found.push(...configSource(source, true, `status.config.${name}`));
  }
  found.push(...taints(object));
  if ((spec.externalID ?? '') !== (was.externalID ?? ''))
    found.push(forbidden('spec.externalID', 'may not be updated'));
  return found;
}

/** Nothing comes of it any more, and it is still looked at. A status says which object exactly it is, a specification does not. */
function* configSource({ configMap }: NodeConfigSource, isStatus: boolean, field: string): Findings {
  if (!configMap) {
    yield invalid(field, { ConfigMap: null }, 'exactly one reference subfield must be non-nil');
    return;
  }
  const at = `${field}.configMap`;
  for (const name of ['uid', 'resourceVersion'] as const) {
    if (isStatus && !configMap[name]) yield required(`${at}.${name}`, `${name} must be set in status`);
    if (!isStatus && configMap[name]) yield forbidden(`${at}.${name}`, `${name} must not be set in spec`);
  }
  const checks = { namespace: isDns1123Label, name: isDns1123Subdomain, kubeletConfigKey: isConfigMapKey };
  for (const [name, check] of Object.entries(checks)) {
    const value = configMap[name as keyof typeof checks];
    if (!value) yield required(`${at}.${name}`, `${name} must be set`);
    else yield* invalidEach(`${at}.${name}`, value, check(value));
  }
}

function statusOf(object: Node): string {
  const ready = object.status?.conditions?.find((each) => each.type === 'Ready');
  const words = [ready ? (ready.status === 'True' ? 'Ready' : 'NotReady') : 'Unknown'];
  if (object.spec?.unschedulable) words.push('SchedulingDisabled');
  return words.join(',');
}

function rolesOf(object: Node): string[] {
  const roles = new Set<string>();
  for (const [key, value] of Object.entries(object.metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX) && key.length > ROLE_PREFIX.length) roles.add(key.slice(ROLE_PREFIX.length));
    else if (key === 'kubernetes.io/role' && value !== '') roles.add(value);
  }
  return [...roles].sort();
}

const addressOf = (object: Node, type: string): string =>
  object.status?.addresses?.find((each) => each.type === type)?.address ?? '<none>';
