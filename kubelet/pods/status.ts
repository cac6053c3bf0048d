// The pod's status: phase and conditions from its container statuses. Pure, decided as upstream does
// (pkg/kubelet/kubelet_pods.go getPhase, pkg/kubelet/status/generate.go).
import type { Container, ContainerStatus, Pod, PodCondition, PodStatus } from '../../api/types/core-v1.ts';
import { type ContainerFacts, containerStatuses, timestamp } from './container-status.ts';
import { ephemeralContainers, initRestartsAfter, isSidecar, mayRestartAll, restartsAfter } from './containers-of.ts';
import { qosClassOf } from '../containers/qos.ts';

export interface StatusFacts extends Omit<ContainerFacts, 'old'> {
  /** The status last computed by this kubelet or, at first, the API's. */
  old: PodStatus;
  hostIps: readonly string[];
  nowMs: number;
  /** When this kubelet first saw the pod. */
  startedAtMs: number;
  /** The kubelet itself ended the pod: rejected, deadline, eviction. */
  /** `disrupts`: the pod's owner is told that it is not the pod's fault. */
  verdict: { reason: string; message: string; disrupts?: string } | undefined;
  /** A resize that was asked for and is not granted, or granted and not carried out. */
  resize?:
    | { pending?: { reason: string; message: string } | undefined; progress?: { error?: string } | undefined }
    | undefined;
  /** Every container is being killed and removed, to start over. */
  isRestartingAll?: boolean;
  /** No container is running and none will run again. */
  isOver: boolean;
}

/** Conditions that the kubelet alone writes. */
export const OWN_CONDITIONS: ReadonlySet<string> = new Set([
  'PodReadyToStartContainers',
  'Initialized',
  'Ready',
  'ContainersReady',
  'PodScheduled',
  'PodResizePending',
  'PodResizeInProgress',
  'AllContainersRestarting',
]);

/** Reason of DisruptionTarget when the kubelet ends a pod. */
export const DISRUPTED_BY_KUBELET = 'TerminationByKubelet';

/** A condition that the kubelet writes: its own, or a shared one that it has set. */
export function isWrittenHere({ type, reason }: PodCondition): boolean {
  return OWN_CONDITIONS.has(type) || (type === 'DisruptionTarget' && reason === DISRUPTED_BY_KUBELET);
}

export function computePodStatus(facts: StatusFacts): PodStatus {
  const { pod, old } = facts;
  const spec = pod.spec ?? { containers: [] };
  const statuses = containerStatuses({ ...facts, old: old.containerStatuses ?? [] }, spec.containers, false);
  const initStatuses = containerStatuses(
    { ...facts, old: old.initContainerStatuses ?? [] },
    spec.initContainers ?? [],
    true,
  );
  const ephemeral = ephemeralContainers(pod);
  const ephemeralStatuses = containerStatuses(
    { ...facts, old: old.ephemeralContainerStatuses ?? [] },
    ephemeral,
    false,
  ).map((each) => ({ ...each, ready: false }));
  const phase = decidePhase(facts, statuses, initStatuses);
  if (phase === 'Failed' || phase === 'Succeeded') for (const each of statuses) neverReady(each);

  const sandbox = facts.observed.sandboxes.find((each) => each.isReady);
  const ips = spec.hostNetwork ? (sandbox ? [...facts.hostIps] : []) : (sandbox?.ips ?? []);
  const podIps = ips.length > 0 ? ips : (old.podIPs ?? []).map((each) => each.ip);
  const keepsIps = phase !== 'Pending' || ips.length > 0;

  const status: PodStatus = {
    ...(old.nominatedNodeName && { nominatedNodeName: old.nominatedNodeName }),
    ...(pod.metadata.generation && { observedGeneration: pod.metadata.generation }),
    phase,
    conditions: [],
    ...(facts.verdict && { reason: facts.verdict.reason, message: facts.verdict.message }),
    hostIP: facts.hostIps[0] ?? '',
    hostIPs: facts.hostIps.map((ip) => ({ ip })),
    ...(keepsIps && podIps[0] && { podIP: podIps[0], podIPs: podIps.map((ip) => ({ ip })) }),
    startTime: old.startTime ?? timestamp(facts.startedAtMs),
    ...(spec.initContainers?.length && { initContainerStatuses: initStatuses }),
    containerStatuses: statuses,
    ...(ephemeral.length > 0 && { ephemeralContainerStatuses: ephemeralStatuses }),
    ...podLevelResources(pod),
    qosClass: old.qosClass ?? pod.status?.qosClass ?? qosClassOf(pod),
  };
  status.conditions = conditionsOf(
    facts,
    phase,
    statuses,
    initStatuses,
    sandbox !== undefined && (!!spec.hostNetwork || ips.length > 0),
  );
  return status;
}

function podLevelResources(pod: Pod): Pick<PodStatus, 'resources' | 'allocatedResources'> {
  const resources = pod.spec?.resources;
  if (!resources?.requests && !resources?.limits) return {};
  return { ...(resources.requests && { allocatedResources: resources.requests }), resources };
}

function neverReady(status: ContainerStatus): void {
  status.ready = false;
  if (!status.state?.running) status.started = false;
}

function decidePhase(facts: StatusFacts, statuses: ContainerStatus[], initStatuses: ContainerStatus[]): string {
  const reported = facts.old.phase;
  if (reported === 'Succeeded' || reported === 'Failed') return reported;
  // No end is told before it is one.
  if (facts.verdict) return facts.isOver ? 'Failed' : (reported ?? 'Pending');
  return computePhase(facts.pod, statuses, initStatuses, facts.isOver);
}

/** `isOver`: nothing runs and nothing will, so that even restartPolicy Always is final (a deleted pod). */
export function computePhase(
  pod: Pod,
  statuses: readonly ContainerStatus[],
  initStatuses: readonly ContainerStatus[],
  isOver: boolean,
): string {
  let pendingInit = 0;
  let failedInit = 0;
  for (const container of pod.spec?.initContainers ?? []) {
    const status = initStatuses.find((each) => each.name === container.name);
    if (isSidecar(container)) {
      if (!status?.started && !status?.state?.terminated) pendingInit++;
      continue;
    }
    const exit = status?.state?.terminated ?? (status?.state?.waiting ? status.lastState?.terminated : undefined);
    if (!exit) pendingInit++;
    else if (exit.exitCode !== 0) {
      if (initRestartsAfter(pod, container, exit.exitCode)) pendingInit++;
      else failedInit++;
    }
  }

  let waiting = 0;
  let running = 0;
  let stopped = 0;
  let succeeded = 0;
  let restarting = 0;
  for (const container of pod.spec?.containers ?? []) {
    const status = statuses.find((each) => each.name === container.name);
    if (status?.state?.running) running++;
    else if (status?.state?.terminated) {
      stopped++;
      const { exitCode } = status.state.terminated;
      if (exitCode === 0) succeeded++;
      if (restartsAfter(pod, container, exitCode)) restarting++;
    } else if (status?.lastState?.terminated) {
      stopped++;
      if (restartsAfter(pod, container, status.lastState.terminated.exitCode)) restarting++;
    } else waiting++;
  }

  if (failedInit > 0) return 'Failed';
  if (isOver) {
    if (stopped === 0) return pod.status?.phase === 'Running' ? 'Failed' : (pod.status?.phase ?? 'Pending');
    return stopped === succeeded && waiting === 0 ? 'Succeeded' : 'Failed';
  }
  const hasRun = running + stopped > 0;
  if (pendingInit > 0 && !hasRun) return 'Pending';
  if (waiting > 0) return 'Pending';
  if (running > 0) return 'Running';
  if (stopped > 0) {
    if (restarting > 0) return 'Running';
    return stopped === succeeded ? 'Succeeded' : 'Failed';
  }
  return 'Pending';
}

function conditionsOf(
  facts: StatusFacts,
  phase: string,
  statuses: ContainerStatus[],
  initStatuses: ContainerStatus[],
  canStartContainers: boolean,
): PodCondition[] {
  const containersReady = containersReadyCondition(facts.pod, phase, statuses, initStatuses);
  const own: PodCondition[] = [
    { type: 'PodReadyToStartContainers', status: canStartContainers ? 'True' : 'False' },
    initializedCondition(facts.pod, phase, statuses, initStatuses),
    readyCondition(facts.pod, phase, containersReady),
    containersReady,
    { type: 'PodScheduled', status: 'True' },
    ...passingConditions(facts, phase),
  ];
  const known = facts.old.conditions ?? [];
  const generation = facts.pod.metadata.generation;
  const merged = own.map((condition) => {
    const before = known.find((each) => each.type === condition.type);
    if (condition.type === 'PodScheduled' && before) return before;
    const unchanged = before?.status === condition.status;
    return {
      type: condition.type,
      ...(generation && { observedGeneration: generation }),
      status: condition.status,
      lastTransitionTime: unchanged && before?.lastTransitionTime ? before.lastTransitionTime : timestamp(facts.nowMs),
      ...(condition.reason && { reason: condition.reason }),
      ...(condition.message && { message: condition.message }),
    };
  });
  // What others have put there (readiness gates, DisruptionTarget) is theirs: kept as the API has it.
  const mine = new Set(merged.map((each) => each.type));
  const foreign = (facts.pod.status?.conditions ?? []).filter(
    (each) => !OWN_CONDITIONS.has(each.type) && !mine.has(each.type),
  );
  return [...merged, ...foreign];
}

/** Conditions that are there only while, or for pods in which, they mean something. */
function passingConditions({ pod, resize, isRestartingAll, verdict }: StatusFacts, phase: string): PodCondition[] {
  const isOver = phase === 'Succeeded' || phase === 'Failed';
  const found: PodCondition[] = [];
  if (verdict?.disrupts) {
    found.push({ type: 'DisruptionTarget', status: 'True', reason: DISRUPTED_BY_KUBELET, message: verdict.disrupts });
  }
  if (resize?.pending && !isOver) found.push({ type: 'PodResizePending', status: 'True', ...resize.pending });
  if (resize?.progress && !isOver) {
    const { error } = resize.progress;
    const why = error === undefined ? {} : { reason: 'Error', message: error };
    found.push({ type: 'PodResizeInProgress', status: 'True', ...why });
  }
  if (mayRestartAll(pod)) {
    const type = 'AllContainersRestarting';
    if (isOver) found.push({ type, status: 'False', reason: phase === 'Succeeded' ? 'PodCompleted' : 'PodFailed' });
    else found.push({ type, status: isRestartingAll ? 'True' : 'False' });
  }
  return found;
}

function initializedCondition(
  pod: Pod,
  phase: string,
  statuses: ContainerStatus[],
  initStatuses: ContainerStatus[],
): PodCondition {
  const type = 'Initialized';
  if (phase === 'Succeeded') return { type, status: 'True', reason: 'PodCompleted' };
  if (statuses.some((each) => each.state?.running || each.lastState?.terminated || each.state?.terminated)) {
    return { type, status: 'True' };
  }
  const incomplete = (pod.spec?.initContainers ?? []).filter((container) => {
    const status = initStatuses.find((each) => each.name === container.name);
    return isSidecar(container) ? !status?.started : !status?.ready;
  });
  if (incomplete.length === 0) return { type, status: 'True' };
  const message = `containers with incomplete status: [${names(incomplete)}]`;
  return { type, status: 'False', reason: 'ContainersNotInitialized', message };
}

function containersReadyCondition(
  pod: Pod,
  phase: string,
  statuses: ContainerStatus[],
  initStatuses: ContainerStatus[],
): PodCondition {
  const type = 'ContainersReady';
  if (phase === 'Succeeded') return { type, status: 'False', reason: 'PodCompleted' };
  if (phase === 'Failed') return { type, status: 'False', reason: 'PodFailed' };
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar);
  const unready = [...sidecars, ...(pod.spec?.containers ?? [])].filter((container) => {
    const status = [...initStatuses, ...statuses].find((each) => each.name === container.name);
    return !status?.ready;
  });
  if (unready.length === 0) return { type, status: 'True' };
  return {
    type,
    status: 'False',
    reason: 'ContainersNotReady',
    message: `containers with unready status: [${names(unready)}]`,
  };
}

function readyCondition(pod: Pod, phase: string, containersReady: PodCondition): PodCondition {
  const type = 'Ready';
  if (containersReady.status !== 'True') return { ...containersReady, type };
  const problems: string[] = [];
  for (const { conditionType } of pod.spec?.readinessGates ?? []) {
    const found = pod.status?.conditions?.find((each) => each.type === conditionType);
    if (!found) problems.push(`corresponding condition of pod readiness gate "${conditionType}" does not exist.`);
    else if (found.status !== 'True') {
      problems.push(`the status of pod readiness gate "${conditionType}" is not "True", but ${found.status}`);
    }
  }
  if (problems.length === 0) return { type, status: 'True' };
  return { type, status: 'False', reason: 'ReadinessGatesNotReady', message: problems.join(', ') };
}

const names = (containers: Container[]) => containers.map((each) => each.name).join(' ');
