// The server in operation, over real connections: seats and 429, deadlines, health, shutdown, /debug.
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect as connectTls } from 'node:tls';
import { afterEach, describe, expect, it } from 'vitest';
import { createMemoryStore } from '../storage/memory.ts';
import type { Store } from '../storage/port.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { deadlineMs, parseGoDuration } from './deadline.ts';

const servers: TestServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((each) => each.stop()));
});
async function start(options: Parameters<typeof startTestServer>[0] = {}): Promise<TestServer> {
  const server = await startTestServer(options);
  servers.push(server);
  return server;
}

/** A store whose commits wait until they are let through. */
function slowStore(): { store: Store; hold(): void; release(): void; waiting(): number } {
  const inner = createMemoryStore();
  let gate: Promise<void> | undefined;
  let open = () => {};
  let waiting = 0;
  return {
    store: {
      ...inner,
      async commit(write) {
        if (gate && write.key.startsWith('/registry/configmaps/')) {
          waiting++;
          await gate;
          waiting--;
        }
        return inner.commit(write);
      },
    },
    hold() {
      gate = new Promise((resolve) => (open = resolve));
    },
    release() {
      gate = undefined;
      open();
    },
    waiting: () => waiting,
  };
}

function ask(session: ClientHttp2Session, method: string, path: string, body?: object) {
  return new Promise<{ code: number; text: string }>((resolve, reject) => {
    const stream = session.request({ ':method': method, ':path': path, 'content-type': 'application/json' });
    let code = 0;
    let text = '';
    stream.on('response', (headers) => (code = headers[':status'] ?? 0));
    stream.on('data', (chunk) => (text += chunk));
    stream.on('end', () => resolve({ code, text }));
    stream.on('error', reject);
    stream.end(body && JSON.stringify(body));
  });
}

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps';
const configMap = (name: string) => ({ body: { metadata: { name } } });
const FLOW = '/apis/flowcontrol.apiserver.k8s.io/v1';

async function grantEverything(server: TestServer, user: string): Promise<void> {
  await server.call('POST', '/apis/rbac.authorization.k8s.io/v1/clusterrolebindings', {
    body: {
      metadata: { name: `all-${user}` },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'User', name: user }],
    },
  });
}

describe('priority and fairness by its objects', () => {
  it('makes them, keeps them, tells the flow of a request and whether a level is missing', async () => {
    const server = await start();
    const schemas = await server.call('GET', `${FLOW}/flowschemas`);
    expect(schemas.body.items.map((each: any) => each.metadata.name).sort()).toEqual([
      'catch-all',
      'exempt',
      'global-default',
      'kube-controller-manager',
      'kube-scheduler',
      'kube-system-service-accounts',
      'probes',
      'service-accounts',
      'system-leader-election',
      'system-node-high',
      'system-nodes',
    ]);
    const exempt = schemas.body.items.find((each: any) => each.metadata.name === 'exempt');
    expect(schemas.headers['x-kubernetes-pf-flowschema-uid']).toBe(exempt.metadata.uid);
    const level = await server.call('GET', `${FLOW}/prioritylevelconfigurations/exempt`);
    expect(schemas.headers['x-kubernetes-pf-prioritylevel-uid']).toBe(level.body.metadata.uid);

    const condition = async (name: string) =>
      (await server.call('GET', `${FLOW}/flowschemas/${name}`)).body.status?.conditions?.[0];
    await expect
      .poll(() => condition('system-nodes'))
      .toMatchObject({ type: 'Dangling', status: 'False', reason: 'Found' });
    const own = {
      metadata: { name: 'mine' },
      spec: {
        matchingPrecedence: 50,
        priorityLevelConfiguration: { name: 'mine' },
        rules: [
          {
            subjects: [{ kind: 'User', user: { name: 'jane' } }],
            resourceRules: [
              { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true },
            ],
          },
        ],
      },
    };
    expect((await server.call('POST', `${FLOW}/flowschemas`, { body: own })).code).toBe(201);
    await expect
      .poll(() => condition('mine'))
      .toMatchObject({
        status: 'True',
        reason: 'NotFound',
        message:
          'This FlowSchema references the PriorityLevelConfiguration object named "mine" but there is no such object',
      });

    await server.call('DELETE', `${FLOW}/flowschemas/exempt`);
    await expect.poll(async () => (await server.call('GET', `${FLOW}/flowschemas/exempt`)).code).toBe(200);
  });

  it('says 429 to who floods a level that rejects, and serves the others', async () => {
    const slow = slowStore();
    const server = await start({ store: slow.store, maxRequestsInflight: 40, maxMutatingRequestsInflight: 0 });
    await grantEverything(server, 'jane');
    await server.call('POST', `${FLOW}/prioritylevelconfigurations`, {
      body: {
        metadata: { name: 'tiny' },
        spec: {
          type: 'Limited',
          limited: { nominalConcurrencyShares: 1, borrowingLimitPercent: 0, limitResponse: { type: 'Reject' } },
        },
      },
    });
    const made = await server.call('POST', `${FLOW}/flowschemas`, {
      body: {
        metadata: { name: 'tiny' },
        spec: {
          matchingPrecedence: 50,
          priorityLevelConfiguration: { name: 'tiny' },
          rules: [
            {
              subjects: [{ kind: 'User', user: { name: 'jane' } }],
              resourceRules: [
                { verbs: ['*'], apiGroups: ['*'], resources: ['*'], namespaces: ['*'], clusterScope: true },
              ],
            },
          ],
        },
      },
    });
    expect(made.code).toBe(201);
    const jane = { headers: { 'impersonate-user': 'jane' } };
    const uid = async () => (await server.call('GET', CONFIG_MAPS, jane)).headers['x-kubernetes-pf-flowschema-uid'];
    await expect.poll(uid).toBe(made.body.metadata.uid);
    slow.hold();
    const first = server.call('POST', CONFIG_MAPS, { ...configMap('a'), ...jane });
    await expect.poll(slow.waiting).toBe(1);
    const second = await server.call('POST', CONFIG_MAPS, { ...configMap('b'), ...jane });
    expect([second.code, second.text, second.headers['retry-after'], second.headers['content-type']]).toEqual([
      429,
      'Too many requests, please try again later.\n',
      '1',
      'text/plain; charset=utf-8',
    ]);
    expect(second.headers['x-kubernetes-pf-flowschema-uid']).toBe(made.body.metadata.uid);
    expect((await server.call('GET', CONFIG_MAPS)).code).toBe(200);
    // Watches keep no seat once they are up.
    slow.release();
    expect((await first).code).toBe(201);
    const watch = server.call('GET', `${CONFIG_MAPS}?watch=1&timeoutSeconds=1`, jane);
    await expect.poll(async () => (await server.call('GET', CONFIG_MAPS, jane)).code).toBe(200);
    expect((await watch).text).toContain('"ADDED"');
    const { text } = await server.call('GET', '/metrics');
    expect(text).toMatch(
      /^apiserver_flowcontrol_rejected_requests_total\{priority_level="tiny",flow_schema="tiny",reason="concurrency-limit"\} \d+$/m,
    );
    expect(text).toMatch(/^apiserver_flowcontrol_nominal_limit_seats\{priority_level="tiny"\} 1$/m);
  });
});

describe('deadlines', () => {
  it.each([
    ['10s', 10_000],
    ['1m30s', 90_000],
    ['1.5h', 5_400_000],
    ['300ms', 300],
    ['0', 0],
    ['-1s', -1000],
    ['5', 'time: missing unit in duration "5"'],
    ['x', 'time: invalid duration "x"'],
    ['', 'time: invalid duration ""'],
    ['5d', 'time: unknown unit "d" in duration "5d"'],
  ])('%s', (text, value) => expect(parseGoDuration(text)).toEqual(value));
  it('are the server’s, or less', () => {
    expect(['10s', '0s', '2h', null].map((each) => deadlineMs(each, 60_000))).toEqual([10_000, 60_000, 60_000, 60_000]);
  });
  it('end a request that takes too long with 504, and count it', async () => {
    const slow = slowStore();
    const server = await start({ store: slow.store });
    slow.hold();
    const late = await server.call('POST', `${CONFIG_MAPS}?timeout=50ms`, configMap('a'));
    expect(late.code).toBe(504);
    expect(late.body).toMatchObject({
      reason: 'Timeout',
      message: 'Timeout: request did not complete within the allotted timeout',
    });
    slow.release();
    expect((await server.call('POST', `${CONFIG_MAPS}?timeout=nonsense`, configMap('b'))).code).toBe(400);
    const { text } = await server.call('GET', '/metrics');
    expect(text).toMatch(/^apiserver_request_terminations_total\{code="504",.*resource="configmaps",.*\} 1$/m);
    expect(text).toMatch(
      /^apiserver_request_total\{code="504",.*resource="configmaps",.*verb="POST",version="v1"\} 1$/m,
    );
  });
  it('end a body that never comes', async () => {
    const server = await start({ requestTimeoutMs: 100 });
    const session = connectHttp2(server.url, {
      ca: server.pki.caPem,
      key: server.pki.admin.keyPem,
      cert: server.pki.admin.certificatePem,
    });
    const stream = session.request({ ':method': 'POST', ':path': CONFIG_MAPS, 'content-type': 'application/json' });
    stream.write('{"meta');
    const code = await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])));
    expect(code).toBe(504);
    session.destroy();
  });
});

describe('health', () => {
  it('names its checks, each at a path of its own', async () => {
    const server = await start();
    const verbose = await server.call('GET', '/readyz?verbose');
    expect(verbose.text).toMatch(
      /^\[\+\]ping ok\n\[\+\]log ok\n\[\+\]informer-sync ok\n(\[\+\]poststarthook\/\S+ ok\n)+\[\+\]autoregister-completion ok\n(.*\n)*\[\+\]shutdown ok\nreadyz check passed\n$/,
    );
    expect((await server.call('GET', '/livez/etcd')).text).toBe('ok');
    expect((await server.call('GET', '/readyz/poststarthook/rbac/bootstrap-roles')).text).toBe('ok');
    expect((await server.call('GET', '/livez/nonsense')).code).toBe(404);
    const excluded = await server.call('GET', '/livez?verbose&exclude=etcd&exclude=what');
    expect(excluded.text).toContain('[+]etcd excluded: ok\n');
    expect(excluded.text).toContain('warn: some health checks cannot be excluded: no matches for "what"\n');
    const slis = await server.call('GET', '/metrics/slis');
    expect(slis.text).toContain('# HELP kubernetes_healthcheck [STABLE] ');
    expect(slis.text).toMatch(/^kubernetes_healthcheck\{name="etcd",type="livez"\} 1$/m);
    expect(slis.text).toMatch(/^kubernetes_healthchecks_total\{name="ping",status="success",type="readyz"\} 1$/m);
  });
  it('tells nobody why, but for the one check that is asked', async () => {
    const inner = createMemoryStore();
    let broken = false;
    const store: Store = {
      ...inner,
      revision: () => (broken ? Promise.reject(new Error('no disk')) : inner.revision()),
    };
    const server = await start({ store });
    broken = true;
    const all = await server.call('GET', '/livez');
    expect(all.code).toBe(500);
    expect(all.text).toContain('[-]etcd failed: reason withheld\n');
    expect(all.text).toMatch(/livez check failed\n$/);
    expect(all.text).not.toContain('no disk');
    expect((await server.call('GET', '/livez/etcd')).text).toBe('internal server error: no disk\n');
    broken = false;
  });
});

describe('shutdown', () => {
  it('fails readyz first, ends watches cleanly, finishes what runs, and asks the rest to come again', async () => {
    const slow = slowStore();
    const server = await start({ store: slow.store, shutdownDelayMs: 300 });
    servers.pop();
    const session = connectHttp2(server.url, {
      ca: server.pki.caPem,
      key: server.pki.admin.keyPem,
      cert: server.pki.admin.certificatePem,
    });
    const goaway = new Promise((resolve) => session.on('goaway', resolve));
    const watch = session.request({ ':path': `${CONFIG_MAPS}?watch=1` });
    await new Promise((resolve) => watch.once('response', resolve));
    const watchEnd = new Promise((resolve, reject) => {
      watch.on('end', () => resolve(watch.rstCode));
      watch.on('error', reject);
      watch.resume();
    });
    slow.hold();
    const running = ask(session, 'POST', CONFIG_MAPS, configMap('a').body);
    await expect.poll(slow.waiting).toBe(1);
    const stopped = server.stop();
    const shutdown = await ask(session, 'GET', '/readyz/shutdown');
    expect(shutdown.text).toBe('internal server error: process is shutting down\n');
    expect((await ask(session, 'GET', '/livez')).code).toBe(200);
    expect((await ask(session, 'GET', CONFIG_MAPS)).code).toBe(200);
    expect(await watchEnd).toBe(0);
    await goaway;
    slow.release();
    expect((await running).code).toBe(201);
    await stopped;
  });
  it('asks clients to connect anew now and then', async () => {
    const server = await start({ goawayChance: 0.02, random: () => 0.01 });
    const session = connectHttp2(server.url, {
      ca: server.pki.caPem,
      key: server.pki.admin.keyPem,
      cert: server.pki.admin.certificatePem,
    });
    const goaway = new Promise((resolve) => session.on('goaway', (code) => resolve(code)));
    const stream = session.request({ ':path': '/version' });
    const code = await new Promise((resolve) => stream.on('response', (headers) => resolve(headers[':status'])));
    stream.resume();
    expect(code).toBe(200);
    expect(await goaway).toBe(0);
  });
});

describe('/debug', () => {
  it('is not there unless it was asked for', async () => {
    const server = await start();
    for (const path of [
      '/debug/pprof',
      '/debug/pprof/heap',
      '/debug/flags',
      '/debug/api_priority_and_fairness/dump_queues',
    ])
      expect((await server.call('GET', path)).code).toBe(404);
  });
  it('profiles and dumps for those who may', async () => {
    const server = await start({ profiling: true, flags: { maxRequestsInflight: 400 } });
    const path = '/debug/pprof/profile?seconds=0.05';
    const [profile, other] = await Promise.all([server.call('GET', path), server.call('GET', path)]);
    const codes = [profile.code, other.code].sort();
    expect(codes).toEqual([200, 429]);
    expect((profile.code === 200 ? profile : other).body.nodes.length).toBeGreaterThan(0);
    expect((await server.call('GET', '/debug/pprof/profile?seconds=1e9')).code).toBe(400);
    const heap = await server.call('GET', '/debug/pprof/heap?sampled=1&seconds=0.05');
    expect(heap.body.head).toBeDefined();
    expect((await server.call('GET', '/debug/flags')).text).toBe('maxRequestsInflight=400\n');
    const levels = await server.call('GET', '/debug/api_priority_and_fairness/dump_priority_levels');
    expect(levels.text).toMatch(/^PriorityLevelName, +ActiveQueues, +IsIdle,/);
    expect(levels.text).toMatch(/^workload-low, /m);
    const nobody = await server.call('GET', '/debug/flags', { as: null });
    expect(nobody.code).toBe(403);
  });
});

it('closes connections that send half a request, without an answer', async () => {
  const { listen } = await import('./listener.ts');
  const { pki } = await start();
  const listener = await listen({
    address: '127.0.0.1',
    port: 0,
    serving: pki.apiserver,
    caPem: pki.caPem,
    proxyCaPem: pki.frontProxyCaPem,
    headersTimeoutMs: 100,
    onRequest() {},
    onUpgrade() {},
    onProblem() {},
  });
  const socket = connectTls(
    { port: listener.port, host: '127.0.0.1', ca: pki.caPem, ALPNProtocols: ['http/1.1'] },
    () => socket.write('GET / HTTP/1.1\r\nHost: x\r\n'),
  );
  await new Promise<void>((resolve) => socket.on('close', () => resolve()));
  await listener.close(100);
});
