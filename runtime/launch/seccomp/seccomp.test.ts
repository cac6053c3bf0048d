import { describe, expect, it } from 'vitest';
import {
  ALLOW,
  type Comparison,
  type Condition,
  compileSeccomp,
  errno,
  evaluateSeccomp,
  KILL_PROCESS,
  type Policy,
} from './compile.ts';
import { defaultPolicy } from './default-policy.ts';
import { parseProfile } from './profile.ts';
import { type Architecture, AUDIT_ARCH, SYSCALLS } from './syscalls.ts';

const call = (policy: Policy, on: Architecture, name: string, args: bigint[] = []) =>
  evaluateSeccomp(compileSeccomp(policy, on), { number: SYSCALLS[on].get(name) as number, arch: AUDIT_ARCH[on], args });

describe('seccomp', () => {
  it('knows the numbers of both architectures', () => {
    expect([
      SYSCALLS.x64.get('read'),
      SYSCALLS.x64.get('execve'),
      SYSCALLS.x64.get('clone3'),
      SYSCALLS.x64.get('landlock_create_ruleset'),
    ]).toEqual([0, 59, 435, 444]);
    expect([
      SYSCALLS.arm64.get('read'),
      SYSCALLS.arm64.get('execve'),
      SYSCALLS.arm64.get('clone3'),
      SYSCALLS.arm64.get('openat'),
    ]).toEqual([63, 221, 435, 56]);
    expect(SYSCALLS.arm64.has('open')).toBe(false);
  });

  it.each(['x64', 'arm64'] as const)('decides every call of %s as its rules say', (on) => {
    for (const capabilities of [[], ['SYS_ADMIN'], ['SYS_PTRACE', 'SYS_TIME']]) {
      const policy = defaultPolicy(capabilities);
      const program = compileSeccomp(policy, on);
      expect(program.length / 8).toBeLessThan(700);
      const allowed = new Set(
        policy.rules
          .filter((rule) => rule.conditions.length === 0 && rule.action === ALLOW)
          .flatMap((rule) => rule.names),
      );
      for (const [name, number] of SYSCALLS[on]) {
        if (['clone', 'clone3', 'personality', 'socket'].includes(name)) continue;
        expect([name, evaluateSeccomp(program, { number, arch: AUDIT_ARCH[on] })]).toEqual([
          name,
          allowed.has(name) ? ALLOW : errno(1),
        ]);
      }
      expect(evaluateSeccomp(program, { number: 9999, arch: AUDIT_ARCH[on] })).toBe(errno(1));
      expect(evaluateSeccomp(program, { number: 1, arch: 0x40000003 })).toBe(errno(38));
    }
    expect(
      evaluateSeccomp(compileSeccomp(defaultPolicy([]), 'x64'), { number: 0x40000001, arch: AUDIT_ARCH.x64 }),
    ).toBe(errno(38));
  });

  it('looks at arguments', () => {
    const policy = defaultPolicy([]);
    expect(call(policy, 'x64', 'clone', [0x11n])).toBe(ALLOW);
    expect(call(policy, 'x64', 'clone', [0x10000000n])).toBe(errno(1));
    expect(call(policy, 'x64', 'clone3')).toBe(errno(38));
    expect(call(defaultPolicy(['SYS_ADMIN']), 'x64', 'clone3')).toBe(ALLOW);
    expect(call(defaultPolicy(['SYS_ADMIN']), 'x64', 'clone', [0x10000000n])).toBe(ALLOW);
    expect(call(policy, 'x64', 'personality', [0xffffffffn])).toBe(ALLOW);
    expect(call(policy, 'x64', 'personality', [0x40000n])).toBe(errno(1));
    expect(call(policy, 'arm64', 'socket', [40n])).toBe(errno(1));
    expect(call(policy, 'arm64', 'socket', [2n])).toBe(ALLOW);
  });

  it('compares all 64 bits', () => {
    const values = [0n, 1n, 2n, 0xffffffffn, 0x100000000n, 0x100000001n, 0x200000000n, 2n ** 64n - 1n];
    const holds: Record<Comparison, (a: bigint, b: bigint) => boolean> = {
      eq: (a, b) => a === b,
      ne: (a, b) => a !== b,
      lt: (a, b) => a < b,
      le: (a, b) => a <= b,
      ge: (a, b) => a >= b,
      gt: (a, b) => a > b,
      'masked-eq': (a, b) => (a & b) === 1n,
    };
    for (const op of Object.keys(holds) as Comparison[])
      for (const value of values) {
        const condition: Condition = { index: 2, op, value, datum: 1n };
        const program = compileSeccomp(
          {
            defaultAction: ALLOW,
            rules: [{ names: ['ioctl'], action: KILL_PROCESS, conditions: [condition, condition] }],
          },
          'x64',
        );
        for (const a of values)
          expect([
            op,
            a,
            value,
            evaluateSeccomp(program, { number: 16, arch: AUDIT_ARCH.x64, args: [0n, 0n, a] }),
          ]).toEqual([op, a, value, holds[op](a, value) ? KILL_PROCESS : ALLOW]);
      }
  });

  const facts = { capabilities: ['SYS_ADMIN'], architecture: 'x64' as const, kernel: '6.1.0-13-amd64' };
  const parse = (profile: unknown, more = {}) =>
    parseProfile(typeof profile === 'string' ? profile : JSON.stringify(profile), { ...facts, ...more });

  it('reads profiles', () => {
    const { policy, flags } = parse({
      defaultAction: 'SCMP_ACT_ALLOW',
      architectures: ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86'],
      flags: ['SECCOMP_FILTER_FLAG_LOG', 'SECCOMP_FILTER_FLAG_SPEC_ALLOW', 'SECCOMP_FILTER_FLAG_TSYNC'],
      syscalls: [
        { names: ['mkdir', 'unheard_of'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 },
        { names: ['rmdir'], action: 'SCMP_ACT_ERRNO', errno: 'ENOSYS' },
        { name: 'fork', action: 'SCMP_ACT_TRACE', errnoRet: 7, comment: 'x' },
        { names: ['kill'], action: 'SCMP_ACT_KILL_PROCESS', args: [{ index: 1, value: 9, op: 'SCMP_CMP_EQ' }] },
      ],
    });
    expect(flags).toBe(6);
    expect(call(policy, 'x64', 'mkdir')).toBe(errno(13));
    expect(call(policy, 'x64', 'rmdir')).toBe(errno(38));
    expect(call(policy, 'x64', 'fork')).toBe(0x7ff00007);
    expect(call(policy, 'x64', 'read')).toBe(ALLOW);
    expect(call(policy, 'x64', 'kill', [1n, 9n])).toBe(KILL_PROCESS);
    expect(call(policy, 'x64', 'kill', [1n, 15n])).toBe(ALLOW);
  });

  it('keeps all 64 bits of a value', () => {
    const { policy } = parse(
      '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["lseek"],"action":"SCMP_ACT_ERRNO","args":[{"index":1,"value":18446744073709551613,"op":"SCMP_CMP_EQ"}]}]}',
    );
    expect(call(policy, 'x64', 'lseek', [0n, 2n ** 64n - 3n])).toBe(errno(1));
    expect(call(policy, 'x64', 'lseek', [0n, 2n ** 64n - 2n])).toBe(ALLOW);
  });

  it.each<[string, object, boolean]>([
    ['a capability it has', { includes: { caps: ['CAP_SYS_ADMIN'] } }, true],
    ['all of several', { includes: { caps: ['CAP_SYS_ADMIN', 'CAP_BPF'] } }, false],
    ['none it has', { excludes: { caps: ['CAP_SYS_ADMIN'] } }, false],
    ['none it has, and it has not', { excludes: { caps: ['CAP_BPF'] } }, true],
    ['its architecture', { includes: { arches: ['arm64', 'amd64'] } }, true],
    ['another architecture', { includes: { arches: ['s390x'] } }, false],
    ['any architecture but its own', { excludes: { arches: ['amd64'] } }, false],
    ['an older kernel', { includes: { minKernel: '4.8' } }, true],
    ['a newer kernel', { includes: { minKernel: '6.2' } }, false],
    ['kernels before', { excludes: { minKernel: '6.1' } }, false],
  ])('a rule for %s', (_, condition, applies) => {
    const { policy } = parse({
      defaultAction: 'SCMP_ACT_ERRNO',
      archMap: [{ architecture: 'SCMP_ARCH_X86_64', subArchitectures: ['SCMP_ARCH_X86'] }],
      syscalls: [{ names: ['bpf'], action: 'SCMP_ACT_ALLOW', args: null, ...condition }],
    });
    expect(call(policy, 'x64', 'bpf')).toBe(applies ? ALLOW : errno(1));
  });

  it.each<[object, string]>([
    [{ defaultAction: 'SCMP_ACT_NOTIFY' }, 'action "SCMP_ACT_NOTIFY" is not supported: no agent'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/x' }, 'listenerPath is not supported'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV'] }, 'WAIT_KILLABLE_RECV'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', architectures: ['SCMP_ARCH_S390X'] }, 'it is for SCMP_ARCH_S390X, not for'],
    [{ defaultAction: 'SCMP_ACT_ALLOW', surprise: 1 }, 'surprise is not supported'],
    [{ defaultAction: 'SCMP_ACT_ERRNO', defaultErrno: 'ENOPE' }, '"ENOPE" is not an errno'],
    [
      { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: [], action: 'SCMP_ACT_ALLOW' }] },
      'syscalls[0].names is not a list of names',
    ],
    [
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['x'], action: 'SCMP_ACT_ALLOW', includes: { moon: 'full' } }],
      },
      'syscalls[0].includes.moon is not supported',
    ],
    [
      {
        defaultAction: 'SCMP_ACT_ALLOW',
        syscalls: [{ names: ['x'], action: 'SCMP_ACT_ALLOW', args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }],
      },
      'argument index 6',
    ],
  ])('%j is refused', (profile, message) => expect(() => parse(profile)).toThrow(message));
});
