// Rights and tokens that another server knows of: what is asked, what an answer means, and what stays out of it.
import { randomBytes } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { parseAuthorizationConfig } from './authorization-config.ts';
import { issueAuthority, issueCertificate } from './issue.ts';
import type { ReviewWebhookConfig } from './review-webhook.ts';
import { compileConditions } from './webhook-conditions.ts';

let webhook: Server;
let server: TestServer;
let config: ReviewWebhookConfig;
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
  config = {
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

it('asks several webhooks in order, each only about what its conditions mean, and heeds what a failure is to mean', async () => {
  const { matchConditions: _none, ...rest } = {
    timeoutMs: 2000,
    allowedMs: 0,
    refusedMs: 0,
    failurePolicy: 'NoOpinion' as const,
    matchConditions: [],
  };
  const away = { server: 'https://127.0.0.1:1/away' };
  const expressions = [
    "'devs' in request.groups",
    'has(request.resourceAttributes) && request.resourceAttributes.resource != "nodes"',
  ];
  const hook = { ...rest, matchConditions: expressions };
  const several = await startTestServer({
    authorizers: [
      { type: 'Webhook', name: 'away', webhook: { ...hook, connection: away } },
      {
        type: 'Webhook',
        name: 'here',
        webhook: { ...hook, connection: config },
        matches: compileConditions(expressions),
      },
      // Fails for whoever has no such extra: a no, where others would have said yes.
      {
        type: 'Webhook',
        name: 'strict',
        webhook: { ...rest, failurePolicy: 'Deny', connection: away, matchConditions: [] },
        matches: compileConditions(['request.resourceAttributes.name != "x" || request.extra["team"][0] == "a"']),
      },
      { type: 'RBAC', name: 'rbac' },
    ],
    authentication: { tokenWebhook: config },
  });
  try {
    const get = (path: string) => several.call('GET', path, { token: 'good' });
    expect((await get('/api/v1/namespaces/default/configmaps')).code).toBe(200);
    const before = asked.length;
    expect((await get('/api/v1/nodes')).code).toBe(403);
    expect(asked).toHaveLength(before);
    // Everybody may by RBAC, but for the one whose conditions cannot be told.
    expect((await get('/version')).code).toBe(403);
    expect((await several.call('GET', '/version')).code).toBe(200);
  } finally {
    await several.stop();
  }
});

const HEAD = 'apiVersion: apiserver.config.k8s.io/v1\nkind: AuthorizationConfiguration\nauthorizers:\n';
const WEBHOOK = `type: Webhook, name: w, webhook: {timeout: 3s, authorizedTTL: 1m, unauthorizedTTL: 10s, subjectAccessReviewVersion: v1, matchConditionSubjectAccessReviewVersion: v1, failurePolicy: Deny, connectionInfo: {type: KubeConfigFile, kubeConfigFile: /etc/w}, matchConditions: [{expression: "true"}]}`;
const parse = (...entries: string[]) =>
  parseAuthorizationConfig(HEAD + entries.map((each) => `- {${each}}\n`).join(''), (file) => ({
    server: `https://${file}`,
  }));

it('reads an AuthorizationConfiguration', () => {
  expect(parse('type: Node, name: node', WEBHOOK, WEBHOOK.replace('name: w', 'name: v'))).toMatchObject([
    { type: 'Node', name: 'node' },
    {
      type: 'Webhook',
      name: 'w',
      webhook: {
        connection: { server: 'https:///etc/w' },
        timeoutMs: 3000,
        allowedMs: 60_000,
        refusedMs: 10_000,
        failurePolicy: 'Deny',
        matchConditions: ['true'],
      },
    },
    { type: 'Webhook', name: 'v' },
  ]);
});

it.each([
  ['type: ABAC, name: a', /authorizers\[0\].type: Unsupported value: "ABAC"/],
  ['type: Node', /authorizers\[0\].name: Required value/],
  ['type: Node, name: "A!"', /authorizers\[0\].name: Invalid value/],
  ['type: Node, name: a, webhook: {}', /webhook: Invalid value: "non-null": may only be specified when type=Webhook/],
  ['type: Webhook, name: a', /webhook: Required value: required when type=Webhook/],
  [WEBHOOK.replace('3s', '31s'), /webhook.timeout: Invalid value: "31s": must be <= 30s/],
  [WEBHOOK.replace('timeout: 3s, ', ''), /webhook.timeout: Required value/],
  [WEBHOOK.replace('failurePolicy: Deny', 'failurePolicy: Ignore'), /failurePolicy: Unsupported value: "Ignore"/],
  [WEBHOOK.replace('/etc/w', 'w'), /kubeConfigFile: Invalid value: "w": must be an absolute path/],
  [WEBHOOK.replace('timeout: 3s', 'timeout: 3s, retries: 2'), /unknown field "retries"/],
])('refuses %s', (entry, problem) => expect(() => parse(entry)).toThrow(problem));

it('refuses conditions that do not compile', () => {
  expect(() => compileConditions(['request.nobody == 1'])).toThrow(
    /matchConditions\[0\].expression: .*compilation failed/,
  );
  expect(() => parse('type: RBAC, name: a', 'type: RBAC, name: b')).toThrow(
    /authorizers\[1\].type: Duplicate value: "RBAC"/,
  );
});
