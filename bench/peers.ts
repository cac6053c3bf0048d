// What the benches of a node measure with: CRI driven the same way on any runtime, a registry on this host, processes as the kernel
// counts them.
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  createReadStream,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { CriClient } from '../kubelet/cri/client.ts';

const MILLIS_PER_TICK = 10;

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] as number;
}

export async function timed(work: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

// ── Processes ──────────────────────────────────────────────────────────

/** Pids whose command line holds all of `words`. */
export function processesOf(...words: string[]): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    if (!/^\d+$/.test(pid)) return [];
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
      return words.every((word) => command.includes(word)) ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}

/** Our shims of the containers whose state is below `dir`: a file there is open in each. */
export function shimsOf(dir: string): number[] {
  return processesOf('sampan-launcher shim').filter((pid) => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`).startsWith(dir));
    } catch {
      return false;
    }
  });
}

/** User and system time so far, of children that were waited for too. */
export function cpuMillis(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
    for (const at of [11, 12, 13, 14]) ticks += Number(fields[at]);
  }
  return ticks * MILLIS_PER_TICK;
}

export interface Memory {
  residentMb: number;
  /** Shared pages are counted in parts. */
  proportionalMb: number;
}

export function memoryOf(pid: number): Memory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const megabytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1]) / 1024;
  return { residentMb: megabytes('Rss'), proportionalMb: megabytes('Pss') };
}

export function meanMemory(pids: readonly number[]): Memory {
  const all = pids.map(memoryOf);
  const mean = (of: (each: Memory) => number) => all.reduce((sum, each) => sum + of(each), 0) / all.length;
  return { residentMb: mean((each) => each.residentMb), proportionalMb: mean((each) => each.proportionalMb) };
}

// ── CRI ────────────────────────────────────────────────────────────────

export interface CriPods {
  /** Sandbox, container, started: its ids. */
  start(name: string, command?: string[]): Promise<{ sandbox: string; container: string }>;
  /** Container and sandbox stopped and removed. */
  remove(pod: { sandbox: string; container: string }): Promise<void>;
  /** A container in a sandbox that stays, from its creation until it has been removed after its exit. */
  once(sandbox: string, name: string): Promise<void>;
}

/** `image` is there; `exited` resolves when the container has. */
export function criPods(cri: CriClient, image: string, cgroupParent: string, logs: string): CriPods {
  const exits = new Map<string, () => void>();
  void (async () => {
    const events = cri.events(new AbortController().signal);
    for await (const event of events)
      if (event.containerEventType === 'CONTAINER_STOPPED_EVENT') exits.get(event.containerId ?? '')?.();
  })().catch(() => {});
  const sandboxConfig = (name: string) => ({
    metadata: { name, namespace: 'bench', uid: `uid-${name}`, attempt: 0 },
    hostname: name,
    logDirectory: logs,
    linux: { cgroupParent: `${cgroupParent}/${name}` },
  });
  const create = async (sandbox: string, pod: string, name: string, command: string[]) => {
    const { containerId = '' } = await cri.call('CreateContainer', {
      podSandboxId: sandbox,
      sandboxConfig: sandboxConfig(pod),
      config: {
        metadata: { name, attempt: 0 },
        image: { image },
        command,
        logPath: `${pod}-${name}.log`,
        linux: { resources: { cpuShares: 100, memoryLimitInBytes: 64 << 20 }, securityContext: {} },
      },
    });
    return containerId;
  };
  return {
    async start(name, command = ['/bin/busybox', 'sleep', '100000']) {
      const { podSandboxId: sandbox = '' } = await cri.call('RunPodSandbox', { config: sandboxConfig(name) });
      const container = await create(sandbox, name, 'c', command);
      await cri.call('StartContainer', { containerId: container });
      return { sandbox, container };
    },
    async remove({ sandbox, container }) {
      await cri.call('StopContainer', { containerId: container, timeout: 0 });
      await cri.call('StopPodSandbox', { podSandboxId: sandbox });
      await cri.call('RemovePodSandbox', { podSandboxId: sandbox });
    },
    async once(sandbox, name) {
      const id = await create(sandbox, 'once', name, ['/bin/busybox', 'true']);
      const exit = Promise.withResolvers<void>();
      exits.set(id, exit.resolve);
      await cri.call('StartContainer', { containerId: id });
      // A runtime without events is asked.
      while (!(await Promise.race([exit.promise.then(() => true), pause(2).then(() => false)]))) {
        const { status } = await cri.call('ContainerStatus', { containerId: id });
        if (status?.state === 'CONTAINER_EXITED') break;
      }
      exits.delete(id);
      await cri.call('RemoveContainer', { containerId: id });
    },
  };
}

export const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

// ── An image and its registry ──────────────────────────────────────────

export interface Registry {
  /** `127.0.0.1:PORT/bench:1` */
  image: string;
  files: number;
  /** Unpacked, and as it is sent. */
  megabytes: number;
  sentMegabytes: number;
  close(): void;
}

/** Serves one image of `layers` layers with `filesPerLayer` files of 20 kB each, half of which can be compressed. */
export async function serveImage(work: string, layers: number, filesPerLayer: number): Promise<Registry> {
  mkdirSync(work, { recursive: true });
  const blobs = new Map<string, string>();
  const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
  const keep = (bytes: Buffer, mediaType: string) => {
    const digest = sha256(bytes);
    blobs.set(digest, join(work, digest.slice(7)));
    writeFileSync(join(work, digest.slice(7)), bytes);
    return { mediaType, digest, size: bytes.length };
  };
  const diffIds: string[] = [];
  const descriptors: { mediaType: string; digest: string; size: number }[] = [];
  for (let layer = 0; layer < layers; layer++) {
    const files = join(work, 'files');
    for (let n = 0; n < filesPerLayer; n++) {
      const dir = join(files, `usr/share/layer${layer}/d${n % 50}`);
      if (n < 50) mkdirSync(dir, { recursive: true });
      writeFileSync(join(dir, `f${n}`), Buffer.concat([randomBytes(10_000), Buffer.alloc(10_000, `file ${n} `)]));
    }
    execFileSync('tar', ['-C', files, '--owner=0', '--group=0', '-cf', join(work, 'layer.tar'), '.']);
    const tar = readFileSync(join(work, 'layer.tar'));
    rmSync(files, { recursive: true });
    diffIds.push(sha256(tar));
    descriptors.push(keep(gzipSync(tar, { level: 1 }), 'application/vnd.oci.image.layer.v1.tar+gzip'));
  }
  const architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const config = keep(
    Buffer.from(
      JSON.stringify({ architecture, os: 'linux', config: {}, rootfs: { type: 'layers', diff_ids: diffIds } }),
    ),
    'application/vnd.oci.image.config.v1+json',
  );
  const type = 'application/vnd.oci.image.manifest.v1+json';
  const manifest = Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType: type, config, layers: descriptors }));
  const manifestDigest = sha256(manifest);
  const server: Server = createServer((request, response) => {
    const path = request.url ?? '';
    const blob = blobs.get(/\/blobs\/(sha256:\w+)$/.exec(path)?.[1] ?? '');
    if (path === '/v2/') response.end('{}');
    else if (path.includes('/manifests/')) {
      response.writeHead(200, {
        'content-type': type,
        'content-length': manifest.length,
        'docker-content-digest': manifestDigest,
      });
      response.end(request.method === 'HEAD' ? undefined : manifest);
    } else if (blob) {
      response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': statSync(blob).size });
      if (request.method === 'HEAD') response.end();
      else createReadStream(blob).pipe(response);
    } else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sent = descriptors.reduce((sum, each) => sum + each.size, 0);
  return {
    image: `127.0.0.1:${(server.address() as AddressInfo).port}/bench:1`,
    files: layers * filesPerLayer,
    megabytes: (layers * filesPerLayer * 20_000) / 1e6,
    sentMegabytes: sent / 1e6,
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}
