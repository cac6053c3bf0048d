// SPDY framing and connections: round trips, hostile bytes, half-close, flow control.
import { createHash, randomBytes } from 'node:crypto';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { text } from 'node:stream/consumers';
import * as fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { SpdyConnection, type SpdyStream } from './connection.ts';
import { spdyDictionary } from './dictionary.ts';
import { FrameParser, FrameSerialiser, settingInitialWindow, type SpdyFrame } from './frames.ts';
import { SpdyError } from './headers.ts';

const id = fc.integer({ min: 1, max: 0x7fffffff });
const word = fc.integer({ min: 0, max: 0x7fffffff });
const name = fc.stringMatching(/^[a-z][a-z-]{0,12}$/).filter((n) => n !== '__proto__');
const headers = fc.dictionary(name, fc.array(fc.stringMatching(/^[ -~]{1,20}$/), { minLength: 1, maxLength: 3 }), {
  noNullPrototype: true,
});
const fin = fc.boolean();
const frame: fc.Arbitrary<Exclude<SpdyFrame, { type: 'unknown' }>> = fc.oneof(
  fc.record({
    type: fc.constant('data' as const),
    streamId: id,
    fin,
    data: fc.uint8Array({ maxLength: 200 }).map((b) => Buffer.from(b)),
  }),
  fc.record({
    type: fc.constant('synStream' as const),
    streamId: id,
    associatedId: word,
    priority: fc.integer({ min: 0, max: 7 }),
    fin,
    unidirectional: fin,
    headers,
  }),
  fc.record({ type: fc.constant('synReply' as const), streamId: id, fin, headers }),
  fc.record({ type: fc.constant('headers' as const), streamId: id, fin, headers }),
  fc.record({ type: fc.constant('rstStream' as const), streamId: id, status: word }),
  fc.record({
    type: fc.constant('settings' as const),
    values: fc.array(fc.record({ id: fc.integer({ min: 0, max: 0xffffff }), value: word }), { maxLength: 3 }),
  }),
  fc.record({ type: fc.constant('ping' as const), id }),
  fc.record({ type: fc.constant('goAway' as const), lastStreamId: word, status: word }),
  fc.record({ type: fc.constant('windowUpdate' as const), streamId: id, delta: word }),
);

test('the dictionary is the one of the specification', () => {
  let [a, b] = [1, 0];
  for (const byte of spdyDictionary) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  expect([spdyDictionary.length, ((b << 16) | a) >>> 0]).toEqual([1423, 0xe3c6a7c2]);
});

test('frames survive the wire, however it cuts them', () => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 12 }), fc.integer({ min: 1, max: 40 }), (frames, step) => {
      const serialiser = new FrameSerialiser();
      const bytes = Buffer.concat(frames.map((f) => serialiser.bytes(f)));
      const parser = new FrameParser();
      const parsed: SpdyFrame[] = [];
      for (let at = 0; at < bytes.length; at += step) parsed.push(...parser.push(bytes.subarray(at, at + step)));
      expect(parsed.map((f) => ('headers' in f ? { ...f, headers: { ...f.headers } } : f))).toEqual(frames);
    }),
    { numRuns: 150 },
  );
});

test('hostile bytes give frames or SpdyError, nothing else', () => {
  const valid = new FrameSerialiser().bytes({
    type: 'synStream',
    streamId: 1,
    associatedId: 0,
    priority: 0,
    fin: false,
    unidirectional: false,
    headers: { a: ['b'] },
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(valid.length - 1), fc.nat(255), (noise, at, value) => {
      const mutated = Buffer.from(valid);
      mutated[at] = value;
      for (const bytes of [Buffer.from(noise), Buffer.concat([mutated, Buffer.from(noise)])]) {
        try {
          new FrameParser().push(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(SpdyError);
        }
      }
    }),
    { numRuns: 500 },
  );
});

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

async function socketPair(): Promise<[Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve));
  const client = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1' });
  const other = await accepted;
  open.push(server, { close: () => client.destroy() }, { close: () => other.destroy() });
  return [client, other];
}

async function connectionPair(onStream: (stream: SpdyStream) => void): Promise<[SpdyConnection, SpdyConnection]> {
  const [a, b] = await socketPair();
  const server = new SpdyConnection(b, { role: 'server', onStream });
  const client = new SpdyConnection(a, { role: 'client', onStream: () => {} });
  return [client, server];
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

test('a megabyte goes through an echo under flow control, and each direction closes by itself', async () => {
  const [client, server] = await connectionPair((stream) => stream.pipe(stream));
  client.obeysWindows = true;
  server.obeysWindows = true;
  const content = randomBytes(1 << 20);
  const stream = client.open({ streamtype: ['data'] });
  stream.end(content);
  const hash = createHash('sha256');
  for await (const chunk of stream) hash.update(chunk as Buffer);
  expect(hash.digest('hex')).toBe(createHash('sha256').update(content).digest('hex'));
});

test('a reader that does not read holds the writer back, and gets everything in the end', async () => {
  let held: SpdyStream | undefined;
  const [client] = await connectionPair((stream) => {
    held = stream;
  });
  const stream = client.open({});
  const total = 64 << 20;
  let written = 0;
  const write = (): void =>
    void stream.write(Buffer.alloc(65536), () => {
      written += 65536;
      if (written < total) write();
      else stream.end();
    });
  write();
  // Stalled: nothing moves any more although much is left to write.
  for (let before = -1; before !== written; ) {
    before = written;
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
  expect(written).toBeLessThan(total / 2);
  expect(held?.backlog).toBeLessThan(1 << 20);
  let received = 0;
  for await (const chunk of held as SpdyStream) received += (chunk as Buffer).length;
  expect(received).toBe(total);
});

test('a stream that is over and was never read does not keep the transport paused', async () => {
  const serialiser = new FrameSerialiser();
  const transport = new Duplex({ read() {}, write: (_chunk, _encoding, done) => done() });
  const streams: SpdyStream[] = [];
  const connection = new SpdyConnection(transport, {
    role: 'server',
    onStream: (stream) => {
      streams.push(stream);
      stream.end();
    },
  });
  const data = (fin: boolean, bytes: number) =>
    serialiser.bytes({ type: 'data', streamId: 1, fin, data: Buffer.alloc(bytes) });
  const open = serialiser.bytes({
    type: 'synStream',
    streamId: 1,
    associatedId: 0,
    priority: 0,
    fin: false,
    unidirectional: false,
    headers: {},
  });
  transport.push(Buffer.concat([open, data(false, 300 * 1024), data(true, 0)]));
  await until(() => streams[0]?.isDone === true && streams[0].backlog > 256 * 1024);
  await until(() => !transport.isPaused());
  connection.close();
});

test('data that crosses a reset is discarded and the connection goes on', async () => {
  const streams: SpdyStream[] = [];
  const [client] = await connectionPair((stream) => streams.push(stream));
  const first = client.open({});
  first.write('x');
  await until(() => streams.length === 1);
  streams[0]?.destroy();
  first.write('y');
  const second = client.open({});
  second.end('still here');
  await until(() => streams.length === 2);
  expect(await text(streams[1] as SpdyStream)).toBe('still here');
});

test('garbage closes the connection with an error', async () => {
  const [a, b] = await socketPair();
  const closed = new Promise<Error | undefined>(
    (resolve) => new SpdyConnection(b, { role: 'server', onStream: () => {}, onClose: resolve }),
  );
  a.on('error', () => {});
  a.write(Buffer.from([0x80, 9, 0, 1, 0, 0, 0, 0]));
  expect(await closed).toBeInstanceOf(SpdyError);
});

test('a window the peer sets is obeyed', async () => {
  const [a, b] = await socketPair();
  const serialiser = new FrameSerialiser();
  const parser = new FrameParser();
  const data: number[] = [];
  a.on('data', (bytes: Buffer) => {
    for (const f of parser.push(bytes)) if (f.type === 'data') data.push(f.data.length);
  });
  const server = new Promise<SpdyStream>((resolve) => new SpdyConnection(b, { role: 'server', onStream: resolve }));
  a.write(serialiser.bytes({ type: 'settings', values: [{ id: settingInitialWindow, value: 10 }] }));
  a.write(
    serialiser.bytes({
      type: 'synStream',
      streamId: 1,
      associatedId: 0,
      priority: 0,
      fin: false,
      unidirectional: false,
      headers: {},
    }),
  );
  const stream = await server;
  stream.write(Buffer.alloc(25));
  await until(() => data.length > 0);
  expect(data).toEqual([10]);
  a.write(serialiser.bytes({ type: 'windowUpdate', streamId: 1, delta: 100 }));
  await until(() => data.length > 1);
  expect(data).toEqual([10, 15]);
});
