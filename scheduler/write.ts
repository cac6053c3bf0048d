// What the scheduler writes besides bindings: the condition of a pod that waits, and the eviction of pods in its favour.
import { ApiError } from '../api/errors.ts';
import type { Pod } from '../api/types/core-v1.ts';
import type { ComponentContext } from '../client/port.ts';
import type { Clock } from '../lib/clock.ts';
import type { PodInfo } from './framework.ts';
import { pods } from './refs.ts';

export type WriteContext = Pick<ComponentContext, 'client' | 'events'> & { clock: Clock };

const timestamp = (clock: Clock) => new Date(clock.now()).toISOString().replace(/\.\d+Z/, 'Z');

/**
 * The condition PodScheduled=False with `message`. `nominatedNode` undefined leaves the nomination alone, null clears it.
 * Writes nothing when the pod says all that already.
 */
export async function writeUnschedulable(
  { pod }: PodInfo,
  message: string,
  nominatedNode: string | null | undefined,
  { client, clock }: WriteContext,
): Promise<void> {
  const known = pod.status?.conditions?.find((each) => each.type === 'PodScheduled');
  const isKnown = known?.status === 'False' && known.reason === 'Unschedulable' && known.message === message;
  const isNominated = nominatedNode === undefined || (pod.status?.nominatedNodeName ?? '') === (nominatedNode ?? '');
  if (isKnown && isNominated) return;
  const condition = {
    type: 'PodScheduled',
    status: 'False',
    reason: 'Unschedulable',
    message,
    ...(known?.status !== 'False' && { lastTransitionTime: timestamp(clock) }),
  };
  const status = { conditions: [condition], ...(!isNominated && { nominatedNodeName: nominatedNode }) };
  await patchStatus(pod, status, client);
}

export async function clearNomination({ pod }: PodInfo, { client }: WriteContext): Promise<void> {
  await patchStatus(pod, { nominatedNodeName: null }, client);
}

/** Condition, deletion, event; a victim that is gone or going already is as good as evicted. */
export async function evict(victim: PodInfo, by: PodInfo, node: string, context: WriteContext): Promise<void> {
  if (victim.isTerminating) return;
  const { client, events, clock } = context;
  const { name = '', namespace, uid } = victim.pod.metadata;
  const condition = {
    type: 'DisruptionTarget',
    status: 'True',
    reason: 'PreemptionByScheduler',
    message: `${by.pod.spec?.schedulerName}: preempting to accommodate a higher priority pod`,
    lastTransitionTime: timestamp(clock),
  };
  try {
    await patchStatus(victim.pod, { conditions: [condition] }, client);
    await client.resource<Pod>(pods, namespace).delete(name, { preconditions: { uid } });
  } catch (error) {
    if (error instanceof ApiError && error.code === 404) return;
    throw error;
  }
  events.event(victim.pod, 'Normal', 'Preempted', `Preempted by pod ${by.uid} on node ${node}`);
}

async function patchStatus(pod: Pod, status: object, client: ComponentContext['client']): Promise<void> {
  const { name = '', namespace, uid } = pod.metadata;
  const patch = { metadata: { uid }, status };
  await client.resource<Pod>(pods, namespace).patch(name, 'strategic', patch, { subresource: 'status' });
}

/** The pod was deleted, or replaced by another of its name, while we worked on it. */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && (error.code === 404 || error.code === 409);
}
