// Whether the node takes a pod that was bound to it: the kubelet's own last check, for pods that came past the
// scheduler or two that were bound at once. Pure; reasons and messages are upstream's.
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { bytesOf, milliOf } from '../containers/amounts.ts';
import { podTotals } from '../containers/resources.ts';
import { allContainers } from './containers-of.ts';

/** Sysctls of a pod's own namespaces that cannot harm its neighbours (upstream's safe set for Linux 6.x). */
const SAFE_SYSCTLS = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.ping_group_range',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.tcp_wmem',
]);

export type AdmissionResult = { admitted: true } | { admitted: false; reason: string; message: string };

export interface AdmissionFacts {
  pod: Pod;
  /** Pods already taken that are not over. */
  others: readonly Pod[];
  allocatable: Record<string, string | number>;
  node: Node | undefined;
}

const refuse = (reason: string, message: string): AdmissionResult => ({ admitted: false, reason, message });

export function admitPod({ pod, others, allocatable, node }: AdmissionFacts): AdmissionResult {
  const os = pod.spec?.os?.name;
  if (os && os !== 'linux') return refuse('PodOSNotSupported', "Pod's OS field doesn't match node OS");

  for (const { name } of pod.spec?.securityContext?.sysctls ?? []) {
    const dotted = name.replaceAll('/', '.');
    if (!SAFE_SYSCTLS.has(dotted)) return refuse('SysctlForbidden', `forbidden sysctl: "${name}" not allowlisted`);
    if (pod.spec?.hostNetwork && dotted.startsWith('net.')) {
      return refuse('SysctlForbidden', `forbidden sysctl: "${name}" not allowed with host net enabled`);
    }
    if (pod.spec?.hostIPC && dotted.startsWith('kernel.shm')) {
      return refuse('SysctlForbidden', `forbidden sysctl: "${name}" not allowed with host ipc enabled`);
    }
  }

  for (const [key, value] of Object.entries(pod.spec?.nodeSelector ?? {})) {
    if (node && node.metadata.labels?.[key] !== value) {
      return refuse(
        'NodeAffinity',
        "Pod was rejected: Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
      );
    }
  }

  const ports = hostPorts(pod);
  const taken = new Set(others.flatMap(hostPorts));
  if (ports.some((each) => taken.has(each))) {
    return refuse(
      'NodePorts',
      "Pod was rejected: Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    );
  }

  const maxPods = bytesOf(allocatable['pods']);
  if (maxPods > 0 && others.length + 1 > maxPods) {
    return refuse(
      'OutOfpods',
      `Pod was rejected: Node didn't have enough resource: pods, requested: 1, used: ${others.length}, capacity: ${maxPods}`,
    );
  }
  for (const [resource, measure] of [
    ['cpu', milliOf],
    ['memory', bytesOf],
  ] as const) {
    const capacity = measure(allocatable[resource]);
    const requested = podTotals(pod).requests[resource] ?? 0;
    const used = others.reduce((total, each) => total + (podTotals(each).requests[resource] ?? 0), 0);
    if (requested > 0 && requested + used > capacity) {
      return refuse(
        `OutOf${resource}`,
        `Pod was rejected: Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
      );
    }
  }
  return { admitted: true };
}

function hostPorts(pod: Pod): string[] {
  return allContainers(pod)
    .flatMap((each) => each.ports ?? [])
    .filter((port) => port.hostPort)
    .map((port) => `${port.protocol ?? 'TCP'}/${port.hostPort}`);
}
