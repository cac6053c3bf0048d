// Pressure stall information, flat key files and io.stat, as the kernel writes them.
import { readFileSync } from 'node:fs';

export interface PressureLine {
  avg10: number;
  avg60: number;
  avg300: number;
  /** Nanoseconds; the kernel counts microseconds. */
  totalNs: number;
}

export interface Pressure {
  some: PressureLine;
  full: PressureLine;
}

export interface Pressures {
  cpu?: Pressure;
  memory?: Pressure;
  io?: Pressure;
}

/** Undefined for what is no pressure file, or an empty one (`psi=0`). */
export function parsePressure(text: string): Pressure | undefined {
  const line = (kind: 'some' | 'full'): PressureLine | undefined => {
    const found = new RegExp(`^${kind} avg10=(\\S+) avg60=(\\S+) avg300=(\\S+) total=(\\d+)`, 'm').exec(text);
    return found
      ? {
          avg10: Number(found[1]),
          avg60: Number(found[2]),
          avg300: Number(found[3]),
          totalNs: Number(found[4]) * 1000,
        }
      : undefined;
  };
  const some = line('some');
  return some && { some, full: line('full') ?? { avg10: 0, avg60: 0, avg300: 0, totalNs: 0 } };
}

/** Of a v2 directory; what the kernel does not have is left out. */
export function readPressures(directory: string): Pressures {
  const found: Pressures = {};
  for (const kind of ['cpu', 'memory', 'io'] as const) {
    const pressure = parsePressure(readText(`${directory}/${kind}.pressure`));
    if (pressure) found[kind] = pressure;
  }
  return found;
}

/** Trimmed; empty when it cannot be read. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

/** `key value` per line. */
export const pairs = (text: string): Record<string, string> =>
  Object.fromEntries(text.split('\n').map((line) => line.split(' ') as [string, string]));

export interface DeviceIo {
  major: string;
  minor: string;
  readBytes: number;
  writeBytes: number;
  reads: number;
  writes: number;
}

/** v2's io.stat: `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`. */
export function parseIoStat(text: string): DeviceIo[] {
  return text.split('\n').flatMap((line) => {
    const [device = '', ...rest] = line.split(' ');
    const [major, minor] = device.split(':');
    if (!major || !minor || rest.length === 0) return [];
    const value = Object.fromEntries(rest.map((each) => each.split('=') as [string, string]));
    const number = (name: string) => Number(value[name] ?? 0);
    return [
      {
        major,
        minor,
        readBytes: number('rbytes'),
        writeBytes: number('wbytes'),
        reads: number('rios'),
        writes: number('wios'),
      },
    ];
  });
}
