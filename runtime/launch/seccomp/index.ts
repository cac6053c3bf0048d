// Which filter a container gets. Programs are compiled once per set of capabilities.
import { readFileSync } from 'node:fs';
import type { SeccompFilter } from '../port.ts';
import { compileSeccomp } from './compile.ts';
import { defaultPolicy } from './default-policy.ts';
import { parseProfile } from './profile.ts';
import type { Architecture } from './syscalls.ts';

/** Undefined when nothing is filtered. Throws on an unreadable or unsupported profile. */
export type SeccompLoader = (filter: SeccompFilter, capabilities: readonly string[]) => Uint8Array | undefined;

export function createSeccompLoader(architecture: string = process.arch): SeccompLoader {
  const known = new Map<string, Uint8Array>();
  return (filter, capabilities) => {
    if (filter.kind === 'unconfined') return undefined;
    if (architecture !== 'x64' && architecture !== 'arm64')
      throw new Error(`seccomp filters are not supported on ${architecture}`);
    const on: Architecture = architecture;
    if (filter.kind === 'localhost') {
      if (!filter.path) throw new Error('a localhost seccomp profile has no path');
      return compileSeccomp(parseProfile(readFileSync(filter.path, 'utf8')), on);
    }
    const key = [...capabilities].sort().join(' ');
    const program = known.get(key) ?? compileSeccomp(defaultPolicy(capabilities), on);
    known.set(key, program);
    return program;
  };
}
