// Envelope encryption with a KMS v2 plugin that answers on a real socket.
import { createDecipheriv, createHmac } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createScheme } from '../../../api/kinds/index.ts';
import { FakeClock } from '../../../lib/clock.ts';
import { silentLogger } from '../../../lib/log.ts';
import { startTestServer } from '../../testing/server.ts';
import { createMemoryStore } from '../memory.ts';
import { parseEncryptionConfiguration } from './configuration.ts';
import { createEncryptedStore } from './encrypted-store.ts';
import { kmsClient } from './kms-client.ts';
import { decodeObject, encodeObject } from './kms-messages.ts';
import { KmsProvider } from './kms.ts';
import { kmsTypes, TestKms } from '../testing/kms.ts';
import { createTransformer } from './transformer.ts';

const KEY = '/registry/secrets/default/a';
const PREFIX = 'k8s:enc:kms:v2:vault:';
const kinds = createScheme().kinds();
const envelope = kmsTypes.lookupType('v2.EncryptedObject');

let dir: string;
let socket: string;
let plugin: TestKms;
let clock: FakeClock;
const providers: KmsProvider[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sampan-kms-'));
  socket = join(dir, 'kms.sock');
  plugin = new TestKms();
  clock = new FakeClock(1_700_000_000_000);
  await plugin.listen(socket);
});
afterEach(async () => {
  await Promise.all(providers.splice(0).map((each) => each.stop()));
  plugin.close();
  rmSync(dir, { recursive: true, force: true });
});

function provider(): KmsProvider {
  const made = new KmsProvider({ name: 'vault', service: kmsClient(socket, 2000), clock, log: silentLogger });
  providers.push(made);
  return made;
}

async function started(): Promise<KmsProvider> {
  const made = provider();
  await made.start();
  expect(made.problem).toBeUndefined();
  return made;
}

it('stores what kube-apiserver stores: the envelope, the derived key, the store key bound to it', async () => {
  const one = createTransformer([{ kind: 'kms', provider: await started() }]);
  const stored = one.toStorage(KEY, Buffer.from('hunter2'));
  expect(stored.subarray(0, PREFIX.length).toString()).toBe(PREFIX);
  const object = envelope.decode(stored.subarray(PREFIX.length)) as any;
  expect([object.keyID, object.encryptedDEKSourceType]).toEqual(['key-1', 1]);
  // By hand: the seed is the plugin's to give, the key is one step of HKDF from it.
  const seed = plugin.open('key-1', Buffer.from(object.encryptedDEKSource));
  const data = Buffer.from(object.encryptedData);
  const key = createHmac('sha256', seed).update(data.subarray(0, 32)).update('\u0001').digest();
  const cipher = createDecipheriv('aes-256-gcm', key, data.subarray(32, 44));
  cipher.setAAD(Buffer.from(KEY)).setAuthTag(data.subarray(-16));
  expect(Buffer.concat([cipher.update(data.subarray(44, -16)), cipher.final()]).toString()).toBe('hunter2');
  expect(Buffer.from(one.fromStorage(KEY, stored).value).toString()).toBe('hunter2');
  expect(() => one.fromStorage('/registry/secrets/default/b', stored)).toThrow(/default\/b/);
});

it('writes messages that others read, and reads theirs', () => {
  const source = {
    keyId: 'ключ',
    encrypted: Buffer.from([0, 1, 255]),
    annotations: { 'b.example.com': Buffer.from('2'), 'a.example.com': Buffer.alloc(0) },
    type: 1,
  };
  const bytes = encodeObject({ source, data: Buffer.from('data') });
  expect(kmsTypes.lookupType('v2.EncryptedObject').toObject(envelope.decode(bytes), { bytes: String })).toEqual({
    encryptedData: Buffer.from('data').toString('base64'),
    keyID: 'ключ',
    encryptedDEKSource: 'AAH/',
    annotations: { 'b.example.com': 'Mg==', 'a.example.com': '' },
    encryptedDEKSourceType: 1,
  });
  const theirs = Buffer.from(
    envelope.encode({ keyID: 'k', encryptedDEKSource: Buffer.from('s'), encryptedData: Buffer.from('d') }).finish(),
  );
  expect(decodeObject(theirs)).toEqual({
    source: { keyId: 'k', encrypted: Buffer.from('s'), annotations: {}, type: 0 },
    data: Buffer.from('d'),
  });
});

it('asks the plugin once for a key, whatever is read with it, and not at all for its own', async () => {
  const first = createTransformer([{ kind: 'kms', provider: await started() }]);
  const stored = Array.from({ length: 5 }, (_, i) => first.toStorage(KEY, Buffer.from(`v${i}`)));
  expect(first.prepare?.(stored)).toBeUndefined();
  expect(plugin.calls).toMatchObject({ Encrypt: 1, Decrypt: 0 });
  const second = createTransformer([{ kind: 'kms', provider: await started() }]);
  expect(() => second.fromStorage(KEY, stored[0] as Buffer)).toThrow(/not known/);
  await Promise.all([second.prepare?.(stored), second.prepare?.(stored)]);
  expect(stored.map((each) => Buffer.from(second.fromStorage(KEY, each).value).toString())).toEqual([
    'v0',
    'v1',
    'v2',
    'v3',
    'v4',
  ]);
  expect(plugin.calls.Decrypt).toBe(1);
});

it('takes a new seed when the plugin has a new key: what was written before is stale, and readable', async () => {
  const kms = await started();
  const one = createTransformer([{ kind: 'kms', provider: kms }]);
  const before = one.toStorage(KEY, Buffer.from('x'));
  expect(one.fromStorage(KEY, before).isStale).toBe(false);
  plugin.keyId = 'key-2';
  await clock.advance(60_000);
  await expect.poll(() => kms.keyId).toBe('key-2');
  expect(one.fromStorage(KEY, before)).toEqual({ value: Buffer.from('x'), isStale: true });
  const after = one.toStorage(KEY, Buffer.from('y'));
  expect(one.fromStorage(KEY, after).isStale).toBe(false);
  expect(plugin.calls).toMatchObject({ Encrypt: 2, Decrypt: 0 });
});

it('writes for three minutes without the plugin, and reads on', async () => {
  const kms = await started();
  const one = createTransformer([{ kind: 'kms', provider: kms }]);
  const stored = one.toStorage(KEY, Buffer.from('x'));
  plugin.isDown = true;
  const { Status } = plugin.calls;
  await clock.advance(60_000);
  await expect.poll(() => kms.problem).toMatch(/FailedPrecondition desc = the vault is sealed/);
  expect(plugin.calls.Status).toBe(Status + 1);
  one.toStorage(KEY, Buffer.from('y'));
  await clock.advance(121_000);
  expect(() => one.toStorage(KEY, Buffer.from('z'))).toThrow(/kms plugin vault: its key expired at .*vault is sealed/);
  expect(Buffer.from(one.fromStorage(KEY, stored).value).toString()).toBe('x');
  plugin.isDown = false;
  await expect
    .poll(async () => {
      await clock.advance(10_000);
      return kms.problem;
    })
    .toBeUndefined();
  one.toStorage(KEY, Buffer.from('z'));
});

it.each([
  [{ healthz: 'sealed' }, /got unexpected healthz status: sealed/],
  [{ version: 'v1beta1' }, /expected KMSv2 API version v2, got "v1beta1"/],
  [{ keyId: '' }, /got invalid KMSv2 KeyID: keyID is empty/],
  [{ keyId: 'x'.repeat(1025) }, /keyID is 1025 bytes, which exceeds the max size of 1024/],
])('is not healthy with %o', async (status, problem) => {
  Object.assign(plugin, status);
  const kms = provider();
  await kms.start();
  expect(kms.problem).toMatch(problem);
  const one = createTransformer([{ kind: 'kms', provider: kms }]);
  expect(() => one.toStorage(KEY, Buffer.from('x'))).toThrow(/kms plugin vault: /);
});

describe('EncryptionConfiguration', () => {
  const parse = (kms: string) =>
    parseEncryptionConfiguration(
      `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - kms: {${kms}}
      - identity: {}
  - resources: [configmaps]
    providers:
      - kms: {${kms}}
`,
      kinds,
      ({ name }) => new KmsProvider({ name, service: kmsClient(socket, 2000), clock, log: silentLogger }),
    );
  const good = `apiVersion: v2, name: vault, endpoint: "unix:///run/kms.sock"`;
  it('makes one provider for a name', () => {
    const rules = parse(`${good}, timeout: 5s`);
    expect(rules.kms?.map((each) => each.name)).toEqual(['vault']);
    expect(rules.transformerOf(KEY)?.prepare).toBeDefined();
  });
  it.each([
    ['name: vault, endpoint: "unix:///a"', /kms.apiVersion: Invalid value: "v1": KMSv1 is deprecated/],
    ['apiVersion: v3, name: vault, endpoint: "unix:///a"', /unsupported apiVersion/],
    ['apiVersion: v2, endpoint: "unix:///a"', /kms.name: Required value/],
    ['apiVersion: v2, name: "a:b", endpoint: "unix:///a"', /must not contain ':'/],
    ['apiVersion: v2, name: a, endpoint: "tcp://1.2.3.4"', /kms.endpoint: Invalid value: "tcp:\/\/1.2.3.4"/],
    [`${good}, cachesize: 100`, /cachesize is not supported in v2/],
    [`${good}, timeout: -1s`, /kms.timeout: Invalid value: "-1s": should be a positive value/],
    [`${good}, timeout: x`, /kms.timeout/],
    [`${good}, retries: 3`, /unknown field "retries"/],
  ])('refuses %s', (kms, problem) => expect(() => parse(kms)).toThrow(problem));
});

it('keeps a server’s Secrets; one that starts while the plugin is away serves them when it is back', async () => {
  const store = createMemoryStore();
  const rulesOf = (kms: KmsProvider) => {
    const transformer = createTransformer([{ kind: 'kms', provider: kms }, { kind: 'identity' }]);
    const covers = (key: string) => key.startsWith('/registry/secrets');
    return { transformerOf: (key: string) => (covers(key) ? transformer : undefined), covers, kms: [kms] };
  };
  const path = '/api/v1/namespaces/default/secrets';
  const first = await started();
  const server = await startTestServer({
    store: { ...createEncryptedStore(store, rulesOf(first)), close: async () => {} },
    kmsProblems: () => (first.problem === undefined ? [] : [first.problem]),
  });
  const made = await server.call('POST', path, { body: { metadata: { name: 'a' }, stringData: { k: 'hunter2' } } });
  expect(made.code).toBe(201);
  expect((await server.call('GET', '/readyz?verbose')).text).toContain('[+]kms-providers ok\n');
  const kept = Buffer.from((await store.get(KEY)).kv?.value ?? []);
  expect(kept.toString('latin1').startsWith(PREFIX)).toBe(true);
  expect(kept.includes(Buffer.from('hunter2').toString('base64'))).toBe(false);
  plugin.isDown = true;
  await first.check().catch(() => {});
  await server.stop();

  const second = provider();
  await second.start();
  const again = await startTestServer({
    store: createEncryptedStore(store, rulesOf(second)),
    kmsProblems: () => (second.problem === undefined ? [] : [second.problem]),
  });
  try {
    expect((await again.call('GET', '/livez/kms-providers')).code).toBe(500);
    const asked = again.call('GET', `${path}/a`);
    plugin.isDown = false;
    await expect
      .poll(async () => {
        await clock.advance(1000);
        return second.problem;
      })
      .toBeUndefined();
    await asked;
    await expect
      .poll(async () => (await again.call('GET', path)).body.items?.[0]?.data?.k)
      .toBe(Buffer.from('hunter2').toString('base64'));
    expect((await again.call('GET', '/livez/kms-providers')).code).toBe(200);
  } finally {
    await again.stop();
  }
});
