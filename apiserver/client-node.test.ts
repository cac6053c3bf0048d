// The JavaScript client library, unmodified: typed calls, patches, watches, an informer that lives through a restart of its
// watch, custom objects, and exec, logs, port-forward and copies through the API server to a kubelet. The kubelet here is a
// small HTTPS server that speaks the streaming protocols; `kubectl proxy` in front of plain HTTP is tested beside it.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer as createTlsServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { PassThrough, Readable, Writable } from 'node:stream';
import {
  ApiException,
  AppsV1Api,
  CoreV1Api,
  CustomObjectsApi,
  Exec,
  KubeConfig,
  KubernetesObjectApi,
  Log,
  makeInformer,
  PatchStrategy,
  PortForward,
  setHeaderOptions,
  type V1Pod,
  type V1Status,
  VersionApi,
  Watch,
} from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocketServer } from 'ws';
import { kubectls } from '../test/kubectls.ts';
import { startTestServer, type TestServer } from './testing/server.ts';

const namespace = 'default';
let server: TestServer;
let kubelet: Server;
let config: KubeConfig;
let core: CoreV1Api;

beforeAll(async () => {
  server = await startTestServer();
  config = new KubeConfig();
  config.loadFromString(server.kubeconfig());
  core = config.makeApiClient(CoreV1Api);
  kubelet = fakeKubelet(server);
  await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve));
  await core.createNamespacedServiceAccount({ namespace, body: { metadata: { name: 'default' } } });
  await core.createNode({ body: { metadata: { name: 'node-a' } } });
  await server.call('PATCH', '/api/v1/nodes/node-a/status', {
    body: {
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: (kubelet.address() as AddressInfo).port } },
      },
    },
    type: 'application/merge-patch+json',
  });
});
afterAll(async () => {
  kubelet.closeAllConnections();
  await new Promise((resolve) => kubelet.close(resolve));
  await server.stop();
});

/** exec echoes in upper case and exits with 3 for `false`; portforward echoes; logs are three lines. */
function fakeKubelet({ pki }: TestServer): Server {
  const serving = pki.nodes['node-a']?.serving;
  const webSockets = new WebSocketServer({
    noServer: true,
    handleProtocols: (offered) => (offered.has('v5.channel.k8s.io') ? 'v5.channel.k8s.io' : ([...offered][0] ?? false)),
  });
  const secured = createTlsServer({ key: serving?.keyPem, cert: serving?.certificatePem }, (incoming, answer) => {
    answer.writeHead(200, { 'content-type': 'text/plain' });
    answer.end(incoming.url?.includes('tailLines=1') ? 'three\n' : 'one\ntwo\nthree\n');
  });
  secured.on('upgrade', (incoming, socket: Duplex, head) => {
    const url = new URL(incoming.url ?? '/', 'https://node');
    webSockets.handleUpgrade(incoming, socket, head, (webSocket) => {
      const say = (channel: number, data: string | Buffer) =>
        webSocket.send(Buffer.concat([Buffer.from([channel]), Buffer.from(data)]));
      const exit = (code: number) => {
        const failure = {
          status: 'Failure',
          reason: 'NonZeroExitCode',
          message: `command terminated with non-zero exit code: exit status ${code}`,
          details: { causes: [{ reason: 'ExitCode', message: String(code) }] },
        };
        say(
          3,
          JSON.stringify({
            kind: 'Status',
            apiVersion: 'v1',
            metadata: {},
            ...(code === 0 ? { status: 'Success' } : failure),
          }),
        );
        webSocket.close();
      };
      if (url.pathname.startsWith('/portForward')) {
        const port = Buffer.alloc(2);
        port.writeUInt16LE(Number(url.searchParams.get('port')));
        say(0, port);
        say(1, port);
        webSocket.on('message', (message: Buffer) => say(0, message.subarray(1).toString().toUpperCase()));
        return;
      }
      const command = url.searchParams.getAll('command');
      if (command[0] === 'false') return exit(3);
      if (!url.searchParams.has('input')) {
        say(1, `ran ${command.join(' ')}\n`);
        say(2, 'careful\n');
        return exit(0);
      }
      webSocket.on('message', (message: Buffer) => {
        if (message[0] === 0 && message.length > 1) {
          say(1, message.subarray(1).toString().toUpperCase());
          exit(0);
        }
      });
    });
  });
  return secured;
}

const pod = (name: string): V1Pod => ({
  metadata: { name, labels: { app: name } },
  spec: { nodeName: 'node-a', containers: [{ name: 'c', image: 'i' }] },
});

describe('typed calls', () => {
  it('create, read, list, replace, delete', async () => {
    expect((await config.makeApiClient(VersionApi).getCode()).gitVersion).toMatch(/^v1\.36/);
    const body = { metadata: { name: 'typed' }, data: { a: '1' } };
    const made = await core.createNamespacedConfigMap({ namespace, body });
    expect(made.metadata?.creationTimestamp).toBeInstanceOf(Date);
    made.data = { a: '2' };
    const replaced = await core.replaceNamespacedConfigMap({ namespace, name: 'typed', body: made });
    expect(replaced.data).toEqual({ a: '2' });
    const list = await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=typed' });
    expect(list.items.map((each) => each.metadata?.name)).toEqual(['typed']);
    // The version of before: somebody else has written since.
    const stale = core.replaceNamespacedConfigMap({
      namespace,
      name: 'typed',
      body: { ...made, metadata: { ...made.metadata, resourceVersion: '1' } },
    });
    await expect(stale).rejects.toMatchObject({ code: 409 });
    await core.deleteNamespacedConfigMap({ namespace, name: 'typed' });
    const gone = await core.readNamespacedConfigMap({ namespace, name: 'typed' }).catch((error: unknown) => error);
    expect(gone).toBeInstanceOf(ApiException);
    expect((gone as ApiException<string>).code).toBe(404);
    expect(String((gone as ApiException<string>).body)).toContain('configmaps \\"typed\\" not found');
  });

  it('patch in every way', async () => {
    const apps = config.makeApiClient(AppsV1Api);
    const labels = { app: 'web' };
    await apps.createNamespacedDeployment({
      namespace,
      body: {
        metadata: { name: 'web' },
        spec: {
          replicas: 1,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'i' }] } },
        },
      },
    });
    const patch = (body: object, strategy: (typeof PatchStrategy)[keyof typeof PatchStrategy], more = {}) =>
      apps.patchNamespacedDeployment(
        { namespace, name: 'web', body, ...more },
        setHeaderOptions('Content-Type', strategy),
      );
    expect(
      (await patch([{ op: 'replace', path: '/spec/replicas', value: 2 }], PatchStrategy.JsonPatch)).spec?.replicas,
    ).toBe(2);
    expect((await patch({ spec: { replicas: 3 } }, PatchStrategy.MergePatch)).spec?.replicas).toBe(3);
    const added = { spec: { template: { spec: { containers: [{ name: 'd', image: 'j' }] } } } };
    const merged = await patch(added, PatchStrategy.StrategicMergePatch);
    expect(merged.spec?.template.spec?.containers.map((each) => each.name)).toEqual(['d', 'c']);
    const applied = { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: { replicas: 4 } };
    await expect(patch(applied, PatchStrategy.ServerSideApply, { fieldManager: 'me' })).rejects.toMatchObject({
      code: 409,
    });
    const forced = await patch(applied, PatchStrategy.ServerSideApply, { fieldManager: 'me', force: true });
    expect(forced.spec?.replicas).toBe(4);
    const scale = await apps.readNamespacedDeploymentScale({ namespace, name: 'web' });
    expect(scale.spec?.replicas).toBe(4);
  });

  it('of any kind by its object, and without a type', async () => {
    const objects = KubernetesObjectApi.makeApiClient(config);
    const made = await objects.create({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'any', namespace } });
    expect((made as V1Pod).metadata?.uid).toBeDefined();
    await objects.delete({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'any', namespace } });
    const custom = config.makeApiClient(CustomObjectsApi);
    const request = { group: 'apps', version: 'v1', namespace, plural: 'deployments' };
    const list = (await custom.listNamespacedCustomObject(request)) as { items: object[] };
    expect(list.items).toHaveLength(1);
  });
});

describe('watches', () => {
  it('tell what changes, and end when they are aborted', async () => {
    const watch = new Watch(config);
    const seen: string[] = [];
    let ended: () => void = () => {};
    const over = new Promise<void>((resolve) => (ended = resolve));
    const controller = await watch.watch(
      `/api/v1/namespaces/${namespace}/configmaps`,
      { fieldSelector: 'metadata.name=watched' },
      (type, object) => {
        seen.push(`${type} ${object.metadata.name}`);
        if (type === 'ADDED') void core.deleteNamespacedConfigMap({ namespace, name: 'watched' });
        else controller.abort();
      },
      () => ended(),
    );
    await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'watched' } } });
    await over;
    expect(seen).toEqual(['ADDED watched', 'DELETED watched']);
  });

  it('carry an informer over the end of its connection', async () => {
    const path = `/api/v1/namespaces/${namespace}/secrets`;
    const informer = makeInformer(config, path, () => core.listNamespacedSecret({ namespace }));
    const waiting = new Map<string, () => void>();
    const seen = (what: string) => new Promise<void>((resolve) => waiting.set(what, resolve));
    for (const event of ['add', 'update', 'delete'] as const) {
      informer.on(event, (object) => waiting.get(`${event} ${object.metadata?.name}`)?.());
    }
    await informer.start();
    const create = (name: string) => core.createNamespacedSecret({ namespace, body: { metadata: { name } } });
    const first = seen('add one');
    await create('one');
    await first;
    // The library begins its watch anew by itself after an error.
    const again = new Promise<void>((resolve) => informer.on('connect', () => resolve()));
    const errored = new Promise<void>((resolve) => informer.on('error', () => resolve()));
    await informer.stop();
    await informer.start();
    await Promise.race([again, errored]);
    const second = seen('add two');
    await create('two');
    await second;
    const gone = seen('delete one');
    await core.deleteNamespacedSecret({ namespace, name: 'one' });
    await gone;
    expect(informer.list().map((each) => each.metadata?.name)).toEqual(['two']);
    await informer.stop();
  });
});

describe('streams through the API server to the kubelet', () => {
  beforeAll(async () => {
    await core.createNamespacedPod({ namespace, body: pod('p') });
  });

  const collect = () => {
    const chunks: Buffer[] = [];
    const stream = new Writable({
      write(chunk: Buffer, _encoding, done) {
        chunks.push(Buffer.from(chunk));
        done();
      },
    });
    return { stream, text: () => Buffer.concat(chunks).toString() };
  };

  async function exec(command: string[], stdin: Readable | null = null) {
    const out = collect();
    const err = collect();
    const status = await new Promise<V1Status>((resolve, reject) => {
      new Exec(config).exec(namespace, 'p', 'c', command, out.stream, err.stream, stdin, false, resolve).catch(reject);
    });
    return { out: out.text(), err: err.text(), status };
  }

  it('exec: output, input, exit code', async () => {
    expect(await exec(['echo', 'hi'])).toMatchObject({
      out: 'ran echo hi\n',
      err: 'careful\n',
      status: { status: 'Success' },
    });
    expect(await exec(['cat'], Readable.from([Buffer.from('shout')]))).toMatchObject({ out: 'SHOUT' });
    expect((await exec(['false'])).status).toMatchObject({
      status: 'Failure',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '3' }] },
    });
  });

  it('logs', async () => {
    const out = collect();
    await new Log(config).log(namespace, 'p', 'c', out.stream, { tailLines: 1 });
    await new Promise((resolve) => out.stream.once('finish', resolve));
    expect(out.text()).toBe('three\n');
    expect(await core.readNamespacedPodLog({ namespace, name: 'p' })).toBe('one\ntwo\nthree\n');
  });

  it('port-forward', async () => {
    const input = new PassThrough();
    const out = collect();
    const answered = new Promise<void>((resolve) => out.stream.on('pipe', () => resolve()));
    void answered;
    const socket = await new PortForward(config).portForward(namespace, 'p', [8080], out.stream, null, input);
    const got = new Promise<void>((resolve) => {
      const look = () => (out.text() === 'HELLO' ? resolve() : setImmediate(look));
      look();
    });
    input.write('hello');
    await got;
    (socket as { close(): void }).close();
  });
});

describe.skipIf(kubectls().length === 0)('kubectl proxy', () => {
  it('lets plain HTTP in', async () => {
    const [, binary] = kubectls().at(-1) as [string, string];
    const kubeconfig = `${server.dir}/kubeconfig`;
    writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 });
    const child = spawn(binary, ['proxy', '--port=0'], { env: { HOME: server.dir, KUBECONFIG: kubeconfig } });
    const gone = new Promise((resolve) => child.on('close', resolve));
    try {
      const address = await new Promise<string>((resolve) => {
        child.stdout.on('data', (chunk: Buffer) => {
          const found = /on (\S+)/.exec(chunk.toString());
          if (found) resolve(found[1] as string);
        });
      });
      const answer = await fetch(`http://${address}/api/v1/namespaces/default/pods/p`);
      expect(((await answer.json()) as V1Pod).metadata?.name).toBe('p');
      const log = await fetch(`http://${address}/api/v1/namespaces/default/pods/p/log`);
      expect(await log.text()).toBe('one\ntwo\nthree\n');
    } finally {
      child.kill();
      await gone;
    }
  });
});
