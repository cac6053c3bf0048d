// Where each resource would like a container to be, and the place that all of them agree on. Pure; the rules of upstream's topology
// manager (https://kubernetes.io/docs/tasks/administer-cluster/topology-manager/).
import { combinations } from './assign-cpus.ts';

export type TopologyPolicy = 'none' | 'best-effort' | 'restricted' | 'single-numa-node';

export interface Hint {
  /** Memory nodes, ascending; undefined: anywhere. */
  nodes: readonly number[] | undefined;
  preferred: boolean;
}

/** Of one resource; undefined: it does not care. An empty list: it fits nowhere. */
export type Hints = readonly Hint[] | undefined;

/** Every set of nodes, the small ones first. */
export function nodeSets(nodes: readonly number[]): number[][] {
  return nodes.flatMap((_, index) => combinations(nodes, index + 1));
}

/** A hint per set of nodes that `fits`; preferred are those as small as the smallest that could hold it if it were empty. */
export function hintsWhere(
  nodes: readonly number[],
  couldHold: (set: readonly number[]) => boolean,
  fits: (set: readonly number[]) => boolean,
): Hint[] {
  const sets = nodeSets(nodes);
  const smallest = Math.min(...sets.filter(couldHold).map((each) => each.length));
  return sets.filter(fits).map((set) => ({ nodes: set, preferred: set.length === smallest }));
}

/** The best place for all, and whether the policy lets the container in there. */
export function decidePlace(
  policy: TopologyPolicy,
  nodes: readonly number[],
  byResource: readonly Hints[],
): { admitted: boolean; hint: Hint } {
  const lists = byResource.map((hints): readonly Hint[] => {
    if (hints === undefined) return [{ nodes: undefined, preferred: true }];
    if (hints.length === 0) return [{ nodes: undefined, preferred: false }];
    if (policy !== 'single-numa-node') return hints;
    return hints.filter((each) => each.preferred && (each.nodes === undefined || each.nodes.length === 1));
  });
  const best = merge(nodes, lists);
  if (policy === 'single-numa-node' && best.nodes?.length === nodes.length && nodes.length > 1) {
    return { admitted: best.preferred, hint: { ...best, nodes: undefined } };
  }
  return { admitted: policy === 'none' || policy === 'best-effort' || best.preferred, hint: best };
}

function merge(nodes: readonly number[], lists: readonly (readonly Hint[])[]): Hint {
  // What the most demanding resource needs at least: a place of that size suits all best where none is preferred.
  const sizes = lists.map((hints) => Math.min(...hints.map((each) => each.nodes?.length ?? nodes.length)));
  const wanted = Math.max(0, ...sizes.filter(Number.isFinite));
  let best: Hint = { nodes, preferred: false };
  let isFirst = true;
  for (const choice of product(lists)) {
    const places = choice.flatMap((each) => (each.nodes ? [each.nodes] : []));
    const common = nodes.filter((node) => places.every((place) => place.includes(node)));
    if (common.length === 0) continue;
    const isSame = places.every((place) => place.join() === (places[0] as readonly number[]).join());
    const candidate: Hint = { nodes: common, preferred: isSame && choice.every((each) => each.preferred) };
    if (isFirst || isBetter(candidate, best, wanted)) best = candidate;
    isFirst = false;
  }
  return best;
}

function isBetter(a: Hint, b: Hint, wanted: number): boolean {
  if (a.preferred !== b.preferred) return a.preferred;
  const [sizeA, sizeB] = [a.nodes?.length ?? 0, b.nodes?.length ?? 0];
  if (!a.preferred && sizeA !== sizeB) {
    // Exactly as wanted, else a little too wide, else too narrow.
    const cost = (size: number) => (size >= wanted ? size - wanted : 1000 + wanted - size);
    return cost(sizeA) < cost(sizeB);
  }
  if (sizeA !== sizeB) return sizeA < sizeB;
  const value = (hint: Hint) => (hint.nodes ?? []).reduce((total, node) => total + 2 ** node, 0);
  return value(a) < value(b);
}

function* product(lists: readonly (readonly Hint[])[]): Generator<Hint[]> {
  const [first, ...rest] = lists;
  if (!first) {
    yield [];
    return;
  }
  for (const hint of first) for (const others of product(rest)) yield [hint, ...others];
}
