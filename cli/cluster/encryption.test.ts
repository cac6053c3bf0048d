import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import { createMemoryStore } from '../../apiserver/storage/memory.ts';
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
