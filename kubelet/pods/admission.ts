// Whether the node takes a pod that was bound to it: the kubelet's own last check, for pods that came past the
// scheduler or two that were bound at once. Pure; reasons and messages are upstream's.
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { nodeTermMatches, toleratesTaint } from '../../api/node-rules.ts';
import { podQosClass, podRequests } from '../../api/pod-resources.ts';
import { intValue, milliValue, quantityOf } from '../../api/quantity.ts';
import { bytesOf } from '../containers/amounts.ts';
import { allContainers } from './containers-of.ts';
import { isStaticPod } from './static-pods.ts';

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
  /** `kernel.msg*`, `net.core.somaxconn`: allowed besides the safe ones. */
  allowedSysctls?: readonly string[];
  /** What the node runs short of. */
  pressure?: ReadonlySet<string>;
  /** No pod begins while the node ends. */
  isShuttingDown?: boolean;
  /** It runs here already: only whether there is room for it counts. */
  isRunning?: boolean;
}

const refuse = (reason: string, message: string): AdmissionResult => ({ admitted: false, reason, message });

export function admitPod(facts: AdmissionFacts): AdmissionResult {
  const checks = facts.isRunning
    ? [enoughResources]
    : [shutdown, pressure, os, sysctls, nodeAffinity, hostPortsFree, enoughResources, taints];
  for (const check of checks) {
    const result = check(facts);
    if (result) return result;
  }
  return { admitted: true };
}

type Check = (facts: AdmissionFacts) => AdmissionResult | undefined;

const shutdown: Check = ({ isShuttingDown }) =>
  isShuttingDown ? refuse('NodeShutdown', 'Pod was rejected as the node is shutting down.') : undefined;

/** Under memory pressure only pods that ask for nothing are kept out; under any other, all but critical ones. */
const pressure: Check = ({ pod, pressure: conditions = new Set() }) => {
  if (conditions.size === 0 || isStaticPod(pod) || (pod.spec?.priority ?? 0) >= 2_000_000_000) return undefined;
  if (conditions.size === 1 && conditions.has('MemoryPressure')) {
    const taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' };
    if (podQosClass(pod) !== 'BestEffort' || toleratesTaint(pod.spec?.tolerations, taint)) return undefined;
  }
  return refuse('Evicted', `The node had condition: [${[...conditions].join(' ')}]. `);
};

const os: Check = ({ pod, node }) => {
  const wanted = pod.spec?.os?.name;
  if (wanted && wanted !== 'linux') return refuse('PodOSNotSupported', "Pod's OS field doesn't match node OS");
  const label = pod.spec?.nodeSelector?.['kubernetes.io/os'];
  if (label !== undefined && node === undefined && label !== 'linux') {
    return refuse(
      'PodOSSelectorNodeLabelDoesNotMatch',
      `Pod was rejected as the node label "kubernetes.io/os" doesn't match`,
    );
  }
  return undefined;
};

const sysctls: Check = ({ pod, allowedSysctls = [] }) => {
  for (const { name } of pod.spec?.securityContext?.sysctls ?? []) {
    const dotted = name.replaceAll('/', '.');
    const isAllowed =
      SAFE_SYSCTLS.has(dotted) ||
      allowedSysctls.some((each) => (each.endsWith('*') ? dotted.startsWith(each.slice(0, -1)) : each === dotted));
    if (!isAllowed) return refuse('SysctlForbidden', `forbidden sysctl: "${name}" not allowlisted`);
    if (pod.spec?.hostNetwork && dotted.startsWith('net.')) {
      return refuse('SysctlForbidden', `forbidden sysctl: "${name}" not allowed with host net enabled`);
    }
    const isIpc = ['kernel.shm', 'kernel.msg', 'kernel.sem', 'fs.mqueue.'].some((each) => dotted.startsWith(each));
    if (pod.spec?.hostIPC && isIpc) {
      return refuse('SysctlForbidden', `forbidden sysctl: "${name}" not allowed with host ipc enabled`);
    }
  }
  return undefined;
};

const nodeAffinity: Check = ({ pod, node }) => {
  if (!node) return undefined;
  const labels = node.metadata.labels ?? {};
  const selected = Object.entries(pod.spec?.nodeSelector ?? {}).every(([key, value]) => labels[key] === value);
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const matches = !required || (required.nodeSelectorTerms ?? []).some((term) => nodeTermMatches(term, node));
  if (selected && matches) return undefined;
  const text = "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector";
  return refuse('NodeAffinity', text);
};

const hostPortsFree: Check = ({ pod, others }) => {
  const taken = others.flatMap(hostPorts);
  const clash = hostPorts(pod).some((port) => taken.some((each) => portsClash(port, each)));
  if (!clash) return undefined;
  const text = "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports";
  return refuse('NodePorts', text);
};

const enoughResources: Check = ({ pod, others, allocatable, isRunning }) => {
  const short = (resource: string, requested: number, used: number, capacity: number) =>
    refuse(
      `OutOf${resource}`,
      `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
    );
  const maxPods = bytesOf(allocatable['pods']);
  if (!isRunning && maxPods > 0 && others.length + 1 > maxPods) return short('pods', 1, others.length, maxPods);
  const used = others.map((each) => podRequests(each));
  for (const [resource, quantity] of podRequests(pod)) {
    const capacity = allocatable[resource];
    // What the node does not have at all is not its own to judge: a scheduler extender may manage it.
    if (capacity === undefined) continue;
    const measure = resource === 'cpu' ? milliValue : intValue;
    const requested = measure(quantity);
    if (requested === 0) continue;
    const taken = used.reduce((total, each) => {
      const found = each.get(resource);
      return found ? total + measure(found) : total;
    }, 0);
    const limit = measure(quantityOf(capacity));
    if (requested + taken > limit) return short(resource, requested, taken, limit);
  }
  return undefined;
};

const taints: Check = ({ pod, node }) => {
  if (isStaticPod(pod)) return undefined;
  const found = node?.spec?.taints?.find(
    (taint) => taint.effect === 'NoExecute' && !toleratesTaint(pod.spec?.tolerations, taint),
  );
  if (!found) return undefined;
  const text = "Predicate TaintToleration failed: node(s) had taints that the pod didn't tolerate";
  return refuse('TaintToleration', text);
};

interface HostPort {
  protocol: string;
  ip: string;
  port: number;
}

function hostPorts(pod: Pod): HostPort[] {
  return allContainers(pod)
    .flatMap((each) => each.ports ?? [])
    .filter((port) => port.hostPort)
    .map(({ protocol = 'TCP', hostIP, hostPort = 0 }) => ({ protocol, ip: hostIP || '0.0.0.0', port: hostPort }));
}

/** All addresses of the host clash with each of them. */
function portsClash(a: HostPort, b: HostPort): boolean {
  const sameAddress = a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0';
  return a.port === b.port && a.protocol === b.protocol && sameAddress;
}
