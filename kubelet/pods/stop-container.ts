// Stopping one container: the preStop hook within the grace period, then the runtime's stop with what is left of it.
import { refreshContainer } from './runtime-watch.ts';
import { isNotFound } from '../cri/client.ts';
import type { PodContext } from './context.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { ObservedContainer } from './observed.ts';
import { specOf } from './actions.ts';

/** After a preStop hook a container still gets this long, however much of the grace period the hook has used. */
const MIN_GRACE_SECONDS = 2;
/** What the runtime may need on top of the grace period. */
const STOP_SLACK_MS = 120_000;

/** Resolves when the runtime says that the container is down. `signal` cuts the hook short, not the stop. */
export async function stopContainer(
  context: PodContext,
  pod: Pod | undefined,
  podIp: string,
  container: ObservedContainer,
  graceSeconds: number,
  message: string,
  signal: AbortSignal,
): Promise<void> {
  const { clock, events, hooks, log } = context;
  const beganMs = clock.monotonic();
  const spec = specOf(pod, container);
  if (pod) events.container(pod, container.name, 'Normal', 'Killing', message);
  let remaining = graceSeconds;
  const handler = spec?.lifecycle?.preStop;
  if (pod && spec && handler && graceSeconds > 0) {
    try {
      await hooks.run({ pod, container: spec, containerId: container.id, podIp }, handler, graceSeconds * 1000, signal);
    } catch (error) {
      if (!signal.aborted) {
        log.info({ err: error, container: container.name }, 'a preStop hook failed');
        events.container(
          pod,
          container.name,
          'Warning',
          'FailedPreStopHook',
          `PreStopHook failed: ${(error as Error).message}`,
        );
      }
    }
    const elapsed = Math.ceil((clock.monotonic() - beganMs) / 1000);
    remaining = Math.max(Math.min(MIN_GRACE_SECONDS, graceSeconds), graceSeconds - elapsed);
  }
  await callStop(context, container.id, remaining);
}

export async function callStop(context: PodContext, id: string, graceSeconds: number): Promise<void> {
  try {
    await context.cri.call(
      'StopContainer',
      { containerId: id, timeout: graceSeconds },
      { timeoutMs: graceSeconds * 1000 + STOP_SLACK_MS },
    );
  } catch (error) {
    if (!isNotFound(error)) throw error;
    context.cache.removeContainer(id);
    return;
  }
  if (context.cache.container(id)?.state !== 'exited') await refreshContainer(context.cri, context.cache, id);
}
