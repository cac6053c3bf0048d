// Random definitions, and random bodies sent to what they serve: refused or taken, never a failure of the server.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Generator } from '../../api/custom/testing/generator.ts';
import { createMemoryStore } from '../storage/memory.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import {
  DEFINITIONS,
  definitionOf,
  establish,
  GROUP,
  schemaOf,
  untilDefinition,
  versionOf,
} from './testing/definitions.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

test('any definition is a 201 or says what is wrong', async () => {
  for (let seed = 1; seed <= 120; seed++) {
    const make = new Generator(seed);
    const definition = definitionOf(`any${seed}`, `Any${seed}`, [
      versionOf('v1', { openAPIV3Schema: { ...make.schema(3), type: 'object' } }),
    ]);
    const { code, text } = await server.call('POST', DEFINITIONS, { body: definition });
    expect([201, 400, 422], `seed ${seed}: ${text}`).toContain(code);
  }
});

test('any body to a sound definition is taken or refused', async () => {
  const merge = 'application/merge-patch+json';
  const apply = 'application/apply-patch+yaml';
  let taken = 0;
  for (let seed = 1; seed <= 25; seed++) {
    const make = new Generator(seed);
    const plural = `sounds${seed}`;
    const kind = `Sound${seed}`;
    const definition = definitionOf(plural, kind, [versionOf('v1', schemaOf(make.sound(3)))]);
    // Rules about unbounded values are too dear.
    if ((await server.call('POST', `${DEFINITIONS}?dryRun=All`, { body: definition })).code === 422) continue;
    await establish(server, definition);
    const path = `/apis/${GROUP}/v1/namespaces/default/${plural}`;
    for (let i = 0; i < 6; i++) {
      const name = `one-${i % 3}`;
      const body = { apiVersion: `${GROUP}/v1`, kind, metadata: { name }, spec: make.value(4) };
      const answers = [
        await server.call('POST', path, { body }),
        await server.call('PATCH', `${path}/${name}`, { body: { spec: make.value(3) }, type: merge }),
        await server.call('GET', `${path}/${name}`),
        await server.call('PATCH', `${path}/${name}?fieldManager=m&force=true`, { body, type: apply }),
      ];
      for (const { code, text } of answers) {
        // As upstream, an apply of fields that the schema does not have is a 500.
        const isUntyped = code === 500 && text.includes('failed to create typed patch object');
        expect(code < 500 || isUntyped, `seed ${seed}: ${code} ${text}`).toBe(true);
        if (code < 300) taken++;
      }
    }
  }
  expect(taken).toBeGreaterThan(50);
});

test('a server that starts again serves what was there', async () => {
  const store = createMemoryStore();
  const first = await startTestServer({ store: unclosed(store) });
  await establish(
    first,
    definitionOf('stones', 'Stone', [
      versionOf('v1', schemaOf({ type: 'object', properties: { kg: { type: 'integer' } } })),
    ]),
  );
  const path = `/apis/${GROUP}/v1/namespaces/default/stones`;
  await first.call('POST', path, {
    body: { apiVersion: `${GROUP}/v1`, kind: 'Stone', metadata: { name: 'a' }, spec: { kg: 3 } },
  });
  await first.stop();
  const second = await startTestServer({ store });
  try {
    expect((await second.call('GET', `${path}/a`)).body.spec).toEqual({ kg: 3 });
    await second.call('DELETE', `${DEFINITIONS}/stones.${GROUP}`);
    await untilDefinition(second, `stones.${GROUP}`, (each) => each === undefined);
  } finally {
    await second.stop();
  }
});

/** The store, but for its end: another server goes on with it. */
function unclosed<T extends object>(store: T): T {
  return new Proxy(store, {
    get(target, name) {
      if (name === 'close') return async () => {};
      const value = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
