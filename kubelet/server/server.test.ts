// The node server over real TLS, and the log reader on real files.
import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as tlsConnect } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Pod } from '../../api/types/core-v1.ts';
import { createHarness, type Harness, makePod } from '../testing/harness.ts';
import { attributesOf } from './attributes.ts';
import { readLog } from './log-reader.ts';
import { parseLogQuery } from './log-query.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
const pem = (key: ArrayBuffer) => x509.PemConverter.encode(key, 'PRIVATE KEY');
x509.cryptoProvider.set(webcrypto as never);

async function makeCa(name: string) {
  const keys = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: `CN=${name}`,
    keys,
    signingAlgorithm: algorithm,
    extensions: [new x509.BasicConstraintsExtension(true, 1, true)],
  });
  return {
    pem: certificate.toString('pem'),
    async issue(subject: string) {
      const own = (await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
      const made = await x509.X509CertificateGenerator.create({
        subject,
        issuer: certificate.subject,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        signingAlgorithm: algorithm,
        extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])],
      });
      return {
        cert: made.toString('pem'),
        key: pem((await webcrypto.subtle.exportKey('pkcs8', own.privateKey as never)) as ArrayBuffer),
      };
    },
  };
}

type Credentials = { cert: string; key: string };
let harness: Harness;
let port = 0;
let ca: Awaited<ReturnType<typeof makeCa>>;
let admin: Credentials;
let streaming: Server;
let streamingPort = 0;

beforeAll(async () => {
  ca = await makeCa('cluster');
  admin = await ca.issue('CN=kube-apiserver-kubelet-client, O=system:masters');
  const serving = await ca.issue('CN=node-1');
  streaming = createServer((_request, response) => response.writeHead(400).end('not upgraded'));
  streaming.on('upgrade', (request, socket) => {
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nupgrade: ${request.headers.upgrade}\r\nconnection: upgrade\r\n\r\n${request.url} `,
    );
    socket.pipe(socket);
  });
  await new Promise<void>((resolve) => streaming.listen(0, '127.0.0.1', resolve));
  streamingPort = (streaming.address() as { port: number }).port;
  harness = createHarness();
  const original = harness.cri.call;
  harness.cri.call = (async (method: string, request: never) => {
    if (method === 'Exec' || method === 'Attach' || method === 'PortForward')
      return { url: `http://127.0.0.1:${streamingPort}/${method}/token?${JSON.stringify(request)}` };
    return original(method as never, request);
  }) as never;
  const started = new Promise<number>((resolve) => {
    void harness.start({
      server: { address: '127.0.0.1', port: 0, certPem: serving.cert, keyPem: serving.key, clientCaPem: ca.pem },
      onStarted: ({ serverPort }) => resolve(serverPort ?? 0),
    });
  });
  port = await started;
  await harness.create(makePod());
});
afterAll(async () => {
  await harness.stop();
  await new Promise((resolve) => streaming.close(resolve));
});

function get(path: string, credentials?: Credentials, token?: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      {
        host: '127.0.0.1',
        port,
        path,
        ca: ca.pem,
        agent: false,
        ...credentials,
        ...(token && { headers: { authorization: `Bearer ${token}` } }),
      },
      (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (chunk: string) => {
          body += chunk;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      },
    );
    request.on('error', reject);
    request.end();
  });
}

function upgrade(path: string, credentials?: Credentials, say = 'hello'): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, ca: ca.pem, ...credentials }, () => {
      socket.write(`POST ${path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: SPDY/3.1\r\n\r\n`);
    });
    let text = '';
    let hasSaid = false;
    socket.on('data', (chunk) => {
      text += chunk.toString();
      if (text.includes('101 Switching') && !hasSaid) {
        hasSaid = true;
        socket.write(say);
      }
      if (text.endsWith(say)) socket.destroy();
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });
}

describe('access', () => {
  it('lets in whom the API server vouches for, and only for what it allows', async () => {
    const stranger = await (await makeCa('other')).issue('CN=x, O=system:masters');
    const node = await ca.issue('CN=system:node:node-2, O=system:nodes');
    expect((await get('/pods')).status).toBe(401);
    expect((await get('/healthz')).status).toBe(401);
    expect((await get('/pods', stranger)).status).toBe(401);
    expect(await get('/pods', node)).toEqual({
      status: 403,
      body: 'Forbidden (user=system:node:node-2, verb=get, resource=nodes, subresource(s)=[pods proxy])',
    });
    expect((await get('/pods', admin)).status).toBe(200);
    expect((await get('/healthz', admin)).body).toBe('ok');
    expect(await upgrade('/exec/default/web/app?command=sh', node)).toContain('403 Forbidden');
    expect(await upgrade('/exec/default/web/app?command=sh')).toContain('401 Unauthorized');
  });

  it('asks the API server about tokens and leave, once per answer', async () => {
    const asked: unknown[] = [];
    harness.review = (path, body) => {
      const { spec } = body as { spec: { token?: string; resourceAttributes?: { subresource: string } } };
      asked.push(spec.token ?? spec.resourceAttributes);
      if (path.endsWith('tokenreviews')) {
        return spec.token === 'good'
          ? { status: { authenticated: true, user: { username: 'metrics', groups: ['system:authenticated'] } } }
          : { status: { authenticated: false } };
      }
      return { status: { allowed: spec.resourceAttributes?.subresource === 'metrics' } };
    };
    const metrics = await get('/metrics/resource', undefined, 'good');
    expect(metrics.status).toBe(200);
    expect(metrics.body).toContain('scrape_error 0');
    expect((await get('/metrics/resource', undefined, 'good')).status).toBe(200);
    const attributes = { verb: 'get', version: 'v1', resource: 'nodes', name: 'node-1' };
    expect(asked).toEqual(['good', { ...attributes, subresource: 'metrics' }]);
    expect((await get('/metrics', undefined, 'bad')).status).toBe(401);
    expect(await get('/stats/summary', undefined, 'good')).toEqual({
      status: 403,
      body: 'Forbidden (user=metrics, verb=get, resource=nodes, subresource(s)=[stats])',
    });
  });

  it.each([
    ['GET', '/metrics/cadvisor', 'get', ['metrics']],
    ['GET', '/stats/summary', 'get', ['stats']],
    ['GET', '/statsx', 'get', ['proxy']],
    ['GET', '/pods', 'get', ['pods', 'proxy']],
    ['GET', '/configz', 'get', ['configz', 'proxy']],
    ['GET', '/healthz/ping', 'get', ['healthz', 'proxy']],
    ['GET', '/logs/syslog', 'get', ['log']],
    ['POST', '/exec/a/b/c', 'create', ['proxy']],
    ['GET', '/containerLogs/a/b/c', 'get', ['proxy']],
  ])('%s %s asks for %s on %s', (method, path, verb, subresources) => {
    expect(attributesOf(method, path)).toEqual({ verb, subresources });
  });
});

describe('requests', () => {
  it('lists pods and says what it does not have', async () => {
    const list = JSON.parse((await get('/pods', admin)).body) as { items: Pod[] };
    expect(list.items.map((each) => [each.metadata.name, each.status?.phase])).toEqual([['web', 'Running']]);
    expect((await get('/nothing', admin)).status).toBe(404);
    expect((await get('/containerLogs/default/none/app', admin)).status).toBe(404);
    expect((await get('/containerLogs/default/web/none', admin)).status).toBe(400);
    expect((await get('/containerLogs/default/web/app?tailLines=x', admin)).status).toBe(422);
    expect((await get('/metrics', admin)).body).toContain('kubelet_running_pods 1');
  });

  it('serves logs', async () => {
    const path = harness.cri.container('app')?.status.logPath as string;
    writeFileSync(path, '2026-01-01T00:00:00.000000001Z stdout F one\n2026-01-01T00:00:01.000000001Z stderr F two\n');
    expect((await get('/containerLogs/default/web/app', admin)).body).toBe('one\ntwo\n');
    expect((await get('/containerLogs/default/web/app?tailLines=1&timestamps=true', admin)).body).toBe(
      '2026-01-01T00:00:01.000000001Z two\n',
    );
    expect((await get('/containerLogs/default/web/app?limitBytes=5', admin)).body).toBe('one\nt');
  });

  it('passes upgraded connections through to the runtime', async () => {
    const text = await upgrade('/exec/default/web/app?command=ls&command=-l&output=1&error=1', admin);
    expect(text).toContain('101 Switching Protocols');
    expect(decodeURIComponent(text)).toContain('"cmd":["ls","-l"]');
    expect(text.endsWith('hello')).toBe(true);
    expect(await upgrade('/portForward/default/web', admin)).toContain('/PortForward/token');
    expect(await upgrade('/attach/default/web/none', admin)).toContain('404 Not Found');
  });
});

describe('readLog', () => {
  const line = (text: string, tag = 'F', second = 0) =>
    `2026-01-01T00:00:0${second}.000000000Z stdout ${tag} ${text}\n`;
  const base = parseLogQuery(new URLSearchParams(), 0);
  const idle = { isRunning: () => false, onStopped: () => () => {} };

  async function text(path: string, options: Partial<typeof base>): Promise<string> {
    let out = '';
    for await (const bytes of readLog(path, { ...base, ...options }, idle, new AbortController().signal)) out += bytes;
    return out;
  }

  it('joins partial lines, filters and tails', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'log-test-'));
    try {
      const path = join(dir, '0.log');
      writeFileSync(path, line('a', 'F', 1) + line('b1', 'P', 2) + line('b2', 'F', 2) + line('c', 'F', 3));
      expect(await text(path, {})).toBe('a\nb1b2\nc\n');
      expect(await text(path, { tailLines: 2 })).toBe('b1b2\nc\n');
      expect(await text(path, { tailLines: 0 })).toBe('');
      expect(await text(path, { tailLines: 99 })).toBe('a\nb1b2\nc\n');
      expect(await text(path, { sinceMs: Date.UTC(2026, 0, 1, 0, 0, 3) })).toBe('c\n');
      expect(await text(path, { stream: 'stderr' })).toBe('');
      writeFileSync(`${path}.20260101-000000`, line('old'));
      expect(await text(path, {})).toBe('old\na\nb1b2\nc\n');
      writeFileSync(path, Array.from({ length: 20_000 }, (_, n) => line(`number ${n}`)).join(''));
      expect(await text(path, { tailLines: 3 })).toBe('number 19997\nnumber 19998\nnumber 19999\n');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('ends without following where the log ended when it was asked for', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'log-test-'));
    try {
      const path = join(dir, '0.log');
      const many = line('x'.repeat(100));
      writeFileSync(path, many.repeat(2_000));
      let lines = 0;
      for await (const bytes of readLog(path, base, idle, new AbortController().signal)) {
        lines += bytes.toString().split('\n').length - 1;
        appendFileSync(path, many.repeat(1_000));
      }
      expect(lines).toBe(2_000);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });

  it('follows writes and rotation until the container stops', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'log-test-'));
    try {
      mkdirSync(join(dir, 'app'));
      const path = join(dir, 'app/0.log');
      writeFileSync(path, line('1'));
      let isRunning = true;
      let stopped = () => {};
      const following = {
        isRunning: () => isRunning,
        onStopped: (callback: () => void) => {
          stopped = callback;
          return () => {};
        },
      };
      const seen: string[] = [];
      for await (const bytes of readLog(path, { ...base, follow: true }, following, new AbortController().signal)) {
        seen.push(bytes.toString());
        if (seen.length === 1) appendFileSync(path, line('2'));
        if (seen.length === 2) {
          renameSync(path, `${path}.20260101-000000`);
          writeFileSync(path, line('3'));
        }
        if (seen.length === 3) {
          appendFileSync(path, line('4'));
          isRunning = false;
          stopped();
        }
      }
      expect(seen.join('')).toBe('1\n2\n3\n4\n');
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
});
