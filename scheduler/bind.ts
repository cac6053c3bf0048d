// One binding, seen through to a certain end. An answer that was lost says nothing about what happened, so the pod keeps
// its place on the node until the API has told where it is: giving the room away earlier could fill a node twice.
import { ApiError } from '../api/errors.ts';
import type { Binding, Pod } from '../api/types/core-v1.ts';
import type { Client } from '../client/port.ts';
import { sleep } from '../lib/abort.ts';
import { backoffMs } from '../lib/backoff.ts';
import type { Clock, Random } from '../lib/clock.ts';
import type { PodInfo } from './framework.ts';
import { pods } from './refs.ts';

export type BindResult =
  | { kind: 'bound'; node: string }
  /** Deleted, or replaced by another of its name. */
  | { kind: 'gone' }
  /** Certainly not bound: try again later. */
  | { kind: 'refused'; error: unknown }
  /** We are to end, or the pod's fate has become known by other means. */
  | { kind: 'abandoned' };

export interface BindDependencies {
  client: Client;
  clock: Clock;
  random: Random;
}

const backoff = { initialMs: 100, maxMs: 5_000, jitter: 0.5 };
/** Sent so many times before the pod goes back to the queue. */
const MAX_SENT = 3;

export async function bind(
  pod: PodInfo,
  node: string,
  { client, clock, random }: BindDependencies,
  isStillAssumed: () => boolean,
  signal: AbortSignal,
): Promise<BindResult> {
  const { name = '', namespace, uid } = pod.pod.metadata;
  const binding: Binding = {
    apiVersion: 'v1',
    kind: 'Binding',
    metadata: { name, namespace, uid },
    target: { apiVersion: 'v1', kind: 'Node', name: node },
  };
  const resource = client.resource<Pod>(pods, namespace);
  let failures = 0;
  const wait = () => sleep(clock, backoffMs(backoff, ++failures, random), signal);
  for (let sent = 1; ; sent++) {
    let cause: unknown;
    try {
      await resource.createSubresource(name, 'binding', binding);
      return { kind: 'bound', node };
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return { kind: 'gone' };
      if (isDefinite(error)) return { kind: 'refused', error };
      cause = error;
      // A conflict is an answer: it may be that of an earlier binding of ours, or of another's.
      if (!(error instanceof ApiError && error.code === 409)) await wait();
    }
    for (;;) {
      if (signal.aborted || !isStillAssumed()) return { kind: 'abandoned' };
      try {
        const found = await resource.get(name);
        if (found.metadata.uid !== uid) return { kind: 'gone' };
        if (found.spec?.nodeName) return { kind: 'bound', node: found.spec.nodeName };
        if (found.metadata.deletionTimestamp || found.spec?.schedulingGates?.length) return { kind: 'gone' };
        break;
      } catch (error) {
        if (error instanceof ApiError && error.code === 404) return { kind: 'gone' };
        await wait();
      }
    }
    if (sent >= MAX_SENT) return { kind: 'refused', error: cause };
  }
}

/** The server has looked at the request and said no. */
function isDefinite(error: unknown): boolean {
  return error instanceof ApiError && error.code >= 400 && error.code < 500 && ![408, 409, 429].includes(error.code);
}
