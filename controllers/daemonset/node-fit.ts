// Whether a node should run a daemon's pod: its name, selector, affinity and taints. Pure.
import { nodeTermMatches, toleratesTaint } from '../../api/node-rules.ts';
import type { Node, PodSpec, Toleration } from '../../api/types/core-v1.ts';

const always = (key: string, effect: string): Toleration => ({ key, operator: 'Exists', effect });

/** A daemon stays on a node that is in trouble, and does not wait for what it may itself bring about. */
export function daemonTolerations(spec: PodSpec | undefined): Toleration[] {
  const wanted = [
    always('node.kubernetes.io/not-ready', 'NoExecute'),
    always('node.kubernetes.io/unreachable', 'NoExecute'),
    always('node.kubernetes.io/disk-pressure', 'NoSchedule'),
    always('node.kubernetes.io/memory-pressure', 'NoSchedule'),
    always('node.kubernetes.io/pid-pressure', 'NoSchedule'),
    always('node.kubernetes.io/unschedulable', 'NoSchedule'),
    ...(spec?.hostNetwork ? [always('node.kubernetes.io/network-unavailable', 'NoSchedule')] : []),
  ];
  const given = spec?.tolerations ?? [];
  const isSame = (a: Toleration, b: Toleration) =>
    a.key === b.key && a.effect === b.effect && (a.operator || 'Equal') === b.operator && !a.value;
  return [...given, ...wanted.filter((each) => !given.some((present) => isSame(present, each)))];
}

export interface NodeFit {
  shouldRun: boolean;
  /** A pod that is there may stay: NoSchedule taints drive nobody out. */
  mayStay: boolean;
}

export function nodeFit(spec: PodSpec | undefined, node: Node): NodeFit {
  const labels = node.metadata.labels ?? {};
  const terms = spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms;
  const isWanted =
    (!spec?.nodeName || spec.nodeName === node.metadata.name) &&
    Object.entries(spec?.nodeSelector ?? {}).every(([key, value]) => labels[key] === value) &&
    (!terms || terms.some((term) => nodeTermMatches(term, node)));
  if (!isWanted) return { shouldRun: false, mayStay: false };
  const tolerations = daemonTolerations(spec);
  const against = (node.spec?.taints ?? []).filter((taint) => !toleratesTaint(tolerations, taint));
  const mayStay = !against.some((taint) => taint.effect === 'NoExecute');
  return { shouldRun: mayStay && !against.some((taint) => taint.effect === 'NoSchedule'), mayStay };
}
