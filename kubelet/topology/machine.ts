// The machine's processors and memory nodes, as the kernel tells them; lists of processors as text (`0-3,8`).
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Cpu {
  id: number;
  /** Unique on the machine: the lowest id of the processors that share the core. */
  core: number;
  socket: number;
  node: number;
}

export interface MemoryNode {
  id: number;
  /** Bytes by resource: `memory`, `hugepages-2Mi`, ... */
  capacity: Record<string, number>;
}

export interface Machine {
  cpus: readonly Cpu[];
  nodes: readonly MemoryNode[];
}

/** `0-3,8` as ids; throws on anything else. */
export function parseCpus(text: string): number[] {
  const ids = new Set<number>();
  for (const part of text.trim().split(',').filter(Boolean)) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(part.trim());
    const [from, to] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])];
    if (!match || to < from || to > 65_535)
      throw new Error(`${JSON.stringify(part)} is not a list of processors such as 0-3,8`);
    for (let id = from; id <= to; id++) ids.add(id);
  }
  return [...ids].sort((a, b) => a - b);
}

export function formatCpus(ids: Iterable<number>): string {
  const sorted = [...ids].sort((a, b) => a - b);
  const parts: string[] = [];
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (end + 1 < sorted.length && sorted[end + 1] === (sorted[end] as number) + 1) end++;
    parts.push(start === end ? `${sorted[start]}` : `${sorted[start]}-${sorted[end]}`);
    start = end + 1;
  }
  return parts.join(',');
}

/** Reads /sys/devices/system; a machine whose kernel knows no nodes has one. */
export function readMachine(system = '/sys/devices/system'): Machine {
  const nodeIds = names(join(system, 'node'))
    .map((name) => /^node(\d+)$/.exec(name)?.[1])
    .filter((id) => id !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
  const nodeOf = new Map<number, number>();
  for (const node of nodeIds) {
    for (const cpu of parseCpus(text(join(system, `node/node${node}/cpulist`)))) nodeOf.set(cpu, node);
  }
  const cpus = parseCpus(text(join(system, 'cpu/online'))).map((id): Cpu => {
    const topology = join(system, `cpu/cpu${id}/topology`);
    const [core = id] = parseCpus(text(join(topology, 'thread_siblings_list')));
    const socket = Math.max(0, Number(text(join(topology, 'physical_package_id'))));
    return { id, core, socket, node: nodeOf.get(id) ?? 0 };
  });
  const ids = nodeIds.length > 0 ? nodeIds : [0];
  return { cpus, nodes: ids.map((id) => ({ id, capacity: capacityOf(system, id) })) };
}

function capacityOf(system: string, node: number): Record<string, number> {
  const directory = join(system, `node/node${node}`);
  const meminfo = text(join(directory, 'meminfo')) || text('/proc/meminfo');
  const capacity: Record<string, number> = { memory: Number(/MemTotal:\s+(\d+)/.exec(meminfo)?.[1] ?? 0) * 1024 };
  for (const name of names(join(directory, 'hugepages'))) {
    const kib = Number(/^hugepages-(\d+)kB$/.exec(name)?.[1] ?? 0);
    const size = kib >= 2 ** 20 ? `${kib / 2 ** 20}Gi` : kib >= 1024 ? `${kib / 1024}Mi` : `${kib}Ki`;
    capacity[`hugepages-${size}`] = Number(text(join(directory, 'hugepages', name, 'nr_hugepages'))) * kib * 1024;
  }
  return capacity;
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
