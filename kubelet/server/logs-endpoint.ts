// /containerLogs/{namespace}/{pod}/{container}: what `kubectl logs` reads.
import type { ServerResponse } from 'node:http';
import type { Clock } from '../../lib/clock.ts';
import { latestContainer, type ObservedContainer, previousContainer } from '../pods/observed.ts';
import type { RuntimeCache } from '../pods/runtime-cache.ts';
import { drained } from './answers.ts';
import { HttpError } from './http-error.ts';
import { parseLogQuery } from './log-query.ts';
import { readLog } from './log-reader.ts';

export interface LogsSources {
  cache: RuntimeCache;
  clock: Clock;
  /** Tells when something about a pod's containers has changed; returns a function that unsubscribes. */
  onRuntimeChange(callback: (podUid: string) => void): () => void;
}

/** `waiting` of `target` is the reason that the container's status gives for not running. */
export async function serveContainerLogs(
  sources: LogsSources,
  target: { uid: string; pod: string; container: string; waiting: string | undefined },
  query: URLSearchParams,
  response: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { cache, clock } = sources;
  const { uid, pod, container: name } = target;
  const parsed = parseLogQuery(query, clock.now());
  const observed = cache.pod(uid);
  const latest = latestContainer(observed, name);
  // Before its first start a container has no log; one that is about to be replaced shows the last it has.
  const usable = latest?.state === 'created' ? (previousContainer(observed, name) ?? latest) : latest;
  const chosen: ObservedContainer | undefined = parsed.previous ? previousContainer(observed, name) : usable;
  if (!chosen?.logPath) {
    const what = parsed.previous
      ? `previous terminated container "${name}" in pod "${pod}" not found`
      : `container "${name}" in pod "${pod}" is waiting to start${because(target.waiting)}`;
    throw new HttpError(400, what);
  }
  const following = {
    isRunning: () => {
      const state = cache.container(chosen.id)?.state;
      return state === 'running' || state === 'created';
    },
    onStopped: (callback: () => void) => sources.onRuntimeChange((changed) => changed === uid && callback()),
  };
  response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('transfer-encoding', 'chunked');
  response.flushHeaders();
  for await (const bytes of readLog(chosen.logPath, parsed, following, signal)) {
    if (!response.write(bytes)) await drained(response, signal);
    if (signal.aborted) return;
  }
  response.end();
}

function because(waiting: string | undefined): string {
  if (waiting === 'ErrImagePull') return ": image can't be pulled";
  if (waiting === 'ImagePullBackOff') return ': trying and failing to pull image';
  return waiting ? `: ${waiting}` : ' - no logs yet';
}
