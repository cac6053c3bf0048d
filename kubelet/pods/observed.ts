// What the runtime has, as facts about a pod. Built from CRI answers and events; pure.
import type { ContainerStatus, PodSandboxStatus } from '../../proto/cri-types.ts';
import { annotations, labels } from '../cri/labels.ts';

export interface PodIdentity {
  uid: string;
  name: string;
  namespace: string;
}

export interface ObservedSandbox {
  id: string;
  pod: PodIdentity;
  attempt: number;
  isReady: boolean;
  createdAtMs: number;
  /** The primary first; empty for host network. */
  ips: string[];
}

export type ObservedContainerState = 'created' | 'running' | 'exited' | 'unknown';

export interface ObservedContainer {
  id: string;
  pod: PodIdentity;
  name: string;
  restartCount: number;
  hash: string;
  state: ObservedContainerState;
  createdAtMs: number;
  startedAtMs: number;
  finishedAtMs: number;
  /** When it ended by the monotonic clock, as soon as it was seen to have: what its back-off counts from. */
  endedMs: number;
  exitCode: number;
  reason: string;
  message: string;
  image: string;
  imageRef: string;
  logPath: string;
  user: { uid: number; gid: number; supplementalGroups: number[] } | undefined;
  terminationMessagePolicy: string;
  terminationMessageHostPath: string;
}

/** Both lists are newest first. */
export interface ObservedPod {
  sandboxes: readonly ObservedSandbox[];
  containers: readonly ObservedContainer[];
}

export const nothingObserved: ObservedPod = { sandboxes: [], containers: [] };

const milliseconds = (nanoseconds: number | undefined) => Math.floor((nanoseconds ?? 0) / 1e6);

function identityOf(from: Record<string, string> | undefined): PodIdentity | undefined {
  const uid = from?.[labels.podUid];
  if (!uid) return undefined;
  return { uid, name: from[labels.podName] ?? '', namespace: from[labels.podNamespace] ?? '' };
}

/** Undefined when the sandbox is not one of a pod (no labels of ours). */
export function observeSandbox(status: PodSandboxStatus): ObservedSandbox | undefined {
  const pod = identityOf(status.labels);
  if (!pod || !status.id) return undefined;
  const ips = [status.network?.ip, ...(status.network?.additionalIps ?? []).map((each) => each.ip)];
  return {
    id: status.id,
    pod,
    attempt: status.metadata?.attempt ?? 0,
    isReady: status.state === 'SANDBOX_READY',
    createdAtMs: milliseconds(status.createdAt),
    ips: ips.filter((ip): ip is string => !!ip),
  };
}

const states: Record<string, ObservedContainerState> = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
};

/** `endedMs` is left to the cache, which knows when it first saw the end. */
export function observeContainer(status: ContainerStatus): ObservedContainer | undefined {
  const pod = identityOf(status.labels);
  const name = status.labels?.[labels.containerName];
  if (!pod || !status.id || !name) return undefined;
  const notes = status.annotations ?? {};
  const user = status.user?.linux;
  return {
    id: status.id,
    pod,
    name,
    restartCount: Number(notes[annotations.restartCount] ?? status.metadata?.attempt ?? 0) || 0,
    hash: notes[annotations.hash] ?? '',
    state: states[status.state ?? ''] ?? 'unknown',
    createdAtMs: milliseconds(status.createdAt),
    startedAtMs: milliseconds(status.startedAt),
    finishedAtMs: milliseconds(status.finishedAt),
    endedMs: 0,
    exitCode: status.exitCode ?? 0,
    reason: status.reason ?? '',
    message: status.message ?? '',
    image: status.image?.userSpecifiedImage || status.image?.image || '',
    imageRef: status.imageRef || status.imageId || '',
    logPath: status.logPath ?? '',
    user: user
      ? { uid: user.uid ?? 0, gid: user.gid ?? 0, supplementalGroups: user.supplementalGroups ?? [] }
      : undefined,
    terminationMessagePolicy: notes[annotations.terminationMessagePolicy] ?? 'File',
    terminationMessageHostPath: notes[annotations.terminationMessageHostPath] ?? '',
  };
}

/** The newest container of that name, running or not. */
export function latestContainer(observed: ObservedPod, name: string): ObservedContainer | undefined {
  return observed.containers.find((each) => each.name === name);
}

/** The container of that name before the newest. */
export function previousContainer(observed: ObservedPod, name: string): ObservedContainer | undefined {
  return observed.containers.filter((each) => each.name === name)[1];
}

export function isRunning(container: ObservedContainer | undefined): boolean {
  return container?.state === 'running';
}
