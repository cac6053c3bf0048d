// What a claim and a volume need next, as values. Pure. The rules, reasons and messages are upstream's
// (pkg/controller/volume/persistentvolume).
import { compareQuantities, quantityOf } from '../../api/quantity.ts';
import type { Node, PersistentVolume, PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import type { StorageClass } from '../../api/types/storage-v1.ts';
import {
  classOfClaim,
  findVolume,
  isFullyBound,
  isVolumeOf,
  mismatch,
  NO_PROVISIONER,
  requestedBytes,
  volumeAnnotations,
} from '../../api/volume-rules.ts';

/** Directories on the nodes themselves: made by the kubelet when first mounted, removed by it when their volume is gone. */
export const LOCAL_PROVISIONER = 'sampan.dev/local';
/** On nodes, by their kubelet: where such directories are. */
export const LOCAL_VOLUMES_ANNOTATION = 'sampan.dev/local-volumes';

export interface ClaimFacts {
  claim: PersistentVolumeClaim;
  /** The volume that `spec.volumeName` names, if it is there. */
  named: PersistentVolume | undefined;
  volumes: Iterable<PersistentVolume>;
  /** Of the claim's class name. */
  storageClass: StorageClass | undefined;
  defaultClass: StorageClass | undefined;
  /** The node that the scheduler has chosen, or any when the class binds at once. */
  node: Node | undefined;
}

interface Announcement {
  type: 'Normal' | 'Warning';
  reason: string;
  message: string;
}

export type ClaimPlan =
  | { kind: 'none' }
  | { kind: 'takeDefaultClass'; name: string }
  | { kind: 'bind'; volume: PersistentVolume }
  | { kind: 'provision'; volume: PersistentVolume }
  /** Somebody else makes the volume: tell whom, in annotations. */
  | ({ kind: 'external'; provisioner: string } & Announcement)
  | ({ kind: 'pending' } & Partial<Announcement>)
  | ({ kind: 'lost' } & Announcement)
  | { kind: 'expand'; volume: PersistentVolume };

export function planClaim(facts: ClaimFacts): ClaimPlan {
  const { claim, named } = facts;
  if (claim.metadata.deletionTimestamp && !isFullyBound(claim)) return { kind: 'none' };
  if (isFullyBound(claim)) return planBound(claim, named, facts.storageClass);
  if (claim.spec?.volumeName) return planNamed(claim, named);
  if (claim.spec?.storageClassName === undefined && facts.defaultClass && classOfClaim(claim) === '') {
    return { kind: 'takeDefaultClass', name: facts.defaultClass.metadata.name ?? '' };
  }
  return planUnbound(facts);
}

function planBound(
  claim: PersistentVolumeClaim,
  volume: PersistentVolume | undefined,
  storageClass: StorageClass | undefined,
): ClaimPlan {
  if (!volume) {
    if (claim.status?.phase === 'Lost') return { kind: 'none' };
    const message = 'Bound claim has lost its PersistentVolume. Data on the volume is lost!';
    return { kind: 'lost', type: 'Warning', reason: 'ClaimLost', message };
  }
  if (!volume.spec?.claimRef) return { kind: 'bind', volume };
  if (!isVolumeOf(volume, claim)) {
    if (claim.status?.phase === 'Lost') return { kind: 'none' };
    const message = 'Two claims are bound to the same volume, this one is bound incorrectly';
    return { kind: 'lost', type: 'Warning', reason: 'ClaimMisbound', message };
  }
  const { phase } = claim.status ?? {};
  if (phase !== 'Bound' || volume.status?.phase !== 'Bound' || !volume.spec.claimRef.uid)
    return { kind: 'bind', volume };
  const wanted = quantityOf(requestedBytes(claim));
  const has = quantityOf(claim.status?.capacity?.['storage'] ?? 0);
  const isOurs = volume.metadata.annotations?.[volumeAnnotations.provisionedBy] === LOCAL_PROVISIONER;
  if (isOurs && storageClass?.allowVolumeExpansion && compareQuantities(wanted, has) > 0)
    return { kind: 'expand', volume };
  return { kind: 'none' };
}

/** The user has chosen the volume. */
function planNamed(claim: PersistentVolumeClaim, volume: PersistentVolume | undefined): ClaimPlan {
  if (!volume) return { kind: 'pending' };
  const ref = volume.spec?.claimRef;
  if (ref && !isVolumeOf(volume, claim)) {
    const message = `volume "${volume.metadata.name}" already bound to a different claim.`;
    return { kind: 'pending', type: 'Warning', reason: 'FailedBinding', message };
  }
  const reason = mismatch(claim, volume);
  if (reason) {
    const message = `Cannot bind to requested volume "${volume.metadata.name}": ${reason}`;
    return { kind: 'pending', type: 'Warning', reason: 'VolumeMismatch', message };
  }
  return { kind: 'bind', volume };
}

function planUnbound(facts: ClaimFacts): ClaimPlan {
  const { claim, storageClass, node } = facts;
  const isDelayed = storageClass?.volumeBindingMode === 'WaitForFirstConsumer';
  const isChosen = claim.metadata.annotations?.[volumeAnnotations.selectedNode] !== undefined;
  const reserved = [...facts.volumes].filter((each) => each.spec?.claimRef && isVolumeOf(each, claim));
  const volume = findVolume(claim, isDelayed ? reserved : facts.volumes);
  if (volume) return { kind: 'bind', volume };
  if (isDelayed && !isChosen) {
    const message = 'waiting for first consumer to be created before binding';
    return { kind: 'pending', type: 'Normal', reason: 'WaitForFirstConsumer', message };
  }
  const name = classOfClaim(claim);
  if (name === '') {
    const message = 'no persistent volumes available for this claim and no storage class is set';
    return { kind: 'pending', type: 'Normal', reason: 'FailedBinding', message };
  }
  if (!storageClass) {
    const message = `storageclass.storage.k8s.io "${name}" not found`;
    return { kind: 'pending', type: 'Warning', reason: 'ProvisioningFailed', message };
  }
  const { provisioner } = storageClass;
  if (provisioner === NO_PROVISIONER) {
    const message = `no volume plugin matched name: ${provisioner}`;
    return isDelayed
      ? { kind: 'pending' }
      : { kind: 'pending', type: 'Warning', reason: 'ProvisioningFailed', message };
  }
  if (provisioner !== LOCAL_PROVISIONER) {
    const message = `Waiting for a volume to be created either by the external provisioner '${provisioner}' or manually by the system administrator. If volume creation is delayed, please verify that the provisioner is running and correctly registered.`;
    return { kind: 'external', provisioner, type: 'Normal', reason: 'ExternalProvisioning', message };
  }
  const failed = (message: string): ClaimPlan => ({
    kind: 'pending',
    type: 'Warning',
    reason: 'ProvisioningFailed',
    message: `failed to provision volume with StorageClass "${name}": ${message}`,
  });
  if (claim.spec?.volumeMode === 'Block') return failed('block volumes are not supported');
  if (claim.spec?.dataSource || claim.spec?.dataSourceRef) return failed('data sources are not supported');
  if (claim.spec?.selector) return failed('claim.Spec.Selector is not supported');
  if (!node) return failed('no node is there to hold the volume');
  return { kind: 'provision', volume: localVolume(claim, storageClass, node) };
}

export function volumeNameOf(claim: PersistentVolumeClaim): string {
  return `pvc-${claim.metadata.uid}`;
}

function localVolume(claim: PersistentVolumeClaim, storageClass: StorageClass, node: Node): PersistentVolume {
  const name = volumeNameOf(claim);
  const directory = node.metadata.annotations?.[LOCAL_VOLUMES_ANNOTATION] ?? '/var/lib/sampan/local-volumes';
  const hostname = node.metadata.labels?.['kubernetes.io/hostname'] ?? node.metadata.name ?? '';
  return {
    apiVersion: 'v1',
    kind: 'PersistentVolume',
    metadata: { name, annotations: { [volumeAnnotations.provisionedBy]: LOCAL_PROVISIONER } },
    spec: {
      capacity: { storage: requestedBytes(claim) },
      accessModes: claim.spec?.accessModes ?? [],
      claimRef: referenceTo(claim),
      persistentVolumeReclaimPolicy: storageClass.reclaimPolicy ?? 'Delete',
      storageClassName: storageClass.metadata.name ?? '',
      volumeMode: 'Filesystem',
      ...(storageClass.mountOptions && { mountOptions: storageClass.mountOptions }),
      local: { path: `${directory}/${name}` },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [
            { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: [hostname] }] },
          ],
        },
      },
    },
  };
}

export function referenceTo({ metadata }: PersistentVolumeClaim) {
  const { name, namespace, uid, resourceVersion } = metadata;
  return { apiVersion: 'v1', kind: 'PersistentVolumeClaim', name, namespace, uid, resourceVersion };
}

export type VolumePlan =
  | { kind: 'none' }
  | { kind: 'phase'; phase: 'Available' | 'Released' | 'Bound' }
  /** Its claim is gone and the policy says Delete: the volume goes, then its data. */
  | { kind: 'delete' }
  | ({ kind: 'failed' } & Announcement);

/** `claim` is the one that the volume's claimRef names, if it is there (whatever its uid). */
export function planVolume(volume: PersistentVolume, claim: PersistentVolumeClaim | undefined): VolumePlan {
  const ref = volume.spec?.claimRef;
  const phase = volume.status?.phase || 'Pending';
  const toPhase = (wanted: 'Available' | 'Released' | 'Bound'): VolumePlan =>
    phase === wanted ? { kind: 'none' } : { kind: 'phase', phase: wanted };
  if (volume.metadata.deletionTimestamp) return { kind: 'none' };
  // Reserved for a claim that has not been seen by uid: free until then.
  if (!ref?.uid) return toPhase('Available');
  if (claim && claim.metadata.uid === ref.uid) {
    const binds = claim.spec?.volumeName === volume.metadata.name || claim.spec?.volumeName === undefined;
    return binds && claim.status?.phase === 'Bound' ? toPhase('Bound') : { kind: 'none' };
  }
  if (phase !== 'Released' && phase !== 'Failed') return { kind: 'phase', phase: 'Released' };
  return reclaim(volume, phase);
}

function reclaim(volume: PersistentVolume, phase: string): VolumePlan {
  const policy = volume.spec?.persistentVolumeReclaimPolicy ?? 'Retain';
  const provisioner = volume.metadata.annotations?.[volumeAnnotations.provisionedBy];
  if (policy === 'Delete') {
    if (provisioner === LOCAL_PROVISIONER) return { kind: 'delete' };
    // Whoever made it deletes it.
    if (provisioner !== undefined || volume.spec?.csi) return { kind: 'none' };
    const message = `error getting deleter volume plugin for volume "${volume.metadata.name}": no deletable volume plugin matched`;
    return phase === 'Failed'
      ? { kind: 'none' }
      : { kind: 'failed', type: 'Warning', reason: 'VolumeFailedDelete', message };
  }
  if (policy === 'Recycle' && phase !== 'Failed') {
    const message = 'No recycler plugin found for the volume!';
    return { kind: 'failed', type: 'Warning', reason: 'VolumeFailedRecycle', message };
  }
  return { kind: 'none' };
}

/** The newest of the classes that are marked as default. */
export function defaultClassOf(classes: readonly StorageClass[]): StorageClass | undefined {
  const created = (each: StorageClass) => Date.parse(each.metadata.creationTimestamp ?? '') || 0;
  return classes
    .filter(
      ({ metadata }) =>
        metadata.annotations?.[volumeAnnotations.defaultClass] === 'true' ||
        metadata.annotations?.[volumeAnnotations.betaDefaultClass] === 'true',
    )
    .sort((a, b) => created(b) - created(a) || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1))[0];
}
