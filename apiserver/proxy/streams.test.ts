// Logs and upgrades pass through to the kubelet of the pod's node; its refusals come back as Statuses. The kubelet here
// is a small HTTPS server that asks for the API server's client certificate.
import { createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../testing/server.ts';

let server: TestServer;
let kubelet: Server;
const NS = '/api/v1/namespaces/default';
const seen: { url: string; user: string }[] = [];

beforeAll(async () => {
  server = await startTestServer();
  const serving = server.pki.nodes['node-a']?.serving;
  kubelet = createServer({
    key: serving?.keyPem,
    cert: serving?.certificatePem,
    ca: server.pki.caPem,
    requestCert: true,
    rejectUnauthorized: true,
  });
  const note = (url: string | undefined, socket: Duplex) =>
    seen.push({ url: url ?? '', user: String((socket as TLSSocket).getPeerCertificate().subject.CN) });
  kubelet.on('request', (incoming, answer) => {
    note(incoming.url, incoming.socket);
    if (incoming.url?.includes('previous=true')) {
      answer.writeHead(400, { 'content-type': 'text/plain' });
      answer.end('previous terminated container "c" in pod "p" not found');
      return;
    }
    answer.writeHead(200, { 'content-type': 'text/plain' });
    answer.write('first line\n');
    if (!incoming.url?.includes('follow=true')) answer.end('last line\n');
  });
  kubelet.on('upgrade', (incoming, socket, _head) => {
    note(incoming.url, socket);
    if (incoming.url?.includes('refuse')) {
      socket.end('HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n\r\ncontainer not found');
      return;
    }
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n');
    socket.on('data', (chunk: Buffer) => socket.write(String(chunk).toUpperCase()));
    socket.on('end', () => socket.end());
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve));
  const port = (kubelet.address() as AddressInfo).port;
  await server.call('POST', `${NS}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
  await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'node-a' } } });
  await server.call('PATCH', '/api/v1/nodes/node-a/status', {
    body: {
      status: {
        addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
        daemonEndpoints: { kubeletEndpoint: { Port: port } },
      },
    },
    type: 'application/merge-patch+json',
  });
  const container = (name: string) => ({ name, image: 'i' });
  const pod = (name: string, containers: object[], nodeName?: string) => ({
    metadata: { name },
    spec: { containers, ...(nodeName && { nodeName }) },
  });
  await server.call('POST', `${NS}/pods`, { body: pod('p', [container('c')], 'node-a') });
  await server.call('POST', `${NS}/pods`, { body: pod('two', [container('a'), container('b')], 'node-a') });
  await server.call('POST', `${NS}/pods`, { body: pod('homeless', [container('c')]) });
});
afterAll(async () => {
  kubelet.closeAllConnections();
  await new Promise((resolve) => kubelet.close(resolve));
  await server.stop();
});

function upgrade(path: string): Promise<{ code: number; socket?: Duplex; text?: string }> {
  const { keyPem: key, certificatePem: cert } = server.pki.admin;
  return new Promise((resolve, reject) => {
    const sent = request({
      host: '127.0.0.1',
      port: server.port,
      path,
      ca: server.pki.caPem,
      key,
      cert,
      agent: false,
      headers: { connection: 'Upgrade', upgrade: 'echo' },
    });
    sent.on('upgrade', (answer, socket) => resolve({ code: answer.statusCode ?? 0, socket }));
    sent.on('response', (answer) => {
      let text = '';
      answer.on('data', (chunk) => (text += chunk));
      answer.on('end', () => resolve({ code: answer.statusCode ?? 0, text }));
    });
    sent.on('error', reject);
    sent.end();
  });
}

describe('logs', () => {
  it('come from the kubelet, asked as the API server', async () => {
    const answer = await server.call('GET', `${NS}/pods/p/log?tailLines=2&timestamps=true`);
    expect(answer.text).toBe('first line\nlast line\n');
    expect(seen.at(-1)).toEqual({
      url: '/containerLogs/default/p/c?timestamps=true&tailLines=2',
      user: 'kube-apiserver-kubelet-client',
    });
  });
  it('hand every option on', async () => {
    await server.call('GET', `${NS}/pods/p/log?sinceTime=2026-01-01T00:00:00Z&limitBytes=5&stream=Stdout&follow=false`);
    expect(seen.at(-1)?.url).toBe(
      '/containerLogs/default/p/c?limitBytes=5&sinceTime=2026-01-01T00%3A00%3A00Z&stream=Stdout',
    );
  });
  it('are refused with a Status', async () => {
    const expectRefusal = async (query: string, code: number, message: string) => {
      const answer = await server.call('GET', `${NS}/pods/${query}`);
      expect({ code: answer.code, message: answer.body.message }).toEqual({ code, message });
    };
    await expectRefusal('p/log?previous=true', 400, 'previous terminated container "c" in pod "p" not found');
    await expectRefusal('two/log', 400, 'a container name must be specified for pod two, choose one of: [a b]');
    await expectRefusal('p/log?container=x', 400, 'container x is not valid for pod p');
    await expectRefusal('p/log?tailLines=x', 400, 'strconv.ParseInt: parsing "x": invalid syntax');
    await expectRefusal(
      'p/log?stream=Other',
      422,
      'PodLogOptions "p" is invalid: stream: Unsupported value: "Other": supported values: "All", "Stderr", "Stdout"',
    );
    await expectRefusal(
      'p/log?sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z',
      422,
      'PodLogOptions "p" is invalid: : Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified',
    );
    await expectRefusal('p/log?sinceTime=now', 400, expect.stringContaining('parsing time "now"') as never);
    expect((await server.call('GET', `${NS}/pods/homeless/log`)).code).toBe(204);
    await expectRefusal('nope/log', 404, 'pods "nope" not found');
    await expectRefusal(
      'p/log?tailLines=-1',
      422,
      'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0',
    );
  });
});

describe('exec', () => {
  it('pipes both ways after the upgrade', async () => {
    const { code, socket } = await upgrade(`${NS}/pods/p/exec?command=cat&command=-u&stdin=true&stdout=true`);
    expect(code).toBe(101);
    expect(seen.at(-1)?.url).toBe('/exec/default/p/c?input=1&output=1&command=cat&command=-u');
    const echoed = new Promise((resolve) => socket?.once('data', (chunk) => resolve(String(chunk))));
    socket?.write('hello');
    expect(await echoed).toBe('HELLO');
    socket?.destroy();
  });
  it('relays what the kubelet refuses', async () => {
    const answer = await upgrade(`${NS}/pods/p/exec?command=refuse&stdout=true`);
    expect(answer.code).toBe(404);
    expect(answer.text).toBe('container not found');
  });
  it('is refused where it makes no sense', async () => {
    expect((await upgrade(`${NS}/pods/p/exec?command=x`)).code).toBe(400);
    expect((await upgrade(`${NS}/pods/nope/exec?command=x&stdout=1`)).code).toBe(404);
    // Nothing there to switch to: answered as if nobody had asked.
    expect((await upgrade('/api/v1/pods')).code).toBe(200);
    const homeless = await upgrade(`${NS}/pods/homeless/exec?command=x&stdout=1`);
    expect(JSON.parse(homeless.text ?? '').message).toBe('pod homeless does not have a host assigned');
    expect((await server.call('GET', `${NS}/pods/p/exec?command=x&stdout=1`)).code).toBe(400);
  });
});

describe('shutdown', () => {
  it('ends watches, logs and upgrades, and closes every connection', async () => {
    const other = await startTestServer();
    const { keyPem: key, certificatePem: cert } = other.pki.admin;
    const ended = new Promise<void>((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: other.port,
          path: '/api/v1/pods?watch=1',
          ca: other.pki.caPem,
          key,
          cert,
          agent: false,
        },
        (answer) => {
          answer.resume();
          answer.on('close', resolve);
          void stopping();
        },
      );
      sent.on('error', reject);
      sent.end();
    });
    let stopped: Promise<void> | undefined;
    const stopping = () => (stopped = other.stop());
    await ended;
    await stopped;
    await expect(other.call('GET', '/version')).rejects.toThrow();
  });
});
