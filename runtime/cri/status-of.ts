// Records as CRI messages, pure.
import type { Container, ContainerStatus, PodSandbox, PodSandboxStatus, Signal } from '../../proto/cri-types.ts';
import {
  type ContainerRecord,
  containerState,
  exitReason,
  type SandboxRecord,
  sandboxState,
} from '../store/records.ts';

export function sandboxStatusOf(record: SandboxRecord): PodSandboxStatus {
  const ready = sandboxState(record) === 'SANDBOX_READY';
  const [ip = '', ...others] = ready ? (record.handle?.ips ?? []) : [];
  return {
    id: record.id,
    metadata: record.config.metadata ?? null,
    state: sandboxState(record),
    createdAt: record.createdAtNs,
    network: { ip, additionalIps: others.map((other) => ({ ip: other })) },
    linux: { namespaces: { options: record.config.linux?.securityContext?.namespaceOptions ?? null } },
    labels: record.config.labels ?? {},
    annotations: record.config.annotations ?? {},
    runtimeHandler: record.runtimeHandler,
  };
}

export function sandboxOf(record: SandboxRecord): PodSandbox {
  const { id, metadata, state, createdAt, labels, annotations, runtimeHandler } = sandboxStatusOf(record);
  return { id, metadata, state, createdAt, labels, annotations, runtimeHandler };
}

export function containerStatusOf(record: ContainerRecord): ContainerStatus {
  const { config, exit, process } = record;
  return {
    id: record.id,
    metadata: config.metadata ?? null,
    state: containerState(record),
    createdAt: record.createdAtNs,
    startedAt: record.startedAtNs ?? 0,
    finishedAt: exit?.finishedAtNs ?? 0,
    exitCode: exit?.exitCode ?? 0,
    image: config.image ?? null,
    imageRef: record.imageRef,
    imageId: record.imageId,
    reason: exitReason(exit),
    message: exit?.message ?? '',
    labels: config.labels ?? {},
    annotations: config.annotations ?? {},
    mounts: config.mounts ?? [],
    logPath: record.logPath,
    resources: { linux: record.resources },
    user: { linux: { uid: process.uid, gid: process.gid, supplementalGroups: process.additionalGids } },
    stopSignal: record.stopSignal as Signal,
  };
}

export function containerOf(record: ContainerRecord): Container {
  return {
    id: record.id,
    podSandboxId: record.sandboxId,
    metadata: record.config.metadata ?? null,
    image: record.config.image ?? null,
    imageRef: record.imageRef,
    imageId: record.imageId,
    state: containerState(record),
    createdAt: record.createdAtNs,
    labels: record.config.labels ?? {},
    annotations: record.config.annotations ?? {},
  };
}

/** Every pair of the selector is in `labels`. */
export function labelsMatch(
  selector: Record<string, string> | undefined,
  labels: Record<string, string> | undefined,
): boolean {
  return Object.entries(selector ?? {}).every(([key, value]) => labels?.[key] === value);
}
