// Carries out a plan of slices. Each that is created is expected to be seen before anything is planned anew.
import { endpointSlice as sliceKind } from '../../api/kinds/endpoint-slice.ts';
import { randomSuffix } from '../../api/names.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';
import { type Client, isNamespaceTerminating, isNotFound, NetworkError } from '../../client/index.ts';
import type { Random } from '../../lib/clock.ts';
import type { Expectations } from '../parts/expectations.ts';
import type { SlicePlan } from './plan.ts';

/** `key` is the Service's: namespace/name. */
export async function applySlices(
  { client, random, expectations }: { client: Client; random: Random; expectations: Expectations },
  key: string,
  plan: SlicePlan,
): Promise<void> {
  const [namespace, service] = key.split('/') as [string, string];
  const resource = client.resource<EndpointSlice>(sliceKind, namespace);
  for (const slice of plan.create) {
    const name = `${service}-`.slice(0, 58) + randomSuffix(random);
    expectations.expect(key, name);
    try {
      await resource.create({ ...slice, metadata: { ...slice.metadata, name } });
    } catch (error) {
      if (!(error instanceof NetworkError)) expectations.settle(key, name);
      if (isNamespaceTerminating(error)) return;
      throw error;
    }
  }
  for (const slice of plan.update) await resource.update(slice);
  for (const slice of plan.remove) {
    try {
      await resource.delete(slice.metadata.name as string, { preconditions: { uid: slice.metadata.uid } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
