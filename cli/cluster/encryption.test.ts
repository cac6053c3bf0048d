import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import { createMemoryStore } from '../../apiserver/storage/memory.ts';
import { TestKms } from '../../apiserver/storage/testing/kms.ts';
import { silentLogger } from '../../lib/log.ts';
import { encryptStore } from './encryption.ts';

const dir = mkdtempSync(join(tmpdir(), 'sampan-encryption-'));
afterEach(() => rmSync(dir, { recursive: true, force: true }));

it('makes a key that only its owner reads, uses it again, and follows the file', async () => {
  const defaultFile = join(dir, 'encryption.yaml');
  const messages: string[] = [];
  let told = () => {};
  const tell = (_: unknown, message: string) => {
    messages.push(message);
    told();
  };
  const log = { ...silentLogger, info: tell, error: tell } as typeof silentLogger;
  const options = { file: undefined, defaultFile, kinds: createScheme().kinds(), log };
  const inner = createMemoryStore();
  const key = '/registry/secrets/default/a';
  const value = Buffer.from('{"metadata":{}}');
  const first = encryptStore(inner, options);
  expect(statSync(defaultFile).mode & 0o777).toBe(0o600);
  await first.commit({ key, expected: 0, value });
  const second = encryptStore(inner, options);
  expect(Buffer.from((await second.get(key)).kv?.value ?? []).toString()).toBe(value.toString());
  const change = (text: string) => {
    const done = new Promise<void>((resolve) => {
      told = resolve;
    });
    writeFileSync(defaultFile, text);
    return done;
  };
  const good = readFileSync(defaultFile, 'utf8');
  const third = encryptStore(inner, options);
  await change('kind: Nonsense');
  expect((await third.get(key)).kv).toBeDefined();
  expect(messages.at(-1)).toContain('stays in force');
  const secret = Buffer.alloc(32, 7).toString('base64');
  await change(good.replace('"keys": [', `"keys": [{"name": "key0", "secret": "${secret}"},`));
  await expect.poll(() => third.isStale?.(key)).toBe(true);
  await Promise.all([first, second, third].map((each) => each.close()));
});

it('takes over a key management service when the file names one that answers, and keeps what it had otherwise', async () => {
  const home = mkdtempSync(join(tmpdir(), 'sampan-kms-'));
  const file = join(home, 'encryption.yaml');
  const socket = join(home, 'kms.sock');
  const plugin = new TestKms();
  await plugin.listen(socket);
  const messages: string[] = [];
  const log = {
    ...silentLogger,
    info: (_: unknown, message: string) => messages.push(message),
    error: (_: unknown, message: string) => messages.push(message),
  } as unknown as typeof silentLogger;
  const head = 'apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n';
  const secretbox = `{secretbox: {keys: [{name: k, secret: ${Buffer.alloc(32, 5).toString('base64')}}]}}`;
  const kms = (path: string) => `{kms: {apiVersion: v2, name: vault, endpoint: "unix://${path}", timeout: 1s}}`;
  const configuration = (...providers: string[]) =>
    `${head}- resources: [secrets]\n  providers: [${providers.join(', ')}]\n`;
  writeFileSync(file, configuration(secretbox));
  const inner = createMemoryStore();
  const store = encryptStore(inner, { file, defaultFile: file, kinds: createScheme().kinds(), log });
  try {
    const key = '/registry/secrets/default/a';
    const value = Buffer.from('{"metadata":{}}');
    const { ok } = await store.commit({ key, expected: 0, value });
    expect([ok, store.kmsProblems()]).toEqual([true, undefined]);
    writeFileSync(file, configuration(kms(join(home, 'nobody.sock')), secretbox));
    await expect.poll(() => messages.at(-1), { timeout: 5000 }).toMatch(/stays in force/);
    expect(store.kmsProblems()).toBeUndefined();
    writeFileSync(file, configuration(kms(socket), secretbox));
    await expect.poll(() => store.kmsProblems(), { timeout: 5000 }).toEqual([]);
    expect(await store.isStale?.(key)).toBe(true);
    const { kv } = await store.get(key);
    await store.commit({ key, expected: kv?.modRevision ?? 0, value });
    expect(Buffer.from((await inner.get(key)).kv?.value ?? []).toString('latin1')).toMatch(/^k8s:enc:kms:v2:vault:/);
    expect(Buffer.from((await store.get(key)).kv?.value ?? []).toString()).toBe(value.toString());
  } finally {
    await store.close();
    plugin.close();
    rmSync(home, { recursive: true, force: true });
  }
});
