// Starting one container: configuration, create, start, postStart; what went wrong as a reason to wait.
import { mkdirSync } from 'node:fs';
import type { Container, EphemeralContainer, Pod } from '../../api/types/core-v1.ts';
import { containerConfig } from '../containers/container-config.ts';
import { ConfigError } from '../containers/environment.ts';
import { podLogDirectory, sandboxConfig } from '../containers/sandbox-config.ts';
import type { UserNamespace } from '../../proto/cri-types.ts';
import { isNotFound } from '../cri/client.ts';
import type { ImageResult } from '../images/puller.ts';
import type { VolumePaths } from '../volumes/volumes.ts';
import type { Waiting } from './container-status.ts';
import { containerType } from './containers-of.ts';
import type { PodContext } from './context.ts';
import { latestContainer, type ObservedSandbox } from './observed.ts';
import { refreshContainer } from './runtime-watch.ts';
import { isStaticPod } from './static-pods.ts';
import { stopContainer } from './stop-container.ts';

export interface StartInputs {
  pod: Pod;
  container: Container;
  restartCount: number;
  sandbox: ObservedSandbox;
  podIps: readonly string[];
  image: ImageResult & { kind: 'ready' };
  paths: VolumePaths;
  seenAtMs: number;
  graceSeconds: number;
}

/** The container could not be started; shown as its waiting state until the next try. */
export class StartError extends Error {
  readonly waiting: Waiting;
  constructor(reason: string, message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'StartError';
    this.waiting = { reason, message };
  }
}

/** Rejects with StartError; stops between two steps when `signal` aborts. */
export async function startContainer(context: PodContext, inputs: StartInputs, signal: AbortSignal): Promise<void> {
  const { cri, cache, events, settings, services, objects, volumes } = context;
  const { pod, container, restartCount, sandbox, image } = inputs;
  const say = (type: 'Normal' | 'Warning', reason: string, message: string) =>
    events.container(pod, container.name, type, reason, message);
  const refuse = (reason: string, error: unknown): StartError => {
    context.metrics.startErrors.add({ code: reason, container_type: containerType(pod, container.name) });
    say('Warning', 'Failed', `Error: ${(error as Error).message}`);
    return new StartError(reason, (error as Error).message, error);
  };

  // A static pod does not wait for the API server: it may be the API server.
  if (!isStaticPod(pod)) await services.synced;
  if (!(await removeLeftOvers(context, pod, container.name)) || signal.aborted) return;
  const fields = {
    pod,
    podIps: inputs.podIps,
    hostIps: settings.hostIps,
    nodeName: settings.nodeName,
    allocatable: settings.allocatable,
  };
  let users: UserNamespace | undefined;
  let config: Awaited<ReturnType<typeof containerConfig>>;
  try {
    users = context.userNamespaces.of(pod);
    config = await containerConfig({
      fields,
      container,
      restartCount,
      imageRef: image.imageRef,
      imageUser: image.user,
      settings,
      services: services.list(),
      objects,
      volumes,
      paths: inputs.paths,
      users,
      placed: context.placement?.resourcesOf(pod.metadata.uid ?? '', container.name),
      targetId: targetOf(context, pod, container),
      devices: await context.devices.grantsFor(pod.metadata.uid ?? '', container.name),
    });
  } catch (error) {
    throw refuse(error instanceof ConfigError ? 'CreateContainerConfigError' : 'CreateContainerError', error);
  }
  if (signal.aborted) return;

  const { config: podConfig } = sandboxConfig(pod, sandbox.attempt, settings, inputs.seenAtMs, users);
  mkdirSync(`${podLogDirectory(sandbox.pod, settings.podLogsDir)}/${container.name}`, { recursive: true });
  let id: string;
  try {
    const answer = await cri.call('CreateContainer', { podSandboxId: sandbox.id, config, sandboxConfig: podConfig });
    id = answer.containerId ?? '';
  } catch (error) {
    throw refuse('CreateContainerError', error);
  }
  context.placement?.created(id, config.linux?.resources?.cpusetCpus);
  say('Normal', 'Created', 'Container created');
  if (signal.aborted) return;
  try {
    await cri.call('StartContainer', { containerId: id });
  } catch (error) {
    await refreshContainer(cri, cache, id).catch(() => {});
    throw refuse('RunContainerError', error);
  }
  say('Normal', 'Started', 'Container started');
  context.metrics.startedContainers.add({ container_type: containerType(pod, container.name) });
  const known = cache.container(id)?.state;
  if (known !== 'running' && known !== 'exited') await refreshContainer(cri, cache, id);
  void collectDead(context, pod, container.name, id);
  if (container.lifecycle?.postStart) await postStart(context, inputs, id, signal);
}

/** The container that a debugging container looks at (`kubectl debug --target`). */
function targetOf(context: PodContext, pod: Pod, container: Container): string | undefined {
  const name = (container as EphemeralContainer).targetContainerName;
  if (!name) return undefined;
  const target = latestContainer(context.cache.pod(pod.metadata.uid ?? ''), name);
  if (target?.state !== 'running') throw new ConfigError(`unable to find target container ${name}`);
  return target.id;
}

async function postStart(context: PodContext, inputs: StartInputs, id: string, signal: AbortSignal): Promise<void> {
  const { pod, container, podIps } = inputs;
  const handler = container.lifecycle?.postStart;
  if (!handler) return;
  const podIp = podIps[0] ?? '';
  try {
    await context.hooks.run({ pod, container, containerId: id, podIp }, handler, 24 * 3600_000, signal);
  } catch (error) {
    if (signal.aborted) return;
    const message = `PostStartHook failed: ${(error as Error).message}`;
    context.events.container(pod, container.name, 'Warning', 'FailedPostStartHook', message);
    const running = context.cache.container(id);
    if (running?.state === 'running') {
      await stopContainer(context, pod, podIp, running, inputs.graceSeconds, 'FailedPostStartHook', signal);
    }
    throw new StartError('PostStartHookError', message, error);
  }
}

/**
 * A container that was created but never started (a crash in between, a failed start) makes room for the next. False when one of them has
 * started after all: the answer to its start was lost, not the start.
 */
async function removeLeftOvers(context: PodContext, pod: Pod, name: string): Promise<boolean> {
  const { cri, cache } = context;
  for (const { id, ...each } of cache.pod(pod.metadata.uid ?? '').containers) {
    if (each.name !== name || each.state !== 'created') continue;
    await refreshContainer(cri, cache, id);
    const now = cache.container(id)?.state;
    if (now === 'running' || now === 'exited') return false;
    if (now) await removeContainer(context, id);
  }
  return true;
}

/** Of the instances before the one just started, which may have ended already, the newest stays for `logs --previous`. */
async function collectDead(context: PodContext, pod: Pod, name: string, startedId: string): Promise<void> {
  const { containers } = context.cache.pod(pod.metadata.uid ?? '');
  const dead = containers.filter((each) => each.name === name && each.state === 'exited' && each.id !== startedId);
  for (const each of dead.slice(1)) {
    await removeContainer(context, each.id).catch((err) =>
      context.log.info({ err, id: each.id }, 'cannot remove a dead container'),
    );
  }
}

export async function removeContainer(context: PodContext, id: string): Promise<void> {
  try {
    await context.cri.call('RemoveContainer', { containerId: id });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  context.cache.removeContainer(id);
}
