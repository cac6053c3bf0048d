// Probe counting, and HTTP, TCP and gRPC probes against real sockets on the loopback.
import { createServer, type Server } from 'node:http';
import { createServer as createTcp } from 'node:net';
import { Server as GrpcServer, ServerCredentials } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Container, Probe } from '../../api/types/core-v1.ts';
import { FakeClock, systemClock } from '../../lib/clock.ts';
import { createFakeCri } from '../testing/fake-cri.ts';
import { countResult, initialState } from './probe-state.ts';
import { runProbe } from './run-probe.ts';

describe('counting', () => {
  it('needs as many results in a row as its thresholds say', () => {
    const thresholds = { successThreshold: 2, failureThreshold: 3 };
    let state = initialState('readiness');
    const verdicts = (['success', 'failure', 'success', 'success', 'failure', 'failure', 'failure'] as const).map(
      (each) => {
        state = countResult(state, each, thresholds);
        return state.verdict;
      },
    );
    expect(verdicts).toEqual(['failure', 'failure', 'failure', 'success', 'success', 'success', 'failure']);
    expect(initialState('liveness').verdict).toBe('success');
    expect(initialState('startup').verdict).toBe('unknown');
  });
});

describe('running a probe', () => {
  let http: Server;
  let port = 0;
  const cri = createFakeCri(new FakeClock());
  const seen: string[] = [];
  beforeAll(async () => {
    http = createServer((request, response) => {
      seen.push(`${request.url} ${request.headers['user-agent']} ${request.headers['x-test'] ?? ''}`);
      if (request.url === '/loop') response.writeHead(302, { location: '/ok' }).end();
      else if (request.url === '/away') response.writeHead(302, { location: 'http://other.example/' }).end();
      else if (request.url === '/hang') return;
      else response.writeHead(request.url === '/ok' ? 200 : 503).end('body');
    });
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
    port = (http.address() as { port: number }).port;
  });
  afterAll(
    () =>
      new Promise<void>((resolve) => {
        http.closeAllConnections();
        http.close(() => resolve());
      }),
  );

  const container = (): Container => ({ name: 'app', ports: [{ name: 'web', containerPort: port }] });
  const run = (probe: Probe, clock: FakeClock | typeof systemClock = systemClock) =>
    runProbe(
      probe,
      { container: container(), containerId: 'c1', podIp: '127.0.0.1' },
      cri,
      clock,
      new AbortController().signal,
    );

  it('judges HTTP answers by their status', async () => {
    const get = (path: string, more = {}) => run({ httpGet: { path, port: 'web', ...more }, timeoutSeconds: 5 });
    expect(await get('/ok', { httpHeaders: [{ name: 'X-Test', value: 'yes' }] })).toEqual({ kind: 'success' });
    expect(seen).toContain('/ok kube-probe/1.36 yes');
    expect(await get('/loop')).toEqual({ kind: 'success' });
    expect(await get('/away')).toMatchObject({
      kind: 'success',
      warning: expect.stringContaining('terminated redirects'),
    });
    expect(await get('/bad')).toEqual({ kind: 'failure', message: 'HTTP probe failed with statuscode: 503' });
    expect(await run({ httpGet: { port: 'nope' } })).toMatchObject({ kind: 'unknown' });
  });

  it('gives up after its timeout', async () => {
    const clock = new FakeClock();
    const result = run({ httpGet: { path: '/hang', port: 'web' }, timeoutSeconds: 1 }, clock);
    await clock.advance(1000);
    expect(await result).toEqual({
      kind: 'failure',
      message: `Get "http://127.0.0.1:${port}/hang": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`,
    });
  });

  it('connects over TCP', async () => {
    expect(await run({ tcpSocket: { port } })).toEqual({ kind: 'success' });
    const closed = createTcp();
    await new Promise<void>((resolve) => closed.listen(0, '127.0.0.1', resolve));
    const free = (closed.address() as { port: number }).port;
    await new Promise((resolve) => closed.close(resolve));
    expect(await run({ tcpSocket: { port: free } })).toEqual({
      kind: 'failure',
      message: `dial tcp 127.0.0.1:${free}: connect: connection refused`,
    });
  });

  it('runs commands through the runtime', async () => {
    cri.execSync = (_id, cmd) => ({ exitCode: cmd[0] === 'good' ? 0 : 1, stdout: 'why' });
    expect(await run({ exec: { command: ['good'] } })).toEqual({ kind: 'success' });
    expect(await run({ exec: { command: ['bad'] } })).toEqual({ kind: 'failure', message: 'why' });
  });

  it('asks the gRPC health service', async () => {
    const server = new GrpcServer();
    let answer = Buffer.from([8, 1]);
    const asked: string[] = [];
    const identity = (bytes: Buffer) => bytes;
    server.addService(
      {
        Check: {
          path: '/grpc.health.v1.Health/Check',
          requestStream: false,
          responseStream: false,
          requestSerialize: identity,
          requestDeserialize: identity,
          responseSerialize: identity,
          responseDeserialize: identity,
        },
      },
      {
        Check: (call: { request: Buffer }, done: (error: null, bytes: Buffer) => void) => {
          asked.push(call.request.subarray(2).toString());
          done(null, answer);
        },
      },
    );
    const grpcPort = await new Promise<number>((resolve, reject) =>
      server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
        error ? reject(error) : resolve(bound),
      ),
    );
    try {
      expect(await run({ grpc: { port: grpcPort, service: 'shop' }, timeoutSeconds: 5 })).toEqual({ kind: 'success' });
      expect(asked).toEqual(['shop']);
      answer = Buffer.from([8, 2]);
      expect(await run({ grpc: { port: grpcPort }, timeoutSeconds: 5 })).toEqual({
        kind: 'failure',
        message: 'service unhealthy (responded with "NOT_SERVING")',
      });
    } finally {
      server.forceShutdown();
    }
  });
});
