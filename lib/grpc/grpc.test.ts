// Our gRPC against grpc-js and protobufjs, which are other implementations of the same protocols, in both directions.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as grpcJs from '@grpc/grpc-js';
import * as fc from 'fast-check';
import protobuf from 'protobufjs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createGrpcClient, type GrpcClient } from './client.ts';
import { Deframer, frame } from './frames.ts';
import { type MethodDefinition, parseProto } from './proto-file.ts';
import { type GrpcServer, type Handlers, serveGrpc } from './server.ts';
import { decodeDetails, encodeDetails, GrpcError, status } from './status.ts';

const definition = `
  syntax = "proto3";
  package test.v1;
  option go_package = "x";
  // A comment; with a { brace.
  enum Color { RED = 0; GREEN = 1; DARK_BLUE = 7; }
  message Part { string name = 1; int64 size_bytes = 2; repeated Part parts = 3; }
  message Thing {
    reserved 90, 91;
    enum Phase { NEW = 0; OLD = 1; }
    string name = 1;
    bool is_on = 2;
    int32 small = 3;
    int64 large = 4;
    uint32 count = 5;
    uint64 total = 6;
    double share = 7;
    bytes data = 8;
    Color color = 9 [deprecated = true];
    Phase phase = 10;
    Part part = 11;
    repeated string words = 12;
    repeated int64 numbers = 13;
    repeated Color colors = 14;
    repeated Part parts = 15;
    map<string, string> labels = 16;
    map<string, Part> named = 200;
  }
  service Echo {
    rpc Say(Thing) returns (Thing) {}
    rpc Count(Thing) returns (stream Thing);
  }
`;
const ours = parseProto(definition);
const Echo = ours.service('Echo') as { Say: MethodDefinition; Count: MethodDefinition };
const theirs = protobuf.parse(definition).root.lookupType('test.v1.Thing');
const conversion = { longs: Number, enums: String, defaults: true } as const;

const text = fc.string({ unit: 'binary', maxLength: 200 });
const int64 = fc.oneof(fc.maxSafeInteger(), fc.constantFrom(0, -1, 2 ** 31, -(2 ** 53), 1.7e18, -1.7e18, 2 ** 62));
const part = fc.letrec((tie) => ({
  part: fc.record(
    { name: text, sizeBytes: int64, parts: fc.array(tie('part'), { maxLength: 2, depthIdentifier: 'p' }) },
    { requiredKeys: [] },
  ),
})).part as fc.Arbitrary<object>;
const color = fc.constantFrom('RED', 'GREEN', 'DARK_BLUE');
const key = fc.string({ maxLength: 10 }).filter((each) => each !== '__proto__');
const thing = fc.record(
  {
    name: text,
    isOn: fc.boolean(),
    small: fc.integer(),
    large: int64,
    count: fc.nat({ max: 2 ** 32 - 1 }),
    total: fc.oneof(fc.maxSafeNat(), fc.constant(2 ** 63)),
    share: fc.double({ noNaN: true }),
    data: fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each)),
    color,
    phase: fc.constantFrom('NEW', 'OLD'),
    part,
    words: fc.array(text),
    numbers: fc.array(int64),
    colors: fc.array(color),
    parts: fc.array(part),
    labels: fc.dictionary(key, text, { noNullPrototype: true }),
    named: fc.dictionary(key, part, { noNullPrototype: true }),
  },
  { requiredKeys: [] },
);

describe('messages', () => {
  it('mean the same to protobufjs, both ways', () => {
    fc.assert(
      fc.property(thing, (message) => {
        const bytes = Echo.Say.requestSerialize(message);
        const read = theirs.toObject(theirs.decode(bytes), conversion);
        expect(Echo.Say.requestDeserialize(bytes)).toEqual(read);
        const written = Buffer.from(theirs.encode(theirs.fromObject(message)).finish());
        expect(Echo.Say.requestDeserialize(written)).toEqual(read);
      }),
      { numRuns: 300 },
    );
  });

  it('that are cut short or scrambled are refused or read, never worse', () => {
    fc.assert(
      fc.property(thing, fc.nat(), fc.nat({ max: 255 }), (message, at, byte) => {
        const bytes = Buffer.from(Echo.Say.requestSerialize(message));
        if (bytes.length > 0) bytes[at % bytes.length] = byte;
        try {
          Echo.Say.requestDeserialize(bytes.subarray(0, at % (bytes.length + 1)));
          Echo.Say.requestDeserialize(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('keep keys that objects have by nature, skip fields they do not know, and refuse names that an enum has not', () => {
    const bytes = Echo.Say.requestSerialize({ labels: JSON.parse('{"__proto__": "x"}') });
    const { labels } = Echo.Say.requestDeserialize(bytes) as { labels: object };
    expect(Object.entries(labels)).toEqual([['__proto__', 'x']]);
    const unknown = Buffer.from([0xa0, 0x3f, 5, 0xaa, 0x3f, 1, 65, 0x0a, 1, 66]);
    expect(Echo.Say.requestDeserialize(unknown)).toMatchObject({ name: 'B' });
    expect(() => Echo.Say.requestSerialize({ color: 'PINK' })).toThrow('"PINK" is none of RED, GREEN, DARK_BLUE');
  });

  it('come whole however they are cut', () => {
    const bytes = Buffer.concat([frame(Buffer.from('one')), frame(Buffer.alloc(0)), frame(Buffer.from('three'))]);
    for (let size = 1; size <= bytes.length; size++) {
      const deframer = new Deframer(10);
      const messages: string[] = [];
      for (let at = 0; at < bytes.length; at += size)
        messages.push(...deframer.push(bytes.subarray(at, at + size)).map(String));
      expect(messages).toEqual(['one', '', 'three']);
      expect(deframer.partial).toBe(false);
    }
    expect(() => new Deframer(10).push(frame(Buffer.alloc(11)))).toThrow('larger than max (11 vs. 10)');
  });
});

it.each(['', 'plain text', '100 % ü\n', 'a "quoted" <x> [y] {z} ^`|\\'])(
  'details travel as a header: %j',
  (details) => {
    const encoded = encodeDetails(details);
    expect(encoded).toMatch(/^[\x20-\x7e]*$/);
    expect(decodeDetails(encoded)).toBe(details);
  },
);

describe('calls', () => {
  let dir: string;
  let socketPath: string;
  let server: GrpcServer | undefined;
  let client: GrpcClient;
  let foreign: grpcJs.Client;
  let cancelled: PromiseWithResolvers<void>;
  const handlers: Handlers = {
    unary: {
      async Say(request: { name: string; count: number }, signal) {
        if (request.name === 'fail') throw new GrpcError(status.NOT_FOUND, 'not: "ü" 100%');
        if (request.name === 'crash') throw new Error('an accident');
        if (request.name === 'wait') {
          await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
          cancelled.resolve();
        }
        return request;
      },
    },
    streams: {
      async Count({ count, name }: { count: number; name: string }, sink, signal) {
        for (let n = 0; n < count; n++) {
          if (signal.aborted) return cancelled.resolve();
          if (!sink.write({ count: n, data: Buffer.alloc(20_000) })) await sink.drained();
        }
        if (name === 'fail') throw new GrpcError(status.RESOURCE_EXHAUSTED, 'too much');
      },
    },
  };
  beforeEach(async () => {
    dir = mkdtempSync(join(tmpdir(), 'grpc-'));
    socketPath = join(dir, 's.sock');
    cancelled = Promise.withResolvers();
    server = await serveGrpc(socketPath, [{ definition: Echo, handlers }], { maxReceiveBytes: 1 << 20 });
    client = createGrpcClient({ socketPath });
    foreign = new grpcJs.Client(`unix:${socketPath}`, grpcJs.credentials.createInsecure(), {
      'grpc.use_local_subchannel_pool': 1,
    });
  });
  afterEach(async () => {
    client.close();
    foreign.close();
    await server?.stop();
    rmSync(dir, { recursive: true });
  });

  const foreignSay = (request: object, options: grpcJs.CallOptions = {}) =>
    new Promise<object>((resolve, reject) =>
      foreign.makeUnaryRequest(
        Echo.Say.path,
        Echo.Say.requestSerialize,
        Echo.Say.responseDeserialize,
        request,
        options,
        (error, answer) => (error ? reject(error) : resolve(answer as object)),
      ),
    );
  const foreignCount = (request: object) =>
    foreign.makeServerStreamRequest(
      Echo.Count.path,
      Echo.Count.requestSerialize,
      Echo.Count.responseDeserialize,
      request,
    );

  describe.each([
    [
      'our client',
      (request: object, timeoutMs?: number) => client.unary<object>(Echo.Say, request, timeoutMs ? { timeoutMs } : {}),
    ],
    [
      'grpc-js',
      (request: object, timeoutMs?: number) =>
        foreignSay(request, timeoutMs ? { deadline: Date.now() + timeoutMs } : {}),
    ],
  ])('of %s to our server', (_name, say) => {
    it('are answered, also many at once and large ones', async () => {
      const data = Buffer.alloc(900_000, 'x');
      const large = (await say({ name: 'a', data })) as { data: Buffer };
      expect(data.equals(large.data)).toBe(true);
      const answers = await Promise.all(Array.from({ length: 50 }, (_, count) => say({ count })));
      expect(answers.map((each) => (each as { count: number }).count)).toEqual(Array.from({ length: 50 }, (_, n) => n));
    });

    it('fail with code and text', async () => {
      await expect(say({ name: 'fail' })).rejects.toMatchObject({ code: status.NOT_FOUND, details: 'not: "ü" 100%' });
      await expect(say({ name: 'crash' })).rejects.toMatchObject({ code: status.INTERNAL, details: 'an accident' });
      await expect(say({ data: Buffer.alloc(1 << 20) })).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    });

    it('end at their deadline, which the handler learns', async () => {
      await expect(say({ name: 'wait' }, 50)).rejects.toMatchObject({ code: status.DEADLINE_EXCEEDED });
      await cancelled.promise;
    });
  });

  it('stream to grpc-js: every message, and the error after them', async () => {
    const counts: number[] = [];
    for await (const each of foreignCount({ count: 200 })) counts.push((each as { count: number }).count);
    expect(counts).toHaveLength(200);
    const failing = async () => {
      for await (const each of foreignCount({ count: 3, name: 'fail' })) counts.push((each as { count: number }).count);
    };
    await expect(failing()).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: 'too much' });
    expect(counts).toHaveLength(203);
  });

  it('stream to our client at its speed; leaving cancels', async () => {
    let opened = 0;
    const seen: number[] = [];
    const onOpen = () => opened++;
    for await (const { count } of client.stream<{ count: number }>(Echo.Count, { count: 200 }, { onOpen }))
      seen.push(count);
    expect([opened, seen.length]).toEqual([1, 200]);
    for await (const { count } of client.stream<{ count: number }>(Echo.Count, { count: 1e9 })) if (count === 5) break;
    await cancelled.promise;
    const failing = async () => {
      for await (const each of client.stream(Echo.Count, { count: 2, name: 'fail' })) seen.push(Number(!each));
    };
    await expect(failing()).rejects.toMatchObject({ code: status.RESOURCE_EXHAUSTED, details: 'too much' });
    expect(seen).toHaveLength(202);
  });

  it('can be cancelled by a signal', async () => {
    const controller = new AbortController();
    const call = client.unary(Echo.Say, { name: 'wait' }, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(call).rejects.toMatchObject({ code: status.CANCELLED });
    await cancelled.promise;
    await expect(client.unary(Echo.Say, {}, { signal: controller.signal })).rejects.toMatchObject({
      code: status.CANCELLED,
    });
  });

  it('of what is not there are refused', async () => {
    const method = { ...Echo.Say, path: '/test.v1.Echo/Shout' };
    const refusal = {
      code: status.UNIMPLEMENTED,
      details: 'The server does not implement the method /test.v1.Echo/Shout',
    };
    await expect(client.unary(method, {})).rejects.toMatchObject(refusal);
  });

  it('fail without a server or when it goes, and find the next one', async () => {
    const waiting = client.unary(Echo.Say, { name: 'wait' });
    const said = expect(waiting).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await client.unary(Echo.Say, {});
    await server?.stop();
    await said;
    await expect(client.unary(Echo.Say, {})).rejects.toMatchObject({ code: status.UNAVAILABLE });
    server = await serveGrpc(socketPath, [{ definition: Echo, handlers }], { maxReceiveBytes: 1 << 20 });
    expect(await client.unary(Echo.Say, { name: 'again' })).toMatchObject({ name: 'again' });
  });

  it('fail when what listens does not speak the protocol or says nothing', async () => {
    const sockets: Socket[] = [];
    const other = createServer((socket) => {
      sockets.push(socket);
      socket.on('error', () => {});
      if (sockets.length === 1) socket.end('HTTP/1.1 400 Bad Request\r\n\r\n');
    });
    const path = join(dir, 'other.sock');
    await new Promise<void>((resolve) => other.listen(path, resolve));
    const stranger = createGrpcClient({ socketPath: path });
    await expect(stranger.unary(Echo.Say, {})).rejects.toMatchObject({ code: status.UNAVAILABLE });
    await expect(stranger.unary(Echo.Say, {}, { timeoutMs: 50 })).rejects.toMatchObject({
      code: status.DEADLINE_EXCEEDED,
    });
    stranger.close();
    for (const socket of sockets) socket.destroy();
    other.close();
  });

  it('of our client to a server of grpc-js', async () => {
    const other = new grpcJs.Server();
    other.addService(Echo as never, {
      Say: (call: grpcJs.ServerUnaryCall<{ name: string }, object>, done: grpcJs.sendUnaryData<object>) =>
        call.request.name === 'fail'
          ? done({ code: status.ABORTED, details: 'ü!' })
          : done(null, { ...call.request, words: [call.getPeer() === '' ? '' : 'heard'] }),
      Count: (call: grpcJs.ServerWritableStream<{ count: number }, object>) => {
        for (let count = 0; count < call.request.count; count++) call.write({ count });
        call.end();
      },
    });
    const path = join(dir, 'grpc-js.sock');
    await new Promise<void>((resolve, reject) =>
      other.bindAsync(`unix:${path}`, grpcJs.ServerCredentials.createInsecure(), (error) =>
        error ? reject(error) : resolve(),
      ),
    );
    const caller = createGrpcClient({ socketPath: path });
    expect(await caller.unary(Echo.Say, { name: 'a' })).toMatchObject({ name: 'a', words: ['heard'] });
    await expect(caller.unary(Echo.Say, { name: 'fail' })).rejects.toMatchObject({
      code: status.ABORTED,
      details: 'ü!',
    });
    const counts: number[] = [];
    for await (const { count } of caller.stream<{ count: number }>(Echo.Count, { count: 20 })) counts.push(count);
    expect(counts).toHaveLength(20);
    caller.close();
    other.forceShutdown();
  });
});
