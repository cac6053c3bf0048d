// Making, stopping and removing the sandbox of a pod.
import { mkdirSync } from 'node:fs';
import type { Pod } from '../../api/types/core-v1.ts';
import type { RuntimeClass } from '../../api/types/node-v1.ts';
import { podLogDirectory, sandboxConfig } from '../containers/sandbox-config.ts';
import { isNotFound } from '../cri/client.ts';
import { refs } from '../../client/refs.ts';
import type { PodContext } from './context.ts';
import { obstacles } from './unsupported.ts';
import { refreshSandbox } from './runtime-watch.ts';

const SANDBOX_TIMEOUT_MS = 4 * 60_000;

/** Stops what an earlier attempt has left and makes a new one. */
export async function createSandbox(context: PodContext, pod: Pod, attempt: number, seenAtMs: number): Promise<void> {
  const { cri, cache, events, settings } = context;
  const { uid = '', name = '', namespace = '' } = pod.metadata;
  const refused = obstacles(pod);
  if (refused.length > 0) throw new Error(refused.join('; '));
  const olds = cache.pod(uid).sandboxes;
  if (olds.some((each) => each.isReady)) await stopSandboxes(context, uid);
  const handler = await runtimeHandler(context, pod);
  const users = context.userNamespaces.of(pod, handler);
  const { config, warnings } = sandboxConfig(pod, attempt, settings, seenAtMs, users);
  if (attempt === 0)
    for (const text of warnings)
      events.pod(pod, 'Warning', text.startsWith('kubelet') ? 'MissingClusterDNS' : 'DNSConfigForming', text);
  mkdirSync(podLogDirectory({ name, namespace, uid }, settings.podLogsDir), { recursive: true });
  context.cgroups?.apply(pod);
  const request = { config, runtimeHandler: handler };
  const { podSandboxId = '' } = await cri.call('RunPodSandbox', request, { timeoutMs: SANDBOX_TIMEOUT_MS });
  if (!cache.pod(uid).sandboxes.some((each) => each.id === podSandboxId && each.ips.length > 0)) {
    await refreshSandbox(cri, cache, podSandboxId);
  }
  // Two are kept: the present one and the one before it.
  for (const old of cache.pod(uid).sandboxes.slice(2)) if (!old.isReady) await removeSandbox(context, old.id);
}

/** The handler that the pod's RuntimeClass names; empty for the runtime's default. */
async function runtimeHandler(context: PodContext, pod: Pod): Promise<string> {
  const name = pod.spec?.runtimeClassName;
  if (!name) return '';
  return (await context.client.resource<RuntimeClass>(refs.runtimeClasses).get(name)).handler;
}

export async function stopSandboxes(context: PodContext, uid: string): Promise<void> {
  const { cri, cache } = context;
  await Promise.all(
    cache.pod(uid).sandboxes.map(async ({ id, isReady }) => {
      if (!isReady) return;
      try {
        await cri.call('StopPodSandbox', { podSandboxId: id });
      } catch (error) {
        if (!isNotFound(error)) throw error;
        cache.removeSandbox(id);
        return;
      }
      cache.stopSandbox(id);
    }),
  );
}

export async function removeSandbox(context: PodContext, id: string): Promise<void> {
  try {
    await context.cri.call('RemovePodSandbox', { podSandboxId: id });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
  context.cache.removeSandbox(id);
}
