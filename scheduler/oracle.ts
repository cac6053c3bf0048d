// The rules of placement once more, slowly and straight from the documentation, for tests: every pod and every node is
// looked at each time, nothing is shared with the plugins.
import { selectorFromObject } from '../api/selectors.ts';
import type { Node, Pod, PodAffinityTerm, TopologySpreadConstraint } from '../api/types/core-v1.ts';
import { podRequests } from '../api/pod-resources.ts';
import { intValue, milliValue, quantityInt, cpuMillis } from '../api/quantity.ts';

export interface World {
  nodes: readonly Node[];
  /** Bound ones, by nodeName. */
  pods: readonly Pod[];
  namespaces: Readonly<Record<string, Record<string, string>>>;
}

/** Why `pod` may not be on `node`; undefined when it may. */
export function forbidden(pod: Pod, node: Node, world: World): string | undefined {
  if (overcommitted(node, [...podsOn(node, world), pod])) return 'resources';
  const { podAffinity, podAntiAffinity } = pod.spec?.affinity ?? {};
  const affinity = podAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
  if (affinity.length > 0 && !meetsAffinity(pod, affinity, node, world)) return 'affinity';
  for (const term of podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
    if (world.pods.some((each) => picks(term, pod, each, world) && sameDomain(term.topologyKey, node, each, world))) {
      return 'anti-affinity';
    }
  }
  for (const each of world.pods) {
    for (const term of each.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []) {
      if (picks(term, each, pod, world) && sameDomain(term.topologyKey, node, each, world))
        return "other's anti-affinity";
    }
  }
  const hard = (pod.spec?.topologySpreadConstraints ?? []).filter((each) => each.whenUnsatisfiable === 'DoNotSchedule');
  if (hard.some((each) => skews(pod, each, hard, node, world))) return 'spread';
  const { nodeSelector = {} } = pod.spec ?? {};
  if (!selects(nodeSelector, node)) return 'node selector';
  return undefined;
}

export function overcommitted(node: Node, pods: readonly Pod[]): boolean {
  let cpu = 0;
  let memory = 0;
  for (const pod of pods) {
    const requests = podRequests(pod);
    const [wantedCpu, wantedMemory] = [requests.get('cpu'), requests.get('memory')];
    if (wantedCpu) cpu += milliValue(wantedCpu);
    if (wantedMemory) memory += intValue(wantedMemory);
  }
  const has = node.status?.allocatable ?? {};
  return cpu > cpuMillis(has['cpu']) || memory > quantityInt(has['memory']) || pods.length > quantityInt(has['pods']);
}

const podsOn = (node: Node, world: World) => world.pods.filter((each) => each.spec?.nodeName === node.metadata.name);
const selects = (selector: Record<string, string>, node: Node) =>
  Object.entries(selector).every(([key, value]) => node.metadata.labels?.[key] === value);

function picks(term: PodAffinityTerm, owner: Pod, other: Pod, world: World): boolean {
  const namespace = other.metadata.namespace ?? '';
  const named = term.namespaces ?? [];
  const isDefault = named.length === 0 && !term.namespaceSelector;
  const inNamespace = isDefault
    ? namespace === owner.metadata.namespace
    : named.includes(namespace) ||
      (term.namespaceSelector !== undefined &&
        selectorFromObject(term.namespaceSelector).matches(world.namespaces[namespace]));
  return inNamespace && selectorFromObject(term.labelSelector).matches(other.metadata.labels);
}

function sameDomain(key: string, node: Node, other: Pod, world: World): boolean {
  const value = node.metadata.labels?.[key];
  const otherNode = world.nodes.find((each) => each.metadata.name === other.spec?.nodeName);
  return value !== undefined && otherNode?.metadata.labels?.[key] === value;
}

function meetsAffinity(pod: Pod, terms: readonly PodAffinityTerm[], node: Node, world: World): boolean {
  if (terms.some((term) => node.metadata.labels?.[term.topologyKey] === undefined)) return false;
  const all = world.pods.filter((each) => terms.every((term) => picks(term, pod, each, world)));
  if (terms.every((term) => all.some((each) => sameDomain(term.topologyKey, node, each, world)))) return true;
  const isAnywhere = all.some((each) => {
    const on = world.nodes.find((one) => one.metadata.name === each.spec?.nodeName);
    return terms.some((term) => on?.metadata.labels?.[term.topologyKey] !== undefined);
  });
  return !isAnywhere && terms.every((term) => picks(term, pod, pod, world));
}

function skews(
  pod: Pod,
  constraint: TopologySpreadConstraint,
  all: readonly TopologySpreadConstraint[],
  node: Node,
  world: World,
): boolean {
  const key = constraint.topologyKey;
  const value = node.metadata.labels?.[key];
  if (value === undefined) return true;
  const selector = selectorFromObject(constraint.labelSelector);
  const eligible = world.nodes.filter(
    (each) =>
      all.every(({ topologyKey }) => each.metadata.labels?.[topologyKey] !== undefined) &&
      (constraint.nodeAffinityPolicy === 'Ignore' || selects(pod.spec?.nodeSelector ?? {}, each)),
  );
  const domains = new Map<string, number>();
  for (const each of eligible) {
    const domain = each.metadata.labels?.[key] as string;
    const matching = podsOn(each, world).filter(
      (one) =>
        !one.metadata.deletionTimestamp &&
        one.metadata.namespace === pod.metadata.namespace &&
        selector.matches(one.metadata.labels),
    );
    domains.set(domain, (domains.get(domain) ?? 0) + matching.length);
  }
  const fewest = domains.size < (constraint.minDomains ?? 1) ? 0 : Math.min(...domains.values());
  const self = selector.matches(pod.metadata.labels) ? 1 : 0;
  return (domains.get(value) ?? 0) + self - fewest > constraint.maxSkew;
}
