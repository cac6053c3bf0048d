// The shapes of an answer: Tables and metadata-only objects carry what the object itself says, byte for byte.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const TABLE = 'application/json;as=Table;g=meta.k8s.io;v=v1';
const PARTIAL = 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1';
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  const hostile = { quotes: 'a"b\\', braces: '{"}{', text: 'ü\n🚢\u2028' };
  for (const [name, annotations] of [
    ['plain', undefined],
    ['hostile', hostile],
  ] as const) {
    const body = { metadata: { name, annotations, labels: { of: 'shapes' } }, data: { metadata: '{"name":"x"}' } };
    expect((await server.call('POST', CONFIG_MAPS, { body })).code).toBe(201);
  }
});
afterAll(() => server.stop());

async function listed(accept: string, query = '') {
  const path = `${CONFIG_MAPS}?labelSelector=of%3Dshapes${query}`;
  return (await server.call('GET', path, { headers: { accept } })).body;
}

test('rows and metadata-only items have the metadata of the objects', async () => {
  const { items, metadata } = await listed('application/json');
  expect(items.map((each: any) => each.metadata.name)).toEqual(['hostile', 'plain']);
  const expected = items.map((each: any) => ({
    kind: 'PartialObjectMetadata',
    apiVersion: 'meta.k8s.io/v1',
    metadata: each.metadata,
  }));
  const partial = await listed(PARTIAL);
  expect(partial).toEqual({
    kind: 'PartialObjectMetadataList',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    items: expected,
  });
  const table = await listed(TABLE);
  expect(table.metadata).toEqual(metadata);
  expect(table.columnDefinitions.map((each: any) => each.name)).toEqual(['Name', 'Data', 'Age']);
  expect(table.rows.map((each: any) => each.object)).toEqual(expected);
  expect(table.rows.map((each: any) => each.cells.slice(0, 2))).toEqual([
    ['hostile', 1],
    ['plain', 1],
  ]);
});

test('rows with whole objects, and with none', async () => {
  const { items } = await listed('application/json');
  const whole = await listed(TABLE, '&includeObject=Object');
  expect(whole.rows.map((each: any) => each.object)).toEqual(items);
  const none = await listed(TABLE, '&includeObject=None');
  expect(none.rows.map((each: any) => Object.keys(each))).toEqual([['cells'], ['cells']]);
});

test('an empty list is an empty Table', async () => {
  const table = (await server.call('GET', `${CONFIG_MAPS}?labelSelector=no`, { headers: { accept: TABLE } })).body;
  expect(table.rows).toEqual([]);
});
