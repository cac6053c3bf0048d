// What an AdmissionConfiguration makes of a server: resources that a quota must cover, limits of events, credentials for webhooks.
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { ensureNodePki } from '../auth/pki.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { credentialsByServer } from '../webhooks/credentials.ts';

let server: TestServer;
const NS = '/api/v1/namespaces/default';
const high = { scopeName: 'PriorityClass', operator: 'In', values: ['high', 'higher'] };
const post = (path: string, body: object, as?: string) =>
  server.call('POST', path, {
    body,
    ...(as && { headers: { 'impersonate-user': as, 'impersonate-group': 'system:masters' } }),
  });

beforeAll(async () => {
  server = await startTestServer({
    admissionPlugins: {
      enable: ['EventRateLimit'],
      limitedResources: [
        { group: '', resource: 'pods', matchContains: ['requests.cpu'], matchScopes: [high] },
        { group: 'apps', resource: 'deployments', matchContains: ['count/'], matchScopes: [] },
      ],
      eventLimits: [
        { type: 'User', qps: 1, burst: 3, cacheSize: 0 },
        { type: 'SourceAndObject', qps: 1, burst: 2, cacheSize: 0 },
      ],
      webhookCredentials: {
        validating: credentialsByServer(new Map([['*', { token: 'server-token' }]]), undefined),
      },
    },
  });
  await post(`${NS}/serviceaccounts`, { metadata: { name: 'default' } });
  await post('/apis/scheduling.k8s.io/v1/priorityclasses', { metadata: { name: 'high' }, value: 5 });
});
afterAll(() => server.stop());

async function quota(name: string, hard: Record<string, string>, spec: object = {}): Promise<void> {
  await post(`${NS}/resourcequotas`, { metadata: { name }, spec: { hard, ...spec } });
  const used = Object.fromEntries(Object.keys(hard).map((each) => [each, '0']));
  await server.call('PATCH', `${NS}/resourcequotas/${name}/status`, {
    body: { status: { hard, used } },
    type: 'application/merge-patch+json',
  });
}

describe('what is limited by default', () => {
  const pod = (name: string, spec: object, resources?: object) => ({
    metadata: { name },
    spec: { containers: [{ name: 'c', image: 'i', ...(resources && { resources }) }], ...spec },
  });
  const cpu = { requests: { cpu: '1' } };

  it('is had only where a quota covers it', async () => {
    expect((await post(`${NS}/pods`, pod('free', {}))).code).toBe(201);
    const refused = await post(`${NS}/pods`, pod('p', {}, cpu));
    expect([refused.code, refused.body.reason, refused.body.message]).toEqual([
      403,
      'Forbidden',
      'pods "p" is forbidden: insufficient quota to consume: requests.cpu',
    ]);
    await quota('other', { pods: '5' });
    expect((await post(`${NS}/pods`, pod('p', {}, cpu))).body.message).toContain('consume: requests.cpu');
    await quota('cpu', { 'requests.cpu': '1' });
    expect((await post(`${NS}/pods`, pod('p', {}, cpu))).code).toBe(201);
    expect((await post(`${NS}/pods`, pod('q', {}, cpu))).body.message).toContain('exceeded quota: cpu');
    const used = (await server.call('GET', `${NS}/resourcequotas/cpu`)).body.status.used;
    expect(used).toEqual({ 'requests.cpu': '1' });
    await server.call('DELETE', `${NS}/resourcequotas/cpu`);
  });

  it('by scope too', async () => {
    const important = pod('important', { priorityClassName: 'high' });
    expect((await post(`${NS}/pods`, important)).body.message).toBe(
      'pods "important" is forbidden: insufficient quota to match these scopes: [{PriorityClass In [high higher]}]',
    );
    await quota('high', { pods: '1' }, { scopeSelector: { matchExpressions: [{ ...high, values: ['high'] }] } });
    expect((await post(`${NS}/pods`, important)).code).toBe(201);
  });

  it('of other kinds by their count', async () => {
    const labels = { a: 'b' };
    const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    const body = { metadata: { name: 'd' }, spec: { selector: { matchLabels: labels }, template } };
    const path = '/apis/apps/v1/namespaces/default/deployments';
    expect((await post(path, body)).body.message).toBe(
      'deployments.apps "d" is forbidden: insufficient quota to consume: count/deployments.apps',
    );
    await quota('deployments', { 'count/deployments.apps': '1' });
    expect((await post(path, body)).code).toBe(201);
  });
});

it('events are limited by who sends them, and by what about', async () => {
  const event = (name: string, about: string) => ({
    metadata: { name },
    involvedObject: { kind: 'Pod', namespace: 'default', name: about },
    source: { component: 'test' },
    reason: 'R',
    message: 'm',
    type: 'Normal',
  });
  const send = (name: string, about: string, as: string) => post(`${NS}/events`, event(name, about), as);
  expect((await send('a1', 'a', 'ann')).code).toBe(201);
  expect((await send('a2', 'a', 'bob')).code).toBe(201);
  const twice = await send('a3', 'a', 'bob');
  expect([twice.code, twice.body.reason, twice.body.message]).toEqual([
    429,
    'TooManyRequests',
    'limit reached on type SourceAndObject for key testPoddefaulta',
  ]);
  expect((await send('b1', 'b', 'bob')).code).toBe(201);
  expect((await send('c1', 'c', 'bob')).body.message).toBe('limit reached on type User for key bob');
  expect((await send('c2', 'c', 'ann')).code).toBe(201);
});

it('does not start without a limit for events', async () => {
  await expect(startTestServer({ admissionPlugins: { enable: ['EventRateLimit'] } })).rejects.toThrow(
    'EventRateLimit: limits: Invalid value: null: must not be empty',
  );
});

describe('a webhook', () => {
  let hooks: Server;
  afterAll(async () => {
    hooks.closeAllConnections();
    await new Promise((resolve) => hooks.close(resolve));
  });

  it('is shown who asks', async () => {
    const { serving } = await ensureNodePki(join(server.dir, 'pki'), 'hook', {
      clock: systemClock,
      sans: ['127.0.0.1'],
    });
    const seen: (string | undefined)[] = [];
    hooks = createServer({ key: serving.keyPem, cert: serving.certificatePem }, (asked, response) => {
      seen.push(`${asked.url?.split('?')[0]} ${asked.headers.authorization}`);
      const chunks: Buffer[] = [];
      asked.on('data', (chunk: Buffer) => chunks.push(chunk));
      asked.on('end', () => {
        const review = JSON.parse(Buffer.concat(chunks).toString('utf8'));
        response.end(JSON.stringify({ ...review, response: { uid: review.request.uid, allowed: true } }));
      });
    });
    await new Promise<void>((resolve) => hooks.listen(0, '127.0.0.1', resolve));
    const { port } = hooks.address() as AddressInfo;
    const caBundle = Buffer.from(server.pki.caPem).toString('base64');
    for (const type of ['mutating', 'validating']) {
      const made = await post(`/apis/admissionregistration.k8s.io/v1/${type}webhookconfigurations`, {
        metadata: { name: type },
        webhooks: [
          {
            name: 'a.example.com',
            clientConfig: { url: `https://127.0.0.1:${port}/${type}`, caBundle },
            rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['configmaps'] }],
            sideEffects: 'None',
            admissionReviewVersions: ['v1'],
          },
        ],
      });
      expect(made.code).toBe(201);
    }
    expect((await post(`${NS}/configmaps`, { metadata: { name: 'a' } })).code).toBe(201);
    expect(seen).toEqual(['/mutating undefined', '/validating Bearer server-token']);
  });
});
