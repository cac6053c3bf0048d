// The end of every plan: what a process may be, then exec. Shared by containers and by exec into them.
import { CAPABILITIES, capabilityMask, hasCapability, limitNumber, type OwnLimits } from './capabilities.ts';
import type { ProcessSpec } from './port.ts';
import type { SeccompProgram } from './seccomp/index.ts';
import { type Step, step } from './steps.ts';

export const DEFAULT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** oom_score_adj as far as we may: without CAP_SYS_RESOURCE it cannot go below our own. */
export function oomSteps(wanted: number | undefined, own: OwnLimits, warnings: string[]): Step[] {
  if (wanted === undefined) return [];
  if (wanted < -1000 || wanted > 1000) throw new Error(`oomScoreAdj ${wanted} is not between -1000 and 1000`);
  const clamped = hasCapability(own.capabilities, 'SYS_RESOURCE') ? wanted : Math.max(wanted, own.oomScoreAdj);
  if (clamped !== wanted)
    warnings.push(`oom_score_adj ${wanted} was raised to ${clamped}: the host withholds CAP_SYS_RESOURCE`);
  return [step('oom', [clamped], 'who goes first when memory ends')];
}

export function limitSteps(rlimits: ProcessSpec['rlimits'], own: OwnLimits, warnings: string[]): Step[] {
  return (rlimits ?? []).map(({ type, soft, hard }) => {
    const number = limitNumber(type);
    const unlimited = 2n ** 64n - 1n;
    const of = (value: number) => (value < 0 || value >= 2 ** 64 ? unlimited : BigInt(value));
    const ceiling = hasCapability(own.capabilities, 'SYS_RESOURCE')
      ? unlimited
      : (own.hardLimits.get(number) ?? unlimited);
    const clamp = (value: bigint) => (value > ceiling ? ceiling : value);
    if (of(hard) > ceiling)
      warnings.push(`rlimit ${type} ${hard} was lowered to ${ceiling}: the host withholds CAP_SYS_RESOURCE`);
    return step('rlimit', [number, clamp(of(soft)).toString(), clamp(of(hard)).toString()], `${type}`);
  });
}

/** Root of a user namespace has every capability in it, whatever the host withholds from us. */
export const insideLimits = (own: OwnLimits): OwnLimits => ({
  ...own,
  capabilities: (1n << BigInt(CAPABILITIES.length)) - 1n,
});

export interface Finish {
  process: ProcessSpec;
  seccomp: SeccompProgram | undefined;
  own: OwnLimits;
  warnings: string[];
  /** What the process waits for between dropping its rights and exec. */
  wait: Step;
}

/** Bounding set, user, capabilities, no_new_privs, wait, seccomp, exec. */
export function finishSteps({ process, seccomp, own, warnings, wait }: Finish): Step[] {
  const { mask, dropped } = capabilityMask(process.capabilities, own.capabilities);
  const ambient = capabilityMask(process.ambientCapabilities ?? [], mask);
  for (const name of [...dropped, ...ambient.dropped])
    warnings.push(`capability ${name} was not given: the host withholds it`);
  const hex = mask.toString(16);
  const ambientHex = ambient.mask.toString(16);
  const filter = seccomp ? [step('seccomp', [seccomp.program, seccomp.flags], 'the system calls it may make')] : [];
  const path = process.env.findLast((each) => each.startsWith('PATH='))?.slice(5) || DEFAULT_PATH;
  if (process.args.length === 0 || process.args[0] === '')
    throw new Error('the process has no arguments: nothing to execute');
  for (const each of process.env)
    if (!/^[^=]+=/.test(each)) throw new Error(`environment entry "${each}" is not NAME=value`);
  return [
    step('bounding', [hex], 'no program may ever gain more'),
    // Without no_new_privs the filter needs CAP_SYS_ADMIN, so it comes before the capabilities go.
    ...(process.noNewPrivileges ? [] : filter),
    step('user', [process.uid, process.gid, ...process.additionalGids], 'its user and groups'),
    step('caps', [hex, hex, ambientHex, ambientHex], 'its capabilities'),
    ...(process.noNewPrivileges ? [step('no-new-privs', [], 'setuid programs give nothing')] : []),
    wait,
    ...(process.noNewPrivileges ? filter : []),
    step('exec', [path, process.env.length, ...process.env, ...process.args], 'become the program'),
  ];
}
