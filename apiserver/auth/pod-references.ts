// Which objects a pod refers to, and which secrets a persistent volume: what the kubelet of its node must be able to read. Pure.
import type { PersistentVolume, Pod, Volume } from '../../api/types/core-v1.ts';

/** `resource/namespace/name`, each once. */
export function podReferences(pod: Pod): string[] {
  const namespace = pod.metadata.namespace ?? '';
  const found = new Set<string>();
  const add: Add = (resource, name) => {
    if (name) found.add(`${resource}/${namespace}/${name}`);
  };
  const { spec = { containers: [] } } = pod;
  add('serviceaccounts', spec.serviceAccountName);
  for (const each of spec.imagePullSecrets ?? []) add('secrets', each.name);
  for (const volume of spec.volumes ?? []) addVolume(volume, pod, add);
  for (const container of [
    ...(spec.containers ?? []),
    ...(spec.initContainers ?? []),
    ...(spec.ephemeralContainers ?? []),
  ]) {
    for (const each of container.envFrom ?? []) {
      add('secrets', each.secretRef?.name);
      add('configmaps', each.configMapRef?.name);
    }
    for (const each of container.env ?? []) {
      add('secrets', each.valueFrom?.secretKeyRef?.name);
      add('configmaps', each.valueFrom?.configMapKeyRef?.name);
    }
  }
  for (const claim of spec.resourceClaims ?? []) add('resourceclaims', claim.resourceClaimName);
  // Claims made from a template have their name in the status.
  for (const claim of pod.status?.resourceClaimStatuses ?? []) add('resourceclaims', claim.resourceClaimName);
  return [...found];
}

type Add = (resource: string, name: string | undefined) => void;

function addVolume(volume: Volume, pod: Pod, add: Add): void {
  add('secrets', volume.secret?.secretName);
  add('configmaps', volume.configMap?.name);
  add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName);
  if (volume.ephemeral) add('persistentvolumeclaims', `${pod.metadata.name}-${volume.name}`);
  for (const source of volume.projected?.sources ?? []) {
    add('secrets', source.secret?.name);
    add('configmaps', source.configMap?.name);
  }
  add('secrets', volume.azureFile?.secretName);
  add('secrets', volume.csi?.nodePublishSecretRef?.name);
  for (const kind of ['cephfs', 'cinder', 'flexVolume', 'rbd', 'scaleIO', 'iscsi', 'storageos'] as const) {
    add('secrets', volume[kind]?.secretRef?.name);
  }
}

/** `namespace/name` of the secrets with which a kubelet mounts the volume; without a namespace they are the claim's. */
export function volumeSecrets({ spec = {} }: PersistentVolume): string[] {
  const ofClaim = spec.claimRef?.namespace ?? '';
  const { csi, azureFile } = spec;
  const references = [
    ...(['cephfs', 'cinder', 'flexVolume', 'rbd', 'scaleIO', 'iscsi', 'storageos'] as const).map(
      (kind) => spec[kind]?.secretRef,
    ),
    csi?.nodePublishSecretRef,
    csi?.nodeStageSecretRef,
    csi?.nodeExpandSecretRef,
    azureFile && { name: azureFile.secretName, namespace: azureFile.secretNamespace },
  ];
  return references.flatMap((each) => (each?.name ? [`${each.namespace || ofClaim}/${each.name}`] : []));
}
