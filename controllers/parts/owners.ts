// Owner references: who controls an object, and which dependents a controller may adopt or must release.
import { apiVersionOf, type KubeObject, keyOf } from '../../api/object.ts';
import type { Selector } from '../../api/selectors.ts';
import type { OwnerReference } from '../../api/types/meta.ts';
import { type Client, type Informer, isNotFound, type ResourceRef } from '../../client/index.ts';

export function controllerOf(object: KubeObject): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.controller === true);
}

export const controllerReference = (ref: ResourceRef, owner: KubeObject): OwnerReference => ({
  apiVersion: apiVersionOf(ref),
  kind: ref.kind,
  name: owner.metadata.name as string,
  uid: owner.metadata.uid as string,
  controller: true,
  blockOwnerDeletion: true,
});

const byController = 'controller-uid';
const orphans = 'orphans-in-namespace';

/** Lets `dependentsOf` find dependents without a scan; idempotent. */
export function indexByController<T extends KubeObject>(informer: Informer<T>): void {
  informer.addIndex(byController, (object) => {
    const uid = controllerOf(object)?.uid;
    return uid === undefined ? [] : [uid];
  });
  informer.addIndex(orphans, (object) => (controllerOf(object) ? [] : [object.metadata.namespace ?? '']));
}

export const controlledBy = <T extends KubeObject>(informer: Informer<T>, uid: string): T[] =>
  informer.byIndex(byController, uid);

export interface Claims<T> {
  /** Controlled already, and selected. */
  owned: T[];
  /** Selected and controlled by nobody. */
  adopt: T[];
  /** Controlled, but no longer selected. */
  release: T[];
}

/** What of the dependents in the cache belongs to `owner`. Pure over the cache. */
export function claim<T extends KubeObject>(informer: Informer<T>, owner: KubeObject, selector: Selector): Claims<T> {
  const claims: Claims<T> = { owned: [], adopt: [], release: [] };
  const isTerminating = owner.metadata.deletionTimestamp !== undefined;
  for (const dependent of controlledBy(informer, owner.metadata.uid as string)) {
    if (dependent.metadata.namespace !== owner.metadata.namespace) continue;
    if (selector.matches(dependent.metadata.labels)) claims.owned.push(dependent);
    else if (!isTerminating) claims.release.push(dependent);
  }
  if (isTerminating) return claims;
  for (const orphan of informer.byIndex(orphans, owner.metadata.namespace ?? '')) {
    if (!orphan.metadata.deletionTimestamp && selector.matches(orphan.metadata.labels)) claims.adopt.push(orphan);
  }
  return claims;
}

/** Adopts and releases; returns what the owner has afterwards. The owner is read live first: a cache may be stale. */
export async function settleClaims<T extends KubeObject>(
  client: Client,
  ownerRef: ResourceRef,
  owner: KubeObject,
  dependentRef: ResourceRef,
  claims: Claims<T>,
): Promise<T[]> {
  const { namespace } = owner.metadata;
  const dependents = client.resource<T>(dependentRef, namespace);
  const setOwners = async (dependent: T, ownerReferences: OwnerReference[]): Promise<T | undefined> => {
    const { name, uid, resourceVersion } = dependent.metadata;
    try {
      return await dependents.patch(name as string, 'merge', { metadata: { uid, resourceVersion, ownerReferences } });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };
  const kept = [...claims.owned];
  if (claims.adopt.length > 0) {
    const live = await client.resource(ownerRef, namespace).get(owner.metadata.name as string);
    if (live.metadata.uid !== owner.metadata.uid)
      throw new Error(`${ownerRef.kind} ${keyOf(owner)} is another one now`);
    if (live.metadata.deletionTimestamp) return kept;
  }
  for (const dependent of claims.adopt) {
    const adopted = await setOwners(dependent, [
      ...(dependent.metadata.ownerReferences ?? []),
      controllerReference(ownerRef, owner),
    ]);
    if (adopted) kept.push(adopted);
  }
  for (const dependent of claims.release) {
    await setOwners(
      dependent,
      (dependent.metadata.ownerReferences ?? []).filter((reference) => reference.uid !== owner.metadata.uid),
    );
  }
  return kept;
}
