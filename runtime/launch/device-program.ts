// Device rules → eBPF program of type CGROUP_DEVICE (v2 has no device list). Pure; 8 bytes per instruction.
import type { DeviceRule } from '../cgroups/driver.ts';

const ACCESS: Record<string, number> = { m: 1, r: 2, w: 4 };

/** The first rule that matches decides; no match refuses. The context is { access_type, major, minor }, each u32. */
export function deviceProgram(rules: readonly DeviceRule[]): Uint8Array {
  const program: [code: number, registers: number, offset: number, immediate: number][] = [
    // r2 = type, r3 = access, r4 = major, r5 = minor
    [0x61, 0x12, 0, 0],
    [0x54, 0x02, 0, 0xffff],
    [0x61, 0x13, 0, 0],
    [0x74, 0x03, 0, 16],
    [0x61, 0x14, 4, 0],
    [0x61, 0x15, 8, 0],
  ];
  for (const rule of [...rules].reverse()) {
    const body: typeof program = [];
    const tests: ((toEnd: number) => (typeof program)[number])[] = [];
    // JNE register, value -> next rule
    if (rule.type !== 'a') tests.push((end) => [0x55, 0x02, end, rule.type === 'b' ? 1 : 2]);
    const access = [...rule.access].reduce((mask, letter) => mask | (ACCESS[letter] ?? 0), 0);
    if (rule.major >= 0) tests.push((end) => [0x55, 0x04, end, rule.major]);
    if (rule.minor >= 0) tests.push((end) => [0x55, 0x05, end, rule.minor]);
    const mask = rule.type !== 'a' && access !== 7;
    const length = tests.length + (mask ? 3 : 0) + 2;
    tests.forEach((test, at) => {
      body.push(test(length - at - 1));
    });
    if (mask) {
      // w1 = access & rule; if it is not all that was asked for, go on
      body.push([0xbc, 0x31, 0, 0], [0x54, 0x01, 0, access], [0x5d, 0x31, 2, 0]);
    }
    body.push([0xb7, 0x00, 0, rule.allow ? 1 : 0], [0x95, 0, 0, 0]);
    program.push(...body);
  }
  program.push([0xb7, 0x00, 0, 0], [0x95, 0, 0, 0]);
  const bytes = Buffer.alloc(program.length * 8);
  program.forEach(([code, registers, offset, immediate], at) => {
    bytes.writeUInt8(code, at * 8);
    bytes.writeUInt8(registers, at * 8 + 1);
    bytes.writeInt16LE(offset, at * 8 + 2);
    bytes.writeInt32LE(immediate, at * 8 + 4);
  });
  return bytes;
}
