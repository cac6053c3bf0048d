import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { FakeClock, systemClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { MetricsRegistry } from '../../lib/metrics.ts';
import { parseRequest } from '../http/request-info.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { createAuditMetrics } from './auditor.ts';
import { batchBackend } from './backends.ts';
import { LogFile } from './log-file.ts';
import { parsePolicy } from './policy.ts';
import type { AuditEvent } from './record.ts';
import { sendEvents } from './webhook.ts';

const policy = (rules: string, more = '') =>
  parsePolicy(`apiVersion: audit.k8s.io/v1\nkind: Policy\n${more}\nrules:\n${rules}`);

describe('policy', () => {
  const rules = policy(`
- {level: None, users: [system:kube-proxy], verbs: [watch], resources: [{group: "", resources: [endpoints, services/status]}]}
- {level: None, userGroups: [system:authenticated], nonResourceURLs: ["/api*", /version]}
- {level: Request, resources: [{group: "", resources: [configmaps], resourceNames: [x]}], namespaces: [kube-system]}
- {level: Metadata, resources: [{group: "", resources: [secrets, configmaps]}], omitStages: [RequestReceived]}
- {level: RequestResponse, resources: [{group: apps, resources: ["deployments/*", "*/scale"]}]}
- {level: Metadata, resources: [{group: batch}], omitManagedFields: true}
- {level: None, resources: [{group: ""}]}
- {level: Metadata, verbs: [get]}`);
  const user = (name: string) => ({ name, groups: ['system:authenticated'] });
  it.each([
    ['system:kube-proxy', 'GET', '/api/v1/endpoints?watch=1', 'None'],
    ['x', 'GET', '/version', 'None'],
    ['x', 'GET', '/apis/apps/v1', 'None'],
    ['x', 'GET', '/healthz', 'Metadata'],
    ['x', 'PUT', '/api/v1/namespaces/kube-system/configmaps/x', 'Request'],
    ['x', 'PUT', '/api/v1/namespaces/kube-system/configmaps/y', 'Metadata'],
    ['x', 'PUT', '/api/v1/namespaces/a/configmaps/x', 'Metadata'],
    ['x', 'PUT', '/apis/apps/v1/namespaces/a/deployments/x', 'RequestResponse'],
    ['x', 'PUT', '/apis/apps/v1/namespaces/a/replicasets/x/scale', 'RequestResponse'],
    ['x', 'PUT', '/apis/apps/v1/namespaces/a/replicasets/x', 'None'],
    ['x', 'POST', '/apis/batch/v1/namespaces/a/jobs', 'Metadata'],
    ['x', 'GET', '/api/v1/pods', 'None'],
  ])('%s %s %s: %s', (who, method, url, level) => {
    expect(rules.evaluate(user(who), parseRequest(method, url)).level).toBe(level);
  });
  it.each([
    ['- {level: Everything}', 'rules[0].level: Unsupported value: "Everything"'],
    ['- {level: None, user: [a]}', 'unknown field "rules[0].user"'],
    ['- {level: None, nonResourceURLs: ["/a/*/b"]}', 'rules[0].nonResourceURLs: "/a/*/b" must be a path'],
    ['- {level: None, resources: [{group: "", resourceNames: [a]}]}', 'requires at least one resource'],
    ['- {level: None, omitStages: [Later]}', 'rules[0].omitStages: Unsupported value: "Later"'],
    ['  []', 'rules: must have at least one rule'],
  ])('refuses %s', (text, message) => {
    expect(() => policy(text)).toThrow(message);
  });
});

describe('a server that audits', () => {
  let server: TestServer;
  afterEach(() => server.stop());

  async function start(rules: string, more = '') {
    const events: any[] = [];
    server = await startTestServer({
      audit: {
        policy: policy(rules, more),
        backends: () => [
          { name: 'test', write: (event) => events.push(JSON.parse(event.json)), close: async () => {} },
        ],
      },
    });
    return events;
  }

  it('tells who did what, with upstream’s fields', async () => {
    const events = await start(
      '- {level: RequestResponse, resources: [{group: "", resources: [configmaps]}]}\n- {level: None}',
    );
    const path = '/api/v1/namespaces/default/configmaps';
    const made = await server.call('POST', `${path}?fieldManager=me`, {
      body: { metadata: { name: 'a' }, data: { k: 'v' } },
      headers: { 'user-agent': 'tester/1', 'audit-id': 'my-id', 'x-forwarded-for': '198.51.100.7, nonsense' },
    });
    expect(made.code).toBe(201);
    expect(events.map((each) => each.stage)).toEqual(['RequestReceived', 'ResponseComplete']);
    const stamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/;
    expect(events[1]).toEqual({
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'RequestResponse',
      auditID: 'my-id',
      stage: 'ResponseComplete',
      requestURI: `${path}?fieldManager=me`,
      verb: 'create',
      user: expect.objectContaining({
        username: 'kubernetes-admin',
        groups: ['system:masters', 'system:authenticated'],
      }),
      sourceIPs: ['198.51.100.7', '127.0.0.1'],
      userAgent: 'tester/1',
      objectRef: { resource: 'configmaps', namespace: 'default', name: 'a', apiVersion: 'v1' },
      responseStatus: { metadata: {}, code: 201 },
      requestObject: expect.objectContaining({ data: { k: 'v' } }),
      responseObject: expect.objectContaining({ kind: 'ConfigMap', data: { k: 'v' } }),
      requestReceivedTimestamp: expect.stringMatching(stamp),
      stageTimestamp: expect.stringMatching(stamp),
      annotations: { 'authorization.k8s.io/decision': 'allow', 'authorization.k8s.io/reason': expect.any(String) },
    });
    expect(events[1].responseObject.metadata.uid).toBe(made.body.metadata.uid);
  });

  it('tells refusals, impersonation, patches and the stages of a watch', async () => {
    const events = await start('- {level: Request}', 'omitStages: [RequestReceived]');
    await server.call('GET', '/api/v1/pods', { headers: { 'impersonate-user': 'jane' } });
    expect(events.at(-1)).toMatchObject({
      user: { username: 'kubernetes-admin' },
      impersonatedUser: { username: 'jane', groups: ['system:authenticated'] },
      annotations: { 'authorization.k8s.io/decision': 'forbid' },
      responseStatus: { status: 'Failure', reason: 'Forbidden', code: 403 },
    });
    await server.call('GET', '/api/v1/pods', { token: 'wrong' });
    expect(events.at(-1)).toMatchObject({ user: {}, responseStatus: { reason: 'Unauthorized', code: 401 } });
    const patch = { metadata: { labels: { a: 'b' } } };
    await server.call('PATCH', '/api/v1/namespaces/default', { body: patch, type: 'application/merge-patch+json' });
    expect(events.at(-1)).toMatchObject({ verb: 'patch', requestObject: patch, responseStatus: { code: 200 } });
    expect(events.at(-1)).not.toHaveProperty('responseObject');
    events.length = 0;
    await server.call('GET', '/api/v1/pods?watch=1&resourceVersion=0&timeoutSeconds=1');
    expect(events.map((each) => [each.verb, each.stage])).toEqual([
      ['watch', 'ResponseStarted'],
      ['watch', 'ResponseComplete'],
    ]);
    const metrics = await server.call('GET', '/metrics');
    expect(metrics.text).toMatch(/^apiserver_audit_level_total\{level="Request"\} 5$/m);
    expect(metrics.text).toMatch(/^apiserver_audit_event_total 5$/m);
  });

  it('holds no part of a Secret at level Metadata, and no managed fields where they are not wanted', async () => {
    const events = await start(
      '- {level: Metadata, resources: [{group: "", resources: [secrets]}]}\n- {level: RequestResponse, omitManagedFields: true}',
    );
    const body = { metadata: { name: 'db' }, stringData: { password: 'hunter2' } };
    await server.call('POST', '/api/v1/namespaces/default/secrets', { body });
    await server.call('GET', '/api/v1/namespaces/default/secrets');
    expect(events).toHaveLength(4);
    expect(JSON.stringify(events)).not.toContain('hunter2');
    expect(JSON.stringify(events)).not.toContain(Buffer.from('hunter2').toString('base64'));
    expect(events[1].objectRef.name).toBe('db');
    await server.call('GET', '/apis/rbac.authorization.k8s.io/v1/clusterroles');
    expect(events.at(-1).responseObject.items.length).toBeGreaterThan(10);
    expect(JSON.stringify(events.at(-1))).not.toContain('managedFields');
  });
});

describe('log file', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sampan-audit-'));
  afterAll(() => rmSync(dir, { recursive: true, force: true }));
  it('is set aside when full, old ones go by number and age, strangers stay', async () => {
    const clock = new FakeClock(Date.UTC(2026, 0, 1, 12));
    const path = join(dir, 'log', 'audit.log');
    const file = new LogFile({ path, maxBytes: 100, maxAgeDays: 1, maxBackups: 2, clock });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const names = () => readdirSync(join(dir, 'log')).sort();
    for (let i = 0; i < 5; i++) {
      file.write(`${'x'.repeat(59)}\n`);
      await clock.advance(1000);
    }
    expect(names()).toEqual(['audit-2026-01-01T12-00-03.000.log', 'audit-2026-01-01T12-00-04.000.log', 'audit.log']);
    await clock.advance(2 * 86_400_000);
    file.write(`${'x'.repeat(59)}\n`);
    expect(names()).toEqual(['audit-2026-01-03T12-00-05.000.log', 'audit.log']);
    file.close();
    expect(readFileSync(path, 'utf8')).toHaveLength(60);
  });
});

const event = (n: number): AuditEvent => ({ level: 'Metadata', stage: 'ResponseComplete', json: `{"n":${n}}` });

describe('batches', () => {
  it('leave when they are full or old, and count what they drop', async () => {
    const clock = new FakeClock();
    const registry = new MetricsRegistry();
    const sent: string[] = [];
    let release = () => {};
    const backend = batchBackend({
      name: 'webhook',
      bufferSize: 5,
      maxBatchSize: 3,
      maxWaitMs: 1000,
      closeMs: 1000,
      clock,
      metrics: createAuditMetrics(registry),
      log: silentLogger,
      send: (events) => {
        sent.push(events.map((each) => each.json).join(''));
        return new Promise((resolve) => (release = resolve));
      },
    });
    for (let n = 0; n < 12; n++) backend.write(event(n));
    expect(sent).toEqual(['{"n":0}{"n":1}{"n":2}']);
    release();
    await clock.advance(0);
    release();
    await clock.advance(0);
    expect(sent).toHaveLength(2);
    await clock.advance(1000);
    expect(sent[2]).toBe('{"n":6}{"n":7}');
    expect(registry.render()).toContain('apiserver_audit_error_total{plugin="buffered"} 4\n');
    release();
    await backend.close();
  });

  it('are sent again until the webhook takes them', async () => {
    const bodies: any[] = [];
    const codes = [500, 429, 200];
    const hook = createServer((request, response) => {
      let text = '';
      request.on('data', (chunk) => (text += chunk));
      request.on('end', () => {
        bodies.push(JSON.parse(text));
        response.writeHead(codes[bodies.length - 1] ?? 400).end();
      });
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`;
    const options = { url, initialBackoffMs: 1, clock: systemClock, signal: new AbortController().signal };
    await sendEvents(options, [event(1), event(2)]);
    expect(bodies).toHaveLength(3);
    expect(bodies[2]).toEqual({
      kind: 'EventList',
      apiVersion: 'audit.k8s.io/v1',
      metadata: {},
      items: [{ n: 1 }, { n: 2 }],
    });
    await expect(sendEvents(options, [event(3)])).rejects.toThrow('answered 400');
    expect(bodies).toHaveLength(4);
    await new Promise((resolve) => hook.close(resolve));
  });
});
