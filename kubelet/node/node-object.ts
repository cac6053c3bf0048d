// The Node object of this machine: what is registered and what its status says. Pure.
import { isDeepStrictEqual } from 'node:util';
import type { Node, NodeCondition, NodeStatus, Taint } from '../../api/types/core-v1.ts';
import { timestamp } from '../pods/container-status.ts';
import { bytesOf, milliOf } from '../containers/amounts.ts';
import type { HostFacts } from './host.ts';

export const KUBELET_VERSION = 'v1.36.2';

export interface NodeFacts {
  nodeName: string;
  nodeIp: string;
  host: HostFacts;
  maxPods: number;
  /** Taken from capacity: `{ cpu: '100m', memory: '256Mi' }`. */
  reserved: Record<string, string | number>;
  labels: Record<string, string>;
  taints: readonly Taint[];
  annotations: Record<string, string>;
  podCidr: string | undefined;
  port: number;
  /** Of device plugins, by resource name. */
  extended(): Record<string, { capacity: number; allocatable: number }>;
  /** Attached volumes that pods use. */
  volumesInUse?(): string[];
  runtime: {
    name: string;
    version: string;
    /** It knows supplementalGroupsPolicy Strict. */
    strictGroups: boolean;
    handlers: { name: string; recursiveReadOnly: boolean; userNamespaces: boolean }[];
  };
}

export function capacityOf(facts: NodeFacts): Record<string, string> {
  return {
    cpu: String(facts.host.cpus),
    'ephemeral-storage': `${Math.floor(facts.host.diskBytes / 1024)}Ki`,
    ...Object.fromEntries(Object.entries(facts.host.hugepages).map(([name, bytes]) => [name, String(bytes)])),
    memory: `${Math.floor(facts.host.memoryBytes / 1024)}Ki`,
    pods: String(facts.maxPods),
    ...Object.fromEntries(Object.entries(facts.extended()).map(([name, each]) => [name, String(each.capacity)])),
  };
}

/** Capacity less what is reserved, less 100 MiB of memory before eviction, less a tenth of the disk. */
export function allocatableOf(facts: NodeFacts): Record<string, string> {
  const capacity = capacityOf(facts);
  const cpu = facts.host.cpus * 1000 - milliOf(facts.reserved['cpu']);
  const memory = facts.host.memoryBytes - bytesOf(facts.reserved['memory']) - 100 * 2 ** 20;
  const disk = Math.floor(facts.host.diskBytes * 0.9) - bytesOf(facts.reserved['ephemeral-storage']);
  return {
    ...capacity,
    cpu: cpu % 1000 === 0 ? String(cpu / 1000) : `${cpu}m`,
    'ephemeral-storage': String(Math.max(0, disk)),
    memory: `${Math.max(0, Math.floor(memory / 1024))}Ki`,
    ...Object.fromEntries(Object.entries(facts.extended()).map(([name, each]) => [name, String(each.allocatable)])),
  };
}

/** What pods together may have: the machine less what is reserved. */
export function forPods({ host, reserved }: NodeFacts): { milliCpu: number; memoryBytes: number } {
  return {
    milliCpu: host.cpus * 1000 - milliOf(reserved['cpu']),
    memoryBytes: host.memoryBytes - bytesOf(reserved['memory']),
  };
}

export function nodeLabels(facts: NodeFacts): Record<string, string> {
  const arch = facts.host.architecture;
  return {
    'beta.kubernetes.io/arch': arch,
    'beta.kubernetes.io/os': 'linux',
    'kubernetes.io/arch': arch,
    // As upstream's --hostname-override: nodes of one machine are told apart by their names.
    'kubernetes.io/hostname': facts.nodeName,
    'kubernetes.io/os': 'linux',
    ...facts.labels,
  };
}

export function nodeAnnotations(facts: NodeFacts): Record<string, string> {
  return { 'volumes.kubernetes.io/controller-managed-attach-detach': 'true', ...facts.annotations };
}

export function newNode(facts: NodeFacts, status: NodeStatus): Node {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: {
      name: facts.nodeName,
      labels: nodeLabels(facts),
      annotations: nodeAnnotations(facts),
    },
    spec: {
      ...(facts.podCidr && { podCIDR: facts.podCidr, podCIDRs: [facts.podCidr] }),
      ...(facts.taints.length > 0 && { taints: [...facts.taints] }),
    },
    status,
  };
}

export interface NodeHealth {
  /** Empty when the kubelet can run pods. */
  problems: string[];
  /** `MemoryPressure`, `DiskPressure`, `PIDPressure`: those that hold. */
  pressure: ReadonlySet<string>;
}

export interface StatusInputs {
  facts: NodeFacts;
  health: NodeHealth;
  images: { names: string[]; sizeBytes: number }[];
  old: NodeStatus | undefined;
  nowMs: number;
}

const MAX_IMAGES = 50;

export function nodeStatus({ facts, health, images, old, nowMs }: StatusInputs): NodeStatus {
  const { host } = facts;
  const volumesInUse = facts.volumesInUse?.() ?? [];
  return {
    ...(volumesInUse.length > 0 && { volumesInUse }),
    capacity: capacityOf(facts),
    allocatable: allocatableOf(facts),
    conditions: conditionsOf(health, old?.conditions ?? [], nowMs),
    addresses: [
      { type: 'InternalIP', address: facts.nodeIp },
      { type: 'Hostname', address: facts.nodeName },
    ],
    daemonEndpoints: { kubeletEndpoint: { Port: facts.port } },
    nodeInfo: {
      machineID: host.machineId,
      systemUUID: host.systemUuid,
      bootID: host.bootId,
      kernelVersion: host.kernelVersion,
      osImage: host.osImage,
      containerRuntimeVersion: `${facts.runtime.name}://${facts.runtime.version}`,
      kubeletVersion: KUBELET_VERSION,
      kubeProxyVersion: '',
      operatingSystem: 'linux',
      architecture: host.architecture,
    },
    images: [...images]
      .sort((a, b) => b.sizeBytes - a.sizeBytes)
      .slice(0, MAX_IMAGES)
      .map(({ names, sizeBytes }) => ({ names: names.slice(0, 5), sizeBytes })),
    features: { supplementalGroupsPolicy: facts.runtime.strictGroups },
    runtimeHandlers: facts.runtime.handlers.map((each) => ({
      name: each.name,
      features: { recursiveReadOnlyMounts: each.recursiveReadOnly, userNamespaces: each.userNamespaces },
    })),
  };
}

function conditionsOf(health: NodeHealth, old: NodeCondition[], nowMs: number): NodeCondition[] {
  const { pressure, problems } = health;
  const now = timestamp(nowMs);
  const condition = (type: string, status: boolean, reason: string, message: string): NodeCondition => {
    const text = status ? 'True' : 'False';
    const before = old.find((each) => each.type === type);
    const unchanged = before?.status === text && before.lastTransitionTime;
    return { type, status: text, lastHeartbeatTime: now, lastTransitionTime: unchanged || now, reason, message };
  };
  const lowMemory = pressure.has('MemoryPressure');
  const lowDisk = pressure.has('DiskPressure');
  const lowPids = pressure.has('PIDPressure');
  const own = [
    lowMemory
      ? condition('MemoryPressure', true, 'KubeletHasInsufficientMemory', 'kubelet has insufficient memory available')
      : condition('MemoryPressure', false, 'KubeletHasSufficientMemory', 'kubelet has sufficient memory available'),
    lowDisk
      ? condition('DiskPressure', true, 'KubeletHasDiskPressure', 'kubelet has disk pressure')
      : condition('DiskPressure', false, 'KubeletHasNoDiskPressure', 'kubelet has no disk pressure'),
    lowPids
      ? condition('PIDPressure', true, 'KubeletHasInsufficientPID', 'kubelet has insufficient PID available')
      : condition('PIDPressure', false, 'KubeletHasSufficientPID', 'kubelet has sufficient PID available'),
    problems.length === 0
      ? condition('Ready', true, 'KubeletReady', 'kubelet is posting ready status')
      : condition(
          'Ready',
          false,
          'KubeletNotReady',
          problems.length === 1 ? (problems[0] as string) : `[${problems.join(', ')}]`,
        ),
  ];
  const others = old.filter((each) => !own.some((mine) => mine.type === each.type));
  return [...others, ...own];
}

/** Whether anything but heartbeats differs. */
export function statusChanged(a: NodeStatus | undefined, b: NodeStatus): boolean {
  const strip = (status: NodeStatus | undefined) => ({
    ...status,
    conditions: (status?.conditions ?? [])
      .map((each) => ({ ...each, lastHeartbeatTime: '' }))
      .sort((x, y) => x.type.localeCompare(y.type)),
  });
  return !isDeepStrictEqual(strip(a), strip(b));
}
