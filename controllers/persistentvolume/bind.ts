// The writes of a binding, in upstream's order, each left out when it is already there: the volume names the claim, then says that it is
// bound; the claim names the volume, then says so. A crash in between is finished by the next reconcile.
import { persistentVolume as volumeKind } from '../../api/kinds/persistent-volume.ts';
import { persistentVolumeClaim as claimKind } from '../../api/kinds/persistent-volume-claim.ts';
import type { PersistentVolume, PersistentVolumeClaim } from '../../api/types/core-v1.ts';
import { requestedBytes, volumeAnnotations } from '../../api/volume-rules.ts';
import type { Client } from '../../client/index.ts';
import { referenceTo } from './plan.ts';

const YES = 'yes';

export async function bindClaim(client: Client, claim: PersistentVolumeClaim, found: PersistentVolume): Promise<void> {
  const volumes = client.resource<PersistentVolume>(volumeKind);
  let volume = found;
  if (!volume.spec?.claimRef?.uid) {
    const reserved = volume.spec?.claimRef !== undefined;
    volume = await volumes.update({
      ...volume,
      metadata: reserved ? volume.metadata : annotated(volume.metadata, { [volumeAnnotations.boundByController]: YES }),
      spec: { ...volume.spec, claimRef: referenceTo(claim) },
    });
  }
  if (volume.status?.phase !== 'Bound') {
    volume = await volumes.update(
      { ...volume, status: { ...volume.status, phase: 'Bound' } },
      { subresource: 'status' },
    );
  }
  const claims = client.resource<PersistentVolumeClaim>(claimKind, claim.metadata.namespace);
  let bound = claim;
  const chosenByUser = claim.spec?.volumeName !== undefined && claim.spec.volumeName !== '';
  if (!chosenByUser || !claim.metadata.annotations?.[volumeAnnotations.bindCompleted]) {
    bound = await claims.update({
      ...claim,
      metadata: annotated(claim.metadata, {
        [volumeAnnotations.bindCompleted]: YES,
        ...(!chosenByUser && { [volumeAnnotations.boundByController]: YES }),
      }),
      spec: { ...claim.spec, volumeName: volume.metadata.name as string },
    });
  }
  const { phase } = bound.status ?? {};
  if (phase === 'Bound') return;
  const capacity = { storage: volume.spec?.capacity?.['storage'] ?? 0 };
  const accessModes = volume.spec?.accessModes ?? [];
  await claims.update(
    { ...bound, status: { ...bound.status, phase: 'Bound', accessModes, capacity } },
    { subresource: 'status' },
  );
}

/** A directory has no size of its own: what is asked for is only written down. */
export async function expandClaim(
  client: Client,
  claim: PersistentVolumeClaim,
  volume: PersistentVolume,
): Promise<void> {
  const capacity = { storage: requestedBytes(claim) };
  await client
    .resource<PersistentVolume>(volumeKind)
    .update({ ...volume, spec: { ...volume.spec, capacity: { ...volume.spec?.capacity, ...capacity } } });
  await client
    .resource<PersistentVolumeClaim>(claimKind, claim.metadata.namespace)
    .update({ ...claim, status: { ...claim.status, capacity } }, { subresource: 'status' });
}

function annotated<M extends { annotations?: Record<string, string> }>(metadata: M, more: Record<string, string>): M {
  return { ...metadata, annotations: { ...metadata.annotations, ...more } };
}
