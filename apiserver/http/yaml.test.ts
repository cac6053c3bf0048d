// Answers in YAML: objects, lists, tables, errors and discovery, each the same as in JSON; a watch has no such form.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseYaml } from '../../api/yaml.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const YAML = { accept: 'application/yaml' };
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  const data = { script: '#!/bin/sh\necho "ü"\n', truth: 'yes', port: '080', empty: '' };
  expect((await server.call('POST', CONFIG_MAPS, { body: { metadata: { name: 'x' }, data } })).code).toBe(201);
});
afterAll(() => server.stop());

test.each([
  ['an object', `${CONFIG_MAPS}/x`, ''],
  ['a list', CONFIG_MAPS, ''],
  ['a table', CONFIG_MAPS, ';as=Table;g=meta.k8s.io;v=v1'],
  ['metadata', `${CONFIG_MAPS}/x`, ';as=PartialObjectMetadata;g=meta.k8s.io;v=v1'],
  ['an error', `${CONFIG_MAPS}/missing`, ''],
  ['a path that is not there', '/apis/none/v1', ''],
  ['versions', '/api', ''],
  ['resources', '/apis/apps/v1', ''],
])('%s', async (_, path, shape) => {
  const json = await server.call('GET', path, { headers: { accept: `application/json${shape}` } });
  const yaml = await server.call('GET', path, { headers: { accept: `application/yaml${shape}` } });
  expect(yaml.code).toBe(json.code);
  expect(yaml.headers['content-type']).toBe('application/yaml');
  expect(yaml.text).not.toMatch(/^\{/);
  expect(parseYaml(yaml.text).value).toEqual(json.body);
});

test('what is written is answered in YAML too', async () => {
  const body = 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: made\n';
  const made = await server.call('POST', CONFIG_MAPS, {
    body,
    headers: { ...YAML, 'content-type': 'application/yaml' },
  });
  expect(made.code).toBe(201);
  expect(made.text).toMatch(/^apiVersion: v1\nkind: ConfigMap\nmetadata:\n/);
  const gone = await server.call('DELETE', `${CONFIG_MAPS}/made`, { headers: YAML });
  expect(parseYaml(gone.text).value).toMatchObject({ kind: 'Status', status: 'Success', details: { name: 'made' } });
});

test('a watch is not', async () => {
  const refused = await server.call('GET', `${CONFIG_MAPS}?watch=true`, { headers: YAML });
  expect(refused.code).toBe(406);
  expect(parseYaml(refused.text).value).toMatchObject({ reason: 'NotAcceptable' });
});
