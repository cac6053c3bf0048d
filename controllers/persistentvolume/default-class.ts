// A cluster without any StorageClass gets one that works on a laboratory's machine: directories on the nodes. Once, at start: who deletes it
// while another is there, or brings their own, is left alone.
import { storageClass as classKind } from '../../api/kinds/storage-class.ts';
import type { StorageClass } from '../../api/types/storage-v1.ts';
import { volumeAnnotations } from '../../api/volume-rules.ts';
import { isAlreadyExists } from '../../client/index.ts';
import { sleep } from '../../lib/abort.ts';
import type { ControllersContext } from '../context.ts';
import { LOCAL_PROVISIONER } from './plan.ts';

const standard: StorageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: { name: 'standard', annotations: { [volumeAnnotations.defaultClass]: 'true' } },
  provisioner: LOCAL_PROVISIONER,
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'WaitForFirstConsumer',
  allowVolumeExpansion: true,
};

export async function runDefaultStorageClass(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const classes = context.client.resource<StorageClass>(classKind);
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      const { items } = await classes.list({ limit: 1, signal });
      if (items.length === 0) await classes.create(standard, { signal });
      return;
    } catch (error) {
      if (signal.aborted || isAlreadyExists(error)) return;
      if (failures % 10 === 0) context.log.warn({ err: error }, 'cannot make the default storage class; trying again');
      await sleep(context.clock, Math.min(30_000, 500 * 2 ** Math.min(failures, 6)), signal);
    }
  }
}
