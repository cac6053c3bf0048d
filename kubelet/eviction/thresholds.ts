// Eviction signals and thresholds (https://kubernetes.io/docs/concepts/scheduling-eviction/node-pressure-eviction/). Pure.
import { intValue, parseQuantity } from '../../api/quantity.ts';

export const signals = [
  'memory.available',
  'nodefs.available',
  'nodefs.inodesFree',
  'imagefs.available',
  'imagefs.inodesFree',
  'pid.available',
] as const;
export type Signal = (typeof signals)[number];

export interface Observation {
  available: number;
  capacity: number;
}

export type Observations = ReadonlyMap<Signal, Observation>;

/** `100Mi`, or a share of the capacity. */
export type ThresholdValue = { amount: number; text: string } | { share: number };

export interface Threshold {
  signal: Signal;
  value: ThresholdValue;
  /** How long it may be crossed before pods are evicted; 0: hard. */
  graceMs: number;
  isHard: boolean;
  /** How much more than the threshold must be free again. */
  minReclaim: ThresholdValue | undefined;
}

export type PressureCondition = 'MemoryPressure' | 'DiskPressure' | 'PIDPressure';

export const conditionOf: Record<Signal, PressureCondition> = {
  'memory.available': 'MemoryPressure',
  'nodefs.available': 'DiskPressure',
  'nodefs.inodesFree': 'DiskPressure',
  'imagefs.available': 'DiskPressure',
  'imagefs.inodesFree': 'DiskPressure',
  'pid.available': 'PIDPressure',
};

/** As messages name the resource. */
export const resourceOf: Record<Signal, string> = {
  'memory.available': 'memory',
  'nodefs.available': 'ephemeral-storage',
  'nodefs.inodesFree': 'inodes',
  'imagefs.available': 'ephemeral-storage',
  'imagefs.inodesFree': 'inodes',
  'pid.available': 'pids',
};

/** Upstream's, and a twentieth of the process ids: a node that cannot fork cannot even say so. */
export const DEFAULT_HARD: Readonly<Record<string, string>> = {
  'memory.available': '100Mi',
  'nodefs.available': '10%',
  'nodefs.inodesFree': '5%',
  'imagefs.available': '15%',
  'imagefs.inodesFree': '5%',
  'pid.available': '3%',
};

export class ThresholdError extends Error {}

export interface ThresholdSettings {
  hard: Readonly<Record<string, string>>;
  soft?: Readonly<Record<string, string>>;
  /** Milliseconds by signal; each soft threshold needs one. */
  softGraceMs?: Readonly<Record<string, number>>;
  minimumReclaim?: Readonly<Record<string, string>>;
}

/** Throws ThresholdError that names the signal and the value. */
export function parseThresholds({
  hard,
  soft = {},
  softGraceMs = {},
  minimumReclaim = {},
}: ThresholdSettings): Threshold[] {
  const found: Threshold[] = [];
  const reclaim = (signal: Signal) => {
    const text = minimumReclaim[signal];
    return text === undefined ? undefined : parseValue(signal, text);
  };
  for (const [name, text] of Object.entries(hard)) {
    const signal = signalOf(name);
    const value = parseValue(signal, text);
    if (isNothing(value)) continue;
    found.push({ signal, value, graceMs: 0, isHard: true, minReclaim: reclaim(signal) });
  }
  for (const [name, text] of Object.entries(soft)) {
    const signal = signalOf(name);
    const graceMs = softGraceMs[signal];
    if (graceMs === undefined)
      throw new ThresholdError(`grace period must be specified for the soft eviction threshold ${signal}`);
    const value = parseValue(signal, text);
    if (!isNothing(value)) found.push({ signal, value, graceMs, isHard: false, minReclaim: reclaim(signal) });
  }
  return found;
}

function signalOf(name: string): Signal {
  const found = signals.find((each) => each === name);
  if (!found) throw new ThresholdError(`unsupported eviction signal ${name}`);
  return found;
}

/** `0%` and `100%` switch a threshold off, as upstream has it. */
function isNothing(value: ThresholdValue): boolean {
  return 'share' in value ? value.share === 0 || value.share === 1 : value.amount === 0;
}

function parseValue(signal: Signal, text: string): ThresholdValue {
  const percent = /^(\d+(?:\.\d+)?)%$/.exec(text)?.[1];
  if (percent !== undefined) {
    const share = Number(percent) / 100;
    if (share > 1) throw new ThresholdError(`eviction percentage threshold ${signal} must be <= 100%: ${text}`);
    return { share };
  }
  try {
    return { amount: intValue(parseQuantity(text)), text };
  } catch {
    throw new ThresholdError(`eviction threshold ${signal} is not a quantity: ${text}`);
  }
}

export function amountOf(value: ThresholdValue, capacity: number): number {
  return 'share' in value ? capacity * value.share : value.amount;
}

/** Whether the threshold is crossed; with `reclaim`, whether not yet enough has become free after it was. */
export function isCrossed({ value, minReclaim, signal }: Threshold, seen: Observations, reclaim = false): boolean {
  const found = seen.get(signal);
  if (!found || found.capacity <= 0) return false;
  const extra = reclaim && minReclaim ? amountOf(minReclaim, found.capacity) : 0;
  return found.available < amountOf(value, found.capacity) + extra;
}

/** `100Mi`, `1342177280`, `52428Ki`: binary units where they come out even, as upstream prints quantities of bytes. */
export function formatBytes(bytes: number): string {
  const whole = Math.floor(bytes);
  for (const [unit, size] of [
    ['Gi', 2 ** 30],
    ['Mi', 2 ** 20],
    ['Ki', 2 ** 10],
  ] as const) {
    if (whole >= size && whole % size === 0) return `${whole / size}${unit}`;
  }
  return String(whole);
}
