// Policy → classic BPF. Pure. The call's number is looked up in a binary tree over ranges of equal outcome; calls with
// conditions on arguments are leaves of their own. Code is position independent: all jumps are relative and forward.
import { type Architecture, AUDIT_ARCH, SYSCALLS } from './syscalls.ts';

export type Comparison = 'eq' | 'ne' | 'lt' | 'le' | 'ge' | 'gt' | 'masked-eq';

export interface Condition {
  /** Which argument, 0 to 5. */
  index: number;
  op: Comparison;
  value: bigint;
  /** For `masked-eq`: (argument & value) == datum. */
  datum?: bigint;
}

export interface Rule {
  names: readonly string[];
  /** A SECCOMP_RET value. */
  action: number;
  /** All must hold; none is always. */
  conditions: readonly Condition[];
}

export interface Policy {
  defaultAction: number;
  rules: readonly Rule[];
}

export const ALLOW = 0x7fff0000;
export const KILL_PROCESS = 0x80000000;
export const KILL_THREAD = 0;
export const TRAP = 0x00030000;
/** With the number that a tracer sees; without a tracer the call fails with ENOSYS. */
export const TRACE = 0x7ff00000;
export const LOG = 0x7ffc0000;
export const errno = (number: number): number => 0x00050000 | (number & 0xffff);
const ENOSYS = 38;

interface Instruction {
  code: number;
  jt: number;
  jf: number;
  k: number;
}

const load = (offset: number): Instruction => ({ code: 0x20, jt: 0, jf: 0, k: offset });
const ret = (action: number): Instruction => ({ code: 0x06, jt: 0, jf: 0, k: action });
const and = (mask: number): Instruction => ({ code: 0x54, jt: 0, jf: 0, k: mask });
const jump = (test: 'eq' | 'gt' | 'ge', k: number, jt: number, jf: number): Instruction => {
  if (jt > 255 || jf > 255) throw new Error('seccomp rule is too long: a jump is over 255 instructions');
  return { code: { eq: 0x15, gt: 0x25, ge: 0x35 }[test], jt, jf, k };
};

const high = (value: bigint) => Number((value >> 32n) & 0xffffffffn);
const low = (value: bigint) => Number(value & 0xffffffffn);

/** Falls through when the condition holds, else jumps over itself and `rest` instructions more. Little-endian. */
function condition({ index, op, value, datum = 0n }: Condition, rest: number): Instruction[] {
  const loadLow = load(16 + index * 8);
  const loadHigh = load(20 + index * 8);
  switch (op) {
    case 'eq':
      return [loadHigh, jump('eq', high(value), 0, rest + 2), loadLow, jump('eq', low(value), 0, rest)];
    case 'ne':
      return [loadHigh, jump('eq', high(value), 0, 2), loadLow, jump('eq', low(value), rest, 0)];
    case 'masked-eq':
      return [
        loadHigh,
        and(high(value)),
        jump('eq', high(datum), 0, rest + 3),
        loadLow,
        and(low(value)),
        jump('eq', low(datum), 0, rest),
      ];
    case 'ge':
    case 'gt':
      return [
        loadHigh,
        jump('gt', high(value), 3, 0),
        jump('eq', high(value), 0, rest + 2),
        loadLow,
        jump(op, low(value), 0, rest),
      ];
    case 'lt':
    case 'le':
      return [
        loadHigh,
        jump('gt', high(value), rest + 3, 0),
        jump('eq', high(value), 0, 2),
        loadLow,
        jump(op === 'lt' ? 'ge' : 'gt', low(value), rest, 0),
      ];
  }
}

/** What happens at one call: rules with conditions in their order, then the one without, then the default. */
function leaf(rules: readonly Rule[], defaultAction: number): Instruction[] {
  const always = rules.find((rule) => rule.conditions.length === 0);
  const otherwise = always?.action ?? defaultAction;
  const code: Instruction[] = [];
  for (const rule of rules) {
    if (rule.conditions.length === 0 || rule.action === otherwise) continue;
    let block: Instruction[] = [ret(rule.action)];
    for (const each of [...rule.conditions].reverse()) block = [...condition(each, block.length), ...block];
    code.push(...block);
  }
  return [...code, ret(otherwise)];
}

interface Range {
  start: number;
  code: Instruction[];
}

function tree(ranges: readonly Range[]): Instruction[] {
  if (ranges.length === 1) return (ranges[0] as Range).code;
  const middle = ranges.length >> 1;
  const left = tree(ranges.slice(0, middle));
  const right = tree(ranges.slice(middle));
  const start = (ranges[middle] as Range).start;
  return left.length <= 255
    ? [jump('ge', start, left.length, 0), ...left, ...right]
    : [jump('ge', start, 0, 1), { code: 0x05, jt: 0, jf: 0, k: left.length }, ...left, ...right];
}

/** The program as the kernel takes it, 8 bytes per instruction. Names another architecture has are skipped. */
export function compileSeccomp(policy: Policy, architecture: Architecture): Uint8Array {
  const byNumber = new Map<number, Rule[]>();
  for (const rule of policy.rules) {
    for (const name of rule.names) {
      const number = SYSCALLS[architecture].get(name);
      if (number === undefined) continue;
      const rules = byNumber.get(number);
      if (rules) rules.push(rule);
      else byNumber.set(number, [rule]);
    }
  }
  const ranges: Range[] = [];
  const put = (start: number, code: Instruction[]) => {
    const last = ranges.at(-1);
    if (last && JSON.stringify(last.code) === JSON.stringify(code)) return;
    ranges.push({ start, code });
  };
  let next = 0;
  for (const [number, rules] of [...byNumber].sort(([a], [b]) => a - b)) {
    if (number > next || ranges.length === 0) put(next, [ret(policy.defaultAction)]);
    if (number === 0) ranges.length = 0;
    put(number, leaf(rules, policy.defaultAction));
    next = number + 1;
  }
  put(next, [ret(policy.defaultAction)]);
  const program = [
    load(4),
    jump('eq', AUDIT_ARCH[architecture], 1, 0),
    // 32-bit programs are not supported: they are told that the call does not exist.
    ret(errno(ENOSYS)),
    load(0),
    ...(architecture === 'x64' ? [jump('ge', 0x40000000, 0, 1), ret(errno(ENOSYS))] : []),
    ...tree(ranges),
  ];
  if (program.length > 4096)
    throw new Error(`seccomp program has ${program.length} instructions, the kernel takes 4096`);
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(({ code, jt, jf, k }, at) => {
    bytes.writeUInt16LE(code, at * 8);
    bytes.writeUInt8(jt, at * 8 + 2);
    bytes.writeUInt8(jf, at * 8 + 3);
    bytes.writeUInt32LE(k >>> 0, at * 8 + 4);
  });
  return bytes;
}

/** Runs a program as the kernel would: for tests, and to explain what a profile does to a call. */
export function evaluateSeccomp(
  program: Uint8Array,
  call: { number: number; arch: number; args?: readonly bigint[] },
): number {
  const view = new DataView(program.buffer, program.byteOffset, program.length);
  const data = new DataView(new ArrayBuffer(64));
  data.setUint32(0, call.number, true);
  data.setUint32(4, call.arch, true);
  (call.args ?? []).forEach((arg, at) => {
    data.setBigUint64(16 + at * 8, BigInt.asUintN(64, arg), true);
  });
  let a = 0;
  for (let at = 0; at * 8 < program.length; at++) {
    const code = view.getUint16(at * 8, true);
    const [jt, jf, k] = [view.getUint8(at * 8 + 2), view.getUint8(at * 8 + 3), view.getUint32(at * 8 + 4, true)];
    if (code === 0x20) a = data.getUint32(k, true);
    else if (code === 0x54) a = (a & k) >>> 0;
    else if (code === 0x06) return k;
    else if (code === 0x05) at += k;
    else if (code === 0x15) at += a === k ? jt : jf;
    else if (code === 0x25) at += a > k ? jt : jf;
    else if (code === 0x35) at += a >= k ? jt : jf;
    else throw new Error(`instruction ${code.toString(16)}`);
  }
  throw new Error('the program ran off its end');
}
