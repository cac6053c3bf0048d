// What a subresource of pods takes over of what a client sends; everything else stays as it is stored.
import type { Container, Pod } from '../../types/core-v1.ts';

/** In place: metadata that a view of the pod does not change. */
function keepMetadata({ metadata }: Pod, { metadata: was }: Pod): void {
  metadata.labels = was.labels;
  metadata.annotations = was.annotations;
  metadata.finalizers = was.finalizers;
  metadata.ownerReferences = was.ownerReferences;
}

/** In place. */
export function keepAllButEphemeralContainers(pod: Pod, old: Pod): void {
  const ephemeralContainers = pod.spec?.ephemeralContainers;
  keepMetadata(pod, old);
  pod.status = old.status;
  if (!old.spec) return;
  pod.spec = { ...old.spec };
  if (ephemeralContainers) pod.spec.ephemeralContainers = ephemeralContainers;
  else delete pod.spec.ephemeralContainers;
}

/** In place. Containers that are not the same ones are left for validation to refuse. */
export function keepAllButResources(pod: Pod, old: Pod): void {
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  const was = old.spec;
  if (!was) return;
  if (containers.length !== was.containers.length || initContainers.length !== (was.initContainers ?? []).length)
    return;
  keepMetadata(pod, old);
  const ofPod = pod.spec?.resources;
  pod.status = old.status;
  pod.spec = { ...was, containers: sized(containers, was.containers) };
  if (ofPod) pod.spec.resources = ofPod;
  else delete pod.spec.resources;
  if (was.initContainers) pod.spec.initContainers = sized(initContainers, was.initContainers);
}

function sized(wanted: readonly Container[], old: readonly Container[]): Container[] {
  if (wanted.some((each, i) => each.name !== old[i]?.name)) return [...wanted];
  return old.map((each, i) => {
    const { resources, resizePolicy } = wanted[i] as Container;
    return { ...each, resources, ...((resizePolicy || each.resizePolicy) && { resizePolicy }) };
  });
}
