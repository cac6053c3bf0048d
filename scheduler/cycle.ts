// One scheduling cycle: filter, score, choose. Pure: pod and nodes in, a decision out.
import type { Random } from '../lib/clock.ts';
import type { Decision, FilterPlugin, NodeInfo, PodInfo, Profile, ScorePlugin } from './framework.ts';

/** Nodes that are enough to choose from: all below 100, then a share that falls with size, as upstream samples. */
export function feasibleNodesWanted(nodeCount: number): number {
  if (nodeCount < 100) return nodeCount;
  const percent = Math.max(5, 50 - Math.floor(nodeCount / 125));
  return Math.max(100, Math.floor((nodeCount * percent) / 100));
}

/**
 * `start` is where in `nodes` the search begins; hand in the previous start plus what was evaluated, so that all nodes
 * get their turn.
 */
export function scheduleOne(
  pod: PodInfo,
  nodes: readonly NodeInfo[],
  profile: Profile,
  start: number,
  random: Random,
): Decision {
  const filters = profile.filters.filter((plugin) => plugin.applies(pod));
  const wanted = feasibleNodesWanted(nodes.length);
  const feasible: NodeInfo[] = [];
  const reasons = new Map<string, number>();
  const plugins = new Set<string>();
  let evaluated = 0;
  for (; evaluated < nodes.length && feasible.length < wanted; evaluated++) {
    const node = nodes[(start + evaluated) % nodes.length] as NodeInfo;
    const refusal = refuse(pod, node, filters);
    if (!refusal) {
      feasible.push(node);
      continue;
    }
    plugins.add(refusal.plugin);
    for (const reason of refusal.reasons) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  if (feasible.length === 0) return { kind: 'none', diagnosis: { nodeCount: nodes.length, reasons, plugins } };
  return { kind: 'node', node: best(pod, feasible, profile.scores, random).name, feasible: feasible.length, evaluated };
}

/** The first filter that refuses, as upstream stops at the first. */
function refuse(pod: PodInfo, node: NodeInfo, filters: readonly FilterPlugin[]) {
  for (const plugin of filters) {
    const reasons = plugin.filter(pod, node);
    if (reasons) return { plugin: plugin.name, reasons };
  }
  return undefined;
}

function best(pod: PodInfo, nodes: readonly NodeInfo[], plugins: readonly ScorePlugin[], random: Random): NodeInfo {
  if (nodes.length === 1) return nodes[0] as NodeInfo;
  const totals = new Float64Array(nodes.length);
  const scores = new Float64Array(nodes.length);
  for (const plugin of plugins) {
    if (!plugin.applies(pod)) continue;
    let highest = 0;
    for (let i = 0; i < nodes.length; i++) {
      const score = plugin.score(pod, nodes[i] as NodeInfo);
      scores[i] = score;
      if (score > highest) highest = score;
    }
    for (let i = 0; i < nodes.length; i++) {
      totals[i] = (totals[i] as number) + plugin.weight * normalized(scores[i] as number, highest, plugin.normalize);
    }
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

function normalized(score: number, highest: number, how: ScorePlugin['normalize']): number {
  if (how === 'as-is') return score;
  if (highest === 0) return how === 'reversed' ? 100 : 0;
  const scaled = (score * 100) / highest;
  return how === 'reversed' ? 100 - scaled : scaled;
}
