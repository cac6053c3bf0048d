// core/v1 Node: a machine and what its agent reports of it.
import { age } from '../duration.ts';
import type { Node } from '../types/core-v1.ts';
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { cidrWarnings } from '../validation/ip-warnings.ts';
import { isDualStack, validCidr } from '../validation/ip.ts';
import { quantityOfResource } from '../validation/resources.ts';
import { validateTaints } from '../validation/scheduling.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

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

  validate: (object) => [...taintsAndResources(object), ...podCidrs(object.spec?.podCIDRs ?? [])],
  validateUpdate: validateChange,
  validateStatusUpdate: validateChange,
  warnings: ({ spec }) => [
    ...(spec?.configSource ? ['spec.configSource: the feature is removed'] : []),
    ...(spec?.externalID ? ['spec.externalID: this field is deprecated, and is unused by Kubernetes'] : []),
    ...(spec?.podCIDRs ?? []).flatMap((cidr, i) => cidrWarnings(cidr, `spec.podCIDRs[${i}]`)),
  ],
});

function taintsAndResources({ spec, status }: Node): FieldError[] {
  const found = [...validateTaints(spec?.taints ?? [], 'metadata.taints')];
  for (const list of ['capacity', 'allocatable'] as const) {
    for (const [name, value] of Object.entries(status?.[list] ?? {})) {
      found.push(...quantityOfResource(name, value, `status.${list}.${name}`));
    }
  }
  return found;
}

function podCidrs(cidrs: readonly string[]): FieldError[] {
  const field = 'spec.podCIDRs';
  const found = cidrs.flatMap((cidr, i) => [...validCidr(cidr, `${field}[${i}]`)]);
  if (cidrs.length > 1 && (!isDualStack(cidrs) || cidrs.length > 2)) {
    found.push(fieldErrors.invalid(field, cidrs, 'may specify no more than one CIDR for each IP family'));
  }
  for (const [i, cidr] of cidrs.entries()) {
    if (cidrs.indexOf(cidr) < i) found.push(fieldErrors.duplicate(`${field}[${i}]`, cidr));
  }
  return found;
}

/** A pod CIDR and a provider id, once given, stay. */
function validateChange(object: Node, old: Node): FieldError[] {
  const { spec = {}, status } = object;
  const was = old.spec ?? {};
  const found = taintsAndResources(object);
  const addresses = new Set<string>();
  for (const [i, address] of (status?.addresses ?? []).entries()) {
    const key = `${address.type} ${address.address}`;
    if (addresses.has(key)) found.push(fieldErrors.duplicate(`status.addresses[${i}]`, address));
    addresses.add(key);
  }
  if ((was.podCIDRs ?? []).length > 0 && !semanticEqual(spec.podCIDRs, was.podCIDRs)) {
    const message = 'node updates may not change podCIDR except from "" to valid';
    found.push(fieldErrors.forbidden('spec.podCIDRs', message));
  }
  if (was.providerID && spec.providerID !== was.providerID) {
    const message = 'node updates may not change providerID except from "" to valid';
    found.push(fieldErrors.forbidden('spec.providerID', message));
  }
  if ((spec.externalID ?? '') !== (was.externalID ?? '')) {
    found.push(fieldErrors.forbidden('spec.externalID', 'may not be updated'));
  }
  return found;
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
