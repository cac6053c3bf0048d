// Clients that read nothing but protobuf: what they get says the same as JSON.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { decodeObject } from '../../api/codec.ts';
import { createScheme } from '../../api/kinds/index.ts';
import type { Kind } from '../../api/kind.ts';
import { decodeMessage, readEnvelope } from '../../api/protobuf.ts';
import { WireReader } from '../../api/protobuf-wire.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const accept = (type: string) => ({ headers: { accept: type } });
const PARTIAL = `${PROTOBUF};as=PartialObjectMetadata;g=meta.k8s.io;v=v1`;
const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';

const scheme = createScheme();
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  for (let i = 0; i < 3; i++) {
    const body = {
      metadata: { name: `c${i}`, labels: { n: `${i}` } },
      data: { k: 'ü'.repeat(i) },
      binaryData: { b: 'AAE=' },
    };
    expect((await server.call('POST', `${CONFIG_MAPS}?fieldManager=test`, { body })).code).toBe(201);
  }
});
afterAll(() => server.stop());

/** The fields of a message by number, each with its occurrences. */
function fieldsOf(bytes: Buffer): Map<number, Buffer[]> {
  const reader = new WireReader(bytes);
  const found = new Map<number, Buffer[]>();
  while (!reader.done) {
    const tag = reader.uint32();
    expect(tag & 7).toBe(2);
    const number = tag >>> 3;
    found.set(number, [...(found.get(number) ?? []), Buffer.from(reader.bytes())]);
  }
  return found;
}

const objectOf = (kind: Kind, bytes: Buffer) => {
  const { object, problems } = decodeObject(kind, bytes, 'protobuf', { scheme });
  expect(problems).toEqual([]);
  return object;
};

it('an object', async () => {
  const kind = scheme.byResource('', 'v1', 'configmaps') as Kind;
  const json = await server.call('GET', `${CONFIG_MAPS}/c2`);
  const answer = await server.call('GET', `${CONFIG_MAPS}/c2`, accept(PROTOBUF));
  expect([answer.code, answer.headers['content-type']]).toEqual([200, PROTOBUF]);
  expect(readEnvelope(answer.bytes)).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
  expect(objectOf(kind, answer.bytes)).toEqual(json.body);
  const again = await server.call('GET', `${CONFIG_MAPS}/c2`, accept(PROTOBUF));
  expect(again.bytes.equals(answer.bytes)).toBe(true);
});

it('writes, and what they are answered', async () => {
  const kind = scheme.byResource('', 'v1', 'configmaps') as Kind;
  const body = { metadata: { name: 'written' }, data: { a: 'b' } };
  const made = await server.call('POST', CONFIG_MAPS, { body, ...accept(PROTOBUF) });
  expect([made.code, objectOf(kind, made.bytes)]).toMatchObject([201, { data: { a: 'b' } }]);
  const patch = { body: { data: { a: 'c' } }, type: 'application/merge-patch+json', ...accept(PROTOBUF) };
  expect(objectOf(kind, (await server.call('PATCH', `${CONFIG_MAPS}/written`, patch)).bytes)).toMatchObject({
    data: { a: 'c' },
  });
  const gone = await server.call('DELETE', `${CONFIG_MAPS}/written`, accept(PROTOBUF));
  expect(readEnvelope(gone.bytes)).toMatchObject({ apiVersion: 'v1', kind: 'Status' });
  expect(decodeMessage('meta.Status', readEnvelope(gone.bytes).raw)).toMatchObject({
    status: 'Success',
    details: { name: 'written', kind: 'configmaps' },
  });
});

it('lists of everything that a fresh server has', async () => {
  let objects = 0;
  for (const kind of scheme.kinds()) {
    if (!kind.verbs.includes('list') || kind.schema === '') continue;
    const path = `/${kind.group === '' ? 'api' : `apis/${kind.group}`}/${kind.version}/${kind.resource}`;
    const json = await server.call('GET', path);
    const answer = await server.call('GET', path, accept(PROTOBUF));
    expect([path, answer.code, answer.headers['content-type']]).toEqual([path, 200, PROTOBUF]);
    const envelope = readEnvelope(answer.bytes);
    expect([envelope.apiVersion, envelope.kind]).toEqual([json.body.apiVersion, json.body.kind]);
    const fields = fieldsOf(envelope.raw);
    const metadata = decodeMessage('meta.ListMeta', fields.get(1)?.[0] as Buffer);
    expect(Number(metadata.resourceVersion)).toBeGreaterThanOrEqual(Number(json.body.metadata.resourceVersion));
    const items = fields.get(2) ?? [];
    expect([path, items.length]).toEqual([path, json.body.items.length]);
    for (const [index, item] of items.entries()) {
      const plain = json.body.items[index];
      // Its envelope, so that it is read as a request's body is.
      const { kind: _k, apiVersion: _a, ...rest } = normalized(kind, decodeMessage(kind.schema, item));
      const { kind: _k2, apiVersion: _a2, ...expected } = normalized(kind, plain);
      expect(rest, `${path} ${plain.metadata.name}`).toEqual(expected);
      objects++;
    }
  }
  expect(objects).toBeGreaterThan(150);
});

/** As the server would store it: zero values that mean nothing are left out. */
function normalized(kind: Kind, object: object): Record<string, unknown> {
  const body = Buffer.from(
    JSON.stringify({ kind: kind.kind, apiVersion: `${kind.group ? `${kind.group}/` : ''}${kind.version}`, ...object }),
  );
  return decodeObject(kind, body, 'json', { scheme }).object as unknown as Record<string, unknown>;
}

it('pages, and metadata alone', async () => {
  const page = await server.call('GET', `${CONFIG_MAPS}?limit=2`, accept(PROTOBUF));
  const { continue: token } = decodeMessage(
    'meta.ListMeta',
    fieldsOf(readEnvelope(page.bytes).raw).get(1)?.[0] as Buffer,
  );
  const rest = await server.call('GET', `${CONFIG_MAPS}?continue=${token}`, accept(PROTOBUF));
  expect(fieldsOf(readEnvelope(rest.bytes).raw).get(2)).toHaveLength(1);
  const partial = await server.call('GET', CONFIG_MAPS, accept(PARTIAL));
  const envelope = readEnvelope(partial.bytes);
  expect([envelope.apiVersion, envelope.kind]).toEqual(['meta.k8s.io/v1', 'PartialObjectMetadataList']);
  const [first] = fieldsOf(envelope.raw).get(2) as Buffer[];
  const metadata = decodeMessage('meta.ObjectMeta', fieldsOf(first as Buffer).get(1)?.[0] as Buffer);
  expect(metadata).toMatchObject({ name: 'c0', labels: { n: '0' } });
  expect(fieldsOf(first as Buffer).size).toBe(1);
});

/** The events of a watch that has ended. */
function eventsOf(bytes: Buffer): { type: string; object: Buffer }[] {
  const events = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const fields = fieldsOf(bytes.subarray(at + 4, at + 4 + length));
    const raw = fieldsOf(fields.get(2)?.[0] as Buffer).get(1)?.[0] as Buffer;
    events.push({ type: fields.get(1)?.[0]?.toString() ?? '', object: raw });
    at += 4 + length;
  }
  return events;
}

it('watches: frames with their length, the object in its envelope', async () => {
  const kind = scheme.byResource('', 'v1', 'configmaps') as Kind;
  const query =
    'watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=1';
  const answer = await server.call('GET', `${CONFIG_MAPS}?${query}`, accept(PROTOBUF));
  expect([answer.code, answer.headers['content-type']]).toEqual([200, `${PROTOBUF};stream=watch`]);
  const events = eventsOf(answer.bytes);
  expect(events.slice(0, 4).map((each) => each.type)).toEqual(['ADDED', 'ADDED', 'ADDED', 'BOOKMARK']);
  const json = await server.call('GET', `${CONFIG_MAPS}/c1`);
  expect(objectOf(kind, events[1]?.object as Buffer)).toEqual(json.body);
  const bookmark = readEnvelope(events[3]?.object as Buffer);
  expect(bookmark).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap' });
  expect(decodeMessage('core.v1.ConfigMap', bookmark.raw)).toMatchObject({
    metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } },
  });
  const shaped = await server.call('GET', `${CONFIG_MAPS}?watch=1&timeoutSeconds=1`, accept(PARTIAL));
  expect(readEnvelope(eventsOf(shaped.bytes)[0]?.object as Buffer)).toMatchObject({ kind: 'PartialObjectMetadata' });
});

it('errors, as Status', async () => {
  const answer = await server.call('GET', `${CONFIG_MAPS}/nobody`, accept(PROTOBUF));
  expect([answer.code, answer.headers['content-type']]).toEqual([404, PROTOBUF]);
  expect(readEnvelope(answer.bytes)).toMatchObject({ apiVersion: 'v1', kind: 'Status' });
  expect(decodeMessage('meta.Status', readEnvelope(answer.bytes).raw)).toEqual({
    metadata: {},
    status: 'Failure',
    message: 'configmaps "nobody" not found',
    reason: 'NotFound',
    details: { name: 'nobody', kind: 'configmaps' },
    code: 404,
  });
  const expired = await server.call(
    'GET',
    `${CONFIG_MAPS}?watch=1&resourceVersion=1&timeoutSeconds=1`,
    accept(PROTOBUF),
  );
  const status = expired.code === 200 ? (eventsOf(expired.bytes)[0]?.object as Buffer) : expired.bytes;
  expect(readEnvelope(status).kind).toMatch(/Status|ConfigMap/);
});

it('discovery', async () => {
  for (const [path, schema, kind] of [
    ['/apis', 'meta.APIGroupList', 'APIGroupList'],
    ['/api', 'meta.APIVersions', 'APIVersions'],
    ['/apis/apps', 'meta.APIGroup', 'APIGroup'],
    ['/api/v1', 'meta.APIResourceList', 'APIResourceList'],
  ] as const) {
    const json = await server.call('GET', path);
    const answer = await server.call('GET', path, accept(PROTOBUF));
    expect([path, answer.code, answer.headers['content-type']]).toEqual([path, 200, PROTOBUF]);
    const envelope = readEnvelope(answer.bytes);
    expect([envelope.apiVersion, envelope.kind]).toEqual(['v1', kind]);
    const { kind: _kind, apiVersion: _version, ...rest } = json.body;
    expect(decodeMessage(schema, envelope.raw)).toEqual(rest);
  }
});

describe('who gets what', () => {
  it.each([
    [`${PROTOBUF},application/json`, 200, 'application/json'],
    [`${PROTOBUF},application/json;q=0.9`, 200, PROTOBUF],
    [`${PROTOBUF}, */*;q=0.1`, 200, PROTOBUF],
    [`${PROTOBUF};q=0`, 406, 'application/json'],
    // A Table has no message.
    [`${PROTOBUF};as=Table;g=meta.k8s.io;v=v1`, 406, PROTOBUF],
    [`${PROTOBUF};as=Table;g=meta.k8s.io;v=v1,application/json`, 200, 'application/json'],
  ])('%s: %i %s', async (header, code, type) => {
    const answer = await server.call('GET', CONFIG_MAPS, accept(header));
    expect(answer.code).toBe(code);
    if (code === 200) expect(answer.headers['content-type']).toBe(type);
    else expect(answer.text).toContain(`accepted: application/json, application/yaml, ${PROTOBUF}`);
  });

  it('custom resources as metadata only', async () => {
    const names = { kind: 'Widget', plural: 'widgets', singular: 'widget', listKind: 'WidgetList' };
    const schema = { openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true } };
    const spec = {
      group: 'example.com',
      scope: 'Namespaced',
      names,
      versions: [{ name: 'v1', served: true, storage: true, schema }],
    };
    await server.call('POST', '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', {
      body: { metadata: { name: 'widgets.example.com' }, spec },
    });
    const path = '/apis/example.com/v1/namespaces/default/widgets';
    const body = { apiVersion: 'example.com/v1', kind: 'Widget', metadata: { name: 'w' } };
    await expect.poll(async () => (await server.call('POST', path, { body })).code).toBe(201);
    expect((await server.call('GET', path, accept(PROTOBUF))).code).toBe(406);
    const partial = await server.call('GET', `${path}/w`, accept(PARTIAL));
    expect([partial.code, readEnvelope(partial.bytes).kind]).toEqual([200, 'PartialObjectMetadata']);
  });
});
