// From which memory nodes a container gets its memory and huge pages. Pure; upstream's Static policy: a container of one node shares it
// with others of one node only, one of several nodes with others of exactly those.
import { hintsWhere, type Hint, nodeSets } from './hints.ts';
import type { MemoryNode } from './machine.ts';

/** What a container holds: bytes of a resource from a set of nodes. */
export interface MemoryBlock {
  nodes: readonly number[];
  resource: string;
  bytes: number;
}

/** `capacity` of the nodes is what is left after what is reserved. */
export function memoryHints(
  nodes: readonly MemoryNode[],
  blocks: readonly MemoryBlock[],
  resource: string,
  bytes: number,
): Hint[] {
  const of = (set: readonly number[]) => sum(set.map((id) => capacity(nodes, id, resource)));
  return hintsWhere(
    nodes.map((each) => each.id),
    (set) => of(set) >= bytes,
    (set) => isAllowed(set, blocks) && freeIn(nodes, blocks, set, resource) >= bytes,
  );
}

/** The nodes that it comes from: `place` if it fits there, else the smallest set around it that does; undefined: nowhere. */
export function assignMemory(
  nodes: readonly MemoryNode[],
  blocks: readonly MemoryBlock[],
  wanted: ReadonlyMap<string, number>,
  place: readonly number[] | undefined,
): readonly number[] | undefined {
  return nodeSets(nodes.map((each) => each.id)).find(
    (set) =>
      (place ?? []).every((id) => set.includes(id)) &&
      isAllowed(set, blocks) &&
      [...wanted].every(([resource, bytes]) => freeIn(nodes, blocks, set, resource) >= bytes),
  );
}

const capacity = (nodes: readonly MemoryNode[], id: number, resource: string): number =>
  nodes.find((each) => each.id === id)?.capacity[resource] ?? 0;

function isAllowed(set: readonly number[], blocks: readonly MemoryBlock[]): boolean {
  return blocks.every(({ nodes }) => !nodes.some((id) => set.includes(id)) || nodes.join() === set.join());
}

function freeIn(
  nodes: readonly MemoryNode[],
  blocks: readonly MemoryBlock[],
  set: readonly number[],
  resource: string,
) {
  const used = blocks.filter((each) => each.resource === resource && each.nodes.join() === set.join());
  return sum(set.map((id) => capacity(nodes, id, resource))) - sum(used.map((each) => each.bytes));
}

const sum = (numbers: readonly number[]) => numbers.reduce((total, each) => total + each, 0);
