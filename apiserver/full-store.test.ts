// An API server whose store has no room left: writes are refused with what is wrong, nothing acknowledged is lost, reads, watches and
// deletions go on, and so do writes once there is room.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { get } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createEmbeddedStore } from './storage/embedded.ts';
import { createEtcdStore } from './storage/etcd.ts';
import { startEtcd } from './storage/testing/etcd.ts';
import type { Store } from './storage/port.ts';
import { startTestServer, type TestServer } from './testing/server.ts';

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each();
});

const maps = '/api/v1/namespaces/default/configmaps';
const data = { text: 'x'.repeat(60_000) };
const configMap = (name: string) => ({ metadata: { name }, data });

/** Creates objects until the server refuses one; the names that were acknowledged, and the refusal. */
async function fill(server: TestServer) {
  const names: string[] = [];
  for (;;) {
    const name = `map-${names.length}`;
    const answer = await server.call('POST', maps, { body: configMap(name) });
    if (answer.code !== 201) return { names, refusal: answer };
    names.push(name);
  }
}

/** Names of the objects that a watch from `revision` tells, as they come. */
function follow(server: TestServer, revision: string): string[] {
  const names: string[] = [];
  const { keyPem: key, certificatePem: cert } = server.pki.admin;
  const path = `${maps}?watch=true&resourceVersion=${revision}`;
  const request = get(`${server.url}${path}`, { ca: server.pki.caPem, key, cert }, (response) => {
    let text = '';
    response.on('data', (chunk: Buffer) => {
      const lines = (text + chunk.toString()).split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) names.push(`${JSON.parse(line).type} ${JSON.parse(line).object.metadata.name}`);
    });
    response.on('error', () => {});
  });
  request.on('error', () => {});
  undo.push(() => request.destroy());
  return names;
}

async function check(server: TestServer, message: RegExp, makeRoom: () => Promise<void>): Promise<string[]> {
  const { names, refusal } = await fill(server);
  expect(names.length).toBeGreaterThan(3);
  expect(refusal.code).toBe(500);
  expect(refusal.body).toMatchObject({ kind: 'Status', status: 'Failure', message: expect.stringMatching(message) });
  expect(refusal.body).not.toHaveProperty('reason');
  const kept = async () => (await server.call('GET', maps)).body.items.map((each: any) => each.metadata.name);
  expect((await kept()).toSorted()).toEqual(names.toSorted());
  const { metadata } = (await server.call('GET', maps)).body;
  expect((await server.call('GET', `${maps}/map-0`)).body.data).toEqual(data);
  const seen = follow(server, metadata.resourceVersion);
  await makeRoom();
  await expect
    .poll(async () => (await server.call('POST', maps, { body: configMap('after') })).code, { timeout: 20_000 })
    .toBe(201);
  await expect.poll(() => seen).toEqual(expect.arrayContaining(['ADDED after']));
  return [...names, 'after'];
}

const serve = async (store: Store) => {
  const server = await startTestServer({ store });
  undo.push(() => server.stop());
  await expect.poll(async () => (await server.call('GET', '/api/v1/namespaces/default')).code).toBe(200);
  return server;
};

test('a full disk under the database of one machine', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sampan-full-'));
  const disk = join(dir, 'disk');
  mkdirSync(disk);
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4m', 'full-disk', disk]);
  undo.push(() => {
    execFileSync('umount', [disk]);
    rmSync(dir, { recursive: true });
  });
  const path = join(disk, 'objects.db');
  const store = createEmbeddedStore({ path });
  await store.handedOver;
  const server = await serve(store);
  const grow = async () => void execFileSync('mount', ['-o', 'remount,size=32m', disk]);
  const names = await check(server, /^no space left for the database: .*objects\.db: database or disk is full$/, grow);
  await server.stop();
  undo.pop();
  await store.close();
  const again = createEmbeddedStore({ path });
  undo.push(() => again.close());
  const { kvs } = await again.list('/registry/configmaps/default/map-');
  expect(kvs).toHaveLength(names.length - 1);
}, 60_000);

test('etcd at its quota', async () => {
  const etcd = await startEtcd({ fsync: false, quotaBytes: 4 << 20 });
  undo.push(() => etcd.stop());
  const store = createEtcdStore({ endpoints: [etcd.endpoint] });
  undo.push(() => store.close());
  const server = await serve(store);
  const ask = async (path: string, body: object) => {
    const response = await fetch(`${etcd.endpoint}/v3/${path}`, { method: 'POST', body: JSON.stringify(body) });
    const answer = await response.text();
    expect(answer).not.toContain('"error"');
    return JSON.parse(answer) as { alarms?: { memberID: string }[] };
  };
  // As its operator does: history goes, the file shrinks, the alarm is taken back.
  await check(server, /^etcdserver: mvcc: database space exceeded$/, async () => {
    for (let n = 1; n < 30; n++) expect((await server.call('DELETE', `${maps}/map-${n}`)).code).toBe(200);
    await ask('kv/compaction', { revision: String(await store.revision()), physical: true });
    await ask('maintenance/defragment', {});
    const { alarms = [] } = await ask('maintenance/alarm', { action: 'GET', alarm: 'NOSPACE' });
    expect(alarms).toHaveLength(1);
    await ask('maintenance/alarm', { action: 'DEACTIVATE', alarm: 'NOSPACE', memberID: alarms[0]?.memberID });
  });
}, 60_000);
