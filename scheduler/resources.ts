// Objects of the API turned into the numbers that a cycle compares. Pure.
import { podRequests } from '../api/pod-resources.ts';
import { cpuMillis, intValue, milliValue, type Quantity, quantityInt } from '../api/quantity.ts';
import { deepEqual } from '../api/equality.ts';
import type { Node, Pod } from '../api/types/core-v1.ts';
import { claimNameOf } from '../api/volume-rules.ts';
import type { Amounts, HostPort, PodInfo } from './framework.ts';
import { podTermsOf } from './pod-terms.ts';

/** What a container that asks for nothing is taken to use when nodes are scored, as upstream. */
const SCORED_MILLI_CPU = 100;
const SCORED_MEMORY_BYTES = 200 * 1024 * 1024;

const NO_CLAIMS: readonly string[] = [];

export function podInfoOf(pod: Pod): PodInfo {
  const { namespace, name, uid } = pod.metadata;
  const requests = amountsOf(podRequests(pod));
  const containers = Math.max(1, pod.spec?.containers?.length ?? 1);
  return {
    pod,
    uid: uid ?? '',
    key: `${namespace}/${name}`,
    namespace: namespace ?? '',
    labels: pod.metadata.labels ?? {},
    labelPairs: Object.entries(pod.metadata.labels ?? {}).map(([key, value]) => `${key}=${value}`),
    isTerminating: pod.metadata.deletionTimestamp !== undefined,
    priority: pod.spec?.priority ?? 0,
    requests,
    scoredRequests: {
      milliCpu: requests.milliCpu || SCORED_MILLI_CPU * containers,
      memoryBytes: requests.memoryBytes || SCORED_MEMORY_BYTES * containers,
    },
    hostPorts: hostPortsOf(pod),
    claims: claimsOf(pod),
    terms: podTermsOf(pod),
  };
}

function claimsOf(pod: Pod): readonly string[] {
  const names = (pod.spec?.volumes ?? []).map((each) => claimNameOf(pod, each)).filter((each) => each !== undefined);
  return names.length === 0 ? NO_CLAIMS : [...new Set(names)].map((name) => `${pod.metadata.namespace}/${name}`);
}

function amountsOf(resources: ReadonlyMap<string, Quantity>): Amounts {
  const scalars = new Map<string, number>();
  for (const [name, quantity] of resources) {
    if (name !== 'cpu' && name !== 'memory' && name !== 'ephemeral-storage') scalars.set(name, intValue(quantity));
  }
  const value = (name: string, read: (quantity: Quantity) => number) => {
    const quantity = resources.get(name);
    return quantity ? read(quantity) : 0;
  };
  return {
    milliCpu: value('cpu', milliValue),
    memoryBytes: value('memory', intValue),
    ephemeralStorageBytes: value('ephemeral-storage', intValue),
    scalars,
  };
}

export function allocatableOf(node: Node): Amounts & { pods: number } {
  const allocatable = node.status?.allocatable ?? {};
  const scalars = new Map<string, number>();
  for (const [name, value] of Object.entries(allocatable)) {
    if (!['cpu', 'memory', 'ephemeral-storage', 'pods'].includes(name)) scalars.set(name, quantityInt(value));
  }
  return {
    milliCpu: cpuMillis(allocatable['cpu']),
    memoryBytes: quantityInt(allocatable['memory']),
    ephemeralStorageBytes: quantityInt(allocatable['ephemeral-storage']),
    pods: quantityInt(allocatable['pods']),
    scalars,
  };
}

/** Ports of the host that the pod's containers and sidecars take; hostNetwork pods take all their ports there. */
function hostPortsOf(pod: Pod): HostPort[] {
  const sidecars = (pod.spec?.initContainers ?? []).filter((each) => each.restartPolicy === 'Always');
  return [...sidecars, ...(pod.spec?.containers ?? [])].flatMap((container) =>
    (container.ports ?? []).flatMap((port) => {
      const hostPort = port.hostPort || (pod.spec?.hostNetwork ? port.containerPort : 0);
      return hostPort ? [{ protocol: port.protocol || 'TCP', hostIP: port.hostIP || '0.0.0.0', port: hostPort }] : [];
    }),
  );
}

/** True when the change may make a pod fit: heartbeats alone do not. */
export function nodeFactsDiffer(node: Node, old: Node): boolean {
  return !(
    deepEqual(node.spec, old.spec) &&
    deepEqual(node.metadata.labels, old.metadata.labels) &&
    deepEqual(node.status?.allocatable, old.status?.allocatable)
  );
}
