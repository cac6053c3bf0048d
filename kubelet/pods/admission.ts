// Whether the node takes a pod that was bound to it: the kubelet's own last check, for pods that came past the
// scheduler or two that were bound at once. Pure; reasons and messages are upstream's.
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { nodeTermMatches, toleratesTaint } from '../../api/node-rules.ts';
import { podQosClass, podRequests } from '../../api/pod-resources.ts';
import { bytesOf, milliOf } from '../containers/amounts.ts';
import { allContainers } from './containers-of.ts';
import { isCriticalPod, podsToPreempt, requestOf } from './preemption.ts';
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

export interface Refusal {
  reason: string;
  message: string;
}

export type AdmissionResult =
  | {
      admitted: true;
      /** A critical pod: these have to go first. */
      preempt: readonly Pod[];
      /** The resource for which. */
      signal: string;
    }
  | ({ admitted: false } & Refusal);

export interface AdmissionFacts {
  pod: Pod;
  /** Pods already taken that are not over. */
  others: readonly Pod[];
  allocatable: Record<string, string | number>;
  node: Node | undefined;
  /** The runtime does what supplementalGroupsPolicy Strict asks for. */
  hasStrictGroups?: boolean;
  /** `kernel.msg*`, `net.core.somaxconn`: allowed besides the safe ones. */
  allowedSysctls?: readonly string[];
  /** What the node runs short of. */
  pressure?: ReadonlySet<string>;
  /** No pod begins while the node ends. */
  isShuttingDown?: boolean;
}

const refuse = (reason: string, message: string): Refusal => ({ reason, message });

type Check = (facts: AdmissionFacts) => Refusal | undefined;

/** What is asked before the pod is given devices and processors; undefined: nothing speaks against it. */
export const refuseEarly: Check = (facts) => pressure(facts) ?? sysctls(facts);

/** Whether the node takes a pod that has its devices and processors. */
export function admitPod(facts: AdmissionFacts): AdmissionResult {
  const first = os(facts) ?? strictGroups(facts);
  if (first) return { admitted: false, ...first };
  const missing = shortages(facts);
  const others = [nodeAffinity, hostPortsFree, taints].map((check) => check(facts)).filter((each) => !!each);
  const isCritical = isCriticalPod(facts.pod);
  let preempt: readonly Pod[] = [];
  // Upstream tells the first reason; a critical pod fails for none that is a shortage.
  const [reason] = isCritical ? others : [...missing.map(shortageReason), ...others];
  if (reason) return { admitted: false, ...reason };
  if (missing.length > 0) {
    try {
      preempt = podsToPreempt(
        facts.pod,
        facts.others,
        missing.map(({ resource, requested, used, capacity }) => ({ resource, amount: requested - (capacity - used) })),
      );
    } catch (error) {
      const text = `preemption: error finding a set of pods to preempt: ${(error as Error).message}`;
      return {
        admitted: false,
        ...refuse(
          'UnexpectedAdmissionError',
          `Unexpected error while attempting to recover from admission failure: ${text}`,
        ),
      };
    }
  }
  const last = shutdown(facts);
  return last ? { admitted: false, ...last } : { admitted: true, preempt, signal: missing[0]?.resource ?? '' };
}

/** Whether a pod that runs here has room for what it asks for now. */
export function refuseResize(facts: Pick<AdmissionFacts, 'pod' | 'others' | 'allocatable'>): Refusal | undefined {
  const [first] = shortages({ ...facts, isRunning: true });
  return first && shortageReason(first);
}

const shutdown: Check = ({ isShuttingDown }) =>
  isShuttingDown ? refuse('NodeShutdown', 'Pod was rejected as the node is shutting down.') : undefined;

/** Under memory pressure only pods that ask for nothing are kept out; under any other, all but critical ones. */
const pressure: Check = ({ pod, pressure: conditions = new Set() }) => {
  if (conditions.size === 0 || isCriticalPod(pod)) return undefined;
  if (conditions.size === 1 && conditions.has('MemoryPressure')) {
    const taint = { key: 'node.kubernetes.io/memory-pressure', effect: 'NoSchedule' };
    if (podQosClass(pod) !== 'BestEffort' || toleratesTaint(pod.spec?.tolerations, taint)) return undefined;
  }
  return refuse('Evicted', `The node had condition: [${[...conditions].join(' ')}]. `);
};

const os: Check = ({ pod, node }) => {
  // Upstream looks at the pod's labels here, whatever the name of the reason says.
  const label = pod.metadata.labels?.['kubernetes.io/os'];
  if (label !== undefined && label !== (node?.metadata.labels?.['kubernetes.io/os'] ?? 'linux')) {
    return refuse(
      'PodOSSelectorNodeLabelDoesNotMatch',
      "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label",
    );
  }
  const wanted = pod.spec?.os?.name;
  if (wanted && wanted !== 'linux')
    return refuse('PodOSNotSupported', "Failed to admit pod as the OS field doesn't match node OS");
  return undefined;
};

const strictGroups: Check = ({ pod, hasStrictGroups = true }) =>
  pod.spec?.securityContext?.supplementalGroupsPolicy === 'Strict' && !hasStrictGroups
    ? refuse('SupplementalGroupsPolicyNotSupported', 'SupplementalGroupsPolicy=Strict is not supported in this node')
    : undefined;

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

interface Insufficient {
  resource: string;
  requested: number;
  used: number;
  capacity: number;
}

const shortageReason = ({ resource, requested, used, capacity }: Insufficient): Refusal =>
  refuse(
    `OutOf${resource}`,
    `Node didn't have enough resource: ${resource}, requested: ${requested}, used: ${used}, capacity: ${capacity}`,
  );

/** In upstream's order. */
const RESOURCE_ORDER = ['cpu', 'memory', 'ephemeral-storage'];

function shortages(
  facts: Pick<AdmissionFacts, 'pod' | 'others' | 'allocatable'> & { isRunning?: boolean },
): Insufficient[] {
  const { pod, others, allocatable, isRunning = false } = facts;
  const found: Insufficient[] = [];
  const maxPods = bytesOf(allocatable['pods']);
  if (!isRunning && maxPods > 0 && others.length + 1 > maxPods)
    found.push({ resource: 'pods', requested: 1, used: others.length, capacity: maxPods });
  for (const resource of new Set([...RESOURCE_ORDER, ...podRequests(pod).keys()])) {
    const given = allocatable[resource];
    // What the node does not have at all is not its own to judge: a scheduler extender may manage it.
    if (given === undefined) continue;
    const requested = requestOf(pod, resource);
    if (requested === 0) continue;
    const used = others.reduce((total, each) => total + requestOf(each, resource), 0);
    const capacity = resource === 'cpu' ? milliOf(given) : bytesOf(given);
    if (requested + used > capacity) found.push({ resource, requested, used, capacity });
  }
  return found;
}

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
