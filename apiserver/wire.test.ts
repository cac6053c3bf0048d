// Other clients' requests as they are on the wire: Helm's release Secrets, client-go's informers, controller-runtime's
// discovery. Bodies are protobuf where those clients send it; what is accepted is what their headers say.
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeObject } from '../api/protobuf.ts';
import { type Answer, startTestServer, type TestServer } from './testing/server.ts';

const PROTOBUF = 'application/vnd.kubernetes.protobuf';
const TYPED = `${PROTOBUF},application/json`;
const NS = '/api/v1/namespaces/default';
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
});
afterAll(() => server.stop());

const typed = (method: string, path: string, schema?: string, object?: object): Promise<Answer> =>
  server.call(method, path, {
    ...(schema && object && { body: encodeObject(schema, object), type: PROTOBUF }),
    headers: { accept: TYPED },
  });

describe('Helm', () => {
  const release = (version: number, status: string) => ({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: `sh.helm.release.v1.rel.v${version}`,
      labels: { name: 'rel', owner: 'helm', status, version: String(version) },
    },
    type: 'helm.sh/release.v1',
    data: { release: Buffer.from(`release ${version}`).toString('base64') },
  });
  const list = (labels: string) => typed('GET', `${NS}/secrets?labelSelector=${encodeURIComponent(labels)}`);

  it('keeps its releases as Secrets', async () => {
    expect((await list('name=rel,owner=helm')).body.items).toEqual([]);
    const made = await typed('POST', `${NS}/secrets`, 'core.v1.Secret', release(1, 'pending-install'));
    expect([made.code, made.body.type]).toEqual([201, 'helm.sh/release.v1']);
    const deployed = await typed(
      'PUT',
      `${NS}/secrets/sh.helm.release.v1.rel.v1`,
      'core.v1.Secret',
      release(1, 'deployed'),
    );
    expect(deployed.body.metadata.labels.status).toBe('deployed');
    expect((await list('name=rel,owner=helm,status=deployed')).body.items).toHaveLength(1);
    expect((await typed('POST', `${NS}/secrets`, 'core.v1.Secret', release(1, 'x'))).body.reason).toBe('AlreadyExists');
  });

  it('creates and upgrades what a chart has', async () => {
    const path = '/apis/apps/v1/namespaces/default/deployments';
    const labels = { 'app.kubernetes.io/name': 'chart' };
    const body = {
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'rel-chart', labels: { ...labels, 'app.kubernetes.io/managed-by': 'Helm' } },
      spec: {
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    };
    expect((await server.call('GET', `${path}/rel-chart`)).code).toBe(404);
    expect((await server.call('POST', `${path}?fieldManager=helm`, { body })).code).toBe(201);
    const upgraded = await server.call('PATCH', `${path}/rel-chart?fieldManager=helm`, {
      body: { spec: { replicas: 2 } },
      type: 'application/strategic-merge-patch+json',
    });
    expect(upgraded.body.spec.replicas).toBe(2);
    expect(upgraded.body.metadata.managedFields.map((each: { manager: string }) => each.manager)).toEqual(['helm']);
  });

  it('deletes with options in protobuf', async () => {
    const path = `${NS}/secrets/sh.helm.release.v1.rel.v1`;
    const { body } = await typed('GET', path);
    const options = (uid: string) => ({
      apiVersion: 'v1',
      kind: 'DeleteOptions',
      preconditions: { uid },
      propagationPolicy: 'Background',
    });
    const refused = await typed('DELETE', path, 'meta.DeleteOptions', options('another'));
    expect([refused.code, refused.body.reason]).toEqual([409, 'Conflict']);
    const gone = await typed('DELETE', path, 'meta.DeleteOptions', options(body.metadata.uid));
    expect(gone.body).toMatchObject({ kind: 'Status', status: 'Success' });
    expect((await typed('GET', path)).code).toBe(404);
  });
});

describe('client-go', () => {
  /** The first events of a watch, until `enough`. */
  function watch(path: string, accept: string, enough: (events: any[]) => boolean): Promise<any[]> {
    const { keyPem: key, certificatePem: cert } = server.pki.admin;
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: server.port,
          path,
          ca: server.pki.caPem,
          key,
          cert,
          agent: false,
          headers: { accept },
        },
        (answer) => {
          expect(answer.headers['content-type']).toBe('application/json');
          const events: any[] = [];
          let text = '';
          answer.on('data', (chunk: Buffer) => {
            text += chunk;
            const lines = text.split('\n');
            text = lines.pop() ?? '';
            for (const line of lines) events.push(JSON.parse(line));
            if (!enough(events)) return;
            resolve(events);
            sent.destroy();
          });
          answer.on('error', () => {});
        },
      );
      sent.on('error', reject);
      sent.end();
    });
  }
  const isSynced = (events: any[]) =>
    events.some((each) => each.object.metadata?.annotations?.['k8s.io/initial-events-end'] === 'true');
  const WATCH_LIST = 'watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true';

  it('lists by a watch', async () => {
    await server.call('POST', `${NS}/configmaps`, { body: { metadata: { name: 'listed' } } });
    const events = await watch(`${NS}/configmaps?${WATCH_LIST}&timeoutSeconds=400`, `${PROTOBUF}, */*`, isSynced);
    expect(events.map((each) => each.type)).toEqual(['ADDED', 'BOOKMARK']);
    expect(events[0].object.metadata.name).toBe('listed');
    expect(Number(events[1].object.metadata.resourceVersion)).toBeGreaterThan(0);
  });

  const as = (type: string, kind: string) => `${type};as=${kind};g=meta.k8s.io;v=v1`;

  it('watches metadata alone', async () => {
    const accept = `${as(PROTOBUF, 'PartialObjectMetadata')},${as('application/json', 'PartialObjectMetadata')},application/json`;
    const [first] = await watch(`${NS}/configmaps?${WATCH_LIST}`, accept, isSynced);
    expect(first.object).toMatchObject({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1' });
    expect(first.object.data).toBeUndefined();
  });

  it.each([
    [TYPED, 'ConfigMapList'],
    [`${PROTOBUF}, */*`, 'ConfigMapList'],
    ['application/json, */*', 'ConfigMapList'],
    ['*/*', 'ConfigMapList'],
    [
      `${as(PROTOBUF, 'PartialObjectMetadataList')},${as('application/json', 'PartialObjectMetadataList')},application/json`,
      'PartialObjectMetadataList',
    ],
    [
      `${as('application/json', 'Table')},${as('application/json', 'Table').replace('v1', 'v1beta1')},application/json`,
      'Table',
    ],
  ])('accepting %s gets a %s', async (accept, kind) => {
    const answer = await server.call('GET', `${NS}/configmaps`, { headers: { accept } });
    expect([answer.code, answer.headers['content-type'], answer.body.kind]).toEqual([200, 'application/json', kind]);
  });

  it('writes events and leases', async () => {
    const now = new Date().toISOString().replace('Z', '000Z');
    const lease = {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name: 'kube-scheduler', namespace: 'kube-system' },
      spec: { holderIdentity: 'me', leaseDurationSeconds: 15, acquireTime: now, renewTime: now, leaseTransitions: 0 },
    };
    const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-system/leases';
    const made = await typed('POST', leases, 'coordination.v1.Lease', lease);
    expect([made.code, made.body.spec.renewTime]).toEqual([201, now]);
    const renewed = { ...lease, metadata: made.body.metadata };
    expect((await typed('PUT', `${leases}/kube-scheduler`, 'coordination.v1.Lease', renewed)).code).toBe(200);
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e.1', namespace: 'default' },
      involvedObject: { kind: 'Pod', namespace: 'default', name: 'p' },
      reason: 'Started',
      message: 'm',
      type: 'Normal',
      count: 1,
    };
    expect((await typed('POST', `${NS}/events`, 'core.v1.Event', event)).code).toBe(201);
    const patched = await server.call('PATCH', `${NS}/events/e.1`, {
      body: { count: 2 },
      type: 'application/strategic-merge-patch+json',
    });
    expect(patched.body.count).toBe(2);
  });
});

describe('controller-runtime', () => {
  it('discovers group by group', async () => {
    expect((await server.call('GET', '/api/v1')).body.kind).toBe('APIResourceList');
    const { body } = await server.call('GET', '/apis');
    for (const { preferredVersion } of body.groups) {
      const group = await server.call('GET', `/apis/${preferredVersion.groupVersion}`);
      expect([group.code, group.body.groupVersion]).toEqual([200, preferredVersion.groupVersion]);
    }
  });
});

describe('a browser', () => {
  it('watches over a WebSocket', async () => {
    const { WebSocket } = await import('ws');
    const { keyPem: key, certificatePem: cert } = server.pki.admin;
    const url = `wss://127.0.0.1:${server.port}${NS}/configmaps?watch=true&fieldSelector=metadata.name=listed`;
    const socket = new WebSocket(url, { ca: server.pki.caPem, key, cert });
    const seen = new Promise<{ type: string; text: boolean }>((resolve, reject) => {
      socket.on('message', (message: Buffer, isBinary: boolean) =>
        resolve({ type: JSON.parse(message.toString()).type, text: !isBinary }),
      );
      socket.on('error', reject);
    });
    expect(await seen).toEqual({ type: 'ADDED', text: true });
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.close();
    await closed;
    const refused = new WebSocket(`wss://127.0.0.1:${server.port}/api/v1/nosuch?watch=true`, {
      ca: server.pki.caPem,
      key,
      cert,
    });
    const answer = new Promise((resolve) =>
      refused.on('unexpected-response', (_sent, response) => resolve(response.statusCode)),
    );
    refused.on('error', () => {});
    expect(await answer).toBe(404);
    refused.terminate();
  });
});
