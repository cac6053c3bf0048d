// containerStatuses: from the runtime's facts and what the worker knows to the API's shape. Pure.
// Reasons and messages are upstream's (pkg/kubelet/kubelet_pods.go, convertToAPIContainerStatuses).
import type { Container, ContainerState, ContainerStatus, Pod, ResourceRequirements } from '../../api/types/core-v1.ts';
import type { ProbeVerdict } from './actions.ts';
import { initRestartsAfter, isEphemeralContainer, isSidecar, restartsAfter } from './containers-of.ts';
import { latestContainer, type ObservedContainer, type ObservedPod, previousContainer } from './observed.ts';

/** Why a container is not running although it should: shown as its waiting state. */
export interface Waiting {
  reason: string;
  message?: string;
}

export interface ContainerFacts {
  pod: Pod;
  observed: ObservedPod;
  /** `containerd`, `sampan`: the scheme of container ids. */
  runtimeName: string;
  /** Per container name; wins over `terminated` for a container that is to run again. */
  waiting: ReadonlyMap<string, Waiting>;
  /** Last reported statuses, for what the runtime no longer has. */
  old: readonly ContainerStatus[];
  readiness(containerId: string): ProbeVerdict | undefined;
  startup(containerId: string): ProbeVerdict | undefined;
  /** What the container left at its terminationMessagePath, or its last log lines. */
  terminationMessage(container: ObservedContainer): string;
  /** What a running container was last given; undefined: what its spec says. */
  actual?(containerId: string): ResourceRequirements | undefined;
  /** Containers that were removed to start over and have not yet. */
  reset?: ReadonlySet<string>;
  /** The pod's containers are being or have been stopped for good. */
  isTerminating: boolean;
}

export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** Statuses of `containers` (one of the spec's lists), in its order. */
export function containerStatuses(
  facts: ContainerFacts,
  containers: readonly Container[],
  isInit: boolean,
): ContainerStatus[] {
  return containers.map((container) => containerStatus(facts, container, isInit));
}

function containerStatus(facts: ContainerFacts, container: Container, isInit: boolean): ContainerStatus {
  const { observed } = facts;
  const latest = latestContainer(observed, container.name);
  const old = facts.old.find((each) => each.name === container.name);
  if (!latest) return unobserved(facts, container, isInit, old);
  // Of a pod that ends the newest instance may be removed before an older one: what was said of it stays.
  if (facts.isTerminating && old && latest.restartCount < old.restartCount && !old.state?.running) return old;

  // What was reported of this very instance stays: its message file may be gone by now.
  const isReported = old?.containerID === `${facts.runtimeName}://${latest.id}` && old.state?.terminated !== undefined;
  const state = isReported && old?.state && latest.state === 'exited' ? old.state : stateOf(facts, latest);
  const previous = previousContainer(observed, container.name);
  let lastState: ContainerState = {};
  if (previous?.state === 'exited') lastState = stateOf(facts, previous);
  else if (old?.lastState && old.restartCount === latest.restartCount) lastState = old.lastState;
  else if (old?.state?.terminated && old.restartCount < latest.restartCount) lastState = old.state;

  const waiting = facts.waiting.get(container.name);
  let shown = state;
  if (waiting && latest.state !== 'running' && !isFinal(facts, container, isInit, latest)) {
    shown = { waiting: { ...waiting } };
    if (latest.state === 'exited') lastState = state;
  } else if (latest.state === 'created' || latest.state === 'unknown') {
    shown = { waiting: defaultWaiting(facts.pod, isInit) };
  }
  const running = latest.state === 'running';
  const known = old?.containerID === `${facts.runtimeName}://${latest.id}` ? old : undefined;
  const started = startedOf(facts, container, isInit, latest, known);
  return {
    name: container.name,
    state: shown,
    lastState,
    ready: isReady(facts, container, isInit, latest, started, known),
    // A runtime that is killed may lose an instance it had only just made: what was told is not taken back.
    restartCount: Math.max(latest.restartCount, old?.restartCount ?? 0),
    image: latest.image || container.image || '',
    imageID: latest.imageRef,
    containerID: `${facts.runtimeName}://${latest.id}`,
    started: running && started,
    ...details(container, latest, facts.actual?.(latest.id)),
  };
}

/** It has exited, and no other run of it follows: what it came to stays (the API server refuses to take it back). */
function isFinal(facts: ContainerFacts, container: Container, isInit: boolean, latest: ObservedContainer): boolean {
  if (latest.state !== 'exited') return false;
  if (facts.isTerminating || isEphemeralContainer(facts.pod, container.name)) return true;
  return !(isInit ? initRestartsAfter : restartsAfter)(facts.pod, container, latest.exitCode);
}

function details(
  container: Container,
  latest: ObservedContainer | undefined,
  actual?: ResourceRequirements,
): Partial<ContainerStatus> {
  const resources = actual ?? container.resources;
  const granted = container.resources?.requests;
  const hasResources = resources && (resources.limits || resources.requests);
  const mounts = (container.volumeMounts ?? []).map((mount) => ({
    name: mount.name,
    mountPath: mount.mountPath,
    ...(mount.readOnly && { readOnly: true, recursiveReadOnly: 'Disabled' }),
  }));
  return {
    ...(latest &&
      hasResources && {
        resources: {
          ...(resources.limits && { limits: resources.limits }),
          ...(resources.requests && { requests: resources.requests }),
        },
      }),
    ...(latest && granted && { allocatedResources: granted }),
    ...(mounts.length > 0 && { volumeMounts: mounts }),
    ...(latest?.user && {
      user: {
        linux: { uid: latest.user.uid, gid: latest.user.gid, supplementalGroups: latest.user.supplementalGroups },
      },
    }),
  };
}

function defaultWaiting(pod: Pod, isInit: boolean): Waiting {
  const hasInit = (pod.spec?.initContainers ?? []).length > 0;
  return {
    reason: hasInit && !(isInit && pod.spec?.initContainers?.length === 0) ? 'PodInitializing' : 'ContainerCreating',
  };
}

/** The runtime knows nothing of it: not created yet, or collected, or lost. */
function unobserved(
  facts: ContainerFacts,
  container: Container,
  isInit: boolean,
  old: ContainerStatus | undefined,
): ContainerStatus {
  // Already finished and collected: what was reported stays.
  const wasStarted = old?.containerID !== undefined;
  const isReset = facts.reset?.has(container.name) ?? false;
  if (old && wasStarted && old.state?.terminated && !isReset) return old;
  const waiting = facts.waiting.get(container.name) ?? defaultWaiting(facts.pod, isInit);
  const status: ContainerStatus = {
    name: container.name,
    state: { waiting: { ...waiting } },
    lastState: (isReset && old?.state?.terminated ? { terminated: old.state.terminated } : old?.lastState) ?? {},
    ready: false,
    restartCount: old?.restartCount ?? 0,
    image: container.image ?? '',
    imageID: '',
    started: false,
    // Of the instance before: its number goes on.
    ...(isReset && old?.containerID && { containerID: old.containerID }),
    ...details(container, undefined),
  };
  if (!old || !wasStarted || !old.state?.running) return status;
  // It ran and vanished without a trace (somebody removed it behind our back, or the host lost its runtime's state).
  const terminated = {
    reason: 'ContainerStatusUnknown',
    message: facts.isTerminating
      ? 'The container could not be located when the pod was terminated'
      : 'The container could not be located when the pod was deleted.  The container used to be Running',
    exitCode: 137,
  };
  if (facts.isTerminating) return { ...old, ready: false, started: false, state: { terminated } };
  return { ...status, lastState: { terminated }, restartCount: old.restartCount + 1 };
}

function stateOf(facts: ContainerFacts, container: ObservedContainer): ContainerState {
  if (container.state === 'running') return { running: { startedAt: timestamp(container.startedAtMs) } };
  if (container.state !== 'exited') return {};
  const reason = container.reason || (container.exitCode === 0 ? 'Completed' : 'Error');
  const message = container.message || facts.terminationMessage(container);
  return {
    terminated: {
      exitCode: container.exitCode,
      reason,
      ...(message && { message }),
      startedAt: timestamp(container.startedAtMs),
      finishedAt: timestamp(container.finishedAtMs),
      containerID: `${facts.runtimeName}://${container.id}`,
    },
  };
}

/** `known` is the status reported of this very instance, for what a restarted kubelet has not probed yet. */
function startedOf(
  facts: ContainerFacts,
  container: Container,
  isInit: boolean,
  latest: ObservedContainer,
  known: ContainerStatus | undefined,
): boolean {
  if (latest.state !== 'running') return false;
  if (isInit && !isSidecar(container)) return false;
  if (container.startupProbe === undefined) return true;
  const verdict = facts.startup(latest.id);
  return verdict === 'success' || (verdict !== 'failure' && known?.started === true);
}

function isReady(
  facts: ContainerFacts,
  container: Container,
  isInit: boolean,
  latest: ObservedContainer,
  started: boolean,
  known: ContainerStatus | undefined,
): boolean {
  if (isInit && !isSidecar(container)) return latest.state === 'exited' && latest.exitCode === 0;
  if (latest.state !== 'running' || !started) return false;
  if (container.readinessProbe === undefined) return true;
  const verdict = facts.readiness(latest.id);
  return verdict === undefined ? known?.ready === true : verdict === 'success';
}
