// Which processors a container gets for itself: whole memory nodes or sockets first, then whole cores, then single threads, always
// where the least is left, so that large holes stay. Pure; the order is that of upstream's static policy.
import type { Cpu, Machine } from './machine.ts';

export interface AssignOptions {
  /** Containers get whole cores only. */
  fullCores?: boolean;
  /** Over memory nodes evenly, where one is not enough. */
  acrossNodes?: boolean;
  /** One thread of each core before the second of any. */
  acrossCores?: boolean;
}

type Level = 'node' | 'socket' | 'core';

export function coreSize({ cpus }: Machine): number {
  return Math.max(1, Math.ceil(cpus.length / Math.max(1, new Set(cpus.map((each) => each.core)).size)));
}

/** `count` of the processors in `free`; undefined: there are too few. */
export function assignCpus(
  machine: Machine,
  free: ReadonlySet<number>,
  count: number,
  options: AssignOptions = {},
): number[] | undefined {
  if (count > free.size) return undefined;
  if (options.acrossNodes) {
    const spread = spreadOverNodes(machine, free, count, options);
    if (spread) return spread;
  }
  return pack(machine, free, count, options);
}

function pack(
  machine: Machine,
  free: ReadonlySet<number>,
  count: number,
  options: AssignOptions,
): number[] | undefined {
  const left = new Set(free);
  const taken: number[] = [];
  const take = (cpus: readonly Cpu[]) => {
    for (const { id } of cpus) {
      left.delete(id);
      taken.push(id);
    }
  };
  const sockets = new Set(machine.cpus.map((each) => each.socket)).size;
  const wide: Level[] = sockets >= machine.nodes.length ? ['node', 'socket'] : ['socket', 'node'];
  for (const level of options.acrossCores ? [] : [...wide, 'core' as const]) {
    for (const unit of ordered(machine, left, level)) {
      const isWhole = unit.free.length === unit.all;
      if (isWhole && unit.all <= count - taken.length) take(unit.free);
    }
  }
  if (options.fullCores && taken.length < count) return undefined;
  const cores = ordered(machine, left, 'core');
  if (options.acrossCores) {
    for (let thread = 0; taken.length < count; thread++) {
      const layer = cores.flatMap((each) => each.free.slice(thread, thread + 1));
      if (layer.length === 0) return undefined;
      take(layer.slice(0, count - taken.length));
    }
  } else {
    take(cores.flatMap((each) => each.free).slice(0, count - taken.length));
  }
  return taken.length === count ? taken.sort((a, b) => a - b) : undefined;
}

interface Unit {
  free: Cpu[];
  /** How many processors it has, free or not. */
  all: number;
}

/** Units with anything free: those of the fullest socket and node first, then the lowest id. */
function ordered({ cpus }: Machine, free: ReadonlySet<number>, level: Level): Unit[] {
  const units = new Map<number, Unit & { cpu: Cpu }>();
  const freeIn = {
    node: new Map<number, number>(),
    socket: new Map<number, number>(),
    core: new Map<number, number>(),
  };
  for (const cpu of cpus) {
    let unit = units.get(cpu[level]);
    if (!unit) units.set(cpu[level], (unit = { free: [], all: 0, cpu }));
    unit.all++;
    if (!free.has(cpu.id)) continue;
    unit.free.push(cpu);
    for (const each of ['node', 'socket', 'core'] as const) {
      freeIn[each].set(cpu[each], (freeIn[each].get(cpu[each]) ?? 0) + 1);
    }
  }
  const levels: Level[] = level === 'core' ? ['socket', 'node', 'core'] : [level];
  return [...units.values()]
    .filter((each) => each.free.length > 0)
    .sort((a, b) => {
      for (const each of levels) {
        const byRoom = (freeIn[each].get(a.cpu[each]) ?? 0) - (freeIn[each].get(b.cpu[each]) ?? 0);
        const order = byRoom || a.cpu[each] - b.cpu[each];
        if (order !== 0) return order;
      }
      return 0;
    });
}

/** As many from each of the fewest memory nodes that can hold it; undefined: it fits into one, or not evenly. */
function spreadOverNodes(
  machine: Machine,
  free: ReadonlySet<number>,
  count: number,
  options: AssignOptions,
): number[] | undefined {
  const group = options.fullCores ? coreSize(machine) : 1;
  const room = (node: number) => machine.cpus.filter((each) => each.node === node && free.has(each.id)).length;
  const rooms = new Map(machine.nodes.map(({ id }) => [id, room(id)]));
  for (let size = 1; size <= machine.nodes.length; size++) {
    const each = Math.floor(count / size / group) * group;
    let best: { shares: Map<number, number>; unevenness: number } | undefined;
    for (const nodes of combinations([...rooms.keys()], size)) {
      if (each === 0 || nodes.some((node) => (rooms.get(node) as number) < each)) continue;
      const shares = new Map(nodes.map((node) => [node, each]));
      for (let rest = count - each * size; rest > 0; rest -= group) {
        const spare = (node: number) => (rooms.get(node) as number) - (shares.get(node) as number);
        const roomiest = nodes.reduce((a, b) => (spare(b) > spare(a) ? b : a));
        shares.set(roomiest, (shares.get(roomiest) as number) + Math.min(group, rest));
      }
      if (nodes.some((node) => (rooms.get(node) as number) < (shares.get(node) as number))) continue;
      const left = [...rooms].map(([node, has]) => has - (shares.get(node) ?? 0));
      const mean = left.reduce((a, b) => a + b, 0) / left.length;
      const unevenness = left.reduce((total, has) => total + (has - mean) ** 2, 0);
      if (!best || unevenness < best.unevenness) best = { shares, unevenness };
    }
    if (!best) continue;
    const taken: number[] = [];
    for (const [node, share] of best.shares) {
      const own = new Set(machine.cpus.filter((cpu) => cpu.node === node && free.has(cpu.id)).map((cpu) => cpu.id));
      const found = pack(machine, own, share, options);
      if (!found) return undefined;
      taken.push(...found);
    }
    return taken.sort((a, b) => a - b);
  }
  return undefined;
}

export function combinations<T>(of: readonly T[], size: number): T[][] {
  if (size === 0) return [[]];
  return of.flatMap((first, index) => combinations(of.slice(index + 1), size - 1).map((rest) => [first, ...rest]));
}
