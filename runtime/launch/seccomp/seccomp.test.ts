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

  it('reads profiles and names what it does not support', () => {
    const policy = parseProfile(
      JSON.stringify({
        defaultAction: 'SCMP_ACT_ALLOW',
        architectures: ['SCMP_ARCH_X86_64'],
        syscalls: [
          { names: ['mkdir', 'unheard_of'], action: 'SCMP_ACT_ERRNO', errnoRet: 13 },
          { names: ['kill'], action: 'SCMP_ACT_KILL_PROCESS', args: [{ index: 1, value: 9, op: 'SCMP_CMP_EQ' }] },
        ],
      }),
    );
    expect(call(policy, 'x64', 'mkdir')).toBe(errno(13));
    expect(call(policy, 'x64', 'read')).toBe(ALLOW);
    expect(call(policy, 'x64', 'kill', [1n, 9n])).toBe(KILL_PROCESS);
    expect(call(policy, 'x64', 'kill', [1n, 15n])).toBe(ALLOW);
    for (const [profile, message] of [
      [{ defaultAction: 'SCMP_ACT_NOTIFY' }, 'action "SCMP_ACT_NOTIFY" is not supported'],
      [{ defaultAction: 'SCMP_ACT_ALLOW', listenerPath: '/x' }, 'listenerPath is not supported'],
      [
        { defaultAction: 'SCMP_ACT_ALLOW', flags: ['SECCOMP_FILTER_FLAG_TSYNC'] },
        'flags SECCOMP_FILTER_FLAG_TSYNC are not supported',
      ],
      [
        { defaultAction: 'SCMP_ACT_ALLOW', syscalls: [{ names: [], action: 'SCMP_ACT_ALLOW' }] },
        'syscalls[0].names is not a list of names',
      ],
      [
        {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['x'], action: 'SCMP_ACT_ALLOW', includes: { caps: ['X'] } }],
        },
        'syscalls[0].includes is not supported',
      ],
      [
        {
          defaultAction: 'SCMP_ACT_ALLOW',
          syscalls: [{ names: ['x'], action: 'SCMP_ACT_ALLOW', args: [{ index: 6, value: 0, op: 'SCMP_CMP_EQ' }] }],
        },
        'argument index 6',
      ],
    ] as const)
      expect(() => parseProfile(JSON.stringify(profile))).toThrow(message);
  });
});
