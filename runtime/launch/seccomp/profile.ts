// Localhost profiles: the OCI JSON form, with the conditional rules (`includes`, `excludes`, `archMap`) that Docker's and
// Podman's profiles carry → Policy. What we cannot do is refused by name, never left out.
import { constants } from 'node:os';
import {
  ALLOW,
  type Comparison,
  type Condition,
  errno,
  KILL_PROCESS,
  KILL_THREAD,
  LOG,
  type Policy,
  type Rule,
  TRACE,
  TRAP,
} from './compile.ts';
import type { Architecture } from './syscalls.ts';

/** What conditional rules ask about. */
export interface ProfileFacts {
  /** Of the container, with or without CAP_. */
  capabilities: readonly string[];
  architecture: Architecture;
  /** `6.1.0-13-amd64`. */
  kernel: string;
}

export interface Profile {
  policy: Policy;
  /** SECCOMP_FILTER_FLAG_*, as the kernel takes them. */
  flags: number;
}

const OPERATORS: Record<string, Comparison> = {
  SCMP_CMP_EQ: 'eq',
  SCMP_CMP_NE: 'ne',
  SCMP_CMP_LT: 'lt',
  SCMP_CMP_LE: 'le',
  SCMP_CMP_GE: 'ge',
  SCMP_CMP_GT: 'gt',
  SCMP_CMP_MASKED_EQ: 'masked-eq',
};

/** Names in `architectures` and `archMap`, and in conditions. */
const NATIVE: Record<Architecture, { scmp: string; go: string }> = {
  x64: { scmp: 'SCMP_ARCH_X86_64', go: 'amd64' },
  arm64: { scmp: 'SCMP_ARCH_AARCH64', go: 'arm64' },
};

/** TSYNC is for programs with threads; at this point there are none. */
const FLAGS: Record<string, number> = {
  SECCOMP_FILTER_FLAG_TSYNC: 0,
  SECCOMP_FILTER_FLAG_LOG: 2,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: 4,
};

const PROFILE_FIELDS = new Set(
  'defaultAction defaultErrnoRet defaultErrno architectures archMap syscalls flags'.split(' '),
);
const SYSCALL_FIELDS = new Set('name names action errnoRet errno args comment includes excludes'.split(' '));
const CONDITION_FIELDS = new Set(['caps', 'arches', 'minKernel']);
const EPERM = 1;

function errnoOf(number: unknown, name: unknown, where: string): number | undefined {
  if (typeof name === 'string' && name !== '') {
    const known =
      (constants.errno as Record<string, number | undefined>)[name] ?? (/^\d+$/.test(name) ? Number(name) : undefined);
    if (known === undefined) throw new Error(`${where}: "${name}" is not an errno`);
    return known;
  }
  if (number === undefined || number === null) return undefined;
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > 4095)
    throw new Error(`${where}: errnoRet ${String(number)} is not an errno`);
  return number;
}

function actionOf(name: unknown, errnoRet: number | undefined, where: string): number {
  switch (name) {
    case 'SCMP_ACT_ALLOW':
      return ALLOW;
    case 'SCMP_ACT_ERRNO':
      return errno(errnoRet ?? EPERM);
    case 'SCMP_ACT_KILL':
    case 'SCMP_ACT_KILL_THREAD':
      return KILL_THREAD;
    case 'SCMP_ACT_KILL_PROCESS':
      return KILL_PROCESS;
    case 'SCMP_ACT_TRAP':
      return TRAP;
    case 'SCMP_ACT_TRACE':
      return TRACE | (errnoRet ?? EPERM);
    case 'SCMP_ACT_LOG':
      return LOG;
    case 'SCMP_ACT_NOTIFY':
      throw new Error(
        `${where}: action "SCMP_ACT_NOTIFY" is not supported: no agent can listen to this runtime's containers`,
      );
    default:
      throw new Error(`${where}: action ${JSON.stringify(name)} is not supported`);
  }
}

function conditionOf(arg: unknown, where: string): Condition {
  const { index, op, value, valueTwo } = arg as Record<string, unknown>;
  const comparison = OPERATORS[String(op)];
  if (!comparison) throw new Error(`${where}: operator ${JSON.stringify(op)} is not supported`);
  if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index > 5)
    throw new Error(`${where}: argument index ${String(index)} is not between 0 and 5`);
  if (typeof value !== 'bigint' || (valueTwo !== undefined && typeof valueTwo !== 'bigint'))
    throw new Error(`${where}: value is not a number`);
  return { index, op: comparison, value, datum: valueTwo ?? 0n };
}

/** Numbers that are compared with registers have 64 bits, more than a JSON number keeps. */
function parseJson(text: string): unknown {
  const keep = (key: string, value: unknown, context?: { source?: string }) =>
    (key === 'value' || key === 'valueTwo') && typeof value === 'number' && /^\d+$/.test(context?.source ?? '')
      ? BigInt(context?.source as string)
      : value;
  return JSON.parse(text, keep as (key: string, value: unknown) => unknown);
}

const bare = (name: string) => name.toUpperCase().replace(/^CAP_/, '');

/** Whether a version is at least `least` (`4.8`). */
function kernelIs(version: string, least: string, where: string): boolean {
  const parts = (text: string) => /^(\d+)\.(\d+)/.exec(text)?.slice(1).map(Number);
  const [ours, theirs] = [parts(version) ?? [0, 0], parts(least)];
  if (!theirs) throw new Error(`${where}: "${least}" is not a kernel version`);
  return (
    (ours[0] as number) > (theirs[0] as number) ||
    (ours[0] === theirs[0] && (ours[1] as number) >= (theirs[1] as number))
  );
}

/** All that is included must hold, and nothing that is excluded; of architectures any one counts. */
function applies(entry: Record<string, unknown>, facts: ProfileFacts, where: string): boolean {
  const has = new Set(facts.capabilities.map(bare));
  const holds = (name: string) => has.has('ALL') || has.has(bare(name));
  const of = (field: 'includes' | 'excludes') => {
    const filter = (entry[field] ?? {}) as { caps?: string[]; arches?: string[]; minKernel?: string };
    for (const each of Object.keys(filter))
      if (!CONDITION_FIELDS.has(each)) throw new Error(`${where}.${field}.${each} is not supported`);
    const caps = filter.caps ?? [];
    const arches = filter.arches ?? [];
    if (![caps, arches].every(Array.isArray)) throw new Error(`${where}.${field} is not a filter`);
    return { caps, arches, minKernel: filter.minKernel ?? '' };
  };
  const native = NATIVE[facts.architecture].go;
  const includes = of('includes');
  const excludes = of('excludes');
  if (!includes.caps.every(holds) || excludes.caps.some(holds)) return false;
  if (includes.arches.length > 0 && !includes.arches.includes(native)) return false;
  if (excludes.arches.includes(native)) return false;
  if (includes.minKernel !== '' && !kernelIs(facts.kernel, includes.minKernel, where)) return false;
  return excludes.minKernel === '' || !kernelIs(facts.kernel, excludes.minKernel, where);
}

function checkArchitecture(profile: Record<string, unknown>, architecture: Architecture): void {
  const { scmp } = NATIVE[architecture];
  const listed = [
    ...((profile['architectures'] ?? []) as string[]),
    ...((profile['archMap'] ?? []) as { architecture?: string }[]).map((each) => each.architecture ?? ''),
  ];
  if (listed.length > 0 && !listed.includes(scmp))
    throw new Error(`seccomp profile: it is for ${listed.join(', ')}, not for ${scmp}`);
}

function flagsOf(given: unknown): number {
  if (given === undefined || given === null) return 0;
  if (!Array.isArray(given)) throw new Error('seccomp profile: flags is not a list');
  return given.reduce<number>((all, name) => {
    const flag = FLAGS[String(name)];
    if (flag === undefined) throw new Error(`seccomp profile: flag ${JSON.stringify(name)} is not supported`);
    return all | flag;
  }, 0);
}

/** Throws with the field's place on everything that is malformed or not supported. */
export function parseProfile(text: string, facts: ProfileFacts): Profile {
  const profile = parseJson(text) as Record<string, unknown>;
  if (typeof profile !== 'object' || profile === null) throw new Error('seccomp profile is not an object');
  for (const field of ['listenerPath', 'listenerMetadata'])
    if (profile[field]) throw new Error(`seccomp profile: ${field} is not supported: SCMP_ACT_NOTIFY is not`);
  for (const field of Object.keys(profile))
    if (!PROFILE_FIELDS.has(field) && !field.startsWith('listener'))
      throw new Error(`seccomp profile: ${field} is not supported`);
  checkArchitecture(profile, facts.architecture);
  const rules: Rule[] = [];
  const syscalls = profile['syscalls'] ?? [];
  if (!Array.isArray(syscalls)) throw new Error('seccomp profile: syscalls is not a list');
  syscalls.forEach((entry: Record<string, unknown>, at) => {
    const where = `seccomp profile: syscalls[${at}]`;
    for (const field of Object.keys(entry))
      if (!SYSCALL_FIELDS.has(field)) throw new Error(`${where}.${field} is not supported`);
    const names = (entry['names'] ?? (entry['name'] ? [entry['name']] : [])) as unknown;
    if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string'))
      throw new Error(`${where}.names is not a list of names`);
    const action = actionOf(entry['action'], errnoOf(entry['errnoRet'], entry['errno'], where), where);
    const args = ((entry['args'] ?? []) as unknown[]).map((arg, index) => conditionOf(arg, `${where}.args[${index}]`));
    if (!applies(entry, facts, where)) return;
    // Two conditions on one argument are alternatives, as in the runtimes these profiles were written for.
    const alternatives = new Set(args.map((arg) => arg.index)).size < args.length;
    if (alternatives) for (const arg of args) rules.push({ names, action, conditions: [arg] });
    else rules.push({ names, action, conditions: args });
  });
  const where = 'seccomp profile: defaultAction';
  const byDefault = errnoOf(profile['defaultErrnoRet'], profile['defaultErrno'], where);
  return {
    policy: { defaultAction: actionOf(profile['defaultAction'], byDefault, where), rules },
    flags: flagsOf(profile['flags']),
  };
}
