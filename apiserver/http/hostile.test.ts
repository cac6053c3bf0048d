// Clients that are slow, huge or gone: whoever asks for something small beside them gets it, and nothing of them stays in memory.
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeYaml } from '../../api/yaml-write.ts';
import { heldBytes } from '../testing/memory.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import type { RawResponse } from './exchange.ts';
import { writeParts } from './parts.ts';

const MIB = 1024 * 1024;
const PATH = '/api/v1/namespaces/default/configmaps';
const OBJECTS = 600;
/** Of one object. */
const OBJECT_BYTES = 10_000;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  const value = 'text '.repeat(OBJECT_BYTES / 5);
  for (let i = 0; i < OBJECTS; i += 50) {
    const some = Array.from({ length: 50 }, (_, n) => ({ metadata: { name: `c${i + n}` }, data: { value } }));
    await Promise.all(some.map((body) => server.call('POST', PATH, { body })));
  }
});
afterAll(() => server.stop());

/** A connection with a certificate of the administrator; what it is sent waits for `resume`. */
async function connection(): Promise<TLSSocket> {
  const { pki, port } = server;
  const socket = connect({
    host: '127.0.0.1',
    port,
    ca: pki.caPem,
    key: pki.admin.keyPem,
    cert: pki.admin.certificatePem,
    ALPNProtocols: ['http/1.1'],
  });
  socket.on('error', () => {});
  await new Promise((resolve) => socket.once('secureConnect', resolve));
  return socket;
}

const request = (method: string, path: string, headers: Record<string, string> = {}) =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\n${Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}\r\n`)
    .join('')}\r\n`;

/** Small answers, one after another, while `work` goes on. */
async function besides<T>(work: Promise<T>): Promise<{ result: T; served: number }> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  let served = 0;
  while (!isDone) {
    expect((await server.call('GET', '/api/v1/namespaces/default')).code).toBe(200);
    served++;
  }
  return { result: await done, served };
}

/** What is asked while others are under way is answered. */
async function servesOthers(): Promise<void> {
  for (let i = 0; i < 10; i++) expect((await server.call('GET', '/api/v1/namespaces/default')).code).toBe(200);
}

it('makes a long list in YAML, or indented, a slice at a time', async () => {
  const plain = await server.call('GET', PATH);
  const yaml = await besides(server.call('GET', PATH, { headers: { accept: 'application/yaml' } }));
  expect(yaml.result.text).toBe(writeYaml(plain.body));
  expect(yaml.result.headers['content-length']).toBeUndefined();
  const pretty = await besides(server.call('GET', `${PATH}?pretty=true`));
  expect(pretty.result.text).toBe(`${JSON.stringify(plain.body, null, 2)}\n`);
  for (const { served } of [yaml, pretty]) expect(served).toBeGreaterThan(5);
});

it('writes short lists whole, whatever their form', async () => {
  for (const query of ['limit=2', 'labelSelector=a%3Db']) {
    const plain = await server.call('GET', `${PATH}?${query}`);
    const yaml = await server.call('GET', `${PATH}?${query}`, { headers: { accept: 'application/yaml' } });
    const pretty = await server.call('GET', `${PATH}?${query}&pretty=1`);
    expect(yaml.headers['content-length']).toBe(String(Buffer.byteLength(yaml.text)));
    const untimed = (text: string) => text.replaceAll(/(continue|resourceVersion)"?: .*/g, '$1');
    expect(untimed(yaml.text)).toBe(untimed(writeYaml(plain.body)));
    expect(untimed(pretty.text)).toBe(untimed(`${JSON.stringify(plain.body, null, 2)}\n`));
  }
});

it('asks for no more than a chunk of what is made piece by piece in one turn of the loop', async () => {
  let turn = 0;
  let isOver = false;
  const count = () => {
    turn++;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const byTurn = new Map<number, number>();
  const piece = 'x'.repeat(1024);
  function* pieces() {
    for (let i = 0; i < 4096; i++) {
      byTurn.set(turn, (byTurn.get(turn) ?? 0) + 1);
      yield piece;
    }
  }
  // Takes everything at once: what paces is not the client.
  const sink = {
    once() {},
    off() {},
    end() {},
    write(_bytes: Buffer, written: () => void) {
      process.nextTick(written);
      return true;
    },
  };
  await writeParts(sink as unknown as RawResponse, pieces());
  isOver = true;
  expect(Math.max(...byTurn.values())).toBeLessThanOrEqual(2 * 256);
});

it('holds no answer for clients that do not read theirs', async () => {
  const clients = await Promise.all(Array.from({ length: 12 }, connection));
  const before = await heldBytes();
  for (const [index, client] of clients.entries()) {
    client.pause();
    const accept = ['application/json', 'application/yaml', 'application/json;as=Table;g=meta.k8s.io;v=v1'][index % 3];
    client.write(request('GET', PATH, { accept: accept as string }));
  }
  await servesOthers();
  // Twelve answers of six MiB each are under way.
  expect((await heldBytes()) - before).toBeLessThan(24 * MIB);
  for (const client of clients) client.destroy();
  await expect.poll(async () => (await heldBytes()) - before, { timeout: 5000 }).toBeLessThan(6 * MIB);
});

it('goes on answering others while bodies trickle in, and forgets those that never come', async () => {
  const before = await heldBytes();
  const clients = await Promise.all(Array.from({ length: 24 }, connection));
  const megabyte = Buffer.alloc(MIB, ' ');
  for (const client of clients) {
    client.write(request('POST', PATH, { 'content-type': 'application/json', 'content-length': String(3 * MIB) }));
    client.write(megabyte);
  }
  await servesOthers();
  for (const client of clients) client.destroy();
  await expect.poll(async () => (await heldBytes()) - before, { timeout: 5000 }).toBeLessThan(6 * MIB);
});

it('keeps nothing of watches whose clients stopped reading', async () => {
  const clients = await Promise.all(Array.from({ length: 8 }, connection));
  const before = await heldBytes();
  for (const client of clients) {
    client.pause();
    client.write(request('GET', `${PATH}?watch=1&resourceVersion=0`));
  }
  for (let round = 0; round < 3; round++) {
    const { served } = await besides(
      server.call('PATCH', `${PATH}/c0`, {
        body: { data: { round: `${round}` } },
        type: 'application/merge-patch+json',
      }),
    );
    expect(served).toBeGreaterThan(0);
  }
  expect((await heldBytes()) - before).toBeLessThan(24 * MIB);
  for (const client of clients) client.destroy();
  await expect.poll(async () => (await heldBytes()) - before, { timeout: 5000 }).toBeLessThan(6 * MIB);
});
