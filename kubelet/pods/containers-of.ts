// Small readings of a pod's spec that several files share. Pure.
import { createHash } from 'node:crypto';
import {
  mayRestartAll as specMayRestartAll,
  restartsAfter as containerRestartsAfter,
} from '../../api/container-restarts.ts';
import type { Container, Pod } from '../../api/types/core-v1.ts';

/** An init container that keeps running beside the main ones (`restartPolicy: Always`). */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === 'Always';
}

export function allContainers(pod: Pod): Container[] {
  return [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])];
}

/** Containers for debugging, added to a pod that runs; never restarted. */
export function ephemeralContainers(pod: Pod): Container[] {
  return pod.spec?.ephemeralContainers ?? [];
}

export function findContainer(pod: Pod, name: string): Container | undefined {
  return [...allContainers(pod), ...ephemeralContainers(pod)].find((each) => each.name === name);
}

export function isEphemeralContainer(pod: Pod, name: string): boolean {
  return ephemeralContainers(pod).some((each) => each.name === name);
}

export function isInitContainer(pod: Pod, name: string): boolean {
  return (pod.spec?.initContainers ?? []).some((each) => each.name === name);
}

/** As metrics name it. */
export function containerType(pod: Pod, name: string): 'container' | 'init_container' | 'ephemeral_container' {
  if (isInitContainer(pod, name)) return 'init_container';
  return isEphemeralContainer(pod, name) ? 'ephemeral_container' : 'container';
}

/** What a restart must follow: a change of name or image, as upstream. */
export function containerHash(container: Container): string {
  return createHash('sha256')
    .update(JSON.stringify([container.name, container.image]))
    .digest('hex')
    .slice(0, 16);
}

export function podKey(pod: Pod): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}

/** `name_namespace(uid)`, as upstream writes a pod in messages. */
export function podTitle(pod: Pod): string {
  return `${pod.metadata.name}_${pod.metadata.namespace}(${pod.metadata.uid})`;
}

export function isTerminalPhase(pod: Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** Some exit code of some container restarts the whole pod in place. */
export const mayRestartAll = (pod: Pod): boolean => specMayRestartAll(pod.spec ?? { containers: [] });

/** Whether a container that exited with `exitCode` is to run again. */
export const restartsAfter = (pod: Pod, container: Container, exitCode: number): boolean =>
  containerRestartsAfter(container, pod.spec?.restartPolicy, exitCode);

/** An init container that is not a sidecar runs again only until it has succeeded. */
export function initRestartsAfter(pod: Pod, container: Container, exitCode: number): boolean {
  if (isSidecar(container)) return true;
  if (exitCode === 0) return false;
  return container.restartPolicyRules || container.restartPolicy
    ? restartsAfter(pod, container, exitCode)
    : (pod.spec?.restartPolicy ?? 'Always') !== 'Never';
}
