// Plugins around volumes: what is in use is protected by a finalizer, and a claim grows only where its class allows that.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import { compareQuantities, quantityOf } from '../../api/quantity.ts';
import type { PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import type { StorageClass } from '../../api/types/storage-v1.ts';
import { type AdmissionPlugin, onKind } from './chain.ts';
import type { Lookup } from './lookup.ts';

const PROTECTION: Readonly<Record<string, string>> = {
  persistentvolumeclaims: 'kubernetes.io/pvc-protection',
  persistentvolumes: 'kubernetes.io/pv-protection',
};

export const storageObjectInUseProtection: AdmissionPlugin = {
  name: 'StorageObjectInUseProtection',
  handles: (kind, subresource, operation) =>
    kind.group === '' && subresource === '' && operation === 'CREATE' && Object.hasOwn(PROTECTION, kind.resource),
  mutate({ kind, object }) {
    const meta = (object as KubeObject).metadata;
    const finalizer = PROTECTION[kind.resource] as string;
    if (!meta.finalizers?.includes(finalizer)) meta.finalizers = [...(meta.finalizers ?? []), finalizer];
  },
};

export function persistentVolumeClaimResize(lookup: Lookup): AdmissionPlugin {
  return {
    name: 'PersistentVolumeClaimResize',
    handles: onKind('', 'persistentvolumeclaims', 'UPDATE'),
    async validate({ object, old, name }) {
      const claim = object as PersistentVolumeClaim & KubeObject;
      const was = old as PersistentVolumeClaim & KubeObject;
      const size = (of: PersistentVolumeClaim) => quantityOf(of.spec?.resources?.requests?.storage);
      if (compareQuantities(size(claim), size(was)) <= 0) return;
      const refuse = (why: string) => errors.forbidden({ group: '', resource: 'persistentvolumeclaims' }, name, why);
      if (was.status?.phase !== 'Bound') throw refuse('Only bound persistent volume claims can be expanded');
      const className =
        claim.metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? claim.spec?.storageClassName ?? '';
      const found = className
        ? await lookup.find<StorageClass & KubeObject>('storage.k8s.io', 'storageclasses', '', className)
        : undefined;
      if (found?.allowVolumeExpansion !== true) {
        throw refuse(
          'only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize',
        );
      }
    },
  };
}
