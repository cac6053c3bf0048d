// The fields of a KubeletConfiguration about processors, memory and where they are. Pure; throws an Error that names the field.
import { bytesOf } from '../containers/amounts.ts';
import { parseCpus } from './machine.ts';
import type { TopologySettings } from './plan.ts';

export interface TopologyOptions {
  settings: TopologySettings;
  /** Ids of `reservedSystemCPUs`; undefined: as many as the reserved amounts come to. */
  reservedCpus?: number[];
  strict: boolean;
  /** Bytes by resource, by memory node. */
  reservedMemory: { node: number; limits: Record<string, number> }[];
}

export const TOPOLOGY_FIELDS = [
  'cpuManagerPolicy',
  'cpuManagerPolicyOptions',
  'memoryManagerPolicy',
  'reservedMemory',
  'reservedSystemCPUs',
  'topologyManagerPolicy',
  'topologyManagerPolicyOptions',
  'topologyManagerScope',
];

/** Undefined when the fields say nothing, or what holds without them. */
export function readTopology(given: Record<string, unknown>): TopologyOptions | undefined {
  const one = <T extends string>(field: string, first: T, ...rest: T[]): T => {
    const value = given[field] ?? first;
    if (value === '') return first;
    if (![first, ...rest].includes(value as T)) {
      throw new Error(`${field}: ${JSON.stringify(value)} is not one of ${[first, ...rest].join(', ')}`);
    }
    return value as T;
  };
  const cpuPolicy = one('cpuManagerPolicy', 'none', 'static');
  const memoryPolicy = one('memoryManagerPolicy', 'None', 'Static');
  const policy = one('topologyManagerPolicy', 'none', 'best-effort', 'restricted', 'single-numa-node');
  const scope = one('topologyManagerScope', 'container', 'pod');
  const options = flags(given, 'cpuManagerPolicyOptions', [
    'full-pcpus-only',
    'distribute-cpus-across-numa',
    'distribute-cpus-across-cores',
    'strict-cpu-reservation',
  ]);
  flags(given, 'topologyManagerPolicyOptions', []);
  if (options.size > 0 && cpuPolicy === 'none') {
    throw new Error('cpuManagerPolicyOptions: the none policy does not accept options');
  }
  const acrossCores = options.has('distribute-cpus-across-cores');
  for (const other of ['full-pcpus-only', 'distribute-cpus-across-numa']) {
    if (acrossCores && options.has(other)) {
      throw new Error(
        `cpuManagerPolicyOptions: static policy options ${other} and distribute-cpus-across-cores can not be used at the same time`,
      );
    }
  }
  const reservedText = given['reservedSystemCPUs'] ?? '';
  if (typeof reservedText !== 'string') throw new Error('reservedSystemCPUs: is not a string');
  const isDefault = cpuPolicy === 'none' && memoryPolicy === 'None' && policy === 'none' && reservedText === '';
  const reservedMemory = reservations(given['reservedMemory']);
  if (memoryPolicy === 'None' && reservedMemory.length > 0) {
    throw new Error('reservedMemory: needs memoryManagerPolicy Static');
  }
  if (memoryPolicy === 'Static' && !reservedMemory.some((each) => each.limits['memory'])) {
    throw new Error('reservedMemory: memoryManagerPolicy Static needs memory of at least one node');
  }
  if (isDefault) return undefined;
  const cpuOptions = {
    fullCores: options.has('full-pcpus-only'),
    acrossNodes: options.has('distribute-cpus-across-numa'),
    acrossCores,
  };
  return {
    settings: { cpuPolicy, cpuOptions, memoryPolicy, policy, scope },
    ...(reservedText && { reservedCpus: parseCpus(reservedText) }),
    strict: options.has('strict-cpu-reservation'),
    reservedMemory,
  };
}

function flags(given: Record<string, unknown>, field: string, known: readonly string[]): Set<string> {
  const set = new Set<string>();
  for (const [name, value] of Object.entries((given[field] ?? {}) as Record<string, unknown>)) {
    if (!known.includes(name)) throw new Error(`${field}[${name}]: is not known or not supported by this kubelet`);
    if (String(value) === 'true') set.add(name);
    else if (String(value) !== 'false')
      throw new Error(`${field}[${name}]: ${JSON.stringify(value)} is not true or false`);
  }
  return set;
}

function reservations(value: unknown): TopologyOptions['reservedMemory'] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Error('reservedMemory: is not a list');
  return value.map((each: { numaNode?: unknown; limits?: Record<string, string> }, index) => {
    const { numaNode, limits = {} } = each;
    if (!Number.isInteger(numaNode))
      throw new Error(`reservedMemory[${index}].numaNode: ${JSON.stringify(numaNode)} is not a number`);
    const amounts = Object.entries(limits).map(([name, amount]) => [name, bytesOf(amount)] as const);
    return { node: numaNode as number, limits: Object.fromEntries(amounts) };
  });
}
