// What every CRI call works with, and the few operations that several calls share.
import { status } from '../../lib/grpc/status.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { ContainerEventResponse, ImageServiceMethods, RuntimeServiceMethods } from '../../proto/cri-types.ts';
import type { Images } from '../images/images.ts';
import type { DiskUsage } from '../snapshots/usage.ts';
import type { Launcher } from '../launch/port.ts';
import type { EventHub } from '../store/events.ts';
import type { ContainerRecord, SandboxRecord } from '../store/records.ts';
import type { Lookup, Store } from '../store/store.ts';
import type { StreamTargets } from '../streaming/targets.ts';
import { CriError, notFound } from './errors.ts';
import type { ExitBook } from './exits.ts';
import type { KeyedLock } from './lock.ts';

export interface HostFacts {
  hostname: string;
  /** Paths of the host's own files. */
  resolvConf: string;
  hosts: string;
  /** Where shared memory of pods lives: a directory on tmpfs, one directory per pod below it. */
  shmRoot: string;
}

/** Hands out a URL on the streaming server for one use of `target`. */
export interface StreamUrls {
  execUrl(target: StreamTargets['exec']): string;
  attachUrl(target: StreamTargets['attach']): string;
  portForwardUrl(target: StreamTargets['portForward']): string;
}

export interface CriContext {
  store: Store;
  images: Images;
  launcher: Launcher;
  events: EventHub<ContainerEventResponse>;
  exits: ExitBook;
  locks: KeyedLock;
  streams: StreamUrls;
  host: HostFacts;
  clock: Clock;
  random: Random;
  log: Logger;
  /** `0.1.0`. */
  version: string;
  /** Known when the launcher's network was given one. */
  podCidr: string | undefined;
  insecureRegistries: readonly string[];
  /** Last samples, for rates. */
  cpuSamples: Map<string, { atNs: number; usageNs: number; nanoCores: number | undefined }>;
  diskSamples: Map<string, { atMs: number; usage: DiskUsage }>;
}

type Methods = RuntimeServiceMethods & ImageServiceMethods;
export type MethodName = keyof Methods;

/** One CRI call: throws CriError (or anything, which becomes INTERNAL). */
export type Call<M extends MethodName> = (context: CriContext, request: Methods[M][0]) => Promise<Methods[M][1]>;

/** One streaming CRI call; `signal` aborts when the client goes away. */
export type StreamCall<M extends MethodName> = (
  context: CriContext,
  request: Methods[M][0],
  signal: AbortSignal,
) => AsyncIterable<Methods[M][1]>;

/** Nanoseconds since the epoch. */
export function nowNs(context: CriContext): number {
  return context.clock.now() * 1e6;
}

/** A new id: 32 hex digits. */
export function newId(random: Random): string {
  let id = '';
  while (id.length < 32)
    id += Math.floor(random() * 0x10000)
      .toString(16)
      .padStart(4, '0');
  return id;
}

export function requireSandbox(context: CriContext, id: string | undefined): SandboxRecord {
  return required('sandbox', id ?? '', context.store.sandboxes.find(id ?? ''));
}

export function requireContainer(context: CriContext, id: string | undefined): ContainerRecord {
  return required('container', id ?? '', context.store.containers.find(id ?? ''));
}

function required<T>(what: string, id: string, found: Lookup<T>): T {
  if (found.kind === 'found') return found.value;
  if (found.kind === 'ambiguous') throw new CriError(status.INVALID_ARGUMENT, `${what} id prefix "${id}" is ambiguous`);
  throw notFound(what, id);
}

/** The `info` of verbose answers: one JSON document, or nothing. */
export function verboseInfo(verbose: boolean | undefined, value: unknown): Record<string, string> {
  return verbose ? { info: JSON.stringify(value) } : {};
}
