// The runtime, composed: store, images, streaming server and the CRI server around a launcher. Containers outlive it:
// stopping (or killing) the runtime stops no container, and the next start finds them again.
import { hostname } from 'node:os';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Random } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { imagesAdminService } from './admin/service.ts';
import type { CriContext } from './cri/context.ts';
import { ExitBook } from './cri/exits.ts';
import { KeyedLock } from './cri/lock.ts';
import { recover } from './cri/recover.ts';
import { podFiles } from './cri/run-pod-sandbox.ts';
import { serveCri } from './cri/server.ts';
import { Images, platformOf } from './images/index.ts';
import type { Launcher } from './launch/port.ts';
import { EventHub } from './store/events.ts';
import { Store } from './store/store.ts';
import { serveStreaming } from './streaming/server.ts';

export interface RuntimeOptions {
  /** Everything is kept below; made when missing. */
  stateDir: string;
  /** The CRI socket, absolute; made with mode 0600. */
  socketPath: string;
  /** Closed when the runtime stops. */
  launcher: Launcher;
  /** Default: a free port on 127.0.0.1. */
  streaming?: { address: string; port: number };
  clock: Clock;
  random: Random;
  log: Logger;
  version?: string;
  /** The network the launcher takes pod addresses from, for UpdateRuntimeConfig to compare with. */
  podCidr?: string;
  /** Registries spoken to over plain HTTP; loopback ones always are. */
  insecureRegistries?: readonly string[];
  /** Default /dev/shm. */
  shmRoot?: string;
}

export interface RunningRuntime {
  streamingUrl: string;
  /** Settles when nothing of the runtime runs any more; containers go on. */
  stop(): Promise<void>;
}

/** Recovers what an earlier runtime left in `stateDir`, then serves. */
export async function startRuntime(options: RuntimeOptions): Promise<RunningRuntime> {
  const { launcher, clock, random, log } = options;
  mkdirSync(options.stateDir, { recursive: true, mode: 0o711 });
  const images = new Images({ stateDir: join(options.stateDir, 'images'), platform: platformOf(process.arch), log });
  const streaming = await serveStreaming({
    ...(options.streaming ?? { address: '127.0.0.1', port: 0 }),
    backend: launcher,
    clock,
    log,
  });
  const context: CriContext = {
    store: new Store(options.stateDir, log),
    images,
    launcher,
    events: new EventHub(),
    exits: new ExitBook(),
    locks: new KeyedLock(),
    streams: streaming,
    host: {
      hostname: hostname(),
      resolvConf: '/etc/resolv.conf',
      hosts: '/etc/hosts',
      shmRoot: options.shmRoot ?? '/dev/shm',
    },
    clock,
    random,
    log,
    version: options.version ?? '0.1.0',
    podCidr: options.podCidr,
    insecureRegistries: options.insecureRegistries ?? [],
    cpuSamples: new Map(),
    diskSamples: new Map(),
  };
  try {
    const plan = await recover(context);
    // From here on: what started or exited between the facts and now is reported by the launcher, too.
    launcher.onStart((id, startedAtNs) => context.exits.started(context, id, startedAtNs));
    launcher.onExit((event) => context.exits.record(context, event));
    log.info(
      {
        sandboxes: context.store.sandboxes.list().length,
        containers: context.store.containers.list().length,
        exited: plan.exited.length,
        removed: plan.removeContainers.length + plan.removeSandboxes.length,
      },
      'runtime recovered its state',
    );
    const server = await serveCri(context, options.socketPath, [imagesAdminService(context)]);
    log.info({ socket: options.socketPath, streaming: streaming.url }, 'runtime serves');
    return {
      streamingUrl: streaming.url,
      async stop() {
        context.events.close();
        await server.stop();
        await streaming.stop();
        await removeStrandedMemory(context);
        await launcher.close();
      },
    };
  } catch (error) {
    await streaming.stop();
    throw error;
  }
}

/** Sandboxes that the launcher was told to tear down never come back here to give up their shared memory. */
async function removeStrandedMemory(context: CriContext): Promise<void> {
  const known = await context.launcher.sandboxes();
  for (const { id } of context.store.sandboxes.list()) {
    if (!known.has(id)) rmSync(podFiles(context, id, 'pod').shm, { recursive: true, force: true });
  }
}
