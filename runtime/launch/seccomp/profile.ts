// Localhost profiles: the OCI JSON form → Policy. What we cannot do is refused by name, never left out.
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
  TRAP,
} from './compile.ts';

const OPERATORS: Record<string, Comparison> = {
  SCMP_CMP_EQ: 'eq',
  SCMP_CMP_NE: 'ne',
  SCMP_CMP_LT: 'lt',
  SCMP_CMP_LE: 'le',
  SCMP_CMP_GE: 'ge',
  SCMP_CMP_GT: 'gt',
  SCMP_CMP_MASKED_EQ: 'masked-eq',
};

const PROFILE_FIELDS = new Set(['defaultAction', 'defaultErrnoRet', 'architectures', 'archMap', 'syscalls', 'flags']);
const SYSCALL_FIELDS = new Set(['name', 'names', 'action', 'errnoRet', 'args', 'comment', 'includes', 'excludes']);
const EPERM = 1;

function actionOf(name: unknown, errnoRet: unknown, where: string): number {
  if (errnoRet !== undefined && (typeof errnoRet !== 'number' || errnoRet < 0 || errnoRet > 4095))
    throw new Error(`${where}: errnoRet ${String(errnoRet)} is not an errno`);
  switch (name) {
    case 'SCMP_ACT_ALLOW':
      return ALLOW;
    case 'SCMP_ACT_ERRNO':
      return errno((errnoRet as number | undefined) ?? EPERM);
    case 'SCMP_ACT_KILL':
    case 'SCMP_ACT_KILL_THREAD':
      return KILL_THREAD;
    case 'SCMP_ACT_KILL_PROCESS':
      return KILL_PROCESS;
    case 'SCMP_ACT_TRAP':
      return TRAP;
    case 'SCMP_ACT_LOG':
      return LOG;
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
  if (typeof value !== 'number' || (valueTwo !== undefined && typeof valueTwo !== 'number'))
    throw new Error(`${where}: value is not a number`);
  return { index, op: comparison, value: BigInt(value), datum: BigInt(valueTwo ?? 0) };
}

/** Throws with the field's place on everything that is malformed or not supported. */
export function parseProfile(text: string): Policy {
  const profile = JSON.parse(text) as Record<string, unknown>;
  if (typeof profile !== 'object' || profile === null) throw new Error('seccomp profile is not an object');
  for (const field of Object.keys(profile))
    if (!PROFILE_FIELDS.has(field)) throw new Error(`seccomp profile: ${field} is not supported`);
  if (Array.isArray(profile['flags']) && profile['flags'].length > 0)
    throw new Error(`seccomp profile: flags ${profile['flags'].join(', ')} are not supported`);
  const rules: Rule[] = [];
  const syscalls = profile['syscalls'] ?? [];
  if (!Array.isArray(syscalls)) throw new Error('seccomp profile: syscalls is not a list');
  syscalls.forEach((entry: Record<string, unknown>, at) => {
    const where = `seccomp profile: syscalls[${at}]`;
    for (const field of Object.keys(entry))
      if (!SYSCALL_FIELDS.has(field)) throw new Error(`${where}.${field} is not supported`);
    for (const field of ['includes', 'excludes']) {
      if (entry[field] && Object.keys(entry[field]).length > 0) throw new Error(`${where}.${field} is not supported`);
    }
    const names = (entry['names'] ?? (entry['name'] ? [entry['name']] : [])) as unknown;
    if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string'))
      throw new Error(`${where}.names is not a list of names`);
    const action = actionOf(entry['action'], entry['errnoRet'], where);
    const args = ((entry['args'] ?? []) as unknown[]).map((arg, index) => conditionOf(arg, `${where}.args[${index}]`));
    // Two conditions on one argument are alternatives, as in the runtimes these profiles were written for.
    const alternatives = new Set(args.map((arg) => arg.index)).size < args.length;
    if (alternatives) for (const arg of args) rules.push({ names, action, conditions: [arg] });
    else rules.push({ names, action, conditions: args });
  });
  return {
    defaultAction: actionOf(profile['defaultAction'], profile['defaultErrnoRet'], 'seccomp profile: defaultAction'),
    rules,
  };
}
