// Admission policies over HTTP: what they refuse, warn about and change, in upstream's words; and what kubectl shows.
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Answer, startTestServer, type TestServer } from '../../testing/server.ts';

const GROUP = '/apis/admissionregistration.k8s.io/v1';
const MAPS = '/api/v1/namespaces/default/configmaps';
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';

let server: TestServer;
let installed: string[] = [];

beforeAll(async () => {
  server = await startTestServer();
  writeFileSync(join(server.dir, 'kubeconfig'), server.kubeconfig());
});
afterEach(async () => {
  for (const path of installed.reverse()) await server.call('DELETE', path);
  installed = [];
});
afterAll(() => server.stop());

type Json = Record<string, unknown>;

async function create(path: string, object: Json & { metadata: { name?: string; labels?: Json } }): Promise<Answer> {
  const answer = await server.call('POST', path, { body: object });
  if (answer.code === 201) installed.push(`${path}/${answer.body.metadata.name}`);
  return answer;
}

const rules = (resource: string, group = '', operations = ['CREATE', 'UPDATE']) => [
  { apiGroups: [group], apiVersions: ['*'], operations, resources: [resource] },
];

interface Options {
  spec?: Json;
  binding?: Json;
  resource?: [string, string?, string[]?];
}

/** A policy with a binding, in force when it resolves. */
async function validating(
  name: string,
  validations: Json[],
  { spec, binding, resource = ['configmaps'] }: Options = {},
) {
  const policy = await create(`${GROUP}/validatingadmissionpolicies`, {
    metadata: { name },
    spec: { matchConstraints: { resourceRules: rules(...resource) }, validations, ...spec },
  });
  expect(policy.text).not.toContain('Failure');
  const bound = await create(`${GROUP}/validatingadmissionpolicybindings`, {
    metadata: { name },
    spec: { policyName: name, validationActions: ['Deny'], ...binding },
  });
  expect(bound.code).toBe(201);
  return policy;
}

async function mutating(name: string, mutations: Json[], spec: Json = {}, resource = rules('configmaps')) {
  const policy = await create(`${GROUP}/mutatingadmissionpolicies`, {
    metadata: { name },
    spec: {
      matchConstraints: { resourceRules: resource },
      reinvocationPolicy: 'Never',
      failurePolicy: 'Fail',
      mutations,
      ...spec,
    },
  });
  expect(policy.text).not.toContain('Failure');
  await create(`${GROUP}/mutatingadmissionpolicybindings`, { metadata: { name }, spec: { policyName: name } });
}

const apply = (expression: string) => ({ patchType: 'ApplyConfiguration', applyConfiguration: { expression } });
const patch = (expression: string) => ({ patchType: 'JSONPatch', jsonPatch: { expression } });

/** The first answer that is as wanted: policies are followed by watch. */
async function until(ask: () => Promise<Answer>, isWanted: (answer: Answer) => boolean): Promise<Answer> {
  for (let tries = 0; ; tries++) {
    const answer = await ask();
    if (isWanted(answer) || tries > 200) return answer;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

const map = (name: string, more: Json = {}) => ({ metadata: { name }, ...more });
const tryCreate = (object: Json, path = MAPS) => server.call('POST', `${path}?dryRun=All`, { body: object });
const isRefused = (answer: Answer) => answer.code >= 400;
const isAccepted = (answer: Answer) => answer.code === 201;
const refused = (object: Json, path = MAPS) => until(() => tryCreate(object, path), isRefused);
const accepted = (object: Json, path = MAPS) => until(() => tryCreate(object, path), isAccepted);

describe('ValidatingAdmissionPolicy', () => {
  it('denies with code, reason and message as upstream', async () => {
    await validating('no-red', [{ expression: "!has(object.data) || object.data.color != 'red'" }]);
    const answer = await refused(map('m', { data: { color: 'red' } }));
    const text =
      "ValidatingAdmissionPolicy 'no-red' with binding 'no-red' denied request: failed expression: !has(object.data) || object.data.color != 'red'";
    expect(answer.code).toBe(422);
    expect(answer.body).toMatchObject({
      reason: 'Invalid',
      message: `configmaps "m" is forbidden: ${text}`,
      details: { name: 'm', kind: 'configmaps', causes: [{ message: text }] },
    });
    expect((await tryCreate(map('m', { data: { color: 'blue' } }))).code).toBe(201);
  });

  it('takes the message from the expression, else from the field; the reason gives the code', async () => {
    await validating(
      'named',
      [
        {
          expression: "!variables.name.startsWith('bad')",
          message: 'a bad name',
          messageExpression: "'no ' + variables.name + ' by ' + request.userInfo.username",
          reason: 'Forbidden',
        },
        {
          expression: "object.metadata.name != 'plain'",
          message: 'not plain',
          messageExpression: "object.missing + ''",
        },
      ],
      { spec: { variables: [{ name: 'name', expression: 'object.metadata.name' }] } },
    );
    const bad = await refused(map('bad-one'));
    expect(bad.body).toMatchObject({ code: 403, reason: 'Forbidden' });
    expect(bad.body.message).toMatch(/denied request: no bad-one by \S+/);
    expect((await refused(map('plain'))).body.message).toContain('denied request: not plain');
  });

  it('fails closed on errors, or open where the policy says so', async () => {
    await validating('strict', [{ expression: "object.data.color == 'x'" }]);
    const answer = await refused(map('m'));
    expect(answer.body).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(answer.body.message).toContain(
      "denied request: expression 'object.data.color == 'x'' resulted in error: no such key: data",
    );
    await server.call('DELETE', `${GROUP}/validatingadmissionpolicybindings/strict`);
    await validating('lax', [{ expression: "object.data.color == 'x'" }], { spec: { failurePolicy: 'Ignore' } });
    expect((await accepted(map('m'))).code).toBe(201);
  });

  it('warns, and says nothing else', async () => {
    await validating('warns', [{ expression: 'false', message: 'careful' }], {
      binding: { validationActions: ['Warn', 'Audit'] },
    });
    const answer = await until(
      () => tryCreate(map('m')),
      ({ headers }) => headers['warning'] !== undefined,
    );
    expect(answer.code).toBe(201);
    expect(answer.headers['warning']).toBe(
      `299 - "Validation failed for ValidatingAdmissionPolicy 'warns' with binding 'warns': careful"`,
    );
  });

  it('looks at what is deleted, at subresources, and at other versions', async () => {
    await create(MAPS, map('kept', { labels: {}, data: { keep: 'yes' } }));
    await validating('keeps', [{ expression: "object == null && oldObject.data.keep != 'yes'", message: 'kept' }], {
      resource: ['configmaps', '', ['DELETE']],
    });
    const answer = await until(() => server.call('DELETE', `${MAPS}/kept?dryRun=All`), isRefused);
    expect(answer.body.message).toContain('denied request: kept');
    await validating('small', [{ expression: 'object.spec.replicas <= 3', message: 'too many' }], {
      resource: ['deployments/scale', 'apps', ['UPDATE']],
    });
    const deployment = {
      metadata: { name: 'web' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    };
    await create(DEPLOYMENTS, deployment);
    const scale = (replicas: number) =>
      server.call('PATCH', `${DEPLOYMENTS}/web/scale?dryRun=All`, {
        body: { spec: { replicas } },
        type: 'application/merge-patch+json',
      });
    expect((await until(() => scale(5), isRefused)).body.message).toContain('denied request: too many');
    expect((await scale(2)).code).toBe(200);
  });

  it('means what rules, exclusions, selectors and conditions mean', async () => {
    await validating('selective', [{ expression: 'false', message: 'selected' }], {
      spec: {
        matchConstraints: {
          resourceRules: rules('configmaps'),
          excludeResourceRules: [{ ...rules('configmaps')[0], resourceNames: ['excluded'] }],
          objectSelector: { matchLabels: { policed: 'yes' } },
        },
        matchConditions: [{ name: 'not-exempt', expression: "!object.metadata.name.startsWith('exempt')" }],
      },
      binding: { matchResources: { namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'default' } } } },
    });
    const labelled = (name: string) => ({ metadata: { name, labels: { policed: 'yes' } } });
    expect((await refused(labelled('m'))).body.message).toContain('selected');
    expect((await tryCreate(map('unlabelled'))).code).toBe(201);
    expect((await tryCreate(labelled('excluded'))).code).toBe(201);
    expect((await tryCreate(labelled('exempt-1'))).code).toBe(201);
    expect((await tryCreate(labelled('m'), '/api/v1/namespaces/kube-system/configmaps')).code).toBe(201);
  });

  it('is given params by name and by selector, and what to do without', async () => {
    await create(MAPS, map('limits', { data: { max: '3' } }));
    const spec = { paramKind: { apiVersion: 'v1', kind: 'ConfigMap' } };
    const validations = [
      {
        expression: 'params.kind == "ConfigMap" && object.metadata.name.size() <= int(params.data.max)',
        messageExpression: "'longer than ' + params.data.max",
      },
    ];
    const resource: Options['resource'] = ['secrets'];
    const secrets = '/api/v1/namespaces/default/secrets';
    await validating('limited', validations, {
      spec,
      resource,
      binding: { paramRef: { name: 'limits', parameterNotFoundAction: 'Deny' } },
    });
    expect((await refused(map('long'), secrets)).body.message).toContain('denied request: longer than 3');
    expect((await tryCreate(map('ok'), secrets)).code).toBe(201);
    await server.call('DELETE', `${MAPS}/limits`);
    const missing = await until(
      () => tryCreate(map('ok'), secrets),
      ({ code }) => code === 422,
    );
    expect(missing.body.message).toContain(
      'failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction',
    );
    await server.call('DELETE', `${GROUP}/validatingadmissionpolicybindings/limited`);
    await create(`${GROUP}/validatingadmissionpolicybindings`, {
      metadata: { name: 'chosen' },
      spec: {
        policyName: 'limited',
        validationActions: ['Deny'],
        paramRef: { selector: { matchLabels: { use: 'yes' } }, parameterNotFoundAction: 'Allow' },
      },
    });
    expect((await accepted(map('anything'), secrets)).code).toBe(201);
    await create(MAPS, { metadata: { name: 'chosen', labels: { use: 'yes' } }, data: { max: '2' } });
    expect((await refused(map('long'), secrets)).body.message).toContain('longer than 2');
  });

  it('knows the namespace, the request and what users may do', async () => {
    await validating('context', [
      {
        expression:
          "namespaceObject.metadata.name == request.namespace && request.operation == 'CREATE' && request.resource.resource == 'configmaps' && authorizer.group('').resource('pods').namespace('default').check('delete').allowed()",
        message: 'all hold',
      },
      {
        expression:
          "authorizer.requestResource.check('create').allowed() && !authorizer.serviceAccount('default', 'default').group('').resource('secrets').check('list').allowed() && request.dryRun",
        message: 'all hold',
      },
      { expression: "object.metadata.name != 'probe'", message: 'probe' },
    ]);
    expect((await refused(map('probe'))).body.message).toContain('denied request: probe');
    expect((await tryCreate(map('m'))).code).toBe(201);
  });

  it('ends evaluations that cost too much', async () => {
    const data = Object.fromEntries(Array.from({ length: 200 }, (_, index) => [`k${index}`, 'v']));
    await validating('dear', [
      { expression: 'object.data.all(a, object.data.all(b, object.data.all(c, a + b + c != "")))' },
    ]);
    expect((await refused(map('m', { data }))).body.message).toContain(
      'operation cancelled: actual cost limit exceeded',
    );
  });

  it('refuses expressions that do not compile, where they were written', async () => {
    const answer = await create(`${GROUP}/validatingadmissionpolicies`, {
      metadata: { name: 'broken' },
      spec: {
        matchConstraints: { resourceRules: rules('configmaps') },
        matchConditions: [{ name: 'c', expression: '1' }],
        variables: [{ name: 'v', expression: 'object.x' }],
        validations: [
          { expression: 'object.foo + nothing' },
          { expression: "variables.w == 'x'", messageExpression: '1' },
          { expression: "'a'" },
        ],
        auditAnnotations: [{ key: 'k', valueExpression: '1' }],
      },
    });
    expect(answer.code).toBe(422);
    const causes = (answer.body.details.causes as { field: string; message: string }[]).map(
      ({ field, message }) => `${field}: ${message}`,
    );
    expect(causes).toEqual([
      'spec.matchConditions[0].expression: Invalid value: "1": must evaluate to bool but got int',
      `spec.validations[0].expression: Invalid value: "object.foo + nothing": compilation failed: ERROR: <input>:1:14: undeclared reference to 'nothing' (in container '')\n | object.foo + nothing\n | .............^`,
      `spec.validations[1].expression: Invalid value: "variables.w == 'x'": compilation failed: ERROR: <input>:1:10: undefined field 'w'\n | variables.w == 'x'\n | .........^`,
      'spec.validations[1].messageExpression: Invalid value: "1": must evaluate to string but got int',
      `spec.validations[2].expression: Invalid value: "'a'": must evaluate to bool but got string`,
      'spec.auditAnnotations[0].valueExpression: Invalid value: "1": must evaluate to one of [string null_type] but got int',
    ]);
  });

  it('shows in kubectl as upstream', async () => {
    await validating('replicas', [{ expression: 'object.spec.replicas <= 5' }], { resource: ['deployments', 'apps'] });
    const deployment = (replicas: number) => ({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      metadata: { name: 'nginx' },
      spec: {
        replicas,
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    });
    await refused(deployment(6), DEPLOYMENTS);
    const { code, err } = await kubectl(['create', '-f', '-'], JSON.stringify(deployment(6)));
    expect(code).toBe(1);
    expect(err).toContain(
      "ValidatingAdmissionPolicy 'replicas' with binding 'replicas' denied request: failed expression: object.spec.replicas <= 5",
    );
    expect(err).toMatch(/^The deployments "nginx" is invalid/);
  });
});

function kubectl(args: string[], input: string): Promise<{ code: number; err: string }> {
  return new Promise((resolve, reject) => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: server.dir, KUBECONFIG: join(server.dir, 'kubeconfig') };
    const child = execFile('kubectl', args, { env, timeout: 20_000 }, (error, _out, err) => {
      if (error && 'errno' in error && error.errno !== undefined) reject(error);
      else resolve({ code: Number(error?.code ?? 0), err });
    });
    child.stdin?.end(input);
  });
}

describe('MutatingAdmissionPolicy', () => {
  const mutatedBy = (object: Json, isDone: (body: any) => boolean, path = MAPS) =>
    until(
      () => tryCreate(object, path),
      ({ body }) => isDone(body),
    );

  it('lays configurations over objects, as server-side apply would', async () => {
    await mutating(
      'sidecar',
      [
        apply(
          'Object{metadata: Object.metadata{labels: {"team": params.data.team}}, spec: Object.spec{initContainers: [Object.spec.initContainers{name: "mesh", image: "mesh:1", restartPolicy: "Always"}]}}',
        ),
        apply(
          'Object{spec: Object.spec{containers: object.spec.containers.map(c, Object.spec.containers{name: c.name, imagePullPolicy: "Never"})}}',
        ),
      ],
      { paramKind: { apiVersion: 'v1', kind: 'ConfigMap' } },
      rules('pods', '', ['CREATE']),
    );
    await create('/api/v1/namespaces/default/serviceaccounts', map('default'));
    await create(MAPS, map('teams', { data: { team: 'blue' } }));
    await server.call('DELETE', `${GROUP}/mutatingadmissionpolicybindings/sidecar`);
    await create(`${GROUP}/mutatingadmissionpolicybindings`, {
      metadata: { name: 'sidecar' },
      spec: { policyName: 'sidecar', paramRef: { name: 'teams', parameterNotFoundAction: 'Deny' } },
    });
    const pod = {
      metadata: { name: 'p', labels: { a: 'b' } },
      spec: {
        containers: [
          { name: 'c', image: 'i' },
          { name: 'd', image: 'j' },
        ],
      },
    };
    const { body } = await mutatedBy(
      pod,
      ({ metadata }) => metadata?.labels?.team !== undefined,
      '/api/v1/namespaces/default/pods',
    );
    expect(body.metadata.labels).toEqual({ a: 'b', team: 'blue' });
    expect(body.spec.initContainers).toMatchObject([{ name: 'mesh', image: 'mesh:1', restartPolicy: 'Always' }]);
    expect(body.spec.containers).toMatchObject([
      { name: 'c', image: 'i', imagePullPolicy: 'Never' },
      { name: 'd', image: 'j', imagePullPolicy: 'Never' },
    ]);
  });

  it('applies JSON patches, each seeing what came before', async () => {
    await mutating('patches', [
      patch('has(object.data) ? [] : [JSONPatch{op: "add", path: "/data", value: {"z": "0"}}]'),
      patch(
        '[JSONPatch{op: "add", path: "/metadata/labels", value: {}}, JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey("example.com/n"), value: string(object.data.size())}]',
      ),
      patch(
        '[JSONPatch{op: "test", path: "/data/missing", value: "x"}, JSONPatch{op: "add", path: "/data/never", value: "x"}]',
      ),
    ]);
    const { body } = await mutatedBy(map('m'), ({ metadata }) => metadata?.labels !== undefined);
    expect(body.data).toEqual({ z: '0' });
    expect(body.metadata.labels).toEqual({ 'example.com/n': '1' });
  });

  it('runs again when a later policy changed the object and it asked to', async () => {
    await mutating(
      'a-counts',
      [
        patch(
          '[JSONPatch{op: "add", path: "/metadata/annotations", value: {"seen": has(object.data) ? string(object.data.size()) : "0"}}]',
        ),
      ],
      {
        reinvocationPolicy: 'IfNeeded',
      },
    );
    await mutating('b-adds', [
      patch('has(object.data) ? [] : [JSONPatch{op: "add", path: "/data", value: {"k": "v"}}]'),
    ]);
    const { body } = await mutatedBy(
      map('m'),
      ({ data, metadata }) => data !== undefined && metadata.annotations !== undefined,
    );
    expect(body.metadata.annotations).toEqual({ seen: '1' });
  });

  it('refuses what cannot be done, in upstream’s words, unless failures are ignored', async () => {
    await mutating('wrong', [apply('Object{data: Object.data{color: 1}}')]);
    const answer = await refused(map('m'));
    expect(answer.body).toMatchObject({ code: 403, reason: 'Invalid' });
    expect(answer.body.message).toMatch(
      /^policy 'wrong' with binding 'wrong' denied request: error applying patch: failed to convert patch object to typed object: \.data\.color: /,
    );
    await server.call('DELETE', `${GROUP}/mutatingadmissionpolicybindings/wrong`);
    await mutating('misplaced', [apply('Object{metadata: Object.spec{}}')]);
    const misplaced = await until(
      () => tryCreate(map('m')),
      ({ text }) => text.includes('misplaced'),
    );
    expect(misplaced.body.message).toContain(
      'type mismatch: unexpected type name "Object.spec", expected "Object.metadata", which matches field name path from root Object type',
    );
    await server.call('DELETE', `${GROUP}/mutatingadmissionpolicybindings/misplaced`);
    await mutating('ignored', [apply('Object{nothing: 1}')], { failurePolicy: 'Ignore' });
    expect((await accepted(map('m'))).code).toBe(201);
  });

  it('refuses to lay itself over atomic parts', async () => {
    await mutating(
      'atomic',
      [apply('Object{spec: Object.spec{selector: Object.spec.selector{matchLabels: {"x": "y"}}}}')],
      {},
      rules('deployments', 'apps', ['CREATE']),
    );
    const deployment = {
      metadata: { name: 'web' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      },
    };
    const answer = await refused(deployment, DEPLOYMENTS);
    expect(answer.body.message).toContain(
      'invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: .spec.selector',
    );
  });
});
