// What is accepted of volumes, claims and storage classes and should be changed: texts of `Warning:` headers
// (k8s.io/kubernetes/pkg/api/{persistentvolume,persistentvolumeclaim,storage}).
import { formatQuantity, quantityOf } from '../quantity.ts';
import type { PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimSpec } from '../types/core-v1.ts';
import type { CSIStorageCapacity, StorageClass } from '../types/storage-v1.ts';
import { labelDeprecation, termWarnings } from './node-labels.ts';

const CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';
const OPTIONS_ANNOTATION = 'volume.beta.kubernetes.io/mount-options';

export function volumeWarnings({ metadata, spec = {} }: PersistentVolume): string[] {
  const found: string[] = [];
  const annotations = metadata.annotations ?? {};
  if (annotations[CLASS_ANNOTATION] !== undefined) {
    const text = 'deprecated since v1.8; use "storageClassName" attribute instead';
    found.push(`metadata.annotations[${CLASS_ANNOTATION}]: ${text}`);
  }
  if (annotations[OPTIONS_ANNOTATION] !== undefined) {
    const text = 'deprecated since v1.31; use "mountOptions" attribute instead';
    found.push(`metadata.annotations[${OPTIONS_ANNOTATION}]: ${text}`);
  }
  if (spec.persistentVolumeReclaimPolicy === 'Recycle') {
    found.push(
      'spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning.',
    );
  }
  for (const [i, term] of (spec.nodeAffinity?.required?.nodeSelectorTerms ?? []).entries()) {
    found.push(...termWarnings(term, `spec.nodeAffinity.required.nodeSelectorTerms[${i}]`));
  }
  for (const [name, text] of Object.entries(SOURCES)) {
    if (spec[name as keyof typeof SOURCES] === undefined) continue;
    found.push(`spec.${name === 'storageos' ? 'storageOS' : name}: ${text}`);
  }
  found.push(...fractional(spec.capacity?.storage, 'spec.capacity[storage]'));
  return found;
}

const SOURCES = {
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
} as const;

export function claimWarnings({ metadata, spec = {} }: PersistentVolumeClaim): string[] {
  const found: string[] = [];
  if (metadata.annotations?.[CLASS_ANNOTATION] !== undefined) {
    const text = 'deprecated since v1.8; use "storageClassName" attribute instead';
    found.push(`metadata.annotations[${CLASS_ANNOTATION}]: ${text}`);
  }
  found.push(...claimSpecWarnings(spec, 'spec'));
  return found;
}

export function claimSpecWarnings({ resources = {} }: PersistentVolumeClaimSpec, field: string): string[] {
  return (['requests', 'limits'] as const).flatMap((list) =>
    fractional(resources[list]?.storage, `${field}.resources.${list}[storage]`),
  );
}

export function classWarnings({ allowedTopologies = [] }: StorageClass): string[] {
  return allowedTopologies.flatMap(({ matchLabelExpressions = [] }, i) =>
    matchLabelExpressions.flatMap(({ key = '' }, j) => {
      const why = labelDeprecation(key);
      return why ? [`allowedTopologies[${i}].matchLabelExpressions[${j}]: ${why}`] : [];
    }),
  );
}

export function capacityWarnings({ nodeTopology }: CSIStorageCapacity): string[] {
  const found: string[] = [];
  for (const [i, { key }] of (nodeTopology?.matchExpressions ?? []).entries()) {
    const why = labelDeprecation(key);
    if (why) found.push(`nodeTopology.matchExpressions[${i}]: ${key} is ${why}`);
  }
  for (const key of Object.keys(nodeTopology?.matchLabels ?? {})) {
    const why = labelDeprecation(key);
    if (why) found.push(`nodeTopology.matchLabels.${key}: ${why}`);
  }
  return found;
}

/** Bytes are whole. */
export function fractional(value: string | number | undefined, field: string): string[] {
  if (value === undefined) return [];
  const quantity = quantityOf(value);
  if (quantity.nanos % 1_000_000_000n === 0n) return [];
  return [`${field}: fractional byte value ${JSON.stringify(formatQuantity(quantity))} is invalid, must be an integer`];
}
