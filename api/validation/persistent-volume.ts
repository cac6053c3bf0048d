// PersistentVolumes: what they promise and where they are. Disks of networks and clouds are checked as in pods.
import { fieldErrors } from '../field-error.ts';
import { formatQuantity, quantityOf } from '../quantity.ts';
import type {
  CSIPersistentVolumeSource,
  PersistentVolume,
  PersistentVolumeSpec,
  SecretReference,
  Volume,
} from '../types/core-v1.ts';
import { dnsLabel, dnsSubdomain, type Findings, optionalOneOf, pathWithoutBacksteps, POSITIVE } from './checks.ts';
import { csiDriverName } from './csi.ts';
import { accessModes, basicResource } from './persistent-volume-claims.ts';
import { REMOTE_SOURCES } from './remote-volumes.ts';
import { validateNodeSelector } from './scheduling.ts';
import { validateHostPath } from './volumes.ts';

const { forbidden, invalid, notSupported, required } = fieldErrors;

const REMOTE = new Map<string, (volume: Volume, field: string) => Findings>(REMOTE_SOURCES);
const SOURCES = ['hostPath', 'local', 'csi', ...REMOTE.keys()];

/** The members of the specification that say where the volume is. */
export const sourceOf = (spec: PersistentVolumeSpec): Record<string, unknown> =>
  Object.fromEntries(Object.entries(spec).filter(([name, value]) => SOURCES.includes(name) && value));

export function* validatePersistentVolume({ spec = {} }: PersistentVolume): Findings {
  yield* accessModes(spec.accessModes ?? [], 'spec.accessModes');
  yield* capacity(spec.capacity ?? {}, 'spec.capacity');
  const policy = spec.persistentVolumeReclaimPolicy;
  if (policy) yield* optionalOneOf(policy, ['Delete', 'Recycle', 'Retain'], 'spec.persistentVolumeReclaimPolicy');
  if (spec.nodeAffinity) {
    if (spec.nodeAffinity.required)
      yield* validateNodeSelector(spec.nodeAffinity.required, 'spec.nodeAffinity.required');
    else yield required('spec.nodeAffinity.required', 'must specify required node constraints');
  }
  yield* source(spec, 'spec');
  if (isRoot(spec.hostPath?.path) && policy === 'Recycle') {
    yield forbidden('spec.persistentVolumeReclaimPolicy', "may not be 'recycle' for a hostPath mount of '/'");
  }
  if (spec.storageClassName) yield* dnsSubdomain(spec.storageClassName, 'spec.storageClassName');
  yield* optionalOneOf(spec.volumeMode, ['Block', 'Filesystem'], 'spec.volumeMode');
  yield* attributesClass(spec, 'spec');
}

/** As the kernel reads it: `//.` is `/` too. */
const isRoot = (path = ''): boolean => path.startsWith('/') && path.split('/').every((part) => !part || part === '.');

const NOT_INLINE = ['claimRef', 'capacity', 'nodeAffinity', 'storageClassName'] as const;

/** The specification of a volume that is no object: only the way to it, and that must be a CSI driver's. */
export function* validateInlineVolume(spec: PersistentVolumeSpec, field: string): Findings {
  for (const name of NOT_INLINE) {
    if (spec[name]) yield forbidden(`${field}.${name}`, 'may not be specified in the context of inline volumes');
  }
  const policy = spec.persistentVolumeReclaimPolicy;
  if (policy && policy !== 'Retain') {
    yield forbidden(`${field}.persistentVolumeReclaimPolicy`, 'may only be Retain in the context of inline volumes');
  }
  if (spec.volumeMode !== undefined && spec.volumeMode !== 'Filesystem') {
    const text = 'may not specify volumeMode other than Filesystem in the context of inline volumes';
    yield forbidden(`${field}.volumeMode`, text);
  }
  if (!spec.csi) yield required(`${field}.csi`, 'has to be specified in the context of inline volumes');
  yield* accessModes(spec.accessModes ?? [], `${field}.accessModes`);
  yield* source(spec, field);
  yield* attributesClass(spec, field);
}

function* attributesClass(spec: PersistentVolumeSpec, field: string): Findings {
  const name = spec.volumeAttributesClassName;
  if (name === undefined) return;
  if (name === '') yield required(`${field}.volumeAttributesClassName`, 'an empty string is disallowed');
  else yield* dnsSubdomain(name, `${field}.volumeAttributesClassName`);
  if (!spec.csi) yield required(`${field}.csi`, 'has to be specified when using volumeAttributesClassName');
}

function* capacity(list: Readonly<Record<string, string | number>>, field: string): Findings {
  const names = Object.keys(list);
  if (names.length === 0) yield required(field);
  if (list.storage === undefined || names.length > 1) yield notSupported(field, list, ['storage']);
  for (const name of names) {
    const quantity = quantityOf(list[name]);
    yield* basicResource(quantity, `${field}[${name}]`);
    if (quantity.nanos <= 0n) yield invalid(`${field}[${name}]`, formatQuantity(quantity), POSITIVE);
  }
}

function* source(spec: PersistentVolumeSpec, parent: string): Findings {
  const [name, ...more] = Object.keys(sourceOf(spec)).sort((a, b) => SOURCES.indexOf(a) - SOURCES.indexOf(b));
  if (!name) yield required(parent, 'must specify a volume type');
  for (const each of more) yield forbidden(`${parent}.${each}`, 'may not specify more than 1 volume type');
  const field = `${parent}.${name}`;
  if (name === 'hostPath') yield* validateHostPath(spec.hostPath, field);
  else if (name === 'local') {
    const path = spec.local?.path ?? '';
    if (!path) yield required(`${field}.path`);
    else yield* pathWithoutBacksteps(path, `${field}.path`);
    if (!spec.nodeAffinity) yield required(`${parent}.nodeAffinity`, 'Local volume requires node affinity');
  } else if (name === 'csi') yield* csiSource(spec.csi ?? { driver: '', volumeHandle: '' }, field);
  else if (name) {
    // What differs from a pod's volume are references to secrets, which these checks do not read.
    yield* REMOTE.get(name)?.(spec as unknown as Volume, field) ?? [];
  }
}

const SECRETS = [
  'controllerPublishSecretRef',
  'controllerExpandSecretRef',
  'nodePublishSecretRef',
  'nodeExpandSecretRef',
] as const;

function* csiSource(csi: CSIPersistentVolumeSource, field: string): Findings {
  yield* csiDriverName(csi.driver ?? '', `${field}.driver`);
  if (!csi.volumeHandle) yield required(`${field}.volumeHandle`);
  for (const name of SECRETS) if (csi[name]) yield* secretReference(csi[name], `${field}.${name}`);
}

function* secretReference({ name, namespace }: SecretReference, field: string): Findings {
  if (!name) yield required(`${field}.name`);
  else yield* dnsSubdomain(name, `${field}.name`);
  if (!namespace) yield required(`${field}.namespace`);
  else yield* dnsLabel(namespace, `${field}.namespace`);
}
