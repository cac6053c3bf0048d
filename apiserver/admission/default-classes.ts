// DefaultStorageClass and DefaultIngressClass: a claim or an Ingress that names no class gets the cluster's default one.
// Of several storage classes the newest wins, of several ingress classes none: which of them was meant nobody can tell.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import type { Ingress, IngressClass } from '../../api/types/networking-v1.ts';
import type { StorageClass } from '../../api/types/storage-v1.ts';
import { type AdmissionPlugin, onKind } from './chain.ts';
import type { Lookup } from './lookup.ts';

const STORAGE_DEFAULT = 'storageclass.kubernetes.io/is-default-class';
const STORAGE_DEFAULT_BETA = 'storageclass.beta.kubernetes.io/is-default-class';
const STORAGE_CLASS_ANNOTATION = 'volume.beta.kubernetes.io/storage-class';
const INGRESS_DEFAULT = 'ingressclass.kubernetes.io/is-default-class';
const INGRESS_CLASS_ANNOTATION = 'kubernetes.io/ingress.class';

export function defaultStorageClass(lookup: Lookup): AdmissionPlugin {
  return {
    name: 'DefaultStorageClass',
    handles: onKind('', 'persistentvolumeclaims', 'CREATE'),
    async mutate({ object }) {
      const claim = object as PersistentVolumeClaim & KubeObject;
      if (claim.spec?.storageClassName !== undefined) return;
      if (claim.metadata.annotations?.[STORAGE_CLASS_ANNOTATION] !== undefined) return;
      const classes = await lookup.list<StorageClass & KubeObject>('storage.k8s.io', 'storageclasses');
      const found = newestDefault(
        classes,
        ({ metadata }) =>
          metadata.annotations?.[STORAGE_DEFAULT] === 'true' || metadata.annotations?.[STORAGE_DEFAULT_BETA] === 'true',
      )[0];
      if (found) claim.spec = { ...claim.spec, storageClassName: found.metadata.name };
    },
  };
}

export function defaultIngressClass(lookup: Lookup): AdmissionPlugin {
  return {
    name: 'DefaultIngressClass',
    handles: onKind('networking.k8s.io', 'ingresses', 'CREATE'),
    async mutate({ object, name }) {
      const ingress = object as Ingress & KubeObject;
      if (ingress.spec?.ingressClassName !== undefined) return;
      if (ingress.metadata.annotations?.[INGRESS_CLASS_ANNOTATION] !== undefined) return;
      const classes = await lookup.list<IngressClass & KubeObject>('networking.k8s.io', 'ingressclasses');
      const found = newestDefault(classes, ({ metadata }) => metadata.annotations?.[INGRESS_DEFAULT] === 'true');
      if (found.length === 0) return;
      if (found.length > 1) {
        throw errors.forbidden(
          { group: 'networking.k8s.io', resource: 'ingresses' },
          name,
          `${found.length} default IngressClasses were found, only 1 allowed`,
        );
      }
      ingress.spec = { ...ingress.spec, ingressClassName: found[0]?.metadata.name };
    },
  };
}

/** The default ones, the newest first; of those made in the same second the first by name. */
function newestDefault<T extends KubeObject>(classes: readonly T[], isDefault: (each: T) => boolean): T[] {
  const created = (each: T) => Date.parse(each.metadata.creationTimestamp ?? '') || 0;
  return classes
    .filter(isDefault)
    .sort(
      (left, right) =>
        created(right) - created(left) || ((left.metadata.name ?? '') < (right.metadata.name ?? '') ? -1 : 1),
    );
}
