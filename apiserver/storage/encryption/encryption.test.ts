// Secrets at rest: formats as kube-apiserver writes them, rotation, and that nothing readable reaches the disk.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { Etcd3 } from 'etcd3';
import { createScheme } from '../../../api/kinds/index.ts';
import { startTestServer } from '../../testing/server.ts';
import { storeContract } from '../contract.ts';
import { createEmbeddedStore } from '../embedded.ts';
import { createEtcdStore } from '../etcd.ts';
import { createMemoryStore } from '../memory.ts';
import type { Store } from '../port.ts';
import { startEtcd } from '../testing/etcd.ts';
import { parseEncryptionConfiguration } from './configuration.ts';
import { createEncryptedStore } from './encrypted-store.ts';
import { open, seal } from './secretbox.ts';
import { createTransformer, type Provider } from './transformer.ts';

const kinds = createScheme().kinds();
const KEY = '/registry/secrets/default/db';
const key = (fill: number, size = 32) => Buffer.alloc(size, fill).toString('base64');

const configuration = (providers: string, resources = '[secrets]') => `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ${resources}
  providers:
${providers}
- resources: ['*.*']
  providers: [{identity: {}}]
`;
const rules = (providers: string, resources?: string) =>
  parseEncryptionConfiguration(configuration(providers, resources), kinds);
const provider = (kind: string, ...names: string[]) =>
  `  - ${kind}: {keys: [${names.map((name) => `{name: ${name}, secret: "${key(name.charCodeAt(name.length - 1))}"}`).join(', ')}]}`;
const IDENTITY = '  - identity: {}';

describe('secretbox', () => {
  it('is NaCl’s: the vector of its paper', () => {
    const hex = (text: string) => Buffer.from(text, 'hex');
    const secret = hex('1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389');
    const nonce = hex('69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37');
    const message = hex(
      'be075fc53c81f2d5cf141316ebeb0c7b5228c52a4c62cbd44b66849b64244ffce5ecbaaf33bd751a1ac728d45e6c61296cdc3c01233561f41db66cce314adb310e3be8250c46f06dceea3a7fa1348057e2f6556ad6b1318a024a838f21af1fde048977eb48f59ffd4924ca1c60902e52f0a089bc76897040e082f937763848645e0705',
    );
    const box = seal(message, nonce, secret);
    expect(box.toString('hex').slice(0, 64)).toBe('f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce');
    expect(open(box, nonce, secret)?.equals(message)).toBe(true);
    for (const at of [0, 15, 16, box.length - 1]) {
      const bent = Buffer.from(box);
      bent[at] = (bent[at] as number) ^ 1;
      expect(open(bent, nonce, secret)).toBeUndefined();
    }
    for (const size of [0, 1, 31, 32, 33, 64, 5000]) {
      const text = Buffer.alloc(size, 7);
      expect(open(seal(text, nonce, secret), nonce, secret)?.equals(text)).toBe(true);
    }
  });
});

describe('transformers', () => {
  const secret = Buffer.alloc(32, 1);
  it.each(['aescbc', 'aesgcm', 'secretbox'] as const)('%s: its prefix, and the value back', (kind) => {
    const one = createTransformer([{ kind, keys: [{ name: 'key1', secret }] }]);
    const stored = one.toStorage(KEY, Buffer.from('hunter2'));
    expect(stored.toString('latin1').startsWith(`k8s:enc:${kind}:v1:key1:`)).toBe(true);
    expect(stored.includes('hunter2')).toBe(false);
    expect(Buffer.from(one.fromStorage(KEY, stored).value).toString()).toBe('hunter2');
    expect(() => one.fromStorage(KEY, stored.subarray(0, -9))).toThrow(KEY);
  });
  it('aesgcm binds the value to its key in the store', () => {
    const one = createTransformer([{ kind: 'aesgcm', keys: [{ name: 'k', secret }] }]);
    const stored = one.toStorage(KEY, Buffer.from('hunter2'));
    expect(() => one.fromStorage('/registry/secrets/default/other', stored)).toThrow();
  });
  it('the first key writes, all read, and what another wrote is stale', () => {
    const [a, b] = ['a', 'b'].map((name, i) => ({ name, secret: Buffer.alloc(32, i) }));
    const before: Provider[] = [{ kind: 'aesgcm', keys: [a!] }];
    const stored = createTransformer(before).toStorage(KEY, Buffer.from('x'));
    const after = createTransformer([{ kind: 'secretbox', keys: [b!] }, ...before, { kind: 'identity' }]);
    expect(after.fromStorage(KEY, stored).isStale).toBe(true);
    expect(after.fromStorage(KEY, Buffer.from('{}')).isStale).toBe(true);
    expect(after.fromStorage(KEY, after.toStorage(KEY, Buffer.from('x'))).isStale).toBe(false);
    // Encrypted by somebody we do not know is not plain text.
    expect(() => createTransformer([{ kind: 'identity' }]).fromStorage(KEY, stored)).toThrow(/no provider and key/);
  });
});

describe('EncryptionConfiguration', () => {
  it.each([
    ['[secrets]', KEY, true],
    ['[secrets]', '/registry/configmaps/default/a', false],
    ["['*.']", '/registry/configmaps/default/a', true],
    ["['*.']", '/registry/services/specs/default/a', true],
    ["['*.']", '/registry/deployments/default/a', false],
    ["['*.apps']", '/registry/deployments/default/a', true],
    ['[widgets.example.com]', '/registry/example.com/widgets/default/a', true],
    ["['*.*']", '/registry/example.com/widgets/default/a', true],
    ["['*.*']", '/registry/ranges/serviceips', false],
  ])('%s and %s: %s', (resources, storeKey, encrypted) => {
    expect(rules(provider('aesgcm', 'k1'), resources).transformerOf(storeKey) !== undefined).toBe(encrypted);
  });
  it.each([
    ['  - {}', 'resources[0].providers[0]: must name exactly one provider'],
    ['  - rot13: {}', 'resources[0].providers[0]: unknown field "rot13"'],
    ['  - kms: {}', 'resources[0].providers[0].kms.apiVersion: Invalid value: "v1"'],
    [
      `  - secretbox: {keys: [{name: k, secret: "${key(1, 16)}"}]}`,
      '.keys[0].secret: must be base64 of 32 bytes, has 16',
    ],
    [provider('aescbc', 'k1', 'k1'), '.keys[1].name: duplicate value: "k1"'],
  ])('refuses %s', (providers, message) => {
    expect(() => rules(providers)).toThrow(message);
  });
});

storeContract('encrypted', {
  async open(options) {
    const inner = createMemoryStore(options);
    const store = createEncryptedStore(inner, {
      transformerOf: () => everything,
      covers: () => true,
    });
    return { store, root: '/registry/' };
  },
  async advance() {},
});
const everything = createTransformer([{ kind: 'secretbox', keys: [{ name: 'k', secret: Buffer.alloc(32, 3) }] }]);

describe('a server with encrypted Secrets', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sampan-encryption-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  const secret = (name: string) => ({ metadata: { name }, stringData: { password: 'hunter2-hunter2' } });
  const base64 = Buffer.from('hunter2-hunter2').toString('base64');

  async function writes(store: Store, look: () => Promise<Buffer>): Promise<void> {
    const server = await startTestServer({ store: createEncryptedStore(store, rules(provider('secretbox', 'k1'))) });
    try {
      const path = '/api/v1/namespaces/default/secrets';
      expect((await server.call('POST', path, { body: secret('db') })).code).toBe(201);
      const patch = { body: { metadata: { labels: { a: 'b' } } }, type: 'application/merge-patch+json' };
      expect((await server.call('PATCH', `${path}/db`, patch)).code).toBe(200);
      const got = await server.call('GET', `${path}?labelSelector=a=b`);
      expect(got.body.items[0].data.password).toBe(base64);
      const page = await server.call('GET', `${path}?limit=1`);
      expect(page.body.items).toHaveLength(1);
      const disk = await look();
      expect(disk.includes('k8s:enc:secretbox:v1:k1:')).toBe(true);
      for (const plain of [base64, 'hunter2']) expect(disk.includes(plain)).toBe(false);
    } finally {
      await server.stop();
    }
  }

  it('leaves nothing readable in the SQLite files', async () => {
    const path = join(dir, 'server.db');
    await writes(createEmbeddedStore({ path }), async () =>
      Buffer.concat(readdirSync(dir).map((name) => readFileSync(join(dir, name)))),
    );
  });

  it('leaves nothing readable in etcd', async () => {
    const etcd = await startEtcd();
    const client = new Etcd3({ hosts: etcd.endpoint });
    try {
      await writes(createEtcdStore({ endpoints: [etcd.endpoint] }), async () =>
        Buffer.concat(Object.values(await client.getAll().prefix('/registry/secrets/').buffers())),
      );
    } finally {
      client.close();
      await etcd.stop();
    }
  });

  it('rotates: the old key reads, a write without a change moves to the new one', async () => {
    const inner = createMemoryStore();
    const store = createEncryptedStore(inner, rules(IDENTITY));
    const server = await startTestServer({ store });
    try {
      const path = '/api/v1/namespaces/default/secrets';
      const at = async () =>
        Buffer.from((await inner.get(KEY)).kv?.value ?? [])
          .toString('latin1')
          .slice(0, 24);
      const touch = async () => {
        const { body } = await server.call('GET', `${path}/db`);
        const put = await server.call('PUT', `${path}/db`, { body });
        expect([put.code, put.text]).toEqual([200, expect.anything()]);
        return put.body.metadata.resourceVersion !== body.metadata.resourceVersion;
      };
      await server.call('POST', path, { body: secret('db') });
      expect(await at()).toContain('"kind":"Secret"');
      store.setRules(rules(`${provider('aesgcm', 'k1')}\n${IDENTITY}`));
      expect(await touch()).toBe(true);
      expect(await at()).toBe('k8s:enc:aesgcm:v1:k1:'.padEnd(21) + (await at()).slice(21));
      expect(await touch()).toBe(false);
      store.setRules(rules(`${provider('aescbc', 'k2')}\n${provider('aesgcm', 'k1')}`));
      expect((await server.call('GET', `${path}/db`)).body.data.password).toBe(base64);
      expect(await touch()).toBe(true);
      expect(await at()).toContain('k8s:enc:aescbc:v1:k2:');
      store.setRules(rules(provider('aescbc', 'k2')));
      expect(await touch()).toBe(false);
    } finally {
      await server.stop();
    }
  });
});
