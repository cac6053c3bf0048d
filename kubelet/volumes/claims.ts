// The persistent volume behind a pod's claim, read when the pod is set up: a claim that is not bound yet is an error that is tried again.
import { ApiError } from '../../api/errors.ts';
import type { PersistentVolume, PersistentVolumeClaim, Pod, Volume } from '../../api/types/core-v1.ts';
import { claimNameOf, isClaimOfPod, isVolumeOf } from '../../api/volume-rules.ts';
import type { Client } from '../../client/port.ts';
import { refs } from '../../client/refs.ts';
import { VolumeError } from './payload.ts';

export interface ResolvedClaim {
  claim: PersistentVolumeClaim;
  volume: PersistentVolume;
  readOnly: boolean;
}

/** Undefined when the volume has no claim. Throws VolumeError with upstream's words. */
export async function resolveClaim(client: Client, pod: Pod, volume: Volume): Promise<ResolvedClaim | undefined> {
  const name = claimNameOf(pod, volume);
  if (name === undefined) return undefined;
  const { namespace = '' } = pod.metadata;
  const title = `${namespace}/${name}`;
  const failed = (what: string) => new VolumeError(`error processing PVC ${title}: ${what}`);
  const claim = await read<PersistentVolumeClaim>(
    () => client.resource<PersistentVolumeClaim>(refs.persistentVolumeClaims, namespace).get(name),
    (error) => failed(`failed to fetch PVC from API server: ${error.message}`),
  );
  if (volume.ephemeral && !isClaimOfPod(claim, pod)) {
    throw failed(`PVC ${title} was not created for pod ${namespace}/${pod.metadata.name} (pod is not owner)`);
  }
  // A pod that runs already keeps its claim; a new one does not begin with one that goes.
  if (claim.metadata.deletionTimestamp && !pod.status?.startTime)
    throw failed("can't start pod because PVC is being deleted");
  const volumeName = claim.spec?.volumeName;
  if (claim.status?.phase !== 'Bound' || !volumeName) throw failed('PVC is not bound');
  const found = await read<PersistentVolume>(
    () => client.resource<PersistentVolume>(refs.persistentVolumes).get(volumeName),
    (error) => failed(`failed to fetch PV ${volumeName} from API server: ${error.message}`),
  );
  if (!isVolumeOf(found, claim)) throw failed(`PV ${volumeName} is bound to another claim`);
  return { claim, volume: found, readOnly: volume.persistentVolumeClaim?.readOnly ?? false };
}

async function read<T>(get: () => Promise<T>, failure: (error: ApiError) => Error): Promise<T> {
  try {
    return await get();
  } catch (error) {
    if (error instanceof ApiError) throw failure(error);
    throw error;
  }
}
