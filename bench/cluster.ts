// A whole cluster, measured as its user sees it: command to API ready, command to first container Running, created → Running
// over many pods, memory at rest of each process. `scripts/node bench/cluster.ts [--pods 100]`; needs root.
// Beside it, in the same run, the floor of this machine: an empty Node process (start and memory).
import { execFileSync, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { refs } from '../client/refs.ts';
import type { Pod } from '../api/types/core-v1.ts';
import { createClient, loadKubeconfig } from '../client/index.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { root, TestCluster } from '../test/e2e/harness.ts';
import { insideTestHost } from './inside.ts';

const podCount = Number(process.argv[process.argv.indexOf('--pods') + 1]) || 100;

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

const ms = (value: number) => `${value.toFixed(0)} ms`;
const report = (what: string, value: string) => console.log(`${what.padEnd(52)} ${value}`);

const host = insideTestHost(import.meta.filename);
const cluster = new TestCluster(host);
const floors: number[] = [];
for (let i = 0; i < 5; i++) {
  const started = performance.now();
  spawnSync(join(root, 'scripts/node'), ['-e', '0']);
  floors.push(performance.now() - started);
}

try {
  let started = performance.now();
  const first = cluster.start();
  const apiReady = await whenApiAnswers(started);
  await first;
  const nodeReady = performance.now() - started;
  report('floor: node -e 0', ms(percentile(floors, 0.5)));
  report(
    'first start: command to API ready',
    `${ms(apiReady)} (${(apiReady / percentile(floors, 0.5)).toFixed(1)} × floor)`,
  );
  report('first start: command to node Ready', ms(nodeReady));
  await cluster.buildTools();
  await cluster.stop();

  // A second start has its certificates and its image: what a user waits for every day.
  started = performance.now();
  const second = cluster.start();
  const again = await whenApiAnswers(started);
  const client = connect();
  const running = watchRunning(client, 'first');
  await createPod(client, 'first');
  await running;
  report(
    'second start: command to API ready',
    `${ms(again)} (${(again / percentile(floors, 0.5)).toFixed(1)} × floor)`,
  );
  report('second start: command to first container Running', ms(performance.now() - started));
  await second;

  // What only the start has needed is given back in the first quiet seconds.
  await new Promise((resolve) => setTimeout(resolve, 15_000));
  const resting = memory();
  const latencies: number[] = [];
  for (let i = 0; i < podCount; i++) {
    const name = `p${i}`;
    const seen = watchRunning(client, name);
    await seen.connected;
    const created = performance.now();
    await createPod(client, name);
    await seen;
    latencies.push(performance.now() - created);
    await client.resource<Pod>(refs.pods, 'default').delete(name, { gracePeriodSeconds: 0 });
  }
  report(
    `created → Running, one at a time, ${podCount} pods`,
    `p50 ${ms(percentile(latencies, 0.5))}, p99 ${ms(percentile(latencies, 0.99))}, min ${ms(Math.min(...latencies))}`,
  );
  const burst = Math.min(50, podCount);
  const burstStart = performance.now();
  const all = Array.from({ length: burst }, (_, i) => watchRunning(client, `b${i}`));
  await Promise.all(all.map((each) => each.connected));
  await Promise.all(Array.from({ length: burst }, (_, i) => createPod(client, `b${i}`)));
  await Promise.all(all);
  report(`${burst} pods created at once, all Running`, ms(performance.now() - burstStart));
  for (const [name, megabytes] of resting) report(`memory at rest: ${name}`, `${megabytes.toFixed(0)} MB RSS`);
  for (const [name, megabytes] of memory())
    report(`memory with ${burst} pods: ${name}`, `${megabytes.toFixed(1)} MB RSS`);
  client.close();
} finally {
  await cluster.stop();
}

function connect() {
  const { config } = loadKubeconfig({
    path: join(host.dataDir, 'kubeconfig'),
    env: {},
    homeDir: '/',
    userAgent: 'bench',
  });
  return createClient(config, { clock: systemClock, log: silentLogger });
}

type Client = ReturnType<typeof connect>;

async function createPod(client: Client, name: string): Promise<void> {
  await client.resource<Pod>(refs.pods, 'default').create({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace: 'default' },
    spec: {
      terminationGracePeriodSeconds: 0,
      containers: [
        { name: 'c', image: 'localhost/tools:1', command: ['sleep', '100000'], imagePullPolicy: 'IfNotPresent' },
      ],
    },
  });
}

/** Resolves when a watch says Running; `connected` once the watch stands. */
function watchRunning(client: Client, name: string): Promise<void> & { connected: Promise<void> } {
  const controller = new AbortController();
  let connected = () => {};
  const standing = new Promise<void>((resolve) => {
    connected = resolve;
  });
  const work = (async () => {
    const watch = client
      .resource<Pod>(refs.pods, 'default')
      .watch({ fieldSelector: `metadata.name=${name}`, sendInitialEvents: true, signal: controller.signal });
    for await (const event of watch) {
      connected();
      if (event.type === 'BOOKMARK' || event.type === 'DELETED') continue;
      if (event.object.status?.phase === 'Running') break;
    }
    controller.abort();
  })();
  return Object.assign(work, { connected: standing });
}

async function whenApiAnswers(started: number): Promise<number> {
  const [command, args] = host.command(
    'bash',
    '--norc',
    '-c',
    'until exec 3<>/dev/tcp/127.0.0.1/6443; do :; done 2>/dev/null',
  );
  execFileSync(command, args, { stdio: 'ignore' });
  return performance.now() - started;
}

/** Resident memory of the cluster's own processes, by what they are. */
function memory(): [string, number][] {
  const rssOf = (pid: number | string) =>
    Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0) / 1024;
  const launchers: number[] = [];
  const shims: number[] = [];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').join(' ');
      if (command.startsWith('sampan-launcher serve') && command.includes(host.dir)) launchers.push(rssOf(pid));
      if (command.startsWith('sampan-launcher shim')) shims.push(rssOf(pid));
    } catch {
      // The process ended while we looked.
    }
  }
  const mean = (values: readonly number[]) => values.reduce((sum, each) => sum + each, 0) / Math.max(1, values.length);
  const rows: [string, number][] = [
    ['control plane (sampan up)', rssOf(cluster.pid)],
    ['node (kubelet, runtime, proxy, DNS)', rssOf(cluster.children()[0] as number)],
    ['launcher', Math.max(...launchers)],
  ];
  if (shims.length > 0) rows.push([`shim (mean of ${shims.length})`, mean(shims)]);
  return rows;
}
