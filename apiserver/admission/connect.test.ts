// Connections (exec, attach, portforward, proxy) as webhooks and policies see them, and what admission notes in the audit log.
import { createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { parsePolicy } from '../audit/policy.ts';
import { ensureNodePki } from '../auth/pki.ts';
import { type Answer, startTestServer, type TestServer } from '../testing/server.ts';

const GROUP = '/apis/admissionregistration.k8s.io/v1';
const NS = '/api/v1/namespaces/default';
const MAPS = `${NS}/configmaps`;
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

let server: TestServer;
let hooks: Server;
let port = 0;
let installed: string[] = [];
/** Requests that the webhook was asked, and its next answer. */
let seen: any[] = [];
let answer: Record<string, unknown> | undefined;
const events: any[] = [];

beforeAll(async () => {
  const policy = parsePolicy(
    'apiVersion: audit.k8s.io/v1\nkind: Policy\nomitStages: [RequestReceived]\nrules:\n' +
      '- {level: Metadata, namespaces: [default], resources: [{group: "", resources: [secrets]}]}\n' +
      '- {level: Request, namespaces: [default], verbs: [create, get]}\n- {level: None}\n',
  );
  const backend = { name: 'test', write: (event: any) => events.push(JSON.parse(event.json)), close: async () => {} };
  server = await startTestServer({ audit: { policy, backends: () => [backend] } });
  const sans = ['127.0.0.1'];
  const { serving } = await ensureNodePki(join(server.dir, 'pki'), 'hook', { clock: systemClock, sans });
  hooks = createServer({ key: serving.keyPem, cert: serving.certificatePem }, (asked, response) => {
    const chunks: Buffer[] = [];
    asked.on('data', (chunk: Buffer) => chunks.push(chunk));
    asked.on('end', () => {
      const review = JSON.parse(Buffer.concat(chunks).toString('utf8'));
      seen.push(review.request);
      response.writeHead(answer ? 200 : 500);
      response.end(JSON.stringify({ ...review, response: { uid: review.request.uid, ...answer } }));
    });
  });
  await new Promise<void>((resolve) => hooks.listen(0, '127.0.0.1', resolve));
  port = (hooks.address() as AddressInfo).port;
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
  const pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  expect((await server.call('POST', `${NS}/pods`, { body: pod })).code).toBe(201);
});
afterEach(async () => {
  for (const path of installed.reverse()) await server.call('DELETE', path);
  installed = [];
  seen = [];
  events.length = 0;
});
afterAll(async () => {
  hooks.closeAllConnections();
  await new Promise((resolve) => hooks.close(resolve));
  await server.stop();
});

async function install(path: string, body: object): Promise<void> {
  const made = await server.call('POST', path, { body });
  expect([made.code, made.text]).toEqual([201, expect.any(String)]);
  installed.push(`${path}/${made.body.metadata.name}`);
}

const rule = (operations: string[], resources: string[]) => ({
  operations,
  apiGroups: [''],
  apiVersions: ['v1'],
  resources,
});

function webhook(type: 'mutating' | 'validating', name: string, rules: object, more: object = {}) {
  const clientConfig = {
    url: `https://127.0.0.1:${port}/`,
    caBundle: Buffer.from(server.pki.caPem).toString('base64'),
  };
  const common = { sideEffects: 'None', admissionReviewVersions: ['v1'], clientConfig, rules: [rules] };
  return install(`${GROUP}/${type}webhookconfigurations`, {
    metadata: { name },
    webhooks: [{ name: `${name}.example.com`, ...common, ...more }],
  });
}

async function policy(name: string, rules: object, spec: object, binding: object = {}) {
  await install(`${GROUP}/validatingadmissionpolicies`, {
    metadata: { name },
    spec: { matchConstraints: { resourceRules: [rules] }, ...spec },
  });
  await install(`${GROUP}/validatingadmissionpolicybindings`, {
    metadata: { name },
    spec: { policyName: name, validationActions: ['Deny'], ...binding },
  });
}

/** A request that asks for an upgrade and is told no. */
function upgrade(path: string): Promise<{ code: number; body: any }> {
  const { keyPem: key, certificatePem: cert } = server.pki.admin;
  return new Promise((resolve, reject) => {
    const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1' };
    const options = { host: '127.0.0.1', port: server.port, path, method: 'POST', headers, agent: false as const };
    const sent = request({ ...options, key, cert, ca: server.pki.caPem }, (got) => {
      const chunks: Buffer[] = [];
      got.on('data', (chunk: Buffer) => chunks.push(chunk));
      got.on('end', () => resolve({ code: got.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) }));
    });
    sent.on('upgrade', (_got, socket) => {
      socket.destroy();
      reject(new Error('upgraded'));
    });
    sent.on('error', reject);
    sent.end();
  });
}

const when = async <T>(ask: () => Promise<T>, isWanted: (got: T) => boolean): Promise<T> => {
  let got: T | undefined;
  await expect.poll(async () => isWanted((got = await ask())), { timeout: 5000, interval: 5 }).toBe(true);
  return got as T;
};

describe('a connection', () => {
  const cases: [string, string, string, object][] = [
    [
      'exec',
      'pods',
      '/pods/p/exec?command=sh&command=-c&stdin=true&stdout=1&container=c',
      { kind: 'PodExecOptions', command: ['sh', '-c'], stdin: true, stdout: true, container: 'c' },
    ],
    ['attach', 'pods', '/pods/p/attach?stdout=true&tty=true', { kind: 'PodAttachOptions', stdout: true, tty: true }],
    ['portforward', 'pods', '/pods/p/portforward?ports=80,81', { kind: 'PodPortForwardOptions', ports: [80, 81] }],
    ['proxy', 'pods', '/pods/p/proxy/a/b/?x=y', { kind: 'PodProxyOptions', path: '/a/b/' }],
    ['proxy', 'services', '/services/s:web/proxy/a', { kind: 'ServiceProxyOptions', path: '/a' }],
  ];
  it.each(cases)(
    '%s of %s is told a webhook as what it is, which may refuse it',
    async (verb, resource, path, object) => {
      answer = { allowed: false, status: { code: 403, reason: 'Forbidden', message: 'no shells here' } };
      await webhook('validating', 'connect', rule(['CONNECT'], [`${resource}/${verb}`]));
      const refused = await upgrade(NS + path);
      expect(refused).toMatchObject({
        code: 403,
        body: {
          kind: 'Status',
          reason: 'Forbidden',
          message: 'admission webhook "connect.example.com" denied the request: no shells here',
        },
      });
      const kind = (object as { kind: string }).kind;
      expect(seen[0]).toMatchObject({
        operation: 'CONNECT',
        kind: { group: '', version: 'v1', kind },
        resource: { group: '', version: 'v1', resource },
        subResource: verb,
        requestKind: { group: '', version: 'v1', kind },
        requestSubResource: verb,
        namespace: 'default',
        userInfo: { username: 'kubernetes-admin' },
        object: { apiVersion: 'v1', ...object },
        oldObject: null,
        options: null,
        dryRun: false,
      });
    },
  );

  it('is judged by a policy, by what it asks for', async () => {
    const validations = [
      {
        expression:
          "request.operation != 'CONNECT' || object.container == 'c' || !(object.command[0] in ['sh', 'bash'])",
        messageExpression: "'no ' + object.command[0] + ' in ' + request.name",
        reason: 'Forbidden',
      },
    ];
    await policy('shells', rule(['CONNECT'], ['pods/exec']), { validations });
    const refused = await when(
      () => upgrade(`${NS}/pods/p/exec?command=sh&stdout=true&container=x`),
      ({ code }) => code === 403,
    );
    expect(refused.body).toMatchObject({
      reason: 'Forbidden',
      message: `pods "p" is forbidden: ValidatingAdmissionPolicy 'shells' with binding 'shells' denied request: no sh in p`,
    });
    // It gets as far as the pod, which has no node.
    const passed = await upgrade(`${NS}/pods/p/exec?command=ls&stdout=true&container=x`);
    expect(passed.body.message).not.toContain('ValidatingAdmissionPolicy');
  });
});

describe('params that are custom resources', () => {
  const crd = (plural: string, kind: string, scope: string) => ({
    metadata: { name: `${plural}.example.com` },
    spec: {
      group: 'example.com',
      scope,
      names: { plural, singular: kind.toLowerCase(), kind, listKind: `${kind}List` },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: { spec: { type: 'object', properties: { max: { type: 'integer' } } } },
            },
          },
        },
      ],
    },
  });
  const secret = (name: string) => ({ metadata: { name } });
  const secrets = `${NS}/secrets`;
  const attempt = (name: string): Promise<Answer> =>
    server.call('POST', `${secrets}?dryRun=All`, { body: secret(name) });
  const spec = (kind: string) => ({
    paramKind: { apiVersion: 'example.com/v1', kind },
    validations: [
      {
        expression: 'object.metadata.name.size() <= params.spec.max',
        messageExpression: "'longer than ' + string(params.spec.max)",
      },
    ],
  });

  it('are found by name once their definition is there, which may be after the policy', async () => {
    await policy('limited', rule(['CREATE'], ['secrets']), spec('Limit'), {
      paramRef: { name: 'short', parameterNotFoundAction: 'Deny' },
    });
    const unknown = await when(
      () => attempt('abc'),
      ({ code }) => code === 422,
    );
    expect(unknown.body.message).toContain(
      'failed to configure binding: paramKind kind `example.com/v1, Kind=Limit` not known',
    );
    await install(CRDS, crd('limits', 'Limit', 'Namespaced'));
    const missing = await when(
      () => attempt('abc'),
      ({ text }) => !text.includes('not known'),
    );
    expect(missing.body.message).toContain('no params found for policy binding with `Deny` parameterNotFoundAction');
    const limits = '/apis/example.com/v1/namespaces/default/limits';
    const body = { apiVersion: 'example.com/v1', kind: 'Limit', metadata: { name: 'short' }, spec: { max: 2 } };
    await when(
      () => server.call('POST', limits, { body }),
      ({ code }) => code === 201,
    );
    const refused = await when(
      () => attempt('abc'),
      ({ text }) => text.includes('longer'),
    );
    expect(refused.body.message).toContain('denied request: longer than 2');
    expect((await attempt('ab')).code).toBe(201);
  });

  it('are chosen by labels, in a namespace that the binding names; without any, Allow lets pass', async () => {
    await install(CRDS, crd('bounds', 'Bound', 'Namespaced'));
    await policy('bounded', rule(['CREATE'], ['secrets']), spec('Bound'), {
      paramRef: {
        namespace: 'kube-public',
        selector: { matchLabels: { use: 'yes' } },
        parameterNotFoundAction: 'Allow',
      },
    });
    const bounds = '/apis/example.com/v1/namespaces/kube-public/bounds';
    const bound = (name: string, max: number, labels: object) => ({
      apiVersion: 'example.com/v1',
      kind: 'Bound',
      metadata: { name, labels },
      spec: { max },
    });
    await when(
      () => server.call('POST', bounds, { body: bound('other', 0, { use: 'no' }) }),
      ({ code }) => code === 201,
    );
    expect(
      (
        await when(
          () => attempt('abcd'),
          ({ code }) => code === 201,
        )
      ).code,
    ).toBe(201);
    await server.call('POST', bounds, { body: bound('three', 3, { use: 'yes' }) });
    const refused = await when(
      () => attempt('abcd'),
      ({ code }) => code === 422,
    );
    expect(refused.body.message).toContain('longer than 3');
    expect((await attempt('abc')).code).toBe(201);
  });

  it('tell a mutating policy what to put in', async () => {
    await install(CRDS, crd('marks', 'Mark', 'Cluster'));
    const body = { apiVersion: 'example.com/v1', kind: 'Mark', metadata: { name: 'm' }, spec: { max: 7 } };
    await when(
      () => server.call('POST', '/apis/example.com/v1/marks', { body }),
      ({ code }) => code === 201,
    );
    const expression = 'Object{metadata: Object.metadata{labels: {"max": string(params.spec.max)}}}';
    await install(`${GROUP}/mutatingadmissionpolicies`, {
      metadata: { name: 'marked' },
      spec: {
        matchConstraints: { resourceRules: [rule(['CREATE'], ['secrets'])] },
        paramKind: { apiVersion: 'example.com/v1', kind: 'Mark' },
        reinvocationPolicy: 'Never',
        failurePolicy: 'Fail',
        mutations: [{ patchType: 'ApplyConfiguration', applyConfiguration: { expression } }],
      },
    });
    await install(`${GROUP}/mutatingadmissionpolicybindings`, {
      metadata: { name: 'marked' },
      spec: { policyName: 'marked', paramRef: { name: 'm', parameterNotFoundAction: 'Deny' } },
    });
    const made = await when(
      () => attempt('abc'),
      ({ body: { metadata } }) => metadata.labels !== undefined,
    );
    expect(made.body.metadata.labels).toEqual({ max: '7' });
  });
});

describe('the audit log', () => {
  const body = (name: string) => ({ metadata: { name, labels: { a: 'b' } } });
  const create = (name: string, path = MAPS) => server.call('POST', `${path}?dryRun=All`, { body: body(name) });
  const annotations = () => {
    const {
      'authorization.k8s.io/decision': _d,
      'authorization.k8s.io/reason': _r,
      ...rest
    } = events.at(-1).annotations;
    return rest;
  };

  it('has what policies note, and what fails where the action is Audit; Warn is told the client', async () => {
    const spec = {
      auditAnnotations: [{ key: 'who', valueExpression: "'made by ' + request.userInfo.username" }],
      validations: [
        { expression: "object.metadata.name == 'fine'", message: 'not fine' },
        { expression: "object.metadata.name == 'fine'", message: 'not fine either' },
      ],
    };
    await policy('watching', rule(['CREATE'], ['configmaps']), spec, { validationActions: ['Warn', 'Audit'] });
    const made = await when(
      () => create('bad'),
      ({ headers }) => headers.warning !== undefined,
    );
    expect(made.code).toBe(201);
    const text = `Validation failed for ValidatingAdmissionPolicy 'watching' with binding 'watching': not fine`;
    expect(made.headers.warning).toBe(`299 - "${text}", 299 - "${text} either"`);
    const { 'validation.policy.admission.k8s.io/validation_failure': failure, ...rest } = annotations();
    expect(rest).toEqual({ 'watching/who': 'made by kubernetes-admin' });
    // An annotation is never overwritten: the first failure stands.
    expect(JSON.parse(failure)).toEqual([
      {
        message: 'not fine',
        policy: 'watching',
        binding: 'watching',
        expressionIndex: 0,
        validationActions: ['Warn', 'Audit'],
      },
    ]);
  });

  it('has what webhooks note and change, with the place they have among all', async () => {
    const patch = [{ op: 'add', path: '/metadata/labels/c', value: 'd' }];
    answer = {
      allowed: true,
      patchType: 'JSONPatch',
      patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
      auditAnnotations: { why: 'because' },
    };
    await webhook('mutating', 'another', rule(['CREATE'], ['pods']));
    await webhook('mutating', 'labels', rule(['CREATE'], ['configmaps', 'secrets']));
    await create('changed');
    const about = { configuration: 'labels', webhook: 'labels.example.com' };
    const { 'patch.webhook.admission.k8s.io/round_0_index_1': patched, ...rest } = annotations();
    expect(JSON.parse(patched)).toEqual({ ...about, patch, patchType: 'JSONPatch' });
    expect(rest).toEqual({
      'labels.example.com/why': 'because',
      'mutation.webhook.admission.k8s.io/round_0_index_1': JSON.stringify({ ...about, mutated: true }),
    });
    // What is in a Secret is not for the level Metadata.
    await create('secret', `${NS}/secrets`);
    expect(Object.keys(annotations()).sort()).toEqual([
      'labels.example.com/why',
      'mutation.webhook.admission.k8s.io/round_0_index_1',
    ]);
  });

  it('has which webhooks were passed over', async () => {
    answer = undefined;
    await webhook('validating', 'broken', rule(['CREATE'], ['configmaps']), { failurePolicy: 'Ignore' });
    await webhook('mutating', 'broken', rule(['CREATE'], ['configmaps']), { failurePolicy: 'Ignore' });
    expect((await create('passed')).code).toBe(201);
    const about = { configuration: 'broken', webhook: 'broken.example.com', mutated: false };
    expect(annotations()).toEqual({
      'failed-open.mutating.webhook.admission.k8s.io/round_0_index_0': 'broken.example.com',
      'failed-open.validating.webhook.admission.k8s.io/round_0_index_0': 'broken.example.com',
      'mutation.webhook.admission.k8s.io/round_0_index_0': JSON.stringify(about),
    });
  });
});
