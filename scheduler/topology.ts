// Counts that affinity and spreading ask for, kept incrementally: which pods a matcher picks, by a label of their nodes;
// and the terms that placed pods carry. A count is built on first use (one pass over all pods), then follows each change;
// the least recently used ones are given up above a bound of entries.
import type { Labels } from '../api/selectors.ts';
import type { CountQuery, NodeInfo, PlacedTerm, PodInfo, TopologyCounts } from './framework.ts';
import type { PodMatcher, Term } from './pod-terms.ts';

/** Things found by a label pair that all pods they concern carry; those without such a pair concern every pod. */
class Anchored<T extends { matcher: PodMatcher }> {
  #byAnchor = new Map<string, Set<T>>();
  #anywhere = new Set<T>();

  add(item: T): void {
    const { anchor } = item.matcher;
    if (anchor === undefined) return void this.#anywhere.add(item);
    let bucket = this.#byAnchor.get(anchor);
    if (!bucket) this.#byAnchor.set(anchor, (bucket = new Set()));
    bucket.add(item);
  }

  delete(item: T): void {
    this.#anywhere.delete(item);
    const { anchor } = item.matcher;
    const bucket = anchor === undefined ? undefined : this.#byAnchor.get(anchor);
    if (!bucket?.delete(item) || bucket.size > 0) return;
    this.#byAnchor.delete(anchor as string);
  }

  forEachFor(pod: PodInfo, visit: (item: T) => void): void {
    for (const item of this.#anywhere) visit(item);
    for (const pair of pod.labelPairs) {
      const bucket = this.#byAnchor.get(pair);
      if (bucket) for (const item of bucket) visit(item);
    }
  }
}

class Counts implements TopologyCounts {
  readonly matcher: PodMatcher;
  readonly query: CountQuery;
  total = 0;
  /** Pods by topology value; absent for zero. */
  #pods = new Map<string, number>();
  /** Eligible nodes by topology value, and how many values hold so many pods: only with `domains`. */
  #nodes = new Map<string, number>();
  #valuesWith = new Map<number, number>();
  #fewest = 0;

  constructor(query: CountQuery) {
    this.query = query;
    this.matcher = query.matcher;
  }

  get size(): number {
    return this.#pods.size + this.#nodes.size;
  }

  get domainCount(): number {
    return this.#nodes.size;
  }

  get fewest(): number {
    if (this.#nodes.size === 0) return 0;
    while (!this.#valuesWith.has(this.#fewest)) this.#fewest++;
    return this.#fewest;
  }

  at(value: string): number {
    return this.#pods.get(value) ?? 0;
  }

  /** The value that pods on `node` count under; undefined when they do not. */
  valueOn(node: NodeInfo): string | undefined {
    const value = node.labels[this.query.topologyKey];
    return value === undefined || (this.query.eligible && !this.query.eligible(node)) ? undefined : value;
  }

  addPods(value: string, change: number): void {
    const before = this.at(value);
    const after = before + change;
    this.total += change;
    if (after === 0) this.#pods.delete(value);
    else this.#pods.set(value, after);
    if (this.#nodes.has(value)) this.#move(before, after);
  }

  addNode(value: string, change: 1 | -1): void {
    const before = this.#nodes.get(value) ?? 0;
    const after = before + change;
    if (after === 0) this.#nodes.delete(value);
    else this.#nodes.set(value, after);
    if (before === 0) this.#move(undefined, this.at(value));
    else if (after === 0) this.#move(this.at(value), undefined);
  }

  #move(from: number | undefined, to: number | undefined): void {
    if (from !== undefined) {
      const left = (this.#valuesWith.get(from) ?? 0) - 1;
      if (left === 0) this.#valuesWith.delete(from);
      else this.#valuesWith.set(from, left);
    }
    if (to === undefined) return;
    this.#valuesWith.set(to, (this.#valuesWith.get(to) ?? 0) + 1);
    if (to < this.#fewest) this.#fewest = to;
  }
}

class Placed implements PlacedTerm {
  readonly key: string;
  readonly topologyKey: string;
  readonly matcher: PodMatcher;
  readonly repelled = new Map<string, number>();
  readonly weights = new Map<string, number>();

  constructor(key: string, term: Term) {
    this.key = key;
    this.topologyKey = term.topologyKey;
    this.matcher = term.matcher;
  }
}

/** A placed pod's required affinity draws those it matches with this weight, upstream's default. */
const HARD_AFFINITY_WEIGHT = 1;
const MAX_ENTRIES = 2_000_000;
const MAX_QUERIES = 4_096;

export class TopologyIndex {
  #nodes: () => Iterable<NodeInfo>;
  #namespaceLabels: (namespace: string) => Labels;
  /** By key, least recently used first. */
  #queries = new Map<string, Counts>();
  #queriesFor = new Anchored<Counts>();
  #placed = new Map<string, Placed>();
  #placedFor = new Anchored<Placed>();

  constructor(nodes: () => Iterable<NodeInfo>, namespaceLabels: (namespace: string) => Labels) {
    this.#nodes = nodes;
    this.#namespaceLabels = namespaceLabels;
  }

  counts(query: CountQuery): TopologyCounts {
    const key = `${query.domains ? 'd' : ''}|${query.topologyKey}|${query.eligibleKey ?? ''}|${query.matcher.key}`;
    let found = this.#queries.get(key);
    if (found) this.#queries.delete(key);
    else {
      found = this.#build(query);
      this.#queriesFor.add(found);
    }
    this.#queries.set(key, found);
    return found;
  }

  #build(query: CountQuery): Counts {
    let entries = 0;
    for (const each of this.#queries.values()) entries += each.size;
    for (const [key, each] of this.#queries) {
      if (entries <= MAX_ENTRIES && this.#queries.size < MAX_QUERIES) break;
      entries -= each.size;
      this.#drop(key, each);
    }
    const counts = new Counts(query);
    for (const node of this.#nodes()) {
      const value = counts.valueOn(node);
      if (value === undefined) continue;
      if (query.domains) counts.addNode(value, 1);
      for (const pod of node.pods.values()) {
        if (query.matcher.matches(pod, this.#namespaceLabels)) counts.addPods(value, 1);
      }
    }
    return counts;
  }

  #drop(key: string, counts: Counts): void {
    this.#queries.delete(key);
    this.#queriesFor.delete(counts);
  }

  placedTerms(pod: PodInfo): readonly PlacedTerm[] {
    const found: PlacedTerm[] = [];
    this.#placedFor.forEachFor(pod, (each) => {
      if (each.matcher.matches(pod, this.#namespaceLabels)) found.push(each);
    });
    return found;
  }

  nodeEntered(node: NodeInfo): void {
    this.#node(node, 1);
  }

  /** Call before the node's labels, taints or pods change or it goes, and `nodeEntered` after. */
  nodeLeaving(node: NodeInfo): void {
    this.#node(node, -1);
  }

  #node(node: NodeInfo, change: 1 | -1): void {
    for (const counts of this.#queries.values()) {
      if (!counts.query.domains) continue;
      const value = counts.valueOn(node);
      if (value !== undefined) counts.addNode(value, change);
    }
    for (const pod of node.pods.values()) this.pod(pod, node, change);
  }

  /** `pod` came to or left `node`. */
  pod(pod: PodInfo, node: NodeInfo, change: 1 | -1): void {
    this.#queriesFor.forEachFor(pod, (counts) => {
      const value = counts.valueOn(node);
      if (value !== undefined && counts.matcher.matches(pod, this.#namespaceLabels)) counts.addPods(value, change);
    });
    if (!pod.terms) return;
    for (const term of pod.terms.requiredAntiAffinity) this.#term(term, node, change, 0);
    for (const term of pod.terms.requiredAffinity) this.#term(term, node, 0, change * HARD_AFFINITY_WEIGHT);
    for (const term of pod.terms.preferred) this.#term(term, node, 0, change * term.weight);
  }

  #term(term: Term, node: NodeInfo, repelled: number, weight: number): void {
    const value = node.labels[term.topologyKey];
    if (value === undefined) return;
    const key = `${term.topologyKey}|${term.matcher.key}`;
    let placed = this.#placed.get(key);
    if (!placed) {
      this.#placed.set(key, (placed = new Placed(key, term)));
      this.#placedFor.add(placed);
    }
    accumulate(placed.repelled, value, repelled);
    accumulate(placed.weights, value, weight);
    if (placed.repelled.size > 0 || placed.weights.size > 0) return;
    this.#placed.delete(key);
    this.#placedFor.delete(placed);
  }

  /** Counts that read the labels of namespaces are built anew on their next use. */
  namespacesChanged(): void {
    for (const [key, counts] of this.#queries) if (counts.matcher.readsNamespaces) this.#drop(key, counts);
  }
}

function accumulate(sums: Map<string, number>, value: string, change: number): void {
  if (change === 0) return;
  const sum = (sums.get(value) ?? 0) + change;
  if (sum === 0) sums.delete(value);
  else sums.set(value, sum);
}
