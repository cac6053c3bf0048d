// Long answers: whatever the pieces are, the client gets exactly their bytes.
import { once } from 'node:events';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gunzipSync } from 'node:zlib';
import { afterEach, expect, test } from 'vitest';
import type { RawResponse } from './exchange.ts';
import { byteLength, joinParts, type Part, writeCompressed, writeParts } from './parts.ts';

let server: Server | undefined;
afterEach(() => new Promise((resolve) => (server ? server.close(resolve) : resolve(undefined))));

/** What a client reads of an answer that `respond` writes. */
async function received(respond: (response: RawResponse) => Promise<void>): Promise<Buffer> {
  server = createServer({ keepAlive: false }, (_request, response) => void respond(response)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const [answer] = await once(get({ port, host: '127.0.0.1', agent: false }), 'response');
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(chunk);
  return Buffer.concat(chunks);
}

const KIB = 1024;
const cases: [string, Part[]][] = [
  ['nothing', []],
  ['text of several bytes a character', ['äöü €', Buffer.from('x'), '🚢'.repeat(10)]],
  ['bytes longer than a chunk', [Buffer.alloc(700 * KIB, 'a'), 'é', Buffer.alloc(256 * KIB, 'b')]],
  ['text longer than a chunk', ['ü'.repeat(300 * KIB), 'end']],
  ['many small pieces', Array.from({ length: 60_000 }, (_, n) => (n % 2 ? `{"n":${n}}` : Buffer.from(`[${n}]`)))],
];

test.each(cases)('%s', async (_name, parts) => {
  const expected = Buffer.concat(parts.map((each) => Buffer.from(each as string)));
  expect(byteLength(parts)).toBe(expected.length);
  expect(joinParts(parts, expected.length).equals(expected)).toBe(true);
  expect((await received((response) => writeParts(response, parts))).equals(expected)).toBe(true);
});

test('compressed', async () => {
  const parts = (cases[4] as [string, Part[]])[1];
  const bytes = await received((response) => writeCompressed(response, parts));
  expect(bytes.length).toBeLessThan(byteLength(parts) / 2);
  expect(gunzipSync(bytes).equals(joinParts(parts, byteLength(parts)))).toBe(true);
});

test('a client that leaves in the middle ends the writing', async () => {
  const ended = Promise.withResolvers<void>();
  server = createServer((_request, response) => {
    void writeParts(response, [Buffer.alloc(64 * KIB * KIB, 'a')]).then(ended.resolve);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const request = get({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', agent: false });
  request.on('error', () => {});
  const [answer] = await once(request, 'response');
  answer.on('error', () => {});
  request.destroy();
  await ended.promise;
});
