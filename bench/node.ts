// A node, beside containerd with runc, and beside crun and runc alone: `scripts/node bench/node.ts [life] [exec] [pull] [idle]`, all
// parts by default; needs root and `scripts/setup --test`.
//   life  pods created → Running and deleted → gone through the whole product, 1, 10 and 110 at once, with CPU per pod; the same pods
//         straight by CRI on our runtime and on containerd
//   exec  a container's life in a sandbox that stands, and a command in a running one: by CRI on both; `crun` and `runc` by themselves
//   pull  an image of 200 MB in 10,000 files from a registry on this host, by CRI on both
//   idle  memory and CPU of the processes with 20 pods that sleep, over 20 seconds
// The peer is in the same run; CRI is driven by the same client. containerd's pods get a network from Debian's bridge plugin.
import { cpSync, existsSync, mkdirSync, symlinkSync } from 'node:fs';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import type { Pod } from '../api/types/core-v1.ts';
import { removePods } from '../cli/cluster/node.ts';
import { createClient, loadKubeconfig } from '../client/index.ts';
import { refs } from '../client/refs.ts';
import { createCriClient } from '../kubelet/cri/client.ts';
import { systemClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { Containerd } from '../test/e2e/containerd.ts';
import { root, TestCluster, tool } from '../test/e2e/harness.ts';
import { insideTestHost } from './inside.ts';
import { type OciRuntime, type OciTimes, timeOci, versionOf } from './oci.ts';
import {
  type CriPods,
  cpuMillis,
  criPods,
  meanMemory,
  memoryOf,
  pause,
  processesOf,
  quantile,
  serveImage,
  shimsOf,
  timed,
} from './peers.ts';

const PARTS = ['life', 'exec', 'pull', 'idle'] as const;
const IMAGE = 'localhost/tools:1';
const AT_ONCE = [1, 10, 110];
/** Rounds of each, so that small ones have a percentile too. */
const ROUNDS: Record<number, number> = { 1: 20, 10: 3, 110: 1 };
const IDLE_PODS = 20;
const IDLE_MS = 20_000;
const EXECS = 20;

const wanted = process.argv.slice(2).filter((each) => (PARTS as readonly string[]).includes(each));
const wants = (part: (typeof PARTS)[number]) => wanted.length === 0 || wanted.includes(part);

const host = insideTestHost(import.meta.filename);
const cluster = new TestCluster(host);
const sampan = join(root, 'scripts/sampan');
const hasContainerd = existsSync(tool('containerd'));

// ── The table ──────────────────────────────────────────────────────────

const rows: string[] = [];
function row(what: string, ours: string, peer = '', ratio?: number): void {
  const shown = ratio === undefined || !Number.isFinite(ratio) ? '' : `${ratio.toFixed(2)} ×`;
  rows.push(`${what.padEnd(52)}${ours.padStart(22)}${peer.padStart(26)}${shown.padStart(10)}`);
}
const ms = (value: number) => (value < 100 ? value.toFixed(1) : value.toFixed(0));
const percentiles = (values: readonly number[]) => `${ms(quantile(values, 0.5))} / ${ms(quantile(values, 0.99))} ms`;
function times(what: string, ours: readonly number[], peers: Record<string, readonly number[] | undefined>): void {
  const found = Object.entries(peers).filter(([, values]) => values && values.length > 0);
  if (found.length === 0) row(what, percentiles(ours));
  for (const [name, values] of found) {
    const peer = values as readonly number[];
    row(what, percentiles(ours), `${name} ${percentiles(peer)}`, quantile(ours, 0.5) / quantile(peer, 0.5));
  }
}

// ── Pods through the whole product ─────────────────────────────────────

interface Life {
  started: number[];
  gone: number[];
  /** Milliseconds of CPU per pod: of the whole product from creation to removal, or of a runtime and its shims to start it. */
  cpu?: number;
}

async function lifeInCluster(): Promise<Map<number, Life>> {
  const { config } = loadKubeconfig({
    path: join(host.dataDir, 'kubeconfig'),
    env: {},
    homeDir: '/',
    userAgent: 'bench',
  });
  const client = createClient(config, { clock: systemClock, log: silentLogger });
  const pods = client.resource<Pod>(refs.pods, 'default');
  const waiting = new Map<string, { running: () => void; gone: () => void }>();
  const watching = new AbortController();
  const standing = Promise.withResolvers<void>();
  const watch = (async () => {
    for await (const event of pods.watch({ sendInitialEvents: true, signal: watching.signal })) {
      standing.resolve();
      if (event.type === 'BOOKMARK') continue;
      const them = waiting.get(event.object.metadata.name ?? '');
      if (event.type === 'DELETED') them?.gone();
      else if (event.object.status?.phase === 'Running') them?.running();
    }
  })();
  await standing.promise;
  const lives = new Map<number, Life>();
  for (const count of AT_ONCE) {
    const life: Life = { started: [], gone: [] };
    const ourPids = [cluster.pid, ...cluster.children(), ...processesOf('sampan-launcher serve', host.dir)];
    const cpu = cpuMillis(ourPids);
    for (let round = 0; round < (ROUNDS[count] as number); round++) {
      const names = Array.from({ length: count }, (_, n) => `p${count}-${round}-${n}`);
      const events = names.map((name) => {
        const [running, gone] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
        waiting.set(name, { running: running.resolve, gone: gone.resolve });
        return { name, running: running.promise, gone: gone.promise };
      });
      const measure = (into: number[], act: (name: string) => Promise<unknown>, event: 'running' | 'gone') =>
        Promise.all(
          events.map(async (each) => into.push(await timed(() => Promise.all([act(each.name), each[event]])))),
        );
      await measure(life.started, (name) => pods.create(sleeper(name)), 'running');
      await measure(life.gone, (name) => pods.delete(name), 'gone');
      for (const name of names) waiting.delete(name);
    }
    life.cpu = (cpuMillis(ourPids) - cpu) / life.started.length;
    lives.set(count, life);
  }
  watching.abort();
  await watch.catch(() => {});
  client.close();
  return lives;
}

/** Ends at once when it is told to: what is measured is us. */
const sleeper = (name: string): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, namespace: 'default' },
  spec: {
    containers: [
      {
        name: 'c',
        image: IMAGE,
        command: ['sh', '-c', 'trap "exit 0" TERM; sleep 100000 & wait'],
        imagePullPolicy: 'IfNotPresent',
      },
    ],
  },
});

// ── The same by CRI ────────────────────────────────────────────────────

async function lifeByCri(pods: CriPods, pids: () => number[], label: string): Promise<Map<number, Life>> {
  const lives = new Map<number, Life>();
  for (const count of AT_ONCE) {
    const life: Life = { started: [], gone: [] };
    let cpu = 0;
    for (let round = 0; round < (ROUNDS[count] as number); round++) {
      const before = cpuMillis(pids());
      const made: Awaited<ReturnType<CriPods['start']>>[] = [];
      await Promise.all(
        Array.from({ length: count }, async (_, n) => {
          const name = `${label}${count}-${round}-${n}`;
          life.started.push(await timed(async () => made.push(await pods.start(name))));
        }),
      );
      cpu += cpuMillis(pids()) - before;
      await Promise.all(made.map(async (pod) => life.gone.push(await timed(() => pods.remove(pod)))));
    }
    life.cpu = cpu / life.started.length;
    lives.set(count, life);
  }
  return lives;
}

interface Side {
  life?: Map<number, Life>;
  once?: number[];
  exec?: number[];
  pull?: { wall: number[]; cpu: number[] };
  idle?: string[];
}

async function measureCri(
  socket: string,
  pids: () => number[],
  label: string,
  image: string | undefined,
): Promise<Side> {
  const cri = createCriClient(socket);
  const logs = join(host.dir, `logs-${label}`);
  mkdirSync(logs, { recursive: true });
  const pods = criPods(cri, IMAGE, `${host.cgroup}/${label}`, logs);
  const side: Side = {};
  try {
    await pods.remove(await pods.start('warm'));
    if (wants('life')) side.life = await lifeByCri(pods, pids, label);
    if (wants('exec')) {
      const pod = await pods.start('exec');
      side.once = [];
      side.exec = [];
      for (let n = 0; n < EXECS; n++) {
        side.once.push(await timed(() => pods.once(pod.sandbox, `once-${n}`)));
        const run = () =>
          cri.call('ExecSync', { containerId: pod.container, cmd: ['/bin/busybox', 'true'], timeout: 10 });
        side.exec.push(await timed(run));
      }
      await pods.remove(pod);
    }
    if (image) {
      side.pull = { wall: [], cpu: [] };
      for (let n = 0; n < 3; n++) {
        const cpu = cpuMillis(pids());
        side.pull.wall.push(await timed(() => cri.call('PullImage', { image: { image } }, { timeoutMs: 300_000 })));
        side.pull.cpu.push(cpuMillis(pids()) - cpu);
        await cri.call('RemoveImage', { image: { image } });
        await pause(500);
      }
    }
    if (wants('idle') && label === 'containerd') {
      const kept = await Promise.all(Array.from({ length: IDLE_PODS }, (_, n) => pods.start(`idle-${n}`)));
      await pause(3000);
      const [daemon = 0, ...shims] = pids();
      const cpu = cpuMillis([daemon, ...shims]);
      await pause(IDLE_MS);
      const used = cpuMillis([daemon, ...shims]) - cpu;
      side.idle = [idleOf(used), residentOf(memoryOf(daemon)), residentOf(meanMemory(shims))];
      await Promise.all(kept.map((pod) => pods.remove(pod)));
    }
  } finally {
    await removePods(socket);
    cri.close();
  }
  return side;
}

const idleOf = (cpu: number) => `${((cpu / IDLE_MS) * 100).toFixed(2)} % of a CPU`;
const residentOf = ({ residentMb, proportionalMb }: { residentMb: number; proportionalMb: number }) =>
  `${residentMb.toFixed(1)} MB (${proportionalMb.toFixed(1)} own)`;

async function ourRuntime(image: string | undefined): Promise<Side> {
  const args = ['--data-dir', host.dataDir, '--cgroup-root', `${host.cgroup}/ours`, '--bridge', 'bench0'];
  const child = host.spawn([sampan, 'runtime', ...args, '--log-level', 'warn'], 'runtime.log');
  await new Promise<void>((resolve, reject) => {
    child.stderr?.on('data', (chunk) => /runtime ready/.test(String(chunk)) && resolve());
    child.once('exit', (code) => reject(new Error(`sampan runtime ended with ${code}`)));
  });
  const pids = () => [child.pid as number, ...processesOf('sampan-launcher serve', host.dir), ...shimsOf(host.dataDir)];
  try {
    return await measureCri(join(host.dataDir, 'runtime/cri.sock'), pids, 'ours', image);
  } finally {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
    await cluster.sampan('down');
  }
}

async function theirRuntime(image: string | undefined): Promise<Side> {
  const containerd = new Containerd(host, { bridge: true });
  try {
    await containerd.start();
    const pids = () => [
      ...processesOf('containerd -c', join(host.dir, 'containerd')),
      ...processesOf('containerd-shim-runc-v2', join(host.dir, 'containerd')),
    ];
    return await measureCri(containerd.socket, pids, 'containerd', image);
  } finally {
    await containerd.stop();
  }
}

async function idleInCluster(): Promise<string[]> {
  const { config } = loadKubeconfig({
    path: join(host.dataDir, 'kubeconfig'),
    env: {},
    homeDir: '/',
    userAgent: 'bench',
  });
  const client = createClient(config, { clock: systemClock, log: silentLogger });
  const pods = client.resource<Pod>(refs.pods, 'default');
  for (let n = 0; n < IDLE_PODS; n++) await pods.create(sleeper(`idle-${n}`));
  await cluster.must('wait', '--for=condition=Ready', 'pods', '--all', '--timeout=60s');
  await pause(12_000);
  const [node = 0] = cluster.children();
  const shims = shimsOf(host.dataDir);
  const launcher = processesOf('sampan-launcher serve', host.dir);
  const [plane, agent] = [cpuMillis([cluster.pid]), cpuMillis([node, ...launcher, ...shims])];
  await pause(IDLE_MS);
  const found = [
    idleOf(cpuMillis([cluster.pid]) - plane),
    residentOf(memoryOf(cluster.pid)),
    idleOf(cpuMillis([node, ...launcher, ...shims]) - agent),
    residentOf(memoryOf(node)),
    residentOf(meanMemory(shims)),
  ];
  await cluster.must('delete', 'pods', '--all', '--timeout=60s');
  client.close();
  return found;
}

function ociAlone(): Record<OciRuntime, OciTimes | undefined> {
  const rootfs = join(host.dir, 'rootfs');
  for (const dir of ['bin', 'proc', 'sys', 'dev']) mkdirSync(join(rootfs, dir), { recursive: true });
  cpSync(tool('busybox'), join(rootfs, 'bin/busybox'));
  symlinkSync('busybox', join(rootfs, 'bin/true'));
  const of = (runtime: OciRuntime) => (versionOf(runtime) ? timeOci(runtime, host.dir, rootfs, EXECS) : undefined);
  return { crun: of('crun'), runc: of('runc') };
}

// ── All of it ──────────────────────────────────────────────────────────

const began = performance.now();
let whole: Map<number, Life> | undefined;
let idle: string[] = [];
try {
  await cluster.start();
  await cluster.buildTools();
  if (wants('idle')) idle = await idleInCluster();
  if (wants('life')) whole = await lifeInCluster();
} finally {
  await cluster.stop();
}
const registry = wants('pull') ? await serveImage(join(host.dir, 'image'), 4, 2500) : undefined;
const ours = await ourRuntime(registry?.image);
const theirs: Side = hasContainerd ? await theirRuntime(registry?.image) : {};
registry?.close();

row('', 'ours, p50 / p99', 'peer, p50 / p99', undefined);
for (const count of AT_ONCE) {
  const life = whole?.get(count);
  if (life) {
    row(`${count} at once, whole product: created → Running`, percentiles(life.started));
    row(`${count} at once, whole product: deleted → gone`, percentiles(life.gone));
    row(`${count} at once, whole product: CPU per pod`, `${ms(life.cpu ?? 0)} ms`);
  }
  const [by, peer] = [ours.life?.get(count), theirs.life?.get(count)];
  if (!by) continue;
  times(`${count} at once by CRI: run, create, start`, by.started, { containerd: peer?.started });
  times(`${count} at once by CRI: stop, remove`, by.gone, { containerd: peer?.gone });
  const ratio = peer && (by.cpu ?? 0) / (peer.cpu ?? 1);
  row(
    `${count} at once by CRI: CPU to start a pod`,
    `${ms(by.cpu ?? 0)} ms`,
    peer && `containerd ${ms(peer.cpu ?? 0)} ms`,
    ratio,
  );
}
if (ours.once && ours.exec) {
  const alone = ociAlone();
  times('container: create, start, exit, remove', ours.once, {
    containerd: theirs.once,
    crun: alone.crun?.run,
    runc: alone.runc?.run,
  });
  times('exec true', ours.exec, { containerd: theirs.exec, crun: alone.crun?.exec, runc: alone.runc?.exec });
}
if (ours.pull && registry) {
  const what = `pull of ${registry.megabytes.toFixed(0)} MB (${registry.sentMegabytes.toFixed(0)} sent), ${registry.files} files`;
  const [mine, peer] = [ours.pull, theirs.pull];
  for (const [name, of] of [
    ['', 'wall'],
    [': CPU', 'cpu'],
  ] as const) {
    const [left, right] = [quantile(mine[of], 0.5), peer && quantile(peer[of], 0.5)];
    row(
      `${what}${name}`,
      `${ms(left)} ms`,
      right === undefined ? '' : `containerd ${ms(right)} ms`,
      right && left / right,
    );
  }
}
if (wants('idle')) {
  const [planeCpu = '', planeMemory = '', agentCpu = '', agentMemory = '', shim = ''] = idle;
  row(`idle with ${IDLE_PODS} pods: control plane, CPU`, planeCpu);
  row(`idle with ${IDLE_PODS} pods: control plane, memory`, planeMemory);
  row('idle: agent, runtime, launcher, shims / containerd, CPU', agentCpu, theirs.idle?.[0]);
  row('idle: agent with runtime / containerd, memory', agentMemory, theirs.idle?.[1]);
  row('idle: shim per container / per pod, memory', shim, theirs.idle?.[2]);
}
console.log(rows.join('\n'));
const versions = [hasContainerd && 'containerd', versionOf('crun'), versionOf('runc')].filter(Boolean).join(', ');
console.log(
  `in ${((performance.now() - began) / 1000).toFixed(0)} s; peers: ${versions}; load average ${loadavg()
    .map((each) => each.toFixed(1))
    .join(' ')}`,
);
