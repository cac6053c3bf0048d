// PersistentVolumes: what they promise and where they are. Disks of networks and clouds are checked as in pods.
import { posix } from 'node:path';
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
const { normalize } = posix;

/** Those that a volume may have, in upstream's order: of two the first is looked at. */
const SOURCES = [
  'hostPath',
  'gcePersistentDisk',
  'awsElasticBlockStore',
  'glusterfs',
  'flocker',
  'nfs',
  'rbd',
  'quobyte',
  'cephfs',
  'iscsi',
  'cinder',
  'fc',
  'flexVolume',
  'azureFile',
  'vsphereVolume',
  'photonPersistentDisk',
  'portworxVolume',
  'azureDisk',
  'scaleIO',
  'local',
  'storageos',
  'csi',
] as const;
type SourceName = (typeof SOURCES)[number];

/** Paths that are upstream's slips: of what is wrong in the first source, and of one too many. */
const PATHS: Partial<Record<SourceName, string>> = { gcePersistentDisk: 'persistentDisk' };
const PATHS_OF_MORE: Partial<Record<SourceName, string>> = { cephfs: 'cephFS' };

const REMOTE = new Map<string, (volume: Volume, field: string) => Findings>(REMOTE_SOURCES);

/** The members of the specification that say where the volume is. */
export const sourceOf = (spec: PersistentVolumeSpec): Record<string, unknown> =>
  Object.fromEntries(SOURCES.flatMap((name) => (spec[name] ? [[name, spec[name]]] : [])));

export function* validatePersistentVolume({ spec = {} }: PersistentVolume): Findings {
  const field = 'spec';
  yield* accessModes(spec.accessModes ?? [], `${field}.accessModes`);
  yield* capacity(spec.capacity ?? {}, `${field}.capacity`);
  const policy = spec.persistentVolumeReclaimPolicy;
  if (policy) yield* optionalOneOf(policy, ['Delete', 'Recycle', 'Retain'], `${field}.persistentVolumeReclaimPolicy`);
  if (spec.nodeAffinity) {
    const at = `${field}.nodeAffinity.required`;
    if (spec.nodeAffinity.required) yield* validateNodeSelector(spec.nodeAffinity.required, at);
    else yield required(at, 'must specify required node constraints');
  }
  yield* source(spec, field);
  if (spec.storageClassName) yield* dnsSubdomain(spec.storageClassName, `${field}.storageClassName`);
  yield* optionalOneOf(spec.volumeMode, ['Block', 'Filesystem'], `${field}.volumeMode`);
  yield* attributesClass(spec, field);
}

/** The specification of a volume that is no object: only the way to it, and that must be a CSI driver's. */
export function* validateInlineVolume(spec: PersistentVolumeSpec, field: string): Findings {
  const context = 'in the context of inline volumes';
  const unless = (isSet: unknown, name: string, text = 'may not be specified') =>
    isSet ? [forbidden(`${field}.${name}`, `${text} ${context}`)] : [];
  yield* unless(spec.claimRef, 'claimRef');
  yield* unless(Object.keys(spec.capacity ?? {}).length > 0, 'capacity');
  if (!spec.csi) yield required(`${field}.csi`, `has to be specified ${context}`);
  yield* accessModes(spec.accessModes ?? [], `${field}.accessModes`);
  const policy = spec.persistentVolumeReclaimPolicy;
  yield* unless(policy && policy !== 'Retain', 'persistentVolumeReclaimPolicy', 'may only be Retain');
  yield* unless(spec.nodeAffinity, 'nodeAffinity');
  yield* source(spec, field);
  yield* unless(spec.storageClassName, 'storageClassName');
  const { volumeMode: mode = 'Filesystem' } = spec;
  yield* unless(mode !== 'Filesystem', 'volumeMode', 'may not specify volumeMode other than Filesystem');
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
  let count = 0;
  for (const name of SOURCES) {
    if (!spec[name]) continue;
    // Upstream does not mind one of these beside others.
    if (count > 0 && name !== 'flexVolume') {
      yield forbidden(`${parent}.${PATHS_OF_MORE[name] ?? name}`, 'may not specify more than 1 volume type');
    } else yield* checkSource(spec, name, `${parent}.${PATHS[name] ?? name}`, parent);
    count++;
  }
  if (count === 0) yield required(parent, 'must specify a volume type');
  if (
    spec.hostPath &&
    normalize(spec.hostPath.path ?? '') === '/' &&
    spec.persistentVolumeReclaimPolicy === 'Recycle'
  ) {
    const text = "may not be 'recycle' for a hostPath mount of '/'";
    yield forbidden(`${parent}.persistentVolumeReclaimPolicy`, text);
  }
}

function* checkSource(spec: PersistentVolumeSpec, name: SourceName, field: string, parent: string): Findings {
  if (name === 'hostPath') yield* validateHostPath(spec.hostPath, field);
  else if (name === 'local') {
    const path = spec.local?.path ?? '';
    if (!path) yield required(`${field}.path`);
    else yield* pathWithoutBacksteps(path, `${field}.path`);
    if (!spec.nodeAffinity) yield required(`${parent}.nodeAffinity`, 'Local volume requires node affinity');
  } else if (name === 'csi') yield* csiSource(spec.csi ?? { driver: '', volumeHandle: '' }, field);
  // What differs from a pod's volume are references to secrets, which these checks do not read.
  else yield* REMOTE.get(name)?.(spec as unknown as Volume, field) ?? [];
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
