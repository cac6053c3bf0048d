// What is remembered of sandboxes and containers. Only facts are stored; the CRI state is derived from them:
//
//   sandbox    creating ──handle──▶ READY ──stoppedAtNs──▶ NOTREADY ──(removed)
//   container  creating ──created──▶ CREATED ──startedAtNs──▶ RUNNING ──exit──▶ EXITED ──(removed)
//                                       └────────startError (exit 128)───────────▲
import type {
  ContainerConfig,
  ContainerState,
  LinuxContainerResources,
  PodSandboxConfig,
  PodSandboxState,
} from '../../proto/cri-types.ts';
import type { ProcessSpec, SandboxHandle } from '../launch/port.ts';

export interface SandboxRecord {
  id: string;
  config: PodSandboxConfig;
  runtimeHandler: string;
  createdAtNs: number;
  hostNetwork: boolean;
  cgroupParent: string;
  hostname: string;
  /** Absent while the launcher has not finished: such a record is a half-made sandbox after a crash. */
  handle?: SandboxHandle;
  /** Stopped, or found gone after a restart. */
  stoppedAtNs?: number;
}

export interface ContainerExit {
  exitCode: number;
  finishedAtNs: number;
  oomKilled: boolean;
  /** Set where the code does not say it: `StartError`, `Unknown`. */
  reason?: string;
  message?: string;
}

export interface ContainerRecord {
  id: string;
  sandboxId: string;
  config: ContainerConfig;
  imageId: string;
  /** A repo digest where the image has one, else its id. */
  imageRef: string;
  /** Its layers, which stay as long as the container even when the image is removed. */
  diffIds: string[];
  /** Layers of images mounted as volumes, which stay likewise. */
  volumeDiffIds?: string[][];
  createdAtNs: number;
  /** Absolute, or empty when there is no log. */
  logPath: string;
  /** Signal name such as SIGTERM, from the config or the image. */
  stopSignal: string;
  cgroup: string;
  /** What exec'ed processes inherit. */
  process: ProcessSpec;
  resources: LinuxContainerResources;
  /** Absent while the launcher has not finished. */
  pid?: number;
  startedAtNs?: number;
  exit?: ContainerExit;
  /** Somebody has asked for its removal while it had not exited: the end that follows is no news, also after a crash. */
  isRemoving?: boolean;
}

/** Every stack of layers that a container stands on. */
export const layersInUse = (containers: readonly ContainerRecord[]): string[][] =>
  containers.flatMap((each) => [each.diffIds, ...(each.volumeDiffIds ?? [])]);

/** READY until stopped; a half-made sandbox is NOTREADY. */
export function sandboxState(record: SandboxRecord): PodSandboxState {
  return record.handle && record.stoppedAtNs === undefined ? 'SANDBOX_READY' : 'SANDBOX_NOTREADY';
}

export function containerState(record: ContainerRecord): ContainerState {
  if (record.exit) return 'CONTAINER_EXITED';
  if (record.startedAtNs !== undefined) return 'CONTAINER_RUNNING';
  return 'CONTAINER_CREATED';
}

/** The reason of an exit as CRI clients know it; empty while running. */
export function exitReason(exit: ContainerExit | undefined): string {
  if (!exit) return '';
  if (exit.reason) return exit.reason;
  if (exit.oomKilled) return 'OOMKilled';
  return exit.exitCode === 0 ? 'Completed' : 'Error';
}

/** Two sandboxes with the same name cannot be at once: name, namespace, uid and attempt together. */
export function sandboxName(config: PodSandboxConfig): string {
  const m = config.metadata;
  return [m?.name, m?.namespace, m?.uid, m?.attempt ?? 0].join('_');
}

export function containerName(config: ContainerConfig, sandbox: PodSandboxConfig): string {
  return [config.metadata?.name, sandboxName(sandbox), config.metadata?.attempt ?? 0].join('_');
}
