// Custom resources over HTTP: a definition becomes a resource like any other, changes, and goes.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';
import {
  DEFINITIONS,
  definitionOf,
  establish,
  GROUP,
  schemaOf,
  untilDefinition,
  versionOf,
} from './testing/definitions.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

const path = (resource: string, name = '', version = 'v1') =>
  `/apis/${GROUP}/${version}/namespaces/default/${resource}${name && `/${name}`}`;
const object = (kind: string, name: string, rest: object, version = 'v1') => ({
  apiVersion: `${GROUP}/${version}`,
  kind,
  metadata: { name },
  ...rest,
});
const TABLE = { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' };
const MERGE = 'application/merge-patch+json';

const cronSpec = {
  type: 'object',
  properties: {
    cronSpec: { type: 'string', pattern: '^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$' },
    image: { type: 'string' },
    replicas: { type: 'integer', minimum: 1, maximum: 10, default: 1 },
  },
};

describe('a definition', () => {
  test('is established, defaulted and shown as upstream shows it', async () => {
    const made = await establish(
      server,
      definitionOf(
        'crontabs',
        'CronTab',
        [
          versionOf(
            'v1',
            schemaOf(cronSpec, {
              status: {
                type: 'object',
                properties: { replicas: { type: 'integer' }, labelSelector: { type: 'string' } },
              },
            }),
            {
              subresources: {
                status: {},
                scale: {
                  specReplicasPath: '.spec.replicas',
                  statusReplicasPath: '.status.replicas',
                  labelSelectorPath: '.status.labelSelector',
                },
              },
              additionalPrinterColumns: [
                { name: 'Spec', type: 'string', jsonPath: '.spec.cronSpec' },
                { name: 'Replicas', type: 'integer', jsonPath: '.spec.replicas' },
                { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
              ],
              selectableFields: [{ jsonPath: '.spec.image' }],
            },
          ),
        ],
        { names: { shortNames: ['ct'], categories: ['all'] } },
      ),
    );
    expect(made.spec.names).toEqual({
      plural: 'crontabs',
      singular: 'crontab',
      kind: 'CronTab',
      listKind: 'CronTabList',
      shortNames: ['ct'],
      categories: ['all'],
    });
    expect(made.spec.conversion).toEqual({ strategy: 'None' });
    expect(made.status).toMatchObject({
      storedVersions: ['v1'],
      acceptedNames: made.spec.names,
      conditions: [
        { type: 'NamesAccepted', status: 'True', reason: 'NoConflicts', message: 'no conflicts found' },
        {
          type: 'Established',
          status: 'True',
          reason: 'InitialNamesAccepted',
          message: 'the initial names have been accepted',
        },
      ],
    });
    expect(made.metadata.generation).toBe(1);
  });

  test('is in discovery and in OpenAPI', async () => {
    const list = await server.call('GET', `/apis/${GROUP}/v1`);
    expect(list.body.resources.map((each: any) => [each.name, each.kind])).toEqual(
      expect.arrayContaining([
        ['crontabs', 'CronTab'],
        ['crontabs/status', 'CronTab'],
        ['crontabs/scale', 'Scale'],
      ]),
    );
    const index = await server.call('GET', '/openapi/v3');
    const document = await server.call('GET', index.body.paths[`apis/${GROUP}/v1`].serverRelativeURL);
    const schema = document.body.components.schemas['com.example.stable.v1.CronTab'];
    expect(schema.properties.spec.properties.replicas).toEqual(cronSpec.properties.replicas);
    expect(schema['x-kubernetes-selectable-fields']).toEqual([{ fieldPath: 'spec.image' }]);
    expect(schema['x-kubernetes-group-version-kind']).toEqual([{ group: GROUP, version: 'v1', kind: 'CronTab' }]);
    const v2 = await server.call('GET', '/openapi/v2');
    expect(v2.body.definitions['com.example.stable.v1.CronTabList'].properties.items.items.$ref).toBe(
      '#/definitions/com.example.stable.v1.CronTab',
    );
  });

  test('serves objects that are defaulted, pruned, validated and shown in its columns', async () => {
    const made = await server.call('POST', path('crontabs'), {
      body: object('CronTab', 'a', { spec: { cronSpec: '* * * * */5', image: 'img', extra: 1 } }),
    });
    expect(made.code).toBe(201);
    expect(made.body.spec).toEqual({ cronSpec: '* * * * */5', image: 'img', replicas: 1 });
    expect(made.body.metadata.generation).toBe(1);
    expect(made.headers['warning']).toBe('299 - "unknown field \\"spec.extra\\""');
    const strict = await server.call('POST', `${path('crontabs')}?fieldValidation=Strict`, {
      body: object('CronTab', 'b', { spec: { extra: 1 } }),
    });
    expect(strict.body.message).toContain('strict decoding error: unknown field "spec.extra"');
    const bad = await server.call('POST', path('crontabs'), {
      body: object('CronTab', 'b', { spec: { cronSpec: 'x', replicas: 'three' } }),
    });
    expect(bad.code).toBe(422);
    expect(bad.body.message).toBe(
      'CronTab.stable.example.com "b" is invalid: [spec.cronSpec: Invalid value: "x": spec.cronSpec in body should match \'^(\\d+|\\*)(/\\d+)?(\\s+(\\d+|\\*)(/\\d+)?){4}$\', spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"]',
    );
    const table = await server.call('GET', path('crontabs'), { headers: TABLE });
    expect(table.body.columnDefinitions.map((each: any) => each.name)).toEqual(['Name', 'Spec', 'Replicas', 'Age']);
    expect(table.body.columnDefinitions.slice(0, 2).map((each: any) => each.description)).toEqual([
      expect.stringMatching(/^The name, unique/),
      'Custom resource definition column (in JSONPath format): .spec.cronSpec',
    ]);
    expect(table.body.rows[0].cells.slice(0, 3)).toEqual(['a', '* * * * */5', 1]);
    const selected = await server.call('GET', `${path('crontabs')}?fieldSelector=spec.image=other`);
    expect(selected.body.items).toEqual([]);
  });

  test('has a status and a scale of its own', async () => {
    const status = await server.call('PATCH', path('crontabs', 'a/status'), {
      body: {
        metadata: { labels: { no: 'no' } },
        spec: { replicas: 9 },
        status: { replicas: 1, labelSelector: 'app=a' },
      },
      type: MERGE,
    });
    expect(status.body.status).toEqual({ replicas: 1, labelSelector: 'app=a' });
    expect(status.body.spec.replicas).toBe(1);
    expect(status.body.metadata).toMatchObject({ generation: 1 });
    expect(status.body.metadata.labels).toBeUndefined();
    const scaled = await server.call('PATCH', path('crontabs', 'a/scale'), {
      body: { spec: { replicas: 4 } },
      type: MERGE,
    });
    expect(scaled.body).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 4 },
      status: { replicas: 1, selector: 'app=a' },
    });
    const now = await server.call('GET', path('crontabs', 'a'));
    expect(now.body).toMatchObject({ metadata: { generation: 2 }, spec: { replicas: 4 }, status: { replicas: 1 } });
    const tooMany = await server.call('PATCH', path('crontabs', 'a/scale'), {
      body: { spec: { replicas: 40 } },
      type: MERGE,
    });
    expect(tooMany.body.message).toContain('spec.replicas in body should be less than or equal to 10');
  });

  test('a schema that changes holds at once, for old objects too; unchanged wrong values are tolerated', async () => {
    const watch = server.call('GET', `${path('crontabs')}?watch=1&timeoutSeconds=20`);
    const current = (await server.call('GET', `${DEFINITIONS}/crontabs.${GROUP}`)).body;
    const { schema } = current.spec.versions[0];
    schema.openAPIV3Schema.properties.spec.properties.image.enum = ['one', 'two'];
    schema.openAPIV3Schema.properties.spec.properties.team = { type: 'string', default: 'blue' };
    expect((await server.call('PUT', `${DEFINITIONS}/crontabs.${GROUP}`, { body: current })).code).toBe(200);
    const lines = (await watch).text.trim().split('\n');
    expect(JSON.parse(lines[0] as string)).toMatchObject({ type: 'ADDED' });
    const read = await server.call('GET', path('crontabs', 'a'));
    expect(read.body.spec.team).toBe('blue');
    const other = await server.call('PATCH', path('crontabs', 'a'), { body: { spec: { replicas: 5 } }, type: MERGE });
    expect(other.code).toBe(200);
    const wrong = await server.call('PATCH', path('crontabs', 'a'), {
      body: { spec: { image: 'three' } },
      type: MERGE,
    });
    expect(wrong.body.message).toContain('spec.image: Unsupported value: "three": supported values: "one", "two"');
  });

  test('that is deleted takes its objects with it', async () => {
    await server.call('PATCH', path('crontabs', 'a'), {
      body: { metadata: { finalizers: ['example.com/hold'] } },
      type: MERGE,
    });
    const deleted = await server.call('DELETE', `${DEFINITIONS}/crontabs.${GROUP}`);
    expect(deleted.code).toBe(200);
    await untilDefinition(server, `crontabs.${GROUP}`, (each) =>
      each.status.conditions.some((condition: any) => condition.reason === 'InstanceDeletionInProgress'),
    );
    const refused = await server.call('POST', path('crontabs'), { body: object('CronTab', 'z', { spec: {} }) });
    expect(refused).toMatchObject({
      code: 405,
      body: { message: 'create not allowed while custom resource definition is terminating' },
    });
    expect(
      (await server.call('PATCH', path('crontabs', 'a'), { body: { metadata: { finalizers: null } }, type: MERGE }))
        .code,
    ).toBe(200);
    await untilDefinition(server, `crontabs.${GROUP}`, (each) => each === undefined);
    expect((await server.call('GET', path('crontabs'))).code).toBe(404);
    expect((await server.call('GET', `/apis/${GROUP}/v1`)).code).toBe(404);
  });

  test('that comes again starts with nothing', async () => {
    await establish(server, definitionOf('crontabs', 'CronTab', [versionOf('v1', schemaOf(cronSpec))]));
    expect((await server.call('GET', path('crontabs'))).body.items).toEqual([]);
    await server.call('DELETE', `${DEFINITIONS}/crontabs.${GROUP}`);
    await untilDefinition(server, `crontabs.${GROUP}`, (each) => each === undefined);
  });
});

test('names that another definition of the group has are refused until they are free', async () => {
  await establish(
    server,
    definitionOf('cats', 'Cat', [versionOf('v1', schemaOf({ type: 'object' }))], { names: { shortNames: ['c'] } }),
  );
  await server.call('POST', DEFINITIONS, {
    body: definitionOf('felines', 'Cat', [versionOf('v1', schemaOf({ type: 'object' }))], {
      names: { shortNames: ['c'] },
    }),
  });
  const refused = await untilDefinition(server, `felines.${GROUP}`, (each) => each?.status?.conditions?.length > 1);
  expect(refused.status.conditions).toMatchObject([
    { type: 'NamesAccepted', status: 'False', reason: 'ListKindConflict', message: '"CatList" is already in use' },
    { type: 'Established', status: 'False', reason: 'NotAccepted', message: 'not all names are accepted' },
  ]);
  expect((await server.call('GET', path('felines'))).code).toBe(404);
  await server.call('DELETE', `${DEFINITIONS}/cats.${GROUP}`);
  await untilDefinition(server, `felines.${GROUP}`, (each) =>
    each.status.conditions.some((condition: any) => condition.type === 'Established' && condition.status === 'True'),
  );
  expect((await server.call('GET', path('felines'))).code).toBe(200);
});

test('several versions: None renames, the storage version may move, updates migrate', async () => {
  const versions = (stored: string) => [
    versionOf('v1', schemaOf({ type: 'object', properties: { size: { type: 'integer' } } }), {
      storage: stored === 'v1',
    }),
    versionOf(
      'v2',
      schemaOf({
        type: 'object',
        properties: { size: { type: 'integer' }, color: { type: 'string', default: 'red' } },
      }),
      { storage: stored === 'v2', deprecated: true },
    ),
  ];
  await establish(server, definitionOf('hats', 'Hat', versions('v1')));
  await server.call('POST', path('hats'), { body: object('Hat', 'a', { spec: { size: 1 } }) });
  const asV2 = await server.call('GET', path('hats', 'a', 'v2'));
  expect(asV2.body).toMatchObject({ apiVersion: `${GROUP}/v2`, spec: { size: 1, color: 'red' } });
  expect(asV2.headers['warning']).toContain('stable.example.com/v2 Hat is deprecated');
  const definition = (await server.call('GET', `${DEFINITIONS}/hats.${GROUP}`)).body;
  const moved = await server.call('PUT', `${DEFINITIONS}/hats.${GROUP}`, {
    body: { ...definition, spec: { ...definition.spec, versions: versions('v2') } },
  });
  expect(moved.body.status.storedVersions).toEqual(['v1', 'v2']);
  const before = await server.call('GET', path('hats', 'a'));
  expect(before.body).toMatchObject({ apiVersion: `${GROUP}/v1`, spec: { size: 1 } });
  const same = await server.call('PUT', path('hats', 'a'), { body: before.body });
  expect(same.body.metadata.resourceVersion).not.toBe(before.body.metadata.resourceVersion);
  const again = await server.call('PUT', path('hats', 'a'), { body: same.body });
  expect(again.body.metadata.resourceVersion).toBe(same.body.metadata.resourceVersion);
  // Only when nothing is stored in it may a version go.
  const latest = (await server.call('GET', `${DEFINITIONS}/hats.${GROUP}`)).body;
  const onlyV2 = { ...latest, spec: { ...latest.spec, versions: versions('v2').slice(1) } };
  const refused = await server.call('PUT', `${DEFINITIONS}/hats.${GROUP}`, { body: onlyV2 });
  expect(refused.body.message).toContain(
    'status.storedVersions[0]: Invalid value: "v1": missing from spec.versions; v1 was previously a storage version',
  );
  await server.call('PATCH', `${DEFINITIONS}/hats.${GROUP}/status`, {
    body: { status: { storedVersions: ['v2'] } },
    type: MERGE,
  });
  delete onlyV2.metadata.resourceVersion;
  const fresh = (await server.call('GET', `${DEFINITIONS}/hats.${GROUP}`)).body;
  const dropped = await server.call('PUT', `${DEFINITIONS}/hats.${GROUP}`, { body: { ...fresh, spec: onlyV2.spec } });
  expect(dropped.code).toBe(200);
  expect((await server.call('GET', path('hats', 'a', 'v2'))).body.spec).toEqual({ size: 1, color: 'red' });
});

test('metrics and registrations follow definitions that change and go', async () => {
  await establish(server, definitionOf('pens', 'Pen', [versionOf('v3', schemaOf({ type: 'object' }))]));
  await server.call('GET', path('pens', '', 'v3'));
  for (const priority of [1, 0]) {
    const definition = (await server.call('GET', `${DEFINITIONS}/pens.${GROUP}`)).body;
    definition.spec.versions[0].additionalPrinterColumns = [
      { name: 'Ink', type: 'string', jsonPath: '.spec.ink', priority },
    ];
    expect((await server.call('PUT', `${DEFINITIONS}/pens.${GROUP}`, { body: definition })).code).toBe(200);
    await server.call('GET', path('pens', '', 'v3'));
  }
  const metrics = await server.call('GET', '/metrics');
  expect(metrics.code).toBe(200);
  expect(metrics.text.match(/apiserver_resource_objects\{[^}]*"pens"[^}]*\}/g)).toHaveLength(1);
  const services = `/apis/apiregistration.k8s.io/v1/apiservices/v3.${GROUP}`;
  for (let attempt = 0; attempt < 200 && (await server.call('GET', services)).code !== 200; attempt++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  expect((await server.call('GET', services)).code).toBe(200);
  await server.call('DELETE', `${DEFINITIONS}/pens.${GROUP}`);
  await untilDefinition(server, `pens.${GROUP}`, (each) => each === undefined);
  expect((await server.call('GET', '/metrics')).text).not.toMatch(/resource_objects\{[^}]*"pens"/);
});

test('a hundred definitions at once are served soon, and take each other no time', async () => {
  const names = Array.from({ length: 100 }, (_, i) => `mass${i}`);
  await Promise.all(
    names.map((name, i) => establish(server, definitionOf(name, `Mass${i}`, [versionOf('v1', schemaOf(cronSpec))]))),
  );
  const list = await server.call('GET', `/apis/${GROUP}/v1`);
  expect(list.body.resources.filter((each: any) => each.name.startsWith('mass'))).toHaveLength(100);
  expect((await server.call('DELETE', DEFINITIONS)).code).toBe(200);
  await untilDefinition(server, `mass99.${GROUP}`, (each) => each === undefined);
});
