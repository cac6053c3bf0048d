// What the whole machine uses, from /proc and statfs. One reader per kubelet: rates are between two readings.
import { readFileSync, statfsSync } from 'node:fs';
import { freemem } from 'node:os';
import { join } from 'node:path';

export interface FsUsage {
  capacityBytes: number;
  availableBytes: number;
  usedBytes: number;
  inodes: number;
  inodesFree: number;
}

export interface InterfaceUsage {
  name: string;
  rxBytes: number;
  rxErrors: number;
  txBytes: number;
  txErrors: number;
}

export interface NodeUsage {
  atMs: number;
  bootedAtMs: number;
  cpuNanoseconds: number;
  /** Undefined at the first reading. */
  cpuNanoCores: number | undefined;
  memory: {
    totalBytes: number;
    /** Total less working set, as upstream reckons it. */
    availableBytes: number;
    usageBytes: number;
    workingSetBytes: number;
    rssBytes: number;
    pageFaults: number;
    majorPageFaults: number;
  };
  swap: { totalBytes: number; usedBytes: number };
  fs: FsUsage;
  processes: number;
  maxProcesses: number;
  interfaces: InterfaceUsage[];
  defaultInterface: string | undefined;
}

const NANOSECONDS_PER_TICK = 10_000_000;
const RATE_WINDOW_MS = 1000;

export class NodeUsageReader {
  #stateDir: string;
  #procDir: string;
  #last: { atMs: number; cpuNanoseconds: number; nanoCores: number | undefined } | undefined;

  constructor(stateDir: string, procDir = '/proc') {
    this.#stateDir = stateDir;
    this.#procDir = procDir;
  }

  read(nowMs: number): NodeUsage {
    const stat = this.#text('stat');
    const cpuNanoseconds = cpuOf(stat);
    const last = this.#last;
    let nanoCores = last?.nanoCores;
    if (!last || nowMs - last.atMs >= RATE_WINDOW_MS) {
      if (last)
        nanoCores = Math.max(0, Math.round(((cpuNanoseconds - last.cpuNanoseconds) / (nowMs - last.atMs)) * 1000));
      this.#last = { atMs: nowMs, cpuNanoseconds, nanoCores };
    }
    const loads = this.#text('loadavg').split(' ')[3]?.split('/')[1];
    return {
      atMs: nowMs,
      bootedAtMs: Number(/^btime (\d+)/m.exec(stat)?.[1] ?? 0) * 1000,
      cpuNanoseconds,
      cpuNanoCores: nanoCores,
      ...memoryOf(this.#text('meminfo'), this.#text('vmstat')),
      fs: fsUsage(this.#stateDir),
      processes: Number(loads ?? 0),
      maxProcesses: Math.min(
        Number(this.#text('sys/kernel/pid_max') || 32_768),
        Number(this.#text('sys/kernel/threads-max') || Number.MAX_SAFE_INTEGER),
      ),
      interfaces: interfacesOf(this.#text('net/dev')),
      defaultInterface: defaultInterface(this.#text('net/route')),
    };
  }

  #text(name: string): string {
    try {
      return readFileSync(join(this.#procDir, name), 'utf8');
    } catch {
      return '';
    }
  }
}

/** The filesystem that holds `path`. */
export function fsUsage(path: string): FsUsage {
  const { blocks, bavail, bfree, bsize, files, ffree } = statfsSync(path);
  return {
    capacityBytes: blocks * bsize,
    availableBytes: bavail * bsize,
    usedBytes: (blocks - bfree) * bsize,
    inodes: files,
    inodesFree: ffree,
  };
}

function cpuOf(stat: string): number {
  const fields = /^cpu\s+(.*)$/m.exec(stat)?.[1]?.trim().split(/\s+/).map(Number) ?? [];
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  return (user + nice + system + irq + softirq) * NANOSECONDS_PER_TICK;
}

function memoryOf(meminfo: string, vmstat: string): Pick<NodeUsage, 'memory' | 'swap'> {
  const kib = new Map([...meminfo.matchAll(/^([^:\s]+):\s+(\d+)/gm)].map(([, name, value]) => [name, Number(value)]));
  const bytes = (name: string) => (kib.get(name) ?? 0) * 1024;
  const count = (name: string) => Number(new RegExp(`^${name} (\\d+)`, 'm').exec(vmstat)?.[1] ?? 0);
  const totalBytes = bytes('MemTotal');
  const usageBytes = totalBytes - (kib.has('MemFree') ? bytes('MemFree') : freemem());
  const workingSetBytes = Math.max(0, usageBytes - bytes('Inactive(file)'));
  return {
    memory: {
      totalBytes,
      availableBytes: Math.max(0, totalBytes - workingSetBytes),
      usageBytes,
      workingSetBytes,
      rssBytes: bytes('AnonPages'),
      pageFaults: count('pgfault'),
      majorPageFaults: count('pgmajfault'),
    },
    swap: { totalBytes: bytes('SwapTotal'), usedBytes: bytes('SwapTotal') - bytes('SwapFree') },
  };
}

function interfacesOf(text: string): InterfaceUsage[] {
  return [...text.matchAll(/^\s*([^:\s]+):\s*(.*)$/gm)]
    .map(([, name = '', rest = '']) => ({ name, values: rest.trim().split(/\s+/).map(Number) }))
    .filter(({ name }) => name !== 'lo' && !name.startsWith('veth'))
    .map(({ name, values }) => ({
      name,
      rxBytes: values[0] ?? 0,
      rxErrors: values[2] ?? 0,
      txBytes: values[8] ?? 0,
      txErrors: values[10] ?? 0,
    }));
}

function defaultInterface(route: string): string | undefined {
  return route
    .split('\n')
    .map((line) => line.split('\t'))
    .find((fields) => fields[1] === '00000000')?.[0];
}
