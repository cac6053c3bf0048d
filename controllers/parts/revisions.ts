// ControllerRevisions: a DaemonSet's or StatefulSet's history of pod templates, one object per template it ever had.
import { deepEqual, semanticEqual } from '../../api/equality.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ControllerRevision } from '../../api/types/apps-v1.ts';
import type { PodTemplateSpec } from '../../api/types/core-v1.ts';
import { type Client, isAlreadyExists, isNotFound, type ResourceRef } from '../../client/index.ts';
import { templateHash } from '../deployment/template.ts';
import { controllerOf, controllerReference } from './owners.ts';
import { controllerRevisionRef } from './workload-refs.ts';

export const revisionLabel = 'controller-revision-hash';
/** What upstream's StatefulSets and shared history code label revisions with. */
export const historyLabel = 'controller.kubernetes.io/hash';

interface Templated extends KubeObject {
  spec?: { template: PodTemplateSpec; revisionHistoryLimit?: number };
  status?: { collisionCount?: number };
}

/** Applied as a strategic merge patch it brings the template back: what `kubectl rollout undo` does. */
export const revisionData = (template: PodTemplateSpec) => ({ spec: { template: { ...template, $patch: 'replace' } } });

export const templateOf = (revision: ControllerRevision): PodTemplateSpec => {
  const data = revision.data as { spec: { template: PodTemplateSpec & { $patch?: string } } };
  const { $patch: _, ...template } = data.spec.template;
  return template;
};

export const hashOf = (revision: ControllerRevision): string =>
  revision.metadata.labels?.[revisionLabel] ?? revision.metadata.labels?.[historyLabel] ?? '';

export const byRevision = (a: ControllerRevision, b: ControllerRevision): number =>
  a.revision - b.revision || ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1);

export interface History {
  /** The one of the present template, with the highest number. */
  current: ControllerRevision;
  old: ControllerRevision[];
}

/** Creates the revision of the present template, or gives an old one of the same template the next number. */
export async function settleHistory(
  client: Client,
  ownerRef: ResourceRef,
  owner: Templated,
  revisions: readonly ControllerRevision[],
): Promise<History> {
  const template = owner.spec?.template as PodTemplateSpec;
  const resource = client.resource<ControllerRevision>(controllerRevisionRef, owner.metadata.namespace);
  const sorted = [...revisions].sort(byRevision);
  const next = (sorted.at(-1)?.revision ?? 0) + 1;
  const same = sorted.filter((each) => semanticEqual(each.data, revisionData(template))).at(-1);
  if (same) {
    const current =
      same.revision === next - 1 || owner.metadata.deletionTimestamp
        ? same
        : await resource.update({ ...same, revision: next });
    return { current, old: sorted.filter((each) => each !== same) };
  }
  for (let collision = owner.status?.collisionCount ?? 0; ; collision++) {
    const hash = templateHash(template, collision);
    const name = `${owner.metadata.name}-${hash}`;
    const revision: ControllerRevision = {
      metadata: {
        name,
        namespace: owner.metadata.namespace,
        labels: { ...template.metadata?.labels, [revisionLabel]: hash, [historyLabel]: hash },
        annotations: withoutApplied(owner.metadata.annotations),
        ownerReferences: [controllerReference(ownerRef, owner)],
      },
      data: revisionData(template),
      revision: next,
    };
    try {
      return { current: await resource.create(revision), old: sorted };
    } catch (error) {
      if (!isAlreadyExists(error)) throw error;
      const present = await resource.get(name);
      const isOurs = controllerOf(present)?.uid === owner.metadata.uid;
      if (isOurs && deepEqual(templateOf(present), JSON.parse(JSON.stringify(template))))
        return { current: present, old: sorted };
    }
  }
}

function withoutApplied(annotations: Record<string, string> | undefined): Record<string, string> | undefined {
  if (!annotations) return undefined;
  const { 'kubectl.kubernetes.io/last-applied-configuration': _, ...rest } = annotations;
  return rest;
}

/** Removes the oldest of `old` that no pod is made from, beyond the owner's limit; below zero there is none. */
export async function trimHistory(
  client: Client,
  owner: Templated,
  old: readonly ControllerRevision[],
  isLive: (revision: ControllerRevision) => boolean,
): Promise<void> {
  const unused = old.filter((each) => !isLive(each)).sort(byRevision);
  const limit = owner.spec?.revisionHistoryLimit ?? 10;
  if (limit < 0) return;
  const excess = unused.length - limit;
  const resource = client.resource<ControllerRevision>(controllerRevisionRef, owner.metadata.namespace);
  for (const { metadata } of unused.slice(0, Math.max(0, excess))) {
    try {
      await resource.delete(metadata.name as string, { preconditions: { uid: metadata.uid } });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }
}
