// Which filter a container gets. Programs are compiled once per set of capabilities.
import { readFileSync } from 'node:fs';
import { release } from 'node:os';
import type { SeccompFilter } from '../port.ts';
import { compileSeccomp } from './compile.ts';
import { defaultPolicy } from './default-policy.ts';
import { parseProfile } from './profile.ts';
import type { Architecture } from './syscalls.ts';

export interface SeccompProgram {
  /** 8 bytes per instruction. */
  program: Uint8Array;
  /** SECCOMP_FILTER_FLAG_*, as the kernel takes them. */
  flags: number;
}

/** Undefined when nothing is filtered. Throws on an unreadable or unsupported profile. */
export type SeccompLoader = (filter: SeccompFilter, capabilities: readonly string[]) => SeccompProgram | undefined;

export function createSeccompLoader(architecture: string = process.arch, kernel = release()): SeccompLoader {
  const known = new Map<string, SeccompProgram>();
  return (filter, capabilities) => {
    if (filter.kind === 'unconfined') return undefined;
    if (architecture !== 'x64' && architecture !== 'arm64')
      throw new Error(`seccomp filters are not supported on ${architecture}`);
    const on: Architecture = architecture;
    if (filter.kind === 'localhost') {
      if (!filter.path) throw new Error('a localhost seccomp profile has no path');
      const { policy, flags } = parseProfile(readFileSync(filter.path, 'utf8'), {
        capabilities,
        architecture: on,
        kernel,
      });
      return { program: compileSeccomp(policy, on), flags };
    }
    const key = [...capabilities].sort().join(' ');
    const program = known.get(key) ?? { program: compileSeccomp(defaultPolicy(capabilities), on), flags: 0 };
    known.set(key, program);
    return program;
  };
}
