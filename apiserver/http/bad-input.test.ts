// Whatever a client sends, the answer is a Status with the right code, reason and message, and nothing is half written.
import { connect } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const PODS = '/api/v1/namespaces/default/pods';
const configMap = (name: string, more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name },
  ...more,
});

beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } });
});
afterAll(() => server.stop());

async function refused(
  method: string,
  path: string,
  options: Parameters<TestServer['call']>[2],
  code: number,
  reason: string,
  message: string | RegExp,
) {
  const answer = await server.call(method, path, options);
  expect({
    code: answer.code,
    reason: answer.body?.reason,
    kind: answer.body?.kind,
    message: answer.body?.message,
  }).toEqual({
    code,
    reason,
    kind: 'Status',
    message: typeof message === 'string' ? message : expect.stringMatching(message),
  });
  expect(answer.body.code).toBe(code);
  return answer;
}

describe('bodies', () => {
  it('refuses malformed JSON', async () => {
    await refused('POST', CONFIG_MAPS, { body: '{"kind":' }, 400, 'BadRequest', /unexpected end of JSON input/);
    await refused('POST', CONFIG_MAPS, { body: '[]' }, 400, 'BadRequest', /cannot unmarshal array/);
    await refused('POST', CONFIG_MAPS, { body: '"x"' }, 400, 'BadRequest', /cannot unmarshal string/);
  });
  it('refuses malformed YAML', async () => {
    await refused('POST', CONFIG_MAPS, { body: 'a: [b', type: 'application/yaml' }, 400, 'BadRequest', /yaml/);
  });
  it('refuses malformed protobuf', async () => {
    const type = 'application/vnd.kubernetes.protobuf';
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: Buffer.from('k8s\0\xff\xff\xff', 'latin1'), type },
      400,
      'BadRequest',
      /./,
    );
  });
  it('reads YAML', async () => {
    const answer = await server.call('POST', CONFIG_MAPS, {
      body: 'metadata:\n  name: from-yaml\ndata:\n  a: "1"\n',
      type: 'application/yaml',
    });
    expect(answer.code).toBe(201);
    expect(answer.body.data).toEqual({ a: '1' });
  });
  it('refuses wrong types', async () => {
    const message = /^ConfigMap in version "v1" cannot be handled as a ConfigMap: json: cannot unmarshal/;
    await refused('POST', CONFIG_MAPS, { body: configMap('x', { data: { a: 1 } }) }, 400, 'BadRequest', message);
    await refused('POST', CONFIG_MAPS, { body: configMap('x', { data: 'a' }) }, 400, 'BadRequest', message);
    await refused(
      'POST',
      PODS,
      { body: { metadata: { name: 'x' }, spec: { containers: {} } } },
      400,
      'BadRequest',
      /cannot unmarshal/,
    );
  });
  it('treats unknown fields as fieldValidation says', async () => {
    const body = configMap('unknown-field', { dota: {} });
    const at = (validation: string) => `${CONFIG_MAPS}?fieldValidation=${validation}&dryRun=All`;
    await refused('POST', at('Strict'), { body }, 400, 'BadRequest', /strict decoding error: unknown field "dota"/);
    const warned = await server.call('POST', at('Warn'), { body });
    expect(warned.code).toBe(201);
    expect(warned.headers.warning).toBe('299 - "unknown field \\"dota\\""');
    const ignored = await server.call('POST', at('Ignore'), { body });
    expect(ignored.code).toBe(201);
    expect(ignored.headers.warning).toBeUndefined();
    await refused('POST', at('Sometimes'), { body }, 422, 'Invalid', /fieldValidation: Unsupported value: "Sometimes"/);
  });
  it('refuses doubled keys when strict', async () => {
    const body = '{"metadata":{"name":"x","name":"y"}}';
    await refused(
      'POST',
      `${CONFIG_MAPS}?fieldValidation=Strict`,
      { body },
      400,
      'BadRequest',
      /duplicate field "metadata.name"/,
    );
  });
  it('refuses other media types', async () => {
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: 'x', type: 'text/plain' },
      415,
      'UnsupportedMediaType',
      /the body of the request was in an unknown format/,
    );
    await refused(
      'PATCH',
      `${CONFIG_MAPS}/x`,
      { body: {}, type: 'application/json' },
      415,
      'UnsupportedMediaType',
      /./,
    );
    await refused(
      'PATCH',
      `${CONFIG_MAPS}/x`,
      { body: {}, type: 'application/apply-patch+cbor' },
      415,
      'UnsupportedMediaType',
      /application\/apply-patch\+yaml/,
    );
  });
  it('refuses what is too large', async () => {
    const body = JSON.stringify(configMap('big', { data: { a: 'x'.repeat(3 * 1024 * 1024) } }));
    await refused('POST', CONFIG_MAPS, { body }, 413, 'RequestEntityTooLarge', /limit is 3145728/);
    expect((await server.call('GET', `${CONFIG_MAPS}/big`)).code).toBe(404);
  });
  it('refuses objects of another kind or version', async () => {
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'x' } } },
      400,
      'BadRequest',
      /cannot be handled as a ConfigMap/,
    );
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: { apiVersion: 'v2', kind: 'ConfigMap', metadata: { name: 'x' } } },
      400,
      'BadRequest',
      /does not match the expected API version \(v1\)|no kind "ConfigMap"/,
    );
  });
});

describe('names and places', () => {
  it('refuses bad names, labels and missing names', async () => {
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: configMap('Bad_Name') },
      422,
      'Invalid',
      /^ConfigMap "Bad_Name" is invalid: metadata.name: Invalid value: "Bad_Name": a lowercase RFC 1123 subdomain/,
    );
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: {} },
      422,
      'Invalid',
      /metadata.name: Required value: name or generateName is required/,
    );
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: { metadata: { name: 'x', labels: { 'a b': 'c' } } } },
      422,
      'Invalid',
      /metadata.labels: Invalid value: "a b"/,
    );
  });
  it('refuses a namespace or name other than the path says', async () => {
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: { metadata: { name: 'x', namespace: 'other' } } },
      400,
      'BadRequest',
      'the namespace of the provided object does not match the namespace sent on the request',
    );
    await server.call('POST', CONFIG_MAPS, { body: configMap('named') });
    await refused(
      'PUT',
      `${CONFIG_MAPS}/named`,
      { body: configMap('unnamed') },
      400,
      'BadRequest',
      'the name of the object (unnamed) does not match the name on the URL (named)',
    );
  });
  it('refuses missing namespaces and doubled objects', async () => {
    await refused(
      'POST',
      '/api/v1/namespaces/nowhere/configmaps',
      { body: configMap('x') },
      404,
      'NotFound',
      'namespaces "nowhere" not found',
    );
    await server.call('POST', CONFIG_MAPS, { body: configMap('twice') });
    await refused(
      'POST',
      CONFIG_MAPS,
      { body: configMap('twice') },
      409,
      'AlreadyExists',
      'configmaps "twice" already exists',
    );
  });
  it('refuses unknown kinds, paths and verbs', async () => {
    for (const path of [
      '/api/v1/gadgets',
      '/apis/nope/v1/x',
      '/api/v2/pods',
      '/nope',
      '/api/v1/namespaces/default/configmaps/a/b',
      `${PODS}/x/a/b/c`,
    ]) {
      await refused('GET', path, {}, 404, 'NotFound', 'the server could not find the requested resource');
    }
    await refused(
      'POST',
      '/api/v1/configmaps',
      { body: configMap('x') },
      405,
      'MethodNotAllowed',
      'the server does not allow this method on the requested resource',
    );
    await refused('PUT', CONFIG_MAPS, { body: {} }, 405, 'MethodNotAllowed', /./);
    await refused('DELETE', '/api/v1/namespaces', {}, 405, 'MethodNotAllowed', /./);
    await refused('POST', '/version', { body: {} }, 405, 'MethodNotAllowed', /./);
    await refused('PROPFIND', CONFIG_MAPS, {}, 405, 'MethodNotAllowed', /./);
  });
  it('survives odd paths', async () => {
    await refused('GET', '/api/v1/namespaces/%zz/pods', {}, 400, 'BadRequest', /invalid percent-encoding/);
    await refused('GET', '/%c3%28', {}, 400, 'BadRequest', /invalid percent-encoding/);
    for (const path of [
      '//',
      '/api//v1',
      '/api/v1/namespaces//pods',
      '/%00',
      '/..',
      '/api/v1/namespaces/default/pods/%2e%2e',
      '/?%',
      `/${'a'.repeat(8000)}`,
    ]) {
      const answer = await server.call('GET', path);
      expect([200, 404], path).toContain(answer.code);
    }
  });
  it('refuses huge headers without harm', async () => {
    const answer = await server
      .call('GET', '/version', { headers: { 'x-big': 'a'.repeat(100_000) } })
      .catch((error) => ({ code: 0, error }));
    expect([431, 0]).toContain(answer.code);
    expect((await server.call('GET', '/version')).code).toBe(200);
  });
  it('answers garbage on the socket with 400', async () => {
    const text = await new Promise<string>((resolve, reject) => {
      const socket = connect({ port: server.port, host: '127.0.0.1', ca: server.pki.caPem }, () =>
        socket.write('NOT HTTP AT ALL\r\n\r\n'),
      );
      let received = '';
      socket.on('data', (chunk) => (received += chunk));
      socket.on('end', () => socket.destroy());
      socket.on('close', () => resolve(received));
      socket.on('error', reject);
    });
    expect(text).toMatch(/^HTTP\/1.1 400 /);
  });
});

describe('queries', () => {
  it.each([
    ['labelSelector=a+in+(', 400, 'BadRequest', /unable to parse requirement/],
    ['fieldSelector=metadata.name', 400, 'BadRequest', /invalid selector/],
    [
      'fieldSelector=spec.color%3Dred',
      400,
      'BadRequest',
      '"spec.color" is not a known field selector: only "metadata.name", "metadata.namespace"',
    ],
    ['limit=many', 400, 'BadRequest', /invalid syntax/],
    ['resourceVersion=new', 400, 'BadRequest', /resourceVersion: Invalid value: "new"/],
    ['continue=%25%25', 400, 'BadRequest', /^continue key is not valid/],
    ['continue=e30&limit=1', 400, 'BadRequest', /^continue key is not valid/],
    [
      'resourceVersionMatch=Exact',
      422,
      'Invalid',
      /resourceVersionMatch is forbidden unless resourceVersion is provided/,
    ],
    ['resourceVersion=1&resourceVersionMatch=Roughly', 422, 'Invalid', /Unsupported value: "Roughly"/],
    ['watch=1&sendInitialEvents=1', 422, 'Invalid', /sendInitialEvents requires setting resourceVersionMatch/],
    ['watch=1&timeoutSeconds=soon', 400, 'BadRequest', /invalid syntax/],
  ])('refuses %s', async (query, code, reason, message) => {
    await refused('GET', `${CONFIG_MAPS}?${query}`, {}, code, reason, message);
  });
  it('refuses what it cannot write', async () => {
    await refused(
      'GET',
      CONFIG_MAPS,
      { headers: { accept: 'image/png' } },
      406,
      'NotAcceptable',
      /^only the following media types are accepted/,
    );
    await refused('GET', CONFIG_MAPS, { headers: { accept: 'application/cbor' } }, 406, 'NotAcceptable', /./);
  });
  it('writes JSON to those who prefer protobuf', async () => {
    const answer = await server.call('GET', CONFIG_MAPS, {
      headers: { accept: 'application/vnd.kubernetes.protobuf,application/json' },
    });
    expect(answer.headers['content-type']).toBe('application/json');
  });
  it('refuses bad write options', async () => {
    await refused(
      'POST',
      `${CONFIG_MAPS}?dryRun=Some`,
      { body: configMap('x') },
      422,
      'Invalid',
      /dryRun: Unsupported value/,
    );
    await refused(
      'DELETE',
      `${CONFIG_MAPS}/x`,
      { body: { propagationPolicy: 'Sideways' } },
      422,
      'Invalid',
      /propagationPolicy: Unsupported value: "Sideways"/,
    );
    await refused(
      'DELETE',
      `${CONFIG_MAPS}/x`,
      { body: { propagationPolicy: 'Orphan', orphanDependents: true } },
      422,
      'Invalid',
      /cannot be both set/,
    );
    await refused('DELETE', `${CONFIG_MAPS}/x?gracePeriodSeconds=long`, {}, 400, 'BadRequest', /invalid syntax/);
  });
});

describe('values', () => {
  const pod = (container: object) => ({
    metadata: { name: 'bad' },
    spec: { containers: [{ name: 'c', image: 'i', ...container }] },
  });
  it('refuses bad quantities and ports', async () => {
    await refused(
      'POST',
      PODS,
      { body: pod({ resources: { limits: { memory: '1Gigabyte' } } }) },
      400,
      'BadRequest',
      /quantities must match the regular expression/,
    );
    await refused(
      'POST',
      PODS,
      { body: pod({ ports: [{ containerPort: 70000 }] }) },
      422,
      'Invalid',
      /spec.containers\[0\].ports\[0\].containerPort: Invalid value: 70000/,
    );
    expect((await server.call('GET', `${PODS}/bad`)).code).toBe(404);
  });
  it('refuses malformed patches', async () => {
    await server.call('POST', CONFIG_MAPS, { body: configMap('patched', { data: { a: '1' } }) });
    const path = `${CONFIG_MAPS}/patched`;
    const patch = (type: string, body: unknown) => ({ body, type: `application/${type}-patch+json` });
    await refused('PATCH', path, patch('merge', '{'), 400, 'BadRequest', /./);
    await refused('PATCH', path, patch('merge', '[]'), 400, 'BadRequest', /./);
    await refused('PATCH', path, patch('strategic-merge', '[]'), 400, 'BadRequest', /./);
    await refused('PATCH', path, patch('json', '{}'), 400, 'BadRequest', /./);
    await refused('PATCH', path, patch('json', [{ op: 'remove', path: '/data/nope' }]), 422, 'Invalid', /./);
    await refused('PATCH', path, patch('merge', { data: { a: 1 } }), 422, 'Invalid', /cannot unmarshal/);
    await refused(
      'PATCH',
      path,
      patch('merge', { metadata: { name: 'other' } }),
      400,
      'BadRequest',
      /does not match the name on the URL/,
    );
    await refused(
      'PATCH',
      path,
      patch('merge', { metadata: { resourceVersion: '1' } }),
      409,
      'Conflict',
      /the object has been modified/,
    );
    await refused('PATCH', `${CONFIG_MAPS}/nope`, patch('merge', {}), 404, 'NotFound', 'configmaps "nope" not found');
    const after = await server.call('GET', path);
    expect(after.body.data).toEqual({ a: '1' });
  });
  it('refuses service addresses that are taken or out of range', async () => {
    const service = (clusterIP: string, more: object = {}) => ({
      metadata: { name: 's' },
      spec: { clusterIP, ports: [{ port: 80 }], ...more },
    });
    const path = '/api/v1/namespaces/default/services';
    await refused(
      'POST',
      path,
      { body: service('10.96.0.1') },
      422,
      'Invalid',
      /failed to allocate IP 10.96.0.1: provided IP is already allocated/,
    );
    await refused(
      'POST',
      path,
      { body: service('192.168.0.1') },
      422,
      'Invalid',
      /the provided network does not match the current range/,
    );
    const nodePort = service('', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] });
    await refused(
      'POST',
      path,
      { body: nodePort },
      422,
      'Invalid',
      /provided port is not in the valid range. The range of valid ports is 30000-32767/,
    );
  });
});
