// The verbs of the generic registry, over TLS, on a whole server in memory.
import { request } from 'node:https';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
const NS = '/api/v1/namespaces/default';
const CONFIG_MAPS = `${NS}/configmaps`;
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';

beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
});
afterAll(() => server.stop());

const call: TestServer['call'] = (...parameters) => server.call(...parameters);
const configMap = (name: string, data: Record<string, string> = {}, more: object = {}) => ({
  metadata: { name, ...more },
  data,
});
const deployment = (name: string) => ({
  metadata: { name },
  spec: {
    replicas: 2,
    selector: { matchLabels: { app: name } },
    template: { metadata: { labels: { app: name } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
  },
});
const pod = (name: string, more: object = {}) => ({
  metadata: { name },
  spec: { containers: [{ name: 'c', image: 'i' }], ...more },
});

/** Opens a watch; `next` resolves to the next event. */
function watch(path: string, accept = 'application/json') {
  const events: unknown[] = [];
  const waiting: ((event: unknown) => void)[] = [];
  let ended: () => void = () => {};
  const end = new Promise<void>((resolve) => {
    ended = resolve;
  });
  let rest = '';
  let close = () => {};
  const opened = new Promise<number>((resolve, reject) => {
    const sent = request(
      {
        host: '127.0.0.1',
        port: server.port,
        path,
        ca: server.pki.caPem,
        key: server.pki.admin.keyPem,
        cert: server.pki.admin.certificatePem,
        agent: false,
        headers: { accept },
      },
      (answer) => {
        resolve(answer.statusCode ?? 0);
        answer.on('data', (chunk: Buffer) => {
          const lines = (rest + chunk).split('\n');
          rest = lines.pop() ?? '';
          for (const line of lines) {
            const event = JSON.parse(line);
            const take = waiting.shift();
            if (take) take(event);
            else events.push(event);
          }
        });
        answer.on('close', ended);
        answer.on('error', () => {});
      },
    );
    sent.on('error', reject);
    sent.end();
    close = () => sent.destroy();
  });
  return {
    opened,
    end,
    close: () => close(),
    next: (): Promise<any> =>
      events.length > 0 ? Promise.resolve(events.shift()) : new Promise((resolve) => waiting.push(resolve)),
  };
}

describe('create', () => {
  it('fills what the server owns', async () => {
    const body = {
      metadata: { name: 'filled', uid: 'mine', creationTimestamp: '2001-01-01T00:00:00Z', generation: 7 },
      status: { replicas: 9 },
      spec: deployment('x').spec,
    };
    const { code, body: made } = await call('POST', DEPLOYMENTS, { body });
    expect(code).toBe(201);
    expect(made.kind).toBe('Deployment');
    expect(made.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(made.metadata.creationTimestamp).not.toBe('2001-01-01T00:00:00Z');
    expect(made.metadata.generation).toBe(1);
    expect(Number(made.metadata.resourceVersion)).toBeGreaterThan(0);
    expect(made.status.replicas).toBeUndefined();
    const { body: read } = await call('GET', `${DEPLOYMENTS}/filled`);
    expect(read).toEqual(made);
  });
  it('generates names', async () => {
    const { body: made } = await call('POST', CONFIG_MAPS, { body: { metadata: { generateName: 'gen-' } } });
    expect(made.metadata.name).toMatch(/^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
  });
  it('writes nothing in a dry run', async () => {
    const answer = await call('POST', `${CONFIG_MAPS}?dryRun=All`, { body: configMap('dry') });
    expect(answer.code).toBe(201);
    expect(answer.body.metadata.uid).toBeDefined();
    expect((await call('GET', `${CONFIG_MAPS}/dry`)).code).toBe(404);
  });
});

describe('update and patch', () => {
  it('writes nothing when nothing changes', async () => {
    const { body: made } = await call('POST', CONFIG_MAPS, { body: configMap('noop', { a: '1' }) });
    const put = await call('PUT', `${CONFIG_MAPS}/noop`, { body: made });
    expect(put.body.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
    const patched = await call('PATCH', `${CONFIG_MAPS}/noop`, {
      body: { data: { a: '1' } },
      type: 'application/merge-patch+json',
    });
    expect(patched.body.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
  });
  it('keeps what the server owns and refuses stale versions', async () => {
    const { body: made } = await call('POST', CONFIG_MAPS, { body: configMap('stale', { a: '1' }) });
    const first = await call('PUT', `${CONFIG_MAPS}/stale`, { body: { ...made, data: { a: '2' } } });
    expect(first.code).toBe(200);
    expect(first.body.metadata.uid).toBe(made.metadata.uid);
    const second = await call('PUT', `${CONFIG_MAPS}/stale`, { body: { ...made, data: { a: '3' } } });
    expect(second.code).toBe(409);
    expect(second.body.message).toBe(
      'Operation cannot be fulfilled on configmaps "stale": the object has been modified; please apply your changes to the latest version and try again',
    );
    const unconditional = await call('PUT', `${CONFIG_MAPS}/stale`, { body: configMap('stale', { a: '4' }) });
    expect(unconditional.body.data).toEqual({ a: '4' });
  });
  it('counts generations of spec only, and keeps status apart', async () => {
    await call('POST', DEPLOYMENTS, { body: deployment('counted') });
    const smp = 'application/strategic-merge-patch+json';
    const labelled = await call('PATCH', `${DEPLOYMENTS}/counted`, {
      body: { metadata: { labels: { a: 'b' } } },
      type: smp,
    });
    expect(labelled.body.metadata.generation).toBe(1);
    const scaled = await call('PATCH', `${DEPLOYMENTS}/counted`, {
      body: { spec: { replicas: 5 }, status: { replicas: 5 } },
      type: smp,
    });
    expect(scaled.body.metadata.generation).toBe(2);
    expect(scaled.body.status.replicas).toBeUndefined();
    const status = await call('PATCH', `${DEPLOYMENTS}/counted/status`, {
      body: { spec: { replicas: 9 }, status: { replicas: 5 } },
      type: smp,
    });
    expect(status.body.metadata.generation).toBe(2);
    expect(status.body.spec.replicas).toBe(5);
    expect(status.body.status.replicas).toBe(5);
  });
  it('loses no update when patches race', async () => {
    await call('POST', CONFIG_MAPS, { body: configMap('raced') });
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, i) =>
        call('PATCH', `${CONFIG_MAPS}/raced`, {
          body: { data: { [`k${i}`]: 'v' } },
          type: 'application/merge-patch+json',
        }),
      ),
    );
    expect(answers.every((each) => each.code === 200)).toBe(true);
    expect(Object.keys((await call('GET', `${CONFIG_MAPS}/raced`)).body.data)).toHaveLength(30);
  });
  it('scales', async () => {
    await call('POST', DEPLOYMENTS, { body: deployment('scaled') });
    const path = `${DEPLOYMENTS}/scaled/scale`;
    const { body: scale } = await call('GET', path);
    expect(scale).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      spec: { replicas: 2 },
      status: { replicas: 0, selector: 'app=scaled' },
    });
    const patched = await call('PATCH', path, {
      body: { spec: { replicas: 3 } },
      type: 'application/merge-patch+json',
    });
    expect(patched.body.spec.replicas).toBe(3);
    const put = await call('PUT', path, {
      body: { metadata: { name: 'scaled', namespace: 'default' }, spec: { replicas: 4 } },
    });
    expect(put.body.spec.replicas).toBe(4);
    const stale = await call('PUT', path, { body: scale });
    expect(stale.code).toBe(409);
    expect(
      (await call('PATCH', path, { body: { spec: { replicas: -1 } }, type: 'application/merge-patch+json' })).code,
    ).toBe(422);
    expect((await call('GET', `${DEPLOYMENTS}/scaled`)).body.spec.replicas).toBe(4);
  });
});

describe('delete', () => {
  it('answers a Status with the uid', async () => {
    const { body: made } = await call('POST', CONFIG_MAPS, { body: configMap('gone') });
    const answer = await call('DELETE', `${CONFIG_MAPS}/gone`);
    expect(answer.body).toMatchObject({
      kind: 'Status',
      status: 'Success',
      details: { name: 'gone', kind: 'configmaps', uid: made.metadata.uid },
    });
    expect((await call('DELETE', `${CONFIG_MAPS}/gone`)).code).toBe(404);
  });
  it('waits for finalizers', async () => {
    await call('POST', CONFIG_MAPS, { body: configMap('held', {}, { finalizers: ['example.com/hold'] }) });
    const deleted = await call('DELETE', `${CONFIG_MAPS}/held`);
    expect(deleted.body.metadata.deletionTimestamp).toBeDefined();
    const again = await call('PUT', `${CONFIG_MAPS}/held`, {
      body: configMap('held', {}, { finalizers: ['example.com/hold', 'example.com/more'] }),
    });
    expect(again.body.message).toMatch(/no new finalizers can be added if the object is being deleted/);
    const freed = await call('PATCH', `${CONFIG_MAPS}/held`, {
      body: { metadata: { finalizers: null } },
      type: 'application/merge-patch+json',
    });
    expect(freed.code).toBe(200);
    expect((await call('GET', `${CONFIG_MAPS}/held`)).code).toBe(404);
  });
  it('turns propagation policies into finalizers', async () => {
    for (const [policy, finalizer] of [
      ['Foreground', 'foregroundDeletion'],
      ['Orphan', 'orphan'],
    ]) {
      const name = `policy-${finalizer?.toLowerCase()}`;
      await call('POST', DEPLOYMENTS, { body: deployment(name) });
      const { body } = await call('DELETE', `${DEPLOYMENTS}/${name}`, { body: { propagationPolicy: policy } });
      expect(body.metadata.finalizers).toEqual([finalizer]);
      expect(body.metadata.generation).toBe(2);
    }
  });
  it('holds to preconditions', async () => {
    await call('POST', CONFIG_MAPS, { body: configMap('guarded') });
    const wrong = await call('DELETE', `${CONFIG_MAPS}/guarded`, { body: { preconditions: { uid: 'other' } } });
    expect(wrong.code).toBe(409);
    expect(wrong.body.message).toMatch(/Precondition failed: UID in precondition: other, UID in object meta: /);
  });
  it('deletes bound pods gracefully and unbound ones at once', async () => {
    await call('POST', `${NS}/pods`, { body: pod('unbound') });
    expect((await call('DELETE', `${NS}/pods/unbound`)).body.kind).toBe('Pod');
    expect((await call('GET', `${NS}/pods/unbound`)).code).toBe(404);
    await call('POST', `${NS}/pods`, { body: pod('bound') });
    const binding = await call('POST', `${NS}/pods/bound/binding`, {
      body: { target: { kind: 'Node', name: 'node-a' }, metadata: { name: 'bound' } },
    });
    expect(binding.code).toBe(201);
    expect(
      (await call('POST', `${NS}/pods/bound/binding`, { body: { target: { name: 'node-b' }, metadata: {} } })).body
        .message,
    ).toMatch(/already assigned to node "node-a"/);
    const { body: bound } = await call('GET', `${NS}/pods/bound`);
    expect(bound.spec.nodeName).toBe('node-a');
    expect(bound.status.conditions).toContainEqual(expect.objectContaining({ type: 'PodScheduled', status: 'True' }));
    const { body: dying } = await call('DELETE', `${NS}/pods/bound`);
    expect(dying.metadata).toMatchObject({ deletionGracePeriodSeconds: 30 });
    const { body: hastened } = await call('DELETE', `${NS}/pods/bound`, { body: { gracePeriodSeconds: 1 } });
    expect(hastened.metadata.deletionGracePeriodSeconds).toBe(1);
    await call('DELETE', `${NS}/pods/bound`, { body: { gracePeriodSeconds: 0 } });
    expect((await call('GET', `${NS}/pods/bound`)).code).toBe(404);
  });
  it('finalizes namespaces', async () => {
    await call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'brief' } } });
    const { body: dying } = await call('DELETE', '/api/v1/namespaces/brief');
    expect(dying.status.phase).toBe('Terminating');
    const refused = await call('POST', '/api/v1/namespaces/brief/configmaps', { body: configMap('late') });
    expect(refused.code).toBe(403);
    expect(refused.body.message).toBe(
      'configmaps "late" is forbidden: unable to create new content in namespace brief because it is being terminated',
    );
    expect(refused.body.details.causes[0].reason).toBe('NamespaceTerminating');
    const finalized = await call('PUT', '/api/v1/namespaces/brief/finalize', {
      body: { ...dying, spec: { finalizers: [] } },
    });
    expect(finalized.code).toBe(200);
    expect((await call('GET', '/api/v1/namespaces/brief')).code).toBe(404);
  });
  it('deletes collections by selector', async () => {
    for (const name of ['dc-1', 'dc-2', 'dc-3']) {
      await call('POST', CONFIG_MAPS, {
        body: configMap(name, {}, { labels: { group: name === 'dc-3' ? 'kept' : 'dc' } }),
      });
    }
    expect((await call('DELETE', `${CONFIG_MAPS}?labelSelector=group%3Ddc`)).code).toBe(200);
    const left = await call('GET', `${CONFIG_MAPS}?labelSelector=group`);
    expect(left.body.items.map((each: { metadata: { name: string } }) => each.metadata.name)).toEqual(['dc-3']);
  });
});

describe('list and watch', () => {
  const names = (list: { items: { metadata: { name: string } }[] }) => list.items.map((each) => each.metadata.name);

  it('pages at one revision', async () => {
    await call('POST', '/api/v1/namespaces', { body: { metadata: { name: 'paged' } } });
    const path = '/api/v1/namespaces/paged/configmaps';
    for (const name of ['a', 'b', 'c', 'd', 'e']) await call('POST', path, { body: configMap(name) });
    const first = (await call('GET', `${path}?limit=2`)).body;
    expect(names(first)).toEqual(['a', 'b']);
    expect(first.metadata.remainingItemCount).toBe(3);
    await call('DELETE', `${path}/c`);
    await call('POST', path, { body: configMap('cc') });
    const second = (await call('GET', `${path}?limit=2&continue=${first.metadata.continue}`)).body;
    expect(names(second)).toEqual(['c', 'd']);
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    const last = (await call('GET', `${path}?limit=2&continue=${second.metadata.continue}`)).body;
    expect(names(last)).toEqual(['e']);
    expect(last.metadata.continue).toBeUndefined();
    const exact = (
      await call('GET', `${path}?resourceVersion=${first.metadata.resourceVersion}&resourceVersionMatch=Exact`)
    ).body;
    expect(names(exact)).toEqual(['a', 'b', 'c', 'd', 'e']);
    const both = await call('GET', `${path}?continue=${first.metadata.continue}&resourceVersion=5`);
    expect(both.code).toBe(400);
  });

  it('sends events from a revision on, in order, and bookmarks of the beginning', async () => {
    const { body: made } = await call('POST', CONFIG_MAPS, { body: configMap('watched', { n: '0' }) });
    const changes = watch(
      `${CONFIG_MAPS}?watch=1&resourceVersion=${made.metadata.resourceVersion}&fieldSelector=metadata.name%3Dwatched`,
    );
    expect(await changes.opened).toBe(200);
    await call('PUT', `${CONFIG_MAPS}/watched`, { body: configMap('watched', { n: '1' }) });
    await call('DELETE', `${CONFIG_MAPS}/watched`);
    expect(await changes.next()).toMatchObject({ type: 'MODIFIED', object: { kind: 'ConfigMap', data: { n: '1' } } });
    expect(await changes.next()).toMatchObject({ type: 'DELETED', object: { metadata: { name: 'watched' } } });
    changes.close();
    await call('POST', CONFIG_MAPS, { body: configMap('initial', {}, { labels: { only: 'me' } }) });
    const initial = watch(
      `${CONFIG_MAPS}?watch=1&labelSelector=only%3Dme&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true`,
    );
    expect(await initial.next()).toMatchObject({ type: 'ADDED', object: { metadata: { name: 'initial' } } });
    expect(await initial.next()).toMatchObject({
      type: 'BOOKMARK',
      object: { metadata: { annotations: { 'k8s.io/initial-events-end': 'true' } } },
    });
    initial.close();
  });

  it('ends a watch after timeoutSeconds', async () => {
    const timed = watch(`${CONFIG_MAPS}?watch=1&timeoutSeconds=1`);
    expect(await timed.opened).toBe(200);
    await timed.end;
  });

  it('writes Tables, whole and as events', async () => {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
    const { body: table } = await call('GET', `${DEPLOYMENTS}?limit=1`, { headers: { accept } });
    expect(table).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
    expect(table.columnDefinitions[0]).toMatchObject({ name: 'Name', format: 'name' });
    expect(table.rows[0].object.kind).toBe('PartialObjectMetadata');
    const rows = watch(`${DEPLOYMENTS}?watch=1&resourceVersion=0`, accept);
    const first = await rows.next();
    expect(first.object.columnDefinitions.length).toBeGreaterThan(3);
    expect((await rows.next()).object.rows).toHaveLength(1);
    rows.close();
  });

  it('waits for a revision that is not there yet, then says so', async () => {
    const answer = await call('GET', `${CONFIG_MAPS}?resourceVersion=999999999`);
    expect(answer.code).toBe(504);
    expect(answer.body.message).toMatch(/Too large resource version/);
  });
});

describe('answers', () => {
  it('are compressed when large and wanted, indented when wanted, and counted', async () => {
    await call('POST', CONFIG_MAPS, { body: configMap('large', { a: 'x'.repeat(200_000) }) });
    const plain = await call('GET', `${CONFIG_MAPS}/large`);
    expect(plain.headers['content-encoding']).toBeUndefined();
    const small = await call('GET', `${CONFIG_MAPS}/large`, { headers: { 'accept-encoding': 'gzip' } });
    expect(small.headers['content-encoding']).toBe('gzip');
    expect(small.text.length).toBeLessThan(10_000);
    expect((await call('GET', '/version?pretty=true')).text).toMatch(/^\{\n {2}"major"/);
    expect(plain.headers['audit-id']).toMatch(/^[0-9a-f-]{36}$/);
    expect(plain.headers['cache-control']).toBe('no-cache, private');
    const { text } = await call('GET', '/metrics');
    expect(text).toMatch(
      /^apiserver_request_total\{code="200",component="apiserver",dry_run="",group="",resource="configmaps",scope="resource",subresource="",system_client="",verb="GET",version="v1"\} \d+$/m,
    );
    expect(text).toMatch(/^apiserver_storage_objects\{resource="configmaps"\} \d+$/m);
    expect(text).toMatch(/^process_resident_memory_bytes [\d.e+]+$/m);
  });
  it('of discovery are not repeated', async () => {
    const first = await call('GET', '/apis', {
      headers: { accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList' },
    });
    expect(first.body.kind).toBe('APIGroupDiscoveryList');
    const again = await call('GET', '/apis', {
      headers: {
        accept: 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList',
        'if-none-match': String(first.headers.etag),
      },
    });
    expect(again.code).toBe(304);
    expect((await call('GET', '/apis')).body.kind).toBe('APIGroupList');
    expect((await call('GET', '/api')).body.versions).toEqual(['v1']);
    expect((await call('GET', '/')).body.paths).toContain('/apis/apps/v1');
  });
});

describe('services', () => {
  it('get an address and ports, keep them, and give them back', async () => {
    const path = `${NS}/services`;
    const body = { metadata: { name: 'svc' }, spec: { type: 'NodePort', selector: { a: 'b' }, ports: [{ port: 80 }] } };
    const { body: made } = await call('POST', path, { body });
    expect(made.spec.clusterIP).toMatch(/^10\./);
    expect(made.spec.clusterIPs).toEqual([made.spec.clusterIP]);
    const port = made.spec.ports[0].nodePort;
    expect(port).toBeGreaterThanOrEqual(30000);
    const { body: updated } = await call('PUT', `${path}/svc`, {
      body: { ...body, metadata: { name: 'svc', labels: { x: 'y' } } },
    });
    expect(updated.spec.clusterIP).toBe(made.spec.clusterIP);
    expect(updated.spec.ports[0].nodePort).toBe(port);
    const thief = { metadata: { name: 'thief' }, spec: { clusterIP: made.spec.clusterIP, ports: [{ port: 80 }] } };
    expect((await call('POST', path, { body: thief })).code).toBe(422);
    expect(
      (
        await call('POST', `${path}`, {
          body: { ...body, metadata: { name: 'thief' }, spec: { ...body.spec, ports: [{ port: 80, nodePort: port }] } },
        })
      ).body.message,
    ).toMatch(/provided port is already allocated/);
    await call('DELETE', `${path}/svc`);
    expect((await call('POST', path, { body: thief })).code).toBe(201);
  });
  it('leave headless ones without', async () => {
    const { body } = await call('POST', `${NS}/services`, {
      body: { metadata: { name: 'headless' }, spec: { clusterIP: 'None', ports: [{ port: 80 }] } },
    });
    expect(body.spec).toMatchObject({ clusterIP: 'None', clusterIPs: ['None'] });
  });
});
