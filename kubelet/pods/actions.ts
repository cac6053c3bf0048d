// What a pod needs next: from its spec and the runtime's facts to a value that can be printed and compared.
// Pure; the worker executes it. The rules are upstream's computePodActions (pkg/kubelet/kuberuntime).
import { restartRule } from '../../api/container-restarts.ts';
import type { Container, Pod } from '../../api/types/core-v1.ts';
import {
  allContainers,
  containerHash,
  ephemeralContainers,
  findContainer,
  initRestartsAfter,
  isSidecar,
  mayRestartAll,
  podTitle,
  restartsAfter,
} from './containers-of.ts';
import { type Backoffs, formatDuration } from './crash-backoff.ts';
import { isRunning, latestContainer, type ObservedContainer, type ObservedPod } from './observed.ts';

export type ProbeVerdict = 'success' | 'failure' | 'unknown';

export interface ProbeVerdicts {
  /** Undefined when the container has no such probe or it has not concluded. */
  liveness(containerId: string): ProbeVerdict | undefined;
  startup(containerId: string): ProbeVerdict | undefined;
}

export interface ActionFacts {
  pod: Pod;
  observed: ObservedPod;
  probes: ProbeVerdicts;
  /** Ids of containers that only a restart gives the resources they were granted. */
  unfitByResize?: ReadonlySet<string>;
  backoffs: Backoffs;
  nowMs: number;
}

export type SandboxAction =
  | { kind: 'keep'; id: string }
  | { kind: 'create'; attempt: number; replaces: string | undefined }
  /** The pod is over, or must first be torn down. */
  | { kind: 'none' };

export interface StartAction {
  name: string;
  restartCount: number;
}

export interface KillAction {
  containerId: string;
  name: string;
  why: 'liveness' | 'startup' | 'changed' | 'sandbox' | 'finished' | 'restartAll' | 'resize';
  /** The event's text. */
  message: string;
  /** Overrides the pod's grace period. */
  graceSeconds?: number;
}

export interface WaitAction {
  name: string;
  untilMs: number;
  /** `back-off 10s restarting failed container=... pod=...` */
  message: string;
}

export interface PodActions {
  sandbox: SandboxAction;
  start: StartAction[];
  kill: KillAction[];
  wait: WaitAction[];
  /** One of its rules restarts the whole pod in place: all that runs is killed, then every container is removed. */
  restartAll: 'no' | 'killing' | 'removing';
  /** Nothing is left to run: what still does is to be stopped, then the pod is over. */
  finished: boolean;
}

/** Key of a container's restarts in the back-off table. */
export function backoffKey(pod: Pod, container: Container): string {
  return `${pod.metadata.uid}/${container.name}/${containerHash(container)}`;
}

export function computePodActions(facts: ActionFacts): PodActions {
  const { pod, observed } = facts;
  const actions: PodActions = {
    sandbox: sandboxAction(pod, observed),
    start: [],
    kill: [],
    wait: [],
    restartAll: 'no',
    finished: false,
  };

  if (actions.sandbox.kind === 'create') return withoutSandbox(facts, actions, actions.sandbox);
  if (restartsAll(pod, observed)) return restartAll(observed, actions);
  if (initStep(facts, actions) === 'done') mainStep(facts, actions);
  if (!actions.finished) ephemeralStep(facts, actions);
  return actions;
}

function sandboxAction(pod: Pod, observed: ObservedPod): SandboxAction {
  const newest = observed.sandboxes[0];
  if (!newest) return { kind: 'create', attempt: 0, replaces: undefined };
  const ready = observed.sandboxes.filter((each) => each.isReady);
  const hasNoAddress = !pod.spec?.hostNetwork && newest.ips.length === 0;
  if (ready.length !== 1 || !newest.isReady || hasNoAddress) {
    return { kind: 'create', attempt: newest.attempt + 1, replaces: newest.id };
  }
  return { kind: 'keep', id: newest.id };
}

/** There is no usable sandbox: everything of an old one goes first, then all that must run starts over. */
function withoutSandbox(
  facts: ActionFacts,
  actions: PodActions,
  create: SandboxAction & { kind: 'create' },
): PodActions {
  const { pod, observed } = facts;
  for (const container of observed.containers) {
    if (!isRunning(container)) continue;
    actions.kill.push({
      containerId: container.id,
      name: container.name,
      why: 'sandbox',
      message: 'Pod sandbox changed, it will be killed and re-created.',
    });
  }
  const hasRun = observed.containers.some((each) => each.state === 'exited' || each.state === 'running');
  if (create.attempt > 0 && hasRun && pod.spec?.restartPolicy === 'Never') {
    actions.sandbox = { kind: 'none' };
    actions.finished = true;
    return actions;
  }
  const initContainers = pod.spec?.initContainers ?? [];
  const remaining = (pod.spec?.containers ?? []).filter((each) => {
    const last = latestContainer(observed, each.name);
    return !last || last.state !== 'exited' || restartsAfter(pod, each, last.exitCode);
  });
  if (remaining.length === 0) {
    actions.sandbox = { kind: 'none' };
    actions.finished = true;
    return actions;
  }
  if (actions.kill.length > 0) return actions;
  if (initContainers[0]) startOrWait(facts, actions, initContainers[0], false);
  else for (const each of remaining) startOrWait(facts, actions, each, false);
  return actions;
}

/** `waiting`: an init container has to come first. `done`: the main containers' turn. `failed`: the pod is over. */
function initStep(facts: ActionFacts, actions: PodActions): 'done' | 'waiting' | 'failed' {
  const { pod, observed } = facts;
  const initContainers = pod.spec?.initContainers ?? [];
  const mainHasRun = (pod.spec?.containers ?? []).some((each) => {
    const latest = latestContainer(observed, each.name);
    return latest !== undefined && !isOlderThanSandbox(latest, observed);
  });

  for (const container of initContainers) {
    const latest = latestContainer(observed, container.name);
    const status = latest && isOlderThanSandbox(latest, observed) && !isRunning(latest) ? undefined : latest;
    if (isSidecar(container)) {
      if (isRunning(status)) {
        killIfUnfit(facts, actions, container, status as ObservedContainer);
        // Later containers wait until it has started; once the main ones run, they no longer do.
        if (!hasStarted(facts, container, status as ObservedContainer) && !mainHasRun) return 'waiting';
        continue;
      }
      startOrWait(facts, actions, container, status !== undefined);
      if (!mainHasRun) return 'waiting';
      continue;
    }
    if (mainHasRun) continue;
    if (!status || status.state === 'created' || status.state === 'unknown') {
      startOrWait(facts, actions, container, false);
      return 'waiting';
    }
    if (isRunning(status)) return 'waiting';
    if (status.exitCode === 0) continue;
    if (!initRestartsAfter(pod, container, status.exitCode)) {
      finish(facts, actions);
      return 'failed';
    }
    startOrWait(facts, actions, container, true);
    return 'waiting';
  }
  return 'done';
}

function mainStep(facts: ActionFacts, actions: PodActions): void {
  const { pod, observed } = facts;
  let alive = 0;
  for (const container of pod.spec?.containers ?? []) {
    const latest = latestContainer(observed, container.name);
    if (isRunning(latest)) {
      alive++;
      killIfUnfit(facts, actions, container, latest as ObservedContainer);
      continue;
    }
    const neverStarted = !latest || latest.state === 'created' || latest.state === 'unknown';
    if (neverStarted || restartsAfter(pod, container, latest.exitCode)) {
      alive++;
      startOrWait(facts, actions, container, !neverStarted);
    }
  }
  if (alive === 0) finish(facts, actions);
}

/** Started once, whatever state the others are in; they keep nothing alive. */
function ephemeralStep({ pod, observed }: ActionFacts, actions: PodActions): void {
  for (const { name } of ephemeralContainers(pod)) {
    const latest = latestContainer(observed, name);
    const reported = pod.status?.ephemeralContainerStatuses?.find((each) => each.name === name);
    const hasRun = latest ? latest.state !== 'created' : reported?.containerID !== undefined;
    if (!hasRun) actions.start.push({ name, restartCount: 0 });
  }
}

/** A container of this sandbox has exited in a way that restarts all of them. */
function restartsAll(pod: Pod, observed: ObservedPod): boolean {
  if (!mayRestartAll(pod)) return false;
  return allContainers(pod).some((container) => {
    const latest = latestContainer(observed, container.name);
    if (latest?.state !== 'exited' || isOlderThanSandbox(latest, observed)) return false;
    return restartRule(container, latest.exitCode) === 'RestartAllContainers';
  });
}

function restartAll(observed: ObservedPod, actions: PodActions): PodActions {
  actions.restartAll = 'removing';
  for (const each of observed.containers) {
    if (!isRunning(each)) continue;
    actions.restartAll = 'killing';
    actions.kill.push({
      containerId: each.id,
      name: each.name,
      why: 'restartAll',
      message: `Container ${each.name} will be restarted: all containers of the pod are restarting`,
      graceSeconds: 0,
    });
  }
  return actions;
}

function finish(facts: ActionFacts, actions: PodActions): void {
  actions.finished = true;
  actions.start = [];
  actions.wait = [];
  actions.kill = [];
  for (const each of facts.observed.containers) {
    if (!isRunning(each)) continue;
    const message = `Stopping container ${each.name}`;
    actions.kill.push({ containerId: each.id, name: each.name, why: 'finished', message });
  }
}

function killIfUnfit(facts: ActionFacts, actions: PodActions, container: Container, running: ObservedContainer): void {
  const kill = (why: KillAction['why'], what: string, graceSeconds?: number) =>
    actions.kill.push({
      containerId: running.id,
      name: container.name,
      why,
      message: `Container ${container.name} ${what}, will be restarted`,
      ...(graceSeconds !== undefined && { graceSeconds }),
    });
  if (running.hash !== '' && running.hash !== containerHash(container))
    return void kill('changed', 'definition changed');
  if (facts.unfitByResize?.has(running.id)) return void kill('resize', 'resize requires restart');
  if (facts.probes.liveness(running.id) === 'failure') {
    return void kill('liveness', 'failed liveness probe', container.livenessProbe?.terminationGracePeriodSeconds);
  }
  if (facts.probes.startup(running.id) === 'failure') {
    kill('startup', 'failed startup probe', container.startupProbe?.terminationGracePeriodSeconds);
  }
}

function hasStarted(facts: ActionFacts, container: Container, running: ObservedContainer): boolean {
  return container.startupProbe === undefined || facts.probes.startup(running.id) === 'success';
}

function startOrWait(facts: ActionFacts, actions: PodActions, container: Container, isRestart: boolean): void {
  const { pod, observed, backoffs, nowMs } = facts;
  const last = latestContainer(observed, container.name);
  const key = backoffKey(pod, container);
  if (isRestart && last?.state === 'exited') {
    const untilMs = backoffs.readyAt(key, last.endedMs);
    if (untilMs > nowMs) {
      const message = `back-off ${formatDuration(backoffs.delayMs(key))} restarting failed container=${container.name} pod=${podTitle(pod)}`;
      actions.wait.push({ name: container.name, untilMs, message });
      return;
    }
  }
  actions.start.push({ name: container.name, restartCount: nextRestartCount(pod, observed, container.name) });
}

/** One more than the highest number ever seen, here or in the API, for a container that has already been created. */
export function nextRestartCount(pod: Pod, observed: ObservedPod, name: string): number {
  const last = latestContainer(observed, name);
  // Created and never started: the same attempt again, once the left-over is removed.
  if (last?.state === 'created') return last.restartCount;
  const reported = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
    (each) => each.name === name && each.containerID,
  );
  const counts = [last?.restartCount, reported?.restartCount].filter((each) => each !== undefined);
  return counts.length === 0 ? 0 : Math.max(...counts) + 1;
}

/** Made for a sandbox before the present one: it counts for restarts, not for what has run in this one. */
function isOlderThanSandbox(container: ObservedContainer, observed: ObservedPod): boolean {
  const sandbox = observed.sandboxes[0];
  return sandbox !== undefined && sandbox.attempt > 0 && container.createdAtMs < sandbox.createdAtMs;
}

/** Stopping order: main containers first, then sidecars in reverse order, one after the other. Ids that may stop now. */
export function stoppable(pod: Pod | undefined, running: readonly ObservedContainer[]): ObservedContainer[] {
  if (!pod) return [...running];
  const sidecars = (pod.spec?.initContainers ?? []).filter(isSidecar).map((each) => each.name);
  const others = running.filter((each) => !sidecars.includes(each.name));
  if (others.length > 0) return others;
  for (const name of sidecars.reverse()) {
    const found = running.filter((each) => each.name === name);
    if (found.length > 0) return found;
  }
  return [];
}

/** The container spec that an observed container was made from, if it is still there. */
export function specOf(pod: Pod | undefined, observed: ObservedContainer): Container | undefined {
  return pod && findContainer(pod, observed.name);
}
