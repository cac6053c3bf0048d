// Rights and tokens that another server knows of: what is asked, what an answer means, and what stays out of it.
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { issueAuthority, issueCertificate } from './issue.ts';

let webhook: Server;
let server: TestServer;
const asked: { kind: string; spec: Record<string, any> }[] = [];

beforeAll(async () => {
  const nowMs = Date.now();
  const authority = await issueAuthority({ commonName: 'ca', days: 1, nowMs, serial: randomBytes(16) });
  const spec = { commonName: 'webhook', usage: 'server', sans: ['127.0.0.1'], days: 1 } as const;
  const serving = await issueCertificate(spec, authority, nowMs, randomBytes(16));
  webhook = createServer({ key: serving.keyPem, cert: serving.certificatePem }, (request, answer) => {
    let text = '';
    request.on('data', (chunk) => (text += chunk));
    request.on('end', () => {
      const review = JSON.parse(text);
      asked.push(review);
      if (review.spec.token === 'broken') return answer.writeHead(500).end();
      answer.end(JSON.stringify({ status: review.kind === 'TokenReview' ? token(review.spec) : right(review.spec) }));
    });
  });
  await new Promise<void>((resolve) => webhook.listen(0, '127.0.0.1', resolve));
  const config = {
    server: `https://127.0.0.1:${(webhook.address() as AddressInfo).port}/review`,
    caPem: authority.certificatePem,
  };
  server = await startTestServer({
    authorizationModes: ['Webhook', 'RBAC'],
    authorizationWebhook: config,
    authentication: { tokenWebhook: config },
  });
});
afterAll(async () => {
  await server.stop();
  webhook.closeAllConnections();
  await new Promise((resolve) => webhook.close(resolve));
});

const token = (spec: { token: string }) =>
  spec.token === 'good'
    ? { authenticated: true, user: { username: 'vera', groups: ['devs'] } }
    : { authenticated: false };
const right = ({ user, resourceAttributes: resource }: Record<string, any>) => ({
  allowed: user === 'vera' && resource?.resource === 'configmaps',
  ...(resource?.resource === 'secrets' && { denied: true, reason: 'no secrets today' }),
});

it('decides, denies for good, and leaves the rest to the next mode', async () => {
  const get = (path: string) => server.call('GET', path, { token: 'good' });
  expect((await get('/api/v1/namespaces/default/configmaps?labelSelector=a%3Db')).code).toBe(200);
  expect(asked.at(-1)).toMatchObject({
    kind: 'SubjectAccessReview',
    spec: {
      user: 'vera',
      groups: ['devs', 'system:authenticated'],
      resourceAttributes: {
        verb: 'list',
        resource: 'configmaps',
        namespace: 'default',
        labelSelector: { requirements: [{ key: 'a', operator: 'In', values: ['b'] }] },
      },
    },
  });
  const refused = await get('/api/v1/namespaces/default/secrets/x');
  expect(refused.body.message).toMatch(/cannot get resource "secrets" .*: no secrets today$/);
  const review = await server.call('POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews', {
    body: { spec: { user: 'x', resourceAttributes: { resource: 'secrets', verb: 'get' } } },
  });
  expect(review.body.status).toEqual({ allowed: false, denied: true, reason: 'no secrets today' });
  expect((await get('/version')).code).toBe(200);
  const before = asked.length;
  await get('/version');
  expect(asked).toHaveLength(before);
});

it('is not asked about system:masters, and a webhook that is broken lets nobody in', async () => {
  const before = asked.length;
  expect((await server.call('GET', '/api/v1/namespaces/default/secrets')).code).toBe(200);
  expect(asked).toHaveLength(before);
  for (const each of ['bad', 'broken']) {
    expect((await server.call('GET', '/version', { token: each })).code).toBe(401);
  }
});
