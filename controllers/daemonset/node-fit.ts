// Whether a node should run a daemon's pod: its name, selector, affinity and taints. Pure.
import type {
  Node,
  NodeSelectorRequirement,
  NodeSelectorTerm,
  PodSpec,
  Taint,
  Toleration,
} from '../../api/types/core-v1.ts';

function requirementHolds(requirement: NodeSelectorRequirement, value: string | undefined): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
    case 'Lt': {
      const isNumber = (text: string | undefined) => /^-?\d+$/.test(text ?? '');
      if (!isNumber(value) || !isNumber(values[0])) return false;
      const [left, right] = [BigInt(value as string), BigInt(values[0] as string)];
      return requirement.operator === 'Gt' ? left > right : left < right;
    }
    default:
      return false;
  }
}

function termHolds({ matchExpressions = [], matchFields = [] }: NodeSelectorTerm, node: Node): boolean {
  if (matchExpressions.length + matchFields.length === 0) return false;
  return (
    matchExpressions.every((each) => requirementHolds(each, node.metadata.labels?.[each.key])) &&
    matchFields.every((each) => each.key === 'metadata.name' && requirementHolds(each, node.metadata.name))
  );
}

function tolerates(tolerations: readonly Toleration[], taint: Taint): boolean {
  return tolerations.some((each) => {
    if (each.effect && each.effect !== taint.effect) return false;
    if (each.key && each.key !== taint.key) return false;
    if (each.operator === 'Exists') return true;
    return Boolean(each.key) && (each.operator || 'Equal') === 'Equal' && (each.value ?? '') === (taint.value ?? '');
  });
}

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
    (!terms || terms.some((term) => termHolds(term, node)));
  if (!isWanted) return { shouldRun: false, mayStay: false };
  const tolerations = daemonTolerations(spec);
  const against = (node.spec?.taints ?? []).filter((taint) => !tolerates(tolerations, taint));
  const mayStay = !against.some((taint) => taint.effect === 'NoExecute');
  return { shouldRun: mayStay && !against.some((taint) => taint.effect === 'NoSchedule'), mayStay };
}
