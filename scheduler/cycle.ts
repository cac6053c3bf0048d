// One scheduling cycle: filter, score, choose. Pure but for the cache's own what-ifs: pod and cluster in, a decision out.
import type { Random } from '../lib/clock.ts';
import type { SchedulerCache } from './cache.ts';
import type { Cluster, Decision, FilterPlugin, NodeInfo, PodInfo, Profile, Refusal, ScorePlugin } from './framework.ts';

/** Nodes that are enough to choose from: all below 100, then a share that falls with size, as upstream samples. */
export function feasibleNodesWanted(nodeCount: number): number {
  if (nodeCount < 100) return nodeCount;
  const percent = Math.max(5, 50 - Math.floor(nodeCount / 125));
  return Math.max(100, Math.floor((nodeCount * percent) / 100));
}

/** The filters that concern one pod, each with what it prepared, in one value that is asked node after node. */
export class PodFilters {
  #plugins: FilterPlugin[] = [];
  #states: unknown[] = [];
  /** The plugin that refused last. */
  refusedBy = '';

  constructor(pod: PodInfo, cluster: Cluster, filters: readonly FilterPlugin[]) {
    for (const plugin of filters) {
      const state = plugin.prepare(pod, cluster);
      if (state === undefined) continue;
      this.#plugins.push(plugin);
      this.#states.push(state);
    }
  }

  /** The first refusal, as upstream stops at the first. */
  refuse(node: NodeInfo): Refusal | undefined {
    for (let i = 0; i < this.#plugins.length; i++) {
      const plugin = this.#plugins[i] as FilterPlugin;
      const refusal = plugin.filter(this.#states[i], node);
      if (!refusal) continue;
      this.refusedBy = plugin.name;
      return refusal;
    }
    return undefined;
  }
}

/**
 * Whether the pod fits beside those nominated to the node that it must not push aside (equal or higher priority), and
 * without them too, since they may never come: what they attract must not count.
 */
export function refuseBesideNominated(
  pod: PodInfo,
  node: NodeInfo,
  cache: SchedulerCache,
  profile: Profile,
  filters: PodFilters,
): Refusal | undefined {
  const beside: PodInfo[] = [];
  for (const each of cache.nominatedTo(node.name)) {
    if (each.uid !== pod.uid && each.priority >= pod.priority) beside.push(each);
  }
  if (beside.length > 0) {
    const refusal = cache.withPods(node, beside, () => {
      const among = new PodFilters(pod, cache, profile.filters);
      const found = among.refuse(node);
      if (found) filters.refusedBy = among.refusedBy;
      return found;
    });
    if (refusal) return refusal;
  }
  return filters.refuse(node);
}

/**
 * `start` is where in the nodes the search begins; hand in the previous start plus what was evaluated, so that all nodes
 * get their turn. The node that the pod is nominated to is taken when it fits.
 */
export function scheduleOne(
  pod: PodInfo,
  cache: SchedulerCache,
  profile: Profile,
  start: number,
  random: Random,
): Decision {
  const { nodes } = cache;
  for (const plugin of profile.filters) {
    const everywhere = plugin.refuseEverywhere?.(pod, cache);
    if (everywhere === undefined) continue;
    const plugins = new Set([plugin.name]);
    return {
      kind: 'none',
      diagnosis: { nodeCount: nodes.length, reasons: new Map(), everywhere, plugins, resolvable: [] },
    };
  }
  const filters = new PodFilters(pod, cache, profile.filters);
  const careful = cache.hasNominated;
  const refuse = (node: NodeInfo) =>
    careful ? refuseBesideNominated(pod, node, cache, profile, filters) : filters.refuse(node);

  const nominated = cache.node(cache.nominatedNode(pod.uid) ?? '');
  if (nominated && !refuse(nominated)) return { kind: 'node', node: nominated.name, feasible: 1, evaluated: 0 };

  const wanted = feasibleNodesWanted(nodes.length);
  const feasible: NodeInfo[] = [];
  const refused = new Map<Refusal, number>();
  const plugins = new Set<string>();
  const resolvable: NodeInfo[] = [];
  let evaluated = 0;
  let at = nodes.length === 0 ? 0 : start % nodes.length;
  for (; evaluated < nodes.length && feasible.length < wanted; evaluated++) {
    const node = nodes[at] as NodeInfo;
    if (++at === nodes.length) at = 0;
    const refusal = refuse(node);
    if (!refusal) {
      feasible.push(node);
      continue;
    }
    if (feasible.length > 0) continue;
    plugins.add(filters.refusedBy);
    refused.set(refusal, (refused.get(refusal) ?? 0) + 1);
    if (!refusal.unresolvable) resolvable.push(node);
  }
  if (feasible.length === 0) {
    return {
      kind: 'none',
      diagnosis: { nodeCount: nodes.length, reasons: countReasons(refused), plugins, resolvable },
    };
  }
  const node = best(pod, cache, feasible, profile.scores, random);
  return { kind: 'node', node: node.name, feasible: feasible.length, evaluated };
}

function countReasons(refused: ReadonlyMap<Refusal, number>): Map<string, number> {
  const reasons = new Map<string, number>();
  for (const [refusal, count] of refused) {
    for (const reason of refusal.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + count);
  }
  return reasons;
}

function best(
  pod: PodInfo,
  cluster: Cluster,
  nodes: readonly NodeInfo[],
  plugins: readonly ScorePlugin[],
  random: Random,
): NodeInfo {
  if (nodes.length === 1) return nodes[0] as NodeInfo;
  const totals = new Float64Array(nodes.length);
  const scores = new Float64Array(nodes.length);
  for (const plugin of plugins) {
    const state = plugin.prepare(pod, cluster, nodes);
    if (state === undefined) continue;
    for (let i = 0; i < nodes.length; i++) scores[i] = plugin.score(state, nodes[i] as NodeInfo);
    plugin.normalize(scores);
    for (let i = 0; i < nodes.length; i++) totals[i] = (totals[i] as number) + plugin.weight * (scores[i] as number);
  }
  // Reservoir sampling among equals: each of the best has the same chance.
  let chosen = 0;
  let equals = 1;
  for (let i = 1; i < nodes.length; i++) {
    const difference = (totals[i] as number) - (totals[chosen] as number);
    if (difference > 0) {
      chosen = i;
      equals = 1;
    } else if (difference === 0 && random() * ++equals < 1) chosen = i;
  }
  return nodes[chosen] as NodeInfo;
}
