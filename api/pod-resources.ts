// What a pod asks for and may use: containers added up, init containers and sidecars as they overlap in time, pod-level
// resources and overhead (k8s.io/component-helpers/resource), and the quality of service that follows. Pure.
import { addQuantities, compareQuantities, formatQuantity, type Quantity, quantityOf } from './quantity.ts';
import type { Container, Pod, PodSpec } from './types/core-v1.ts';

/** By resource name: `cpu`, `memory`, `ephemeral-storage`, `example.com/device`. */
export type Resources = Map<string, Quantity>;

type ResourceList = Readonly<Record<string, string | number>>;
type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

/** A sidecar: an init container that keeps running beside the containers. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

/** What the scheduler must find free on a node. */
export function podRequests(pod: { spec?: PodSpec }): Resources {
  const spec = pod.spec;
  if (!spec) return new Map();
  const requests = aggregate(spec, (container) => container.resources?.requests);
  override(requests, spec.resources?.requests);
  addList(requests, spec.overhead);
  return requests;
}

/** The most the pod may use. Resources that no container limits are absent. */
export function podLimits(pod: { spec?: PodSpec }): Resources {
  const spec = pod.spec;
  if (!spec) return new Map();
  const limits = aggregate(spec, (container) => container.resources?.limits);
  override(limits, spec.resources?.limits);
  for (const [name, extra] of Object.entries(spec.overhead ?? {})) {
    const limit = limits.get(name);
    if (limit && limit.nanos !== 0n) limits.set(name, addQuantities(limit, quantityOf(extra)));
  }
  return limits;
}

/** The containers' requests together, as quantities in text; without pod-level resources and overhead. */
export function aggregateContainerRequests(spec: PodSpec): Record<string, string> {
  const requests = aggregate(spec, (container) => container.resources?.requests);
  return Object.fromEntries([...requests].map(([name, quantity]) => [name, formatQuantity(quantity)]));
}

/** The same of what they may use; resources that no container limits are absent. */
export function aggregateContainerLimits(spec: PodSpec): Record<string, string> {
  const limits = aggregate(spec, (container) => container.resources?.limits);
  return Object.fromEntries([...limits].map(([name, quantity]) => [name, formatQuantity(quantity)]));
}

/**
 * Containers run together and add up. An ordinary init container runs alone beside the sidecars started before it, so only
 * the largest such moment counts:
 *
 *     init 1 ┤          ├ sidecar ──────────────────────────
 *                                  ┤ init 2 ├ a, b, c ──────
 */
function aggregate(spec: PodSpec, listOf: (container: Container) => ResourceList | undefined): Resources {
  const total: Resources = new Map();
  for (const container of spec.containers ?? []) addList(total, listOf(container));

  const sidecars: Resources = new Map();
  const peak: Resources = new Map();
  for (const container of spec.initContainers ?? []) {
    const list = listOf(container);
    if (isSidecar(container)) {
      addList(total, list);
      addList(sidecars, list);
      raise(peak, sidecars);
    } else {
      const moment: Resources = new Map(sidecars);
      addList(moment, list);
      raise(peak, moment);
    }
  }
  raise(total, peak);
  return total;
}

function addList(into: Resources, list: ResourceList | undefined): void {
  for (const [name, value] of Object.entries(list ?? {})) {
    const known = into.get(name);
    into.set(name, known ? addQuantities(known, quantityOf(value)) : quantityOf(value));
  }
}

function raise(into: Resources, by: Resources): void {
  for (const [name, quantity] of by) {
    const known = into.get(name);
    if (!known || compareQuantities(quantity, known) > 0) into.set(name, quantity);
  }
}

/** The resources that a pod as a whole may state in spec.resources. */
export function isPodLevelResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith('hugepages-');
}

function override(into: Resources, list: ResourceList | undefined): void {
  for (const [name, value] of Object.entries(list ?? {})) {
    if (isPodLevelResource(name)) into.set(name, quantityOf(value));
  }
}

/** https://kubernetes.io/docs/concepts/workloads/pods/pod-qos/: computed from the specification, whatever the status says. */
export function podQosClass(pod: Pod): QosClass {
  const spec = pod.spec;
  if (!spec) return 'BestEffort';
  const atPodLevel =
    Object.keys(spec.resources?.requests ?? {}).length + Object.keys(spec.resources?.limits ?? {}).length;
  const parts =
    atPodLevel > 0
      ? [spec.resources]
      : [...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((each) => each.resources);

  const requests: Resources = new Map();
  const limits: Resources = new Map();
  let allLimited = true;
  for (const part of parts) {
    addList(requests, computeResources(part?.requests));
    const limited = computeResources(part?.limits);
    addList(limits, limited);
    if (Object.keys(limited).length < 2) allLimited = false;
  }
  if (requests.size === 0 && limits.size === 0) return 'BestEffort';
  const same =
    requests.size === limits.size &&
    [...requests].every(([name, request]) => {
      const limit = limits.get(name);
      return limit !== undefined && compareQuantities(limit, request) === 0;
    });
  return allLimited && same ? 'Guaranteed' : 'Burstable';
}

/** CPU and memory above zero: what counts for the quality of service. */
function computeResources(list: ResourceList | undefined): Record<string, string | number> {
  const found: Record<string, string | number> = {};
  for (const name of ['cpu', 'memory']) {
    const value = list?.[name];
    if (value !== undefined && quantityOf(value).nanos > 0n) found[name] = value;
  }
  return found;
}
