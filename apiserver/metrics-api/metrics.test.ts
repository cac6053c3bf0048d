// What nodes and pods use, from a kubelet's summary; real kubectl shows it.
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { kubectls } from '../../test/kubectls.ts';
import { startTestServer, type TestServer } from '../testing/server.ts';
import { measureNode, measurePods, type Reading, windowText } from './samples.ts';

const iso = (ms: number) => new Date(ms).toISOString();
const START = Date.parse('2026-01-01T00:00:00Z');
const reading = (atMs: number, nanoseconds: number, startMs = START): Reading => ({
  atMs,
  summary: {
    node: {
      nodeName: 'n',
      startTime: iso(START),
      cpu: { time: iso(atMs), usageCoreNanoSeconds: nanoseconds },
      memory: { workingSetBytes: 3 * 1024 * 1024 },
    },
    pods: [
      {
        podRef: { namespace: 'default', name: 'p' },
        containers: [
          {
            name: 'c',
            startTime: iso(startMs),
            cpu: { time: iso(atMs), usageCoreNanoSeconds: nanoseconds },
            memory: { workingSetBytes: 1536 },
          },
        ],
      },
      { podRef: { namespace: 'default', name: 'silent' }, containers: [{ name: 'c', startTime: iso(startMs) }] },
    ],
  },
});

describe('samples', () => {
  it('tell the CPU since the start from one reading, and between two from two', () => {
    const first = reading(START + 10_000, 5e9);
    const second = reading(START + 30_000, 15e9);
    expect(measureNode(undefined, first)).toEqual({
      timestampMs: START + 10_000,
      windowMs: 10_000,
      usage: { cpu: '500000000n', memory: '3Mi' },
    });
    expect(measureNode(first, second)).toMatchObject({ windowMs: 20_000, usage: { cpu: '500000000n' } });
    expect([...measurePods(first, second)]).toEqual([
      [
        'default/p',
        {
          timestampMs: START + 30_000,
          windowMs: 20_000,
          containers: [{ name: 'c', usage: { cpu: '500000000n', memory: '1536' } }],
        },
      ],
    ]);
  });
  it('of a container that began again are its own', () => {
    const again = reading(START + 30_000, 1e9, START + 20_000);
    const measured = measurePods(reading(START + 10_000, 5e9), again).get('default/p');
    expect(measured).toMatchObject({ windowMs: 10_000, containers: [{ usage: { cpu: '100000000n' } }] });
  });
  it.each([
    [15_002, '15.002s'],
    [60_500, '1m0.5s'],
    [7_384_000, '2h3m4s'],
  ])('%d ms are %s', (ms, text) => expect(windowText(ms)).toBe(text));
});

describe('metrics.k8s.io', () => {
  let server: TestServer;
  let kubelet: Server;
  let asked = 0;
  const path = '/apis/metrics.k8s.io/v1beta1';

  beforeAll(async () => {
    server = await startTestServer();
    const serving = server.pki.nodes['node-a']?.serving;
    kubelet = createServer({ key: serving?.keyPem, cert: serving?.certificatePem }, (_incoming, answer) => {
      asked++;
      answer.end(JSON.stringify(reading(START + 100_000, 10e9).summary));
    });
    await new Promise<void>((resolve) => kubelet.listen(0, '127.0.0.1', resolve));
    const { port } = kubelet.address() as AddressInfo;
    const ns = '/api/v1/namespaces/default';
    await server.call('POST', `${ns}/serviceaccounts`, { body: { metadata: { name: 'default' } } });
    await server.call('POST', '/api/v1/nodes', { body: { metadata: { name: 'node-a' } } });
    await server.call('PATCH', '/api/v1/nodes/node-a/status', {
      body: {
        status: {
          addresses: [{ type: 'InternalIP', address: '127.0.0.1' }],
          daemonEndpoints: { kubeletEndpoint: { Port: port } },
          capacity: { cpu: '2', memory: '6Mi' },
          allocatable: { cpu: '2', memory: '6Mi' },
        },
      },
      type: 'application/merge-patch+json',
    });
    for (const name of ['p', 'silent']) {
      const spec = { nodeName: 'node-a', containers: [{ name: 'c', image: 'i' }] };
      await server.call('POST', `${ns}/pods`, { body: { metadata: { name, labels: { app: name } }, spec } });
    }
  });
  afterAll(async () => {
    kubelet.closeAllConnections();
    await new Promise((resolve) => kubelet.close(resolve));
    await server.stop();
  });

  it('answers from one reading in 15 seconds', async () => {
    const pods = await server.call('GET', `${path}/pods`);
    expect(pods.body).toMatchObject({ kind: 'PodMetricsList', apiVersion: 'metrics.k8s.io/v1beta1' });
    expect(pods.body.items.map((each: any) => [each.metadata.name, each.window, each.containers])).toEqual([
      ['p', '1m40s', [{ name: 'c', usage: { cpu: '100000000n', memory: '1536' } }]],
    ]);
    const node = await server.call('GET', `${path}/nodes/node-a`);
    expect(node.body).toMatchObject({ kind: 'NodeMetrics', usage: { cpu: '100000000n', memory: '3Mi' } });
    expect(asked).toBe(1);
    expect((await server.call('GET', `${path}/pods?labelSelector=app=none`)).body.items).toEqual([]);
    expect((await server.call('GET', `${path}/namespaces/default/pods/nope`)).body.message).toBe(
      'podmetrics.metrics.k8s.io "default/nope" not found',
    );
    expect((await server.call('POST', `${path}/pods`, { body: {} })).code).toBe(405);
  });

  it.skipIf(kubectls().length === 0)('is what kubectl top shows', async () => {
    const [, binary] = kubectls().at(-1) as [string, string];
    mkdirSync(join(server.dir, 'home'), { recursive: true });
    const kubeconfig = join(server.dir, 'kubeconfig');
    writeFileSync(kubeconfig, server.kubeconfig(), { mode: 0o600 });
    const kubectl = (args: string) =>
      new Promise<string>((resolve, reject) =>
        execFile(
          binary,
          args.split(' '),
          { env: { HOME: join(server.dir, 'home'), KUBECONFIG: kubeconfig } },
          (error, out, err) => (error ? reject(new Error(err)) : resolve(out)),
        ),
      );
    expect(await kubectl('top nodes')).toMatch(/NAME +CPU\(cores\) +CPU[^\n]*\nnode-a +100m +5% +3Mi +50% *\n/);
    expect(await kubectl('top pods --containers')).toMatch(
      /POD +NAME +CPU\(cores\) +MEMORY\(bytes\) *\np +c +100m +0Mi/,
    );
    expect(await kubectl('get nodes.metrics.k8s.io')).toMatch(
      /NAME +CPU +MEMORY +WINDOW\nnode-a +100000000n +3Mi +1m40s/,
    );
    expect(await kubectl('get apiservices v1beta1.metrics.k8s.io')).toMatch(/Local +True/);
  });
});
