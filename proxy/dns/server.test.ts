import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { decode, encode, type Packet, streamEncode } from 'dns-packet';
import { createClient, createInformerFactory } from '../../client/index.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { runDns } from './server.ts';

const controller = new AbortController();
let running: Promise<void>;
const address = '127.0.0.1';
const port = 20_053 + (process.pid % 10_000);

beforeAll(async () => {
  // No API server: the informers stay empty, and every cluster name does not exist.
  const client = createClient(
    { server: 'http://127.0.0.1:1', userAgent: 'test' },
    { clock: systemClock, log: silentLogger },
  );
  const informers = createInformerFactory({ client, clock: systemClock, random: Math.random, log: silentLogger });
  let listening = () => {};
  const ready = new Promise<void>((resolve) => {
    listening = resolve;
  });
  const log = { ...silentLogger, info: () => listening() };
  running = runDns(
    { client, informers, log, address, port, clusterDomain: 'cluster.local', upstreams: [] },
    controller.signal,
  );
  await ready;
});

afterAll(async () => {
  controller.abort();
  await running;
});

const question = (name: string, type: 'A' | 'TXT' = 'A'): Packet => ({
  type: 'query',
  id: 7,
  flags: 0x0100,
  questions: [{ type, name }],
});

function askUdp(message: Buffer): Promise<Packet> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.on('message', (reply) => {
      socket.close();
      resolve(decode(reply));
    });
    socket.send(message, port, address);
  });
}

test('a cluster name that does not exist is NXDOMAIN with an SOA; another domain is refused without resolvers', async () => {
  const missing = await askUdp(encode(question('web.default.svc.cluster.local')));
  expect(missing).toMatchObject({
    id: 7,
    rcode: 'NXDOMAIN',
    flag_aa: true,
    authorities: [{ type: 'SOA', name: 'cluster.local' }],
  });
  expect(await askUdp(encode(question('example.org')))).toMatchObject({ rcode: 'REFUSED' });
});

test('garbage is not answered and harms nobody', async () => {
  const socket = createSocket('udp4');
  for (const garbage of ['', 'x', '\0\0\0\0\0\0\0\0\0\0\0\0', 'a'.repeat(2000)]) {
    await new Promise<void>((done) => socket.send(Buffer.from(garbage), port, address, () => done()));
  }
  socket.close();
  expect(await askUdp(encode(question('dns-version.cluster.local', 'TXT')))).toMatchObject({ rcode: 'NOERROR' });
});

test('TCP carries several questions in order, also in pieces', async () => {
  const socket = connect(port, address);
  const bytes = Buffer.concat([
    streamEncode(question('dns-version.cluster.local', 'TXT')),
    streamEncode({ ...question('no.such.cluster.local'), id: 8 }),
  ]);
  for (const byte of bytes) socket.write(Buffer.of(byte));
  const packets: Packet[] = [];
  let buffered = Buffer.alloc(0);
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 2 && buffered.length >= 2 + buffered.readUInt16BE(0)) {
      packets.push(decode(buffered.subarray(2, 2 + buffered.readUInt16BE(0))));
      buffered = buffered.subarray(2 + buffered.readUInt16BE(0));
    }
    if (packets.length === 2) break;
  }
  expect(packets.map((each) => [each.id, (each as { rcode?: string }).rcode])).toEqual([
    [7, 'NOERROR'],
    [8, 'NXDOMAIN'],
  ]);
});
