// Custom resources with everything around them: real controllers beside the server, and real kubectl.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createScheme } from '../api/kinds/index.ts';
import { definitionOf, establish, GROUP, schemaOf, versionOf } from '../apiserver/apiextensions/testing/definitions.ts';
import { startTestServer, type TestServer } from '../apiserver/testing/server.ts';
import { connect } from '../cli/cluster/connect.ts';
import { runControllers } from '../controllers/index.ts';
import { silentLogger } from '../lib/log.ts';
import { kubectls } from './kubectls.ts';

let server: TestServer;
const stop = new AbortController();
let work: Promise<unknown>[] = [];
let close = () => {};

beforeAll(async () => {
  server = await startTestServer();
  const { pki, url } = server;
  const context = connect(
    { server: url, caPem: pki.caPem, ...pki.controllerManager },
    'controller-manager',
    silentLogger,
  );
  work = [
    context.informers.run(stop.signal),
    runControllers({ ...context, rootCaPem: pki.caPem, scheme: createScheme() }, stop.signal),
  ];
  close = () => context.client.close();
});

afterAll(async () => {
  stop.abort();
  await Promise.all(work);
  close();
  await server.stop();
});

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`did not come: ${what}`);
}

const isGone = async (path: string) => (await server.call('GET', path)).code === 404;
const owned = (name: string, owner: any) => ({
  metadata: {
    name,
    ownerReferences: [
      { apiVersion: owner.apiVersion, kind: owner.kind, name: owner.metadata.name, uid: owner.metadata.uid },
    ],
  },
});

test('custom resources own and are owned, and go with their namespace', async () => {
  await establish(server, definitionOf('ships', 'Ship', [versionOf('v1', schemaOf({ type: 'object' }))]));
  const ships = `/apis/${GROUP}/v1/namespaces/default/ships`;
  const ship = (name: string, more: object = {}) => ({
    apiVersion: `${GROUP}/v1`,
    kind: 'Ship',
    ...{ metadata: { name } },
    ...more,
  });
  const owner = (await server.call('POST', ships, { body: ship('flag') })).body;
  const maps = '/api/v1/namespaces/default/configmaps';
  await server.call('POST', maps, { body: owned('cargo', owner) });
  await server.call('POST', ships, { body: { ...ship('boat'), ...owned('boat', owner) } });
  await server.call('DELETE', `${ships}/flag`);
  await until(
    'dependents are collected',
    async () => (await isGone(`${maps}/cargo`)) && (await isGone(`${ships}/boat`)),
  );

  await server.call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'harbour' } } });
  const there = ships.replace('default', 'harbour');
  expect((await server.call('POST', there, { body: ship('tug') })).code).toBe(201);
  await server.call('DELETE', '/api/v1/namespaces/harbour');
  await until('the namespace is gone', () => isGone('/api/v1/namespaces/harbour'));
  expect((await server.call('GET', `/apis/${GROUP}/v1/ships`)).body.items).toEqual([]);

  // What a definition takes with it takes its own dependents.
  const last = (await server.call('POST', ships, { body: ship('last') })).body;
  await server.call('POST', maps, { body: owned('wreck', last) });
  await server.call('DELETE', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/ships.${GROUP}`);
  await until('dependents of the deleted definition', () => isGone(`${maps}/wreck`));
});

const newest = kubectls().at(-1);

const DEFINITION = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.shop.example.com}
spec:
  group: shop.example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget, shortNames: [wd], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources:
      status: {}
      scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
    additionalPrinterColumns:
    - {name: Size, type: string, jsonPath: .spec.size}
    - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
    - {name: Hidden, type: integer, jsonPath: .spec.replicas, priority: 1}
    schema:
      openAPIV3Schema:
        type: object
        description: A thing that is sold.
        properties:
          spec:
            type: object
            description: What it should be.
            required: [size]
            properties:
              size: {type: string, enum: [small, large], description: How large it is.}
              replicas: {type: integer, minimum: 0, default: 2}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items:
                  type: object
                  required: [name]
                  properties: {name: {type: string}, count: {type: integer}}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
`;

test.skipIf(!newest)('kubectl applies, shows, explains, scales, edits and deletes them', async () => {
  const home = join(server.dir, 'home');
  mkdirSync(home, { recursive: true });
  const config = join(server.dir, 'kubeconfig');
  if (!existsSync(config)) writeFileSync(config, server.kubeconfig(), { mode: 0o600 });
  const environment = { PATH: process.env['PATH'] ?? '', HOME: home, KUBECONFIG: config };
  const kubectl = (args: string[], input = '', extra: Record<string, string> = {}) =>
    new Promise<{ code: number; out: string; err: string }>((resolve) => {
      const options = { env: { ...environment, ...extra }, timeout: 20_000 };
      const child = execFile((newest as [string, string])[1], args, options, (error, out, err) => {
        resolve({ code: error ? Number(error.code ?? 1) : 0, out, err });
      });
      child.stdin?.end(input);
    });
  const ok = async (args: string, input = '', extra: Record<string, string> = {}) => {
    const result = await kubectl(args.split(' '), input, extra);
    expect(result.code, `kubectl ${args}: ${result.err}`).toBe(0);
    return result.out;
  };

  await ok('apply -f -', DEFINITION);
  await ok('wait --for=condition=Established --timeout=10s crd/widgets.shop.example.com');
  const widget = (size: string) =>
    `apiVersion: shop.example.com/v1\nkind: Widget\nmetadata: {name: one}\nspec: {size: ${size}, parts: [{name: a, count: 1}]}\n`;
  expect(await ok('apply -f -', widget('small'))).toBe('widget.shop.example.com/one created\n');
  const table = await ok('get wd');
  expect(table).toMatch(/^NAME +SIZE +READY\n/);
  expect(table).toMatch(/\none +small *\n$/);
  expect(await ok('get wd -o wide')).toMatch(/HIDDEN[^]*one +small +2\n/);
  expect(await ok('get all')).toContain('widget.shop.example.com/one');
  expect(await ok('explain widgets.spec --recursive')).toMatch(/replicas\s+<integer>[^]*size\s+<string> -required-/);
  expect(await ok('explain widget.spec.size')).toContain('How large it is.');
  expect((await kubectl(['apply', '-f', '-'], widget('huge'))).err).toContain(
    'spec.size: Unsupported value: "huge": supported values: "small", "large"',
  );
  expect((await kubectl(['apply', '-f', '-'], widget('small').replace('size:', 'weight: 1, size:'))).err).toContain(
    'unknown field "spec.weight"',
  );
  await ok('scale widget/one --replicas=5');
  expect(await ok('get widget one -o jsonpath={.spec.replicas}/{.metadata.generation}')).toBe('5/2');
  // Two appliers of one list, each with its own item.
  const two = (part: string) => widget('small').replace('name: one', 'name: two').replace('name: a', `name: ${part}`);
  await ok('apply --server-side --field-manager=first -f -', two('a'));
  await ok('apply --server-side --field-manager=second -f -', two('b'));
  expect(await ok('get widget two -o jsonpath={.spec.parts[*].name}')).toBe('a b');
  await ok('delete widget two');
  await ok('patch widget one --type=merge -p {"spec":{"size":"large"}}');
  const editor = join(home, 'editor.sh');
  writeFileSync(editor, '#!/bin/sh\nsed -i "s/size: large/size: small/" "$1"\n', { mode: 0o755 });
  await ok('edit widget one', '', { KUBE_EDITOR: editor });
  expect(await ok('describe widget one')).toMatch(/Size: +small/);
  await ok(
    'patch widget one --subresource=status --type=merge -p {"status":{"conditions":[{"type":"Ready","status":"True"}]}}',
  );
  await ok('wait --for=condition=Ready widget/one --timeout=5s');
  expect(await ok('get wd --no-headers')).toMatch(/^one +small +True\n$/);
  expect(await ok('get crd widgets.shop.example.com --no-headers')).toMatch(/^widgets\.shop\.example\.com +20\d\d-/);
  await ok('delete crd widgets.shop.example.com --timeout=10s');
  expect((await kubectl(['get', 'widgets'])).err).toContain('NotFound');
});
