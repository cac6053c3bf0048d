// Every built-in kind through every verb of its own, over HTTPS: what upstream's "should support … API operations" tests ask
// of each kind, asked of all.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { builtinKinds } from '../api/kinds/index.ts';
import { SAMPLES } from '../api/kinds/testing-samples.ts';
import type { Kind } from '../api/kind.ts';
import { apiVersionOf } from '../api/object.ts';
import { startTestServer, type TestServer } from './testing/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', '/api/v1/namespaces/default/serviceaccounts', { body: { metadata: { name: 'default' } } });
});
afterAll(() => server.stop());

const keyOf = (kind: Kind) => (kind.group === '' ? kind.resource : `${kind.resource}.${kind.group}`);
const pathOf = (kind: Kind) => {
  const root = kind.group === '' ? `/api/${kind.version}` : `/apis/${kind.group}/${kind.version}`;
  return `${root}/${kind.namespaced ? 'namespaces/default/' : ''}${kind.resource}`;
};
const LABEL = 'labelSelector=test%3Doperations';

const kinds = builtinKinds.filter((each) => each.verbs.includes('create'));

const watches: { name: string; path: string }[] = [];

describe.each(kinds.map((kind) => [`${apiVersionOf(kind)} ${kind.kind}`, kind] as const))('%s', (_, kind) => {
  const sample = SAMPLES[keyOf(kind)];
  // The two versions of a kind are one object.
  const name = sample?.metadata?.name ?? `sample-${kind.group || 'core'}-${kind.version}`;
  const path = pathOf(kind);
  const one = `${path}/${name}`;
  const sent = {
    ...sample,
    apiVersion: apiVersionOf(kind),
    kind: kind.kind,
    metadata: { name, labels: { test: 'operations' } },
  };

  it('is created, read, watched, changed and deleted', async () => {
    const created = await server.call('POST', path, { body: sent });
    expect(created.body).toMatchObject({ kind: kind.kind });
    expect(created.code).toBe(201);
    expect(created.body).toMatchObject({ apiVersion: apiVersionOf(kind), kind: kind.kind, metadata: { name } });
    const { uid, resourceVersion } = created.body.metadata;

    const again = await server.call('POST', path, { body: sent });
    expect([again.code, again.body.reason]).toEqual([409, 'AlreadyExists']);
    // A controller of the server's own may have been there meanwhile.
    expect((await server.call('GET', one)).body).toMatchObject({ ...sample, metadata: { uid } });
    const list = (await server.call('GET', `${path}?${LABEL}`)).body;
    expect([list.kind, list.items.map((each: any) => each.metadata.uid)]).toEqual([kind.listKind, [uid]]);
    const table = await server.call('GET', `${path}?${LABEL}`, {
      headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' },
    });
    expect(table.body.rows[0].cells).toHaveLength(table.body.columnDefinitions.length);

    const merge = { type: 'application/merge-patch+json', body: { metadata: { annotations: { patched: 'yes' } } } };
    const patched = await server.call('PATCH', one, merge);
    expect([patched.code, patched.body.metadata?.annotations]).toEqual([
      200,
      expect.objectContaining({ patched: 'yes' }),
    ]);
    const { annotations } = patched.body.metadata;
    const { resourceVersion: latest, ...metadata } = patched.body.metadata;
    const next = { ...patched.body, metadata: { ...metadata, annotations: { ...annotations, updated: 'yes' } } };
    if (kind.allowUnconditionalUpdate === false) next.metadata.resourceVersion = latest;
    const updated = await server.call('PUT', one, { body: next });
    expect(updated.body).toMatchObject({ kind: kind.kind });
    expect(updated.body.metadata.annotations).toMatchObject({ patched: 'yes', updated: 'yes' });
    next.metadata.resourceVersion = resourceVersion;
    const stale = await server.call('PUT', one, { body: next });
    expect([stale.code, stale.body.reason]).toEqual([409, 'Conflict']);

    const applied = await server.call('PATCH', `${one}?fieldManager=tester`, {
      type: 'application/apply-patch+yaml',
      body: JSON.stringify({
        apiVersion: apiVersionOf(kind),
        kind: kind.kind,
        metadata: { name, labels: { applied: 'yes' } },
      }),
    });
    expect([applied.code, applied.body.metadata?.labels?.applied]).toEqual([200, 'yes']);

    watches.push({
      name: keyOf(kind),
      path: `${path}?watch=1&timeoutSeconds=1&resourceVersion=${resourceVersion}&${LABEL}`,
    });

    const gone = await server.call('DELETE', kind.verbs.includes('deletecollection') ? `${path}?${LABEL}` : one);
    expect(gone.code).toBe(200);
    if (kind.kind === 'Namespace') return;
    expect(await isGone(one)).toBe(true);
  });
});

/** At once, or once a finalizer that the server itself has put there is taken away. */
async function isGone(path: string): Promise<boolean> {
  const found = await server.call('GET', path);
  if (found.code === 404) return true;
  if (!found.body.metadata.deletionTimestamp) return false;
  await server.call('PATCH', path, { type: 'application/merge-patch+json', body: { metadata: { finalizers: null } } });
  return (await server.call('GET', path)).code === 404;
}

it('accepts a deletion that waits when the dependents are to go, too; otherwise it is OK', async () => {
  const path = '/api/v1/namespaces/default/configmaps';
  for (const [orphanDependents, code] of [
    ['false', 202],
    ['', 200],
  ] as const) {
    const name = `waits${orphanDependents}`;
    await server.call('POST', path, { body: { metadata: { name, finalizers: ['example.com/wait'] } } });
    const query = orphanDependents && `?orphanDependents=${orphanDependents}`;
    expect((await server.call('DELETE', `${path}/${name}${query}`)).code).toBe(code);
  }
});

it('has told watchers of it all, in order', async () => {
  const seen = await Promise.all(
    watches.map(async ({ name, path }) => {
      const { text } = await server.call('GET', path);
      const types = text
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).type as string);
      return { name, changes: types.filter((each) => each === 'MODIFIED').length >= 3, last: types.at(-1) };
    }),
  );
  expect(seen).toHaveLength(kinds.length);
  for (const each of seen) {
    // Namespaces wait for somebody to empty them.
    expect(each).toEqual({ name: each.name, changes: true, last: each.name === 'namespaces' ? 'MODIFIED' : 'DELETED' });
  }
});

it('has a sample of every kind', () => {
  expect(kinds.map(keyOf).filter((each) => !(each in SAMPLES))).toEqual([]);
});
