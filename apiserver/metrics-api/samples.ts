// What pods and nodes use, from two readings of a kubelet's summary: the CPU between them, the memory of the later one. With
// one reading alone, the CPU is what was used since the container began, and the window says so. Pure.
import { formatQuantity, quantityFromInt } from '../../api/quantity.ts';

/** The part of /stats/summary that is read. */
export interface Summary {
  node?: Usage & { nodeName?: string };
  pods?: { podRef?: { name?: string; namespace?: string }; containers?: (Usage & { name?: string })[] }[];
}

interface Usage {
  startTime?: string;
  cpu?: { time?: string; usageCoreNanoSeconds?: number };
  memory?: { workingSetBytes?: number };
}

export interface Reading {
  atMs: number;
  summary: Summary;
}

export interface Measured {
  timestampMs: number;
  windowMs: number;
  usage: { cpu: string; memory: string };
}

export interface MeasuredPod {
  timestampMs: number;
  windowMs: number;
  containers: { name: string; usage: Measured['usage'] }[];
}

export function measureNode(before: Reading | undefined, now: Reading): Measured | undefined {
  return now.summary.node && measure(before?.summary.node, before?.atMs, now.summary.node, now.atMs);
}

/** By `namespace/name`. Pods with a container that tells nothing yet are left out, as metrics-server does. */
export function measurePods(before: Reading | undefined, now: Reading): Map<string, MeasuredPod> {
  const found = new Map<string, MeasuredPod>();
  const earlier = new Map(before?.summary.pods?.map((each) => [keyOf(each), each]));
  for (const pod of now.summary.pods ?? []) {
    const key = keyOf(pod);
    const old = new Map(earlier.get(key)?.containers?.map((each) => [each.name, each]));
    const containers = (pod.containers ?? []).map((each) => ({
      name: each.name ?? '',
      measured: measure(old.get(each.name), before?.atMs, each, now.atMs),
    }));
    if (containers.length === 0 || containers.some((each) => !each.measured)) continue;
    const all = containers.map(({ name, measured }) => ({ name, ...(measured as Measured) }));
    found.set(key, {
      timestampMs: Math.min(...all.map((each) => each.timestampMs)),
      windowMs: Math.max(...all.map((each) => each.windowMs)),
      containers: all.map(({ name, usage }) => ({ name, usage })),
    });
  }
  return found;
}

const keyOf = ({ podRef }: { podRef?: { name?: string; namespace?: string } }) =>
  `${podRef?.namespace}/${podRef?.name}`;

function measure(
  before: Usage | undefined,
  beforeMs: number | undefined,
  now: Usage,
  nowMs: number,
): Measured | undefined {
  const nanoseconds = now.cpu?.usageCoreNanoSeconds;
  const bytes = now.memory?.workingSetBytes;
  if (nanoseconds === undefined || bytes === undefined) return undefined;
  const atMs = timeOf(now, nowMs);
  let sinceMs = now.startTime ? Date.parse(now.startTime) : Number.NaN;
  let spent = nanoseconds;
  const earlier = before?.cpu?.usageCoreNanoSeconds;
  // A counter that went back, or another start: the container is not the one it was.
  if (before && earlier !== undefined && earlier <= nanoseconds && before.startTime === now.startTime) {
    const earlierMs = timeOf(before, beforeMs ?? nowMs);
    if (earlierMs < atMs) {
      sinceMs = earlierMs;
      spent = nanoseconds - earlier;
    }
  }
  const windowMs = atMs - sinceMs;
  if (!(windowMs > 0)) return undefined;
  const nanoCores = Math.round(spent / (windowMs / 1000));
  return {
    timestampMs: atMs,
    windowMs,
    usage: {
      cpu: nanoCores === 0 ? '0' : `${nanoCores}n`,
      memory: formatQuantity(quantityFromInt(Math.round(bytes), 'BinarySI')),
    },
  };
}

function timeOf({ cpu }: Usage, otherwiseMs: number): number {
  const ms = cpu?.time ? Date.parse(cpu.time) : Number.NaN;
  return Number.isNaN(ms) ? otherwiseMs : ms;
}

/** Go's duration of a window: `15.002s`, `1m0.5s`, `2h3m4s`. */
export function windowText(ms: number): string {
  const seconds = ms / 1000;
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  const rest = `${Number((seconds % 60).toFixed(3))}s`;
  if (hours > 0) return `${hours}h${minutes}m${rest}`;
  return minutes > 0 ? `${minutes}m${rest}` : rest;
}
