// In-place resize: which resources of a pod's containers the node has granted, apart from those that its spec asks for now. Pure.
// A pod that asks for more than has been granted runs with what it has until the node can give it.
// https://kubernetes.io/docs/tasks/configure-pod-container/resize-container-resources/
import { compareQuantities, quantityOf } from '../../api/quantity.ts';
import type { Container, ContainerStatus, Pod, ResourceRequirements } from '../../api/types/core-v1.ts';
import { bytesOf, milliOf } from '../containers/amounts.ts';
import { podTotals } from '../containers/resources.ts';
import { refuseResize } from './admission.ts';
import { isSidecar } from './containers-of.ts';

export interface Allocation {
  /** By container name; main containers and sidecars, what can be resized. */
  containers: ReadonlyMap<string, ResourceRequirements>;
  /** spec.resources. */
  pod: ResourceRequirements | undefined;
}

export type ResizeVerdict =
  | { kind: 'none' }
  | { kind: 'grant' }
  | { kind: 'pending'; reason: 'Infeasible' | 'Deferred'; message: string };

export function resizable(pod: Pod): Container[] {
  return [...(pod.spec?.initContainers ?? []).filter(isSidecar), ...(pod.spec?.containers ?? [])];
}

/** What the spec asks for, all granted. */
export function allocationOf(pod: Pod): Allocation {
  return {
    containers: new Map(resizable(pod).map((each) => [each.name, each.resources ?? {}])),
    pod: pod.spec?.resources,
  };
}

/** What an earlier kubelet had granted, from the status that it wrote; what it has not reported is taken as asked for. */
export function reportedAllocation(pod: Pod): Allocation {
  const asked = allocationOf(pod);
  const statuses = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])];
  const containers = new Map<string, ResourceRequirements>();
  for (const [name, resources] of asked.containers) {
    const status = statuses.find((each) => each.name === name);
    const known = status?.allocatedResources !== undefined && status.resources !== undefined;
    if (!known || sameList(status.allocatedResources, resources.requests)) containers.set(name, resources);
    else containers.set(name, { ...resources, requests: status.allocatedResources, limits: status.resources?.limits });
  }
  return { containers, pod: asked.pod };
}

/** The pod as it runs: its spec with what was granted. The same object when nothing differs. */
export function withAllocation(pod: Pod, allocation: Allocation): Pod {
  if (isGranted(pod, allocation)) return pod;
  const granted = (container: Container): Container => {
    const resources = allocation.containers.get(container.name);
    return resources ? { ...container, resources } : container;
  };
  const spec = pod.spec ?? { containers: [] };
  return {
    ...pod,
    spec: {
      ...spec,
      containers: spec.containers.map(granted),
      ...(spec.initContainers && { initContainers: spec.initContainers.map(granted) }),
      ...(allocation.pod && { resources: allocation.pod }),
    },
  };
}

export function isGranted(pod: Pod, allocation: Allocation): boolean {
  return (
    resizable(pod).every((each) =>
      sameResources(each.resources, allocation.containers.get(each.name) ?? each.resources),
    ) && sameResources(pod.spec?.resources, allocation.pod)
  );
}

export function sameResources(a: ResourceRequirements | undefined, b: ResourceRequirements | undefined): boolean {
  return sameList(a?.requests, b?.requests) && sameList(a?.limits, b?.limits);
}

type List = Record<string, string | number> | undefined;

/** Compares what can be changed in place. */
function sameList(a: List, b: List): boolean {
  return ['cpu', 'memory'].every((name) => {
    const [x, y] = [a?.[name], b?.[name]];
    if (x === undefined || y === undefined) return x === y;
    return compareQuantities(quantityOf(x), quantityOf(y)) === 0;
  });
}

export interface ResizeFacts {
  /** As the API has it. */
  desired: Pod;
  granted: Allocation;
  /** The other pods of the node with what they were granted. */
  others: readonly Pod[];
  allocatable: Record<string, string | number>;
  /** The CPU or memory manager pins: Guaranteed pods cannot be resized. */
  pinned: { cpu: boolean; memory: boolean };
}

export function decideResize({ desired, granted, others, allocatable, pinned }: ResizeFacts): ResizeVerdict {
  if (isGranted(desired, granted)) return { kind: 'none' };
  if (desired.status?.qosClass === 'Guaranteed' && (pinned.cpu || pinned.memory)) {
    const policy = pinned.cpu ? 'CPU Manager policy "static"' : 'Memory Manager policy "Static"';
    return {
      kind: 'pending',
      reason: 'Infeasible',
      message: `Resize is infeasible for Guaranteed Pods alongside ${policy}`,
    };
  }
  const { requests } = podTotals(desired);
  for (const [resource, measure] of [
    ['memory', bytesOf],
    ['cpu', milliOf],
  ] as const) {
    const requested = requests[resource] ?? 0;
    const capacity = measure(allocatable[resource]);
    if (requested > capacity) {
      const message = `Node didn't have enough capacity: ${resource}, requested: ${requested}, capacity: ${capacity}`;
      return { kind: 'pending', reason: 'Infeasible', message };
    }
  }
  const refusal = refuseResize({ pod: desired, others, allocatable });
  return refusal ? { kind: 'pending', reason: 'Deferred', message: refusal.message } : { kind: 'grant' };
}

/** Whether a change from `before` to `after` asks for a restart, by the container's resizePolicy. */
export function needsRestart(container: Container, before: ResourceRequirements, after: ResourceRequirements): boolean {
  return (container.resizePolicy ?? []).some(
    ({ resourceName, restartPolicy }) =>
      restartPolicy === 'RestartContainer' && !sameResources(only(before, resourceName), only(after, resourceName)),
  );
}

function only(resources: ResourceRequirements, name: string): ResourceRequirements {
  const pick = (list: List) => (list?.[name] === undefined ? {} : { [name]: list[name] as string | number });
  return { requests: pick(resources.requests), limits: pick(resources.limits) };
}

/** What a running container was last given, as an earlier kubelet reported of this very instance. */
export function reportedResources(
  status: ContainerStatus | undefined,
  containerId: string,
): ResourceRequirements | undefined {
  return status?.containerID === containerId ? status.resources : undefined;
}
