// A resource that is served in several versions and stored in one: the same objects, in each version's own form.
import { afterEach, expect, test } from 'vitest';
import { createScheme } from '../../api/kinds/index.ts';
import { defineKind } from '../../api/kinds/define.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';

interface Hose extends KubeObject {
  spec?: { lengthCm?: number; lengthM?: number };
}

/** v2 (stored) measures in centimetres, v1 in metres. `later`: conversions answer a turn later. */
function hoses(later: boolean, calls: string[] = []): Kind[] {
  const facts = {
    group: 'garden.example.com',
    kind: 'Hose',
    resource: 'hoses',
    namespaced: true,
    schema: '',
  };
  const v2: Kind = defineKind<Hose>({
    ...facts,
    version: 'v2',
    columns: ['Name:string:name', 'Cm:integer'],
    cells: (hose) => [hose.metadata.name ?? '', hose.spec?.lengthCm ?? 0],
  }) as Kind;
  const answer = <T>(value: T): T | Promise<T> =>
    later ? new Promise((resolve) => setImmediate(resolve, value)) : value;
  const v1: Kind = defineKind<Hose>({
    ...facts,
    version: 'v1',
    columns: ['Name:string:name', 'M:number'],
    cells: (hose) => [hose.metadata.name ?? '', hose.spec?.lengthM ?? 0],
    conversion: {
      storage: () => v2,
      fromStored(objects) {
        calls.push(...objects.map((each) => `from ${each.metadata.name}`));
        return answer(
          objects.map((each) => {
            const { lengthCm, ...rest } = ((each as Hose).spec ?? {}) as { lengthCm?: number };
            return {
              ...each,
              ...((each as Hose).spec && {
                spec: { ...rest, ...(lengthCm !== undefined && { lengthM: lengthCm / 100 }) },
              }),
            };
          }),
        );
      },
      toStored(objects) {
        return answer(
          objects.map((each) => {
            const { lengthM, ...rest } = ((each as Hose).spec ?? {}) as { lengthM?: number };
            return {
              ...each,
              ...((each as Hose).spec && {
                spec: { ...rest, ...(lengthM !== undefined && { lengthCm: lengthM * 100 }) },
              }),
            };
          }),
        );
      },
    },
  }) as Kind;
  return [v1, v2];
}

let server: TestServer | undefined;
afterEach(async () => {
  await server?.stop();
  server = undefined;
});

async function start(later: boolean, calls?: string[]): Promise<TestServer> {
  const scheme = createScheme();
  for (const kind of hoses(later, calls)) scheme.add(kind);
  server = await startTestServer({ scheme });
  return server;
}

const path = (version: string, name = '') =>
  `/apis/garden.example.com/${version}/namespaces/default/hoses${name && `/${name}`}`;
const hose = (version: string, name: string, spec: object) => ({
  apiVersion: `garden.example.com/${version}`,
  kind: 'Hose',
  metadata: { name },
  spec,
});

for (const later of [false, true]) {
  const how = later ? 'asynchronous' : 'synchronous';

  test(`${how}: create, get, list, update and delete in either version show one object with one resourceVersion`, async () => {
    const { call } = await start(later);
    const made = await call('POST', path('v1'), { body: hose('v1', 'a', { lengthM: 3, color: 'red' }) });
    expect(made).toMatchObject({ code: 201, body: { apiVersion: 'garden.example.com/v1', spec: { lengthM: 3 } } });
    const asV2 = await call('GET', path('v2', 'a'));
    expect(asV2.body).toMatchObject({ apiVersion: 'garden.example.com/v2', spec: { lengthCm: 300, color: 'red' } });
    expect(asV2.body.spec).not.toHaveProperty('lengthM');
    expect(asV2.body.metadata.resourceVersion).toBe(made.body.metadata.resourceVersion);

    const patched = await call('PATCH', path('v2', 'a'), {
      body: { spec: { lengthCm: 450 } },
      type: 'application/merge-patch+json',
    });
    expect(patched.body.spec.lengthCm).toBe(450);
    const asV1 = await call('GET', path('v1', 'a'));
    expect(asV1.body.spec).toEqual({ lengthM: 4.5, color: 'red' });
    expect(asV1.body.metadata.resourceVersion).toBe(patched.body.metadata.resourceVersion);

    const put = await call('PUT', path('v1', 'a'), { body: { ...asV1.body, spec: { lengthM: 1 } } });
    expect(put).toMatchObject({ code: 200, body: { spec: { lengthM: 1 } } });
    const list = await call('GET', path('v2'));
    expect(list.body.items).toMatchObject([{ spec: { lengthCm: 100 } }]);
    const same = await call('PUT', path('v1', 'a'), { body: put.body });
    expect(same.body.metadata.resourceVersion).toBe(put.body.metadata.resourceVersion);

    const table = { accept: 'application/json;as=Table;g=meta.k8s.io;v=v1' };
    expect((await call('GET', path('v1'), { headers: table })).body.rows[0].cells).toEqual(['a', 1]);
    expect((await call('GET', path('v2'), { headers: table })).body.rows[0].cells).toEqual(['a', 100]);

    expect((await call('DELETE', path('v1', 'a'))).code).toBe(200);
    expect((await call('GET', path('v2', 'a'))).code).toBe(404);
  });

  test(`${how}: pages and exact reads are in the version asked for`, async () => {
    const { call } = await start(later);
    for (const name of ['a', 'b', 'c']) await call('POST', path('v2'), { body: hose('v2', name, { lengthCm: 100 }) });
    const first = await call('GET', `${path('v1')}?limit=2`);
    expect(first.body.items.map((each: Hose) => each.spec?.lengthM)).toEqual([1, 1]);
    const at = first.body.metadata.resourceVersion;
    await call('DELETE', path('v2', 'c'));
    const rest = await call('GET', `${path('v1')}?limit=2&continue=${first.body.metadata.continue}`);
    expect(rest.body.items.map((each: Hose) => [each.apiVersion, each.spec])).toEqual([
      ['garden.example.com/v1', { lengthM: 1 }],
    ]);
    const exact = await call('GET', `${path('v1')}?resourceVersion=${at}&resourceVersionMatch=Exact`);
    expect(exact.body.items.map((each: Hose) => each.spec?.lengthM)).toEqual([1, 1, 1]);
  });

  test(`${how}: watches of either version get every event in that version, each converted once`, async () => {
    const calls: string[] = [];
    const { call } = await start(later, calls);
    const watch = (version: string) => call('GET', `${path(version)}?watch=1&timeoutSeconds=1&resourceVersion=0`);
    await call('GET', path('v1'));
    const open = [watch('v1'), watch('v1'), watch('v2')];
    await new Promise((resolve) => setTimeout(resolve, 100));
    await call('POST', path('v2'), { body: hose('v2', 'a', { lengthCm: 100 }) });
    await call('PATCH', path('v2', 'a'), { body: { spec: { lengthCm: 200 } }, type: 'application/merge-patch+json' });
    await call('DELETE', path('v2', 'a'));
    const seen = (await Promise.all(open)).map(({ text }) =>
      text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line))
        .map(({ type, object }) => [type, object.apiVersion, object.spec.lengthM ?? object.spec.lengthCm]),
    );
    const events = (version: string, ...lengths: number[]) =>
      ['ADDED', 'MODIFIED', 'DELETED'].map((type, i) => [type, `garden.example.com/${version}`, lengths[i]]);
    expect(seen).toEqual([events('v1', 1, 2, 2), events('v1', 1, 2, 2), events('v2', 100, 200, 200)]);
    expect(calls).toEqual(['from a', 'from a']);
  });

  test(`${how}: server-side apply compares with managers of another version in that version`, async () => {
    const { call } = await start(later);
    const apply = (version: string, manager: string, spec: object, force = false) =>
      call('PATCH', `${path(version, 'a')}?fieldManager=${manager}${force ? '&force=true' : ''}`, {
        body: hose(version, 'a', spec),
        type: 'application/apply-patch+yaml',
      });
    expect((await apply('v1', 'one', { lengthM: 1 })).code).toBe(201);
    // The same length, said in the other unit: no conflict, and both own it in their own words.
    expect((await apply('v2', 'two', { lengthCm: 100 })).code).toBe(200);
    const shared = await call('GET', path('v2', 'a'));
    const owners = shared.body.metadata.managedFields.map(
      (each: { manager: string; apiVersion: string; fieldsV1: object }) => [
        each.manager,
        each.apiVersion,
        each.fieldsV1,
      ],
    );
    expect(owners).toEqual(
      expect.arrayContaining([
        ['one', 'garden.example.com/v1', { 'f:spec': { 'f:lengthM': {} } }],
        ['two', 'garden.example.com/v2', { 'f:spec': { 'f:lengthCm': {} } }],
      ]),
    );
    const conflict = await apply('v2', 'two', { lengthCm: 500 });
    expect(conflict).toMatchObject({ code: 409, body: { details: { causes: [{ field: '.spec.lengthM' }] } } });
    expect((await apply('v2', 'two', { lengthCm: 500 }, true)).body.spec.lengthCm).toBe(500);
    const after = await call('GET', path('v1', 'a'));
    expect(after.body.spec.lengthM).toBe(5);
    expect(after.body.metadata.managedFields.map((each: { manager: string }) => each.manager)).toEqual(['two']);
    // What it applied in another version and no longer does goes.
    expect((await apply('v1', 'two', { color: 'blue' })).body.spec).toEqual({ color: 'blue' });
  });
}
