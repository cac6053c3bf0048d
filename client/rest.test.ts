import { type AddressInfo, connect as connectTcp, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { ApiError } from '../api/errors.ts';
import type { ConfigMap } from '../api/types/core-v1.ts';
import { FakeClock, settle, systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { type Client, NetworkError, type ResourceRef } from './port.ts';
import { createClient } from './rest.ts';
import {
  answerJson,
  type Script,
  type ScriptedServer,
  startScriptedServer,
  statusBody,
} from './testing/scripted-server.ts';

const configMaps: ResourceRef = {
  group: '',
  version: 'v1',
  resource: 'configmaps',
  kind: 'ConfigMap',
  namespaced: true,
};
const deployments: ResourceRef = {
  group: 'apps',
  version: 'v1',
  resource: 'deployments',
  kind: 'Deployment',
  namespaced: true,
};

let server: ScriptedServer;
let client: Client;

async function start(script: Script, clock = systemClock): Promise<void> {
  server = await startScriptedServer(script);
  client = createClient(
    { server: server.url, userAgent: 'sampan-test', token: 'secret' },
    { clock, log: silentLogger },
  );
}

afterEach(async () => {
  client.close();
  await server.stop();
});

describe('requests', () => {
  it('sends method, escaped path, query, media type, token and user agent', async () => {
    const requests: unknown[] = [];
    await start(({ method, path, query, headers, body, stream }) => {
      requests.push([
        method,
        path,
        query.toString(),
        headers['content-type'],
        headers.authorization,
        headers['user-agent'],
        body,
      ]);
      answerJson(stream, { metadata: { name: 'a' } });
    });
    await client
      .resource(deployments, 'default')
      .patch('web', 'strategic', { spec: {} }, { fieldManager: 'm', subresource: 'status' });
    await client.resource(configMaps, 'kube-system').patch('a', 'apply', {}, { fieldManager: 'm', force: true });
    await client.resource<ConfigMap>(configMaps, 'ns').create({ metadata: { name: 'a' } }, { dryRun: true });
    await client
      .resource<ConfigMap>(configMaps, 'ns')
      .delete('a', { gracePeriodSeconds: 0, preconditions: { uid: 'u' } });
    await client.resource(deployments, 'ns').list({ labelSelector: 'a in (b,c)', limit: 5 });
    const common = ['Bearer secret', 'sampan-test'];
    expect(requests).toEqual([
      [
        'PATCH',
        '/apis/apps/v1/namespaces/default/deployments/web/status',
        'fieldManager=m',
        'application/strategic-merge-patch+json',
        ...common,
        '{"spec":{}}',
      ],
      [
        'PATCH',
        '/api/v1/namespaces/kube-system/configmaps/a',
        'fieldManager=m&force=true',
        'application/apply-patch+yaml',
        ...common,
        '{}',
      ],
      [
        'POST',
        '/api/v1/namespaces/ns/configmaps',
        'dryRun=All',
        'application/json',
        ...common,
        '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"}}',
      ],
      [
        'DELETE',
        '/api/v1/namespaces/ns/configmaps/a',
        '',
        'application/json',
        ...common,
        '{"kind":"DeleteOptions","apiVersion":"v1","gracePeriodSeconds":0,"preconditions":{"uid":"u"}}',
      ],
      [
        'GET',
        '/apis/apps/v1/namespaces/ns/deployments',
        'labelSelector=a+in+%28b%2Cc%29&limit=5',
        undefined,
        ...common,
        '',
      ],
    ]);
    expect(server.sessions.size).toBe(1);
  });

  it('turns a Status into an ApiError, and an answer without one into the reason of its code', async () => {
    await start(({ path, stream }) => {
      if (path.endsWith('/a')) return answerJson(stream, statusBody(404, 'NotFound', 'configmaps "a" not found'), 404);
      stream.respond({ ':status': 503, 'content-type': 'text/plain' });
      stream.end('overloaded\n');
    });
    const refused = (await client
      .resource(configMaps, 'ns')
      .get('a')
      .catch((error) => error)) as ApiError;
    expect(refused).toBeInstanceOf(ApiError);
    expect([refused.code, refused.reason, refused.message]).toEqual([404, 'NotFound', 'configmaps "a" not found']);
    const down = (await client
      .resource(configMaps, 'ns')
      .get('b')
      .catch((error) => error)) as ApiError;
    expect([down.code, down.reason, down.message]).toEqual([503, 'ServiceUnavailable', 'overloaded']);
  });

  it('follows continue to the end and gives items their kind', async () => {
    await start(({ query, stream }) => {
      if (!query.get('continue'))
        answerJson(stream, {
          metadata: { resourceVersion: '7', continue: 'more' },
          items: [{ metadata: { name: 'a' } }],
        });
      else answerJson(stream, { metadata: { resourceVersion: '7' }, items: [{ metadata: { name: 'b' } }] });
    });
    const all = await client.resource<ConfigMap>(configMaps).listAll({ limit: 1 });
    expect(all.metadata.resourceVersion).toBe('7');
    expect(all.items.map((item) => `${item.apiVersion} ${item.kind} ${item.metadata.name}`)).toEqual([
      'v1 ConfigMap a',
      'v1 ConfigMap b',
    ]);
  });

  it('says what it could not connect to', async () => {
    await start(() => {});
    const gone = createClient(
      { server: 'http://127.0.0.1:1', userAgent: 't' },
      { clock: systemClock, log: silentLogger },
    );
    const error = (await gone.request('GET', '/version').catch((each) => each)) as Error;
    expect(error).toBeInstanceOf(NetworkError);
    expect(error.message).toContain('cannot connect to http://127.0.0.1:1');
    gone.close();
  });

  it('connects again after the session was cut, and does not repeat what may have reached the server', async () => {
    let cut = true;
    await start(({ stream }) => {
      if (cut) {
        cut = false;
        stream.session?.destroy();
      } else answerJson(stream, { metadata: { name: 'a' } });
    });
    const pods = client.resource(configMaps, 'ns');
    await expect(pods.get('a')).rejects.toBeInstanceOf(NetworkError);
    expect(server.seen).toHaveLength(1);
    expect((await pods.get('a')).metadata.name).toBe('a');
  });

  it('repeats a refused stream, which never reached the server', async () => {
    let refusals = 2;
    await start(({ stream }) => {
      if (refusals-- > 0) stream.close(7);
      else answerJson(stream, { metadata: { name: 'a' } });
    });
    expect((await client.resource(configMaps, 'ns').get('a')).metadata.name).toBe('a');
    expect(server.seen).toHaveLength(3);
  });

  it('waits as long as Retry-After says on 429, then gives up after ten times', async () => {
    const clock = new FakeClock();
    await start(
      ({ stream }) => answerJson(stream, statusBody(429, 'TooManyRequests', 'slow down'), 429, { 'retry-after': '2' }),
      clock,
    );
    const startMs = clock.now();
    const outcome = client
      .resource(configMaps, 'ns')
      .get('a')
      .catch((error) => error);
    const state = { done: false };
    void outcome.then(() => {
      state.done = true;
    });
    while (!state.done) {
      await settle();
      await clock.advance(100);
    }
    expect(((await outcome) as ApiError).reason).toBe('TooManyRequests');
    expect(server.seen).toHaveLength(11);
    expect(clock.now() - startMs).toBeGreaterThanOrEqual(20_000);
  });

  it('cancels a request on abort and tells the server', async () => {
    let closed = false;
    let arrived = () => {};
    const arrival = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    await start(({ stream }) => {
      stream.on('close', () => {
        closed = true;
      });
      arrived();
    });
    const stop = new AbortController();
    const pending = client
      .resource(configMaps, 'ns')
      .get('a', { signal: stop.signal })
      .catch((error) => error);
    await arrival;
    stop.abort();
    expect((await pending).name).toBe('AbortError');
    await expect.poll(() => closed).toBe(true);
  });

  it('gives up a request that is not answered', async () => {
    const clock = new FakeClock();
    await start(() => {}, clock);
    const state = { message: '' };
    client.request('GET', '/version').catch((error: Error) => {
      state.message = error.message;
    });
    await expect.poll(() => server.seen.length).toBe(1);
    while (state.message === '') await clock.advance(50); // small steps: pings are answered by a real peer
    expect(state.message).toContain('no answer within');
  });

  it('carries many requests and watches over one session', async () => {
    await start(({ stream, query }) => {
      if (query.get('watch')) {
        stream.respond({ ':status': 200 });
        stream.write('{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}\n');
      } else answerJson(stream, { metadata: { name: 'a' } });
    });
    const stop = new AbortController();
    const watches = Array.from({ length: 20 }, () =>
      client.resource(configMaps).watch({ signal: stop.signal })[Symbol.asyncIterator](),
    );
    for (const watch of watches) expect((await watch.next()).value.type).toBe('ADDED');
    await Promise.all(Array.from({ length: 50 }, () => client.resource(configMaps, 'ns').get('a')));
    expect(server.sessions.size).toBe(1);
    stop.abort();
    for (const watch of watches) expect((await watch.next()).done).toBe(true);
  });

  it('takes a new session after GOAWAY and lets the old one finish its streams', async () => {
    await start(({ stream, query }) => {
      if (query.get('watch')) {
        stream.respond({ ':status': 200 });
        stream.write('{"type":"ADDED","object":{"metadata":{"name":"a","resourceVersion":"1"}}}\n');
      } else answerJson(stream, { metadata: { name: 'a' } });
    });
    const stop = new AbortController();
    const watch = client.resource(configMaps).watch({ signal: stop.signal })[Symbol.asyncIterator]();
    await watch.next();
    const [first] = server.sessions;
    first?.goaway();
    await expect.poll(async () => (await client.resource(configMaps, 'ns').get('a')) && server.sessions.size).toBe(2);
    stop.abort();
    expect((await watch.next()).done).toBe(true);
    await expect.poll(() => server.sessions.size).toBe(1);
  });

  it('drops a peer that does not answer pings', async () => {
    const clock = new FakeClock();
    await start(({ stream }) => answerJson(stream, { metadata: { name: 'a' } }), clock);
    let isDeaf = false;
    const { port } = new URL(server.url);
    const between = createTcpServer((socket) => {
      const upstream = connectTcp(Number(port), '127.0.0.1');
      socket.on('data', (chunk) => void (isDeaf || upstream.write(chunk))).on('close', () => upstream.destroy());
      upstream.on('data', (chunk) => void (isDeaf || socket.write(chunk))).on('close', () => socket.destroy());
      for (const each of [socket, upstream]) each.on('error', () => {});
    });
    await new Promise<void>((resolve) => between.listen(0, '127.0.0.1', resolve));
    client = createClient(
      { server: `http://127.0.0.1:${(between.address() as AddressInfo).port}`, userAgent: 'test' },
      { clock, log: silentLogger },
    );
    await client.resource(configMaps, 'ns').get('a');
    isDeaf = true;
    const lost = client.resource(configMaps, 'ns').get('a');
    const outcome = lost.catch((error) => error);
    await clock.advance(31_000);
    expect(await outcome).toBeInstanceOf(NetworkError);
    isDeaf = false;
    expect((await client.resource(configMaps, 'ns').get('a')).metadata.name).toBe('a');
    client.close();
    await new Promise((resolve) => between.close(resolve));
  });
});
