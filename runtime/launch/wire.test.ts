import * as fc from 'fast-check';
import { connect } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { canLaunch, createTestHost } from './testing.ts';
import { decodeRecords, encodeFrame, encodeRecords, FrameReader } from './wire.ts';

describe('wire', () => {
  it('reads back what it wrote', () => {
    const word = fc.string({ unit: 'grapheme' }).filter((each) => !each.includes('\0'));
    fc.assert(
      fc.property(fc.array(fc.array(word, { minLength: 1 })), (records) => {
        const message = encodeRecords(records);
        expect(message.readUInt32LE(0)).toBe(message.length - 4);
        expect(decodeRecords(message.subarray(4))).toEqual(records);
      }),
    );
    expect(() => encodeRecords([['a\0b']])).toThrow('NUL');
  });

  it('cuts frames however the bytes arrive', () => {
    const frames = [...'abc'].map((kind, at) => encodeFrame(kind, Buffer.alloc(at * 7, at)));
    const bytes = Buffer.concat(frames);
    for (let size = 1; size <= bytes.length; size++) {
      const reader = new FrameReader();
      const got = [];
      for (let at = 0; at < bytes.length; at += size) got.push(...reader.push(bytes.subarray(at, at + size)));
      expect(got.map((each) => [each.kind, each.payload.length])).toEqual([
        ['a', 0],
        ['b', 7],
        ['c', 14],
      ]);
    }
  });

  it.skipIf(!canLaunch)('malformed messages are refused and take nobody with them', async () => {
    const host = createTestHost();
    const launcher = await host.launcher();
    try {
      const server = host.serverPid();
      const send = (bytes: Uint8Array) =>
        new Promise<Buffer>((resolve) => {
          const socket = connect(join(host.directory, 'state/launcher.sock'));
          const chunks: Buffer[] = [];
          socket.on('data', (chunk: Buffer) => chunks.push(chunk));
          socket.on('error', () => undefined);
          socket.once('close', () => resolve(Buffer.concat(chunks)));
          socket.end(bytes);
        });
      // Valid messages with some bytes changed; no step has a name that exists, so that none is ever carried out.
      const valid = encodeRecords([
        ['ZZZZZZ', '/tmp/made', '755'],
        ['ZZZZ', ''],
      ]);
      const cases = fc.sample(
        fc.tuple(
          fc.array(fc.tuple(fc.nat(valid.length - 1), fc.nat(255)), { minLength: 1, maxLength: 4 }),
          fc.nat(valid.length),
        ),
        { numRuns: 150, seed: 7 },
      );
      for (const [changes, cut] of cases) {
        const bytes = Buffer.from(valid);
        for (const [at, value] of changes) bytes[at] = value;
        await send(bytes.subarray(0, cut % 3 === 0 ? cut : bytes.length));
      }
      await send(Buffer.alloc(0));
      await send(Buffer.from([255, 255, 255, 255]));
      const answer = await send(encodeRecords([['nonsense']]));
      expect(decodeRecords(answer.subarray(5))).toEqual([
        ['error', '0', 'ENOSYS', 'unknown step nonsense: Function not implemented'],
      ]);
      expect(decodeRecords((await send(encodeRecords([['mkdir', 'x']]))).subarray(5))[0]?.slice(2)).toEqual([
        'EINVAL',
        'step mkdir with 1 arguments: Invalid argument',
      ]);
      expect(host.serverPid()).toBe(server);
      expect((await launcher.facts()).size).toBe(0);
    } finally {
      await launcher.teardown();
      host.dispose();
    }
  });
});
