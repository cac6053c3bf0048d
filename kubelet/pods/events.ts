// Events about pods and their containers. The recorder aggregates repeats; this names what an event is about, and lets
// ordinary news wait a moment: the requests that record them would compete with the pod's own start and its status.
import type { Pod } from '../../api/types/core-v1.ts';
import type { EventRecorder } from '../../client/port.ts';
import type { Clock } from '../../lib/clock.ts';
import { containerType } from './containers-of.ts';

export type EventType = 'Normal' | 'Warning';

/** How long ordinary events wait; in order, and warnings go at once with all that waits before them. */
const DEFER_MS = 200;

export interface PodEvents {
  pod(pod: Pod, type: EventType, reason: string, message: string): void;
  /** The event's involvedObject names the container: `spec.containers{app}`. */
  container(pod: Pod, name: string, type: EventType, reason: string, message: string): void;
  /** Records what still waits. */
  flush(): void;
}

const listOf = {
  container: 'containers',
  init_container: 'initContainers',
  ephemeral_container: 'ephemeralContainers',
} as const;

/**
 * `fieldPath` rides on the object handed to the recorder: a recorder that knows it copies it into involvedObject, others
 * ignore it.
 */
export function podEvents(recorder: EventRecorder, clock: Clock): PodEvents {
  let waiting: (() => void)[] = [];
  const flush = () => {
    const all = waiting;
    waiting = [];
    for (const send of all) send();
  };
  const record = (about: Pod, type: EventType, reason: string, message: string) => {
    waiting.push(() => recorder.event(about, type, reason, message));
    if (type === 'Warning') flush();
    else if (waiting.length === 1) clock.after(DEFER_MS, flush);
  };
  return {
    pod: (pod, type, reason, message) => record(identified(pod), type, reason, message),
    container: (pod, name, type, reason, message) => {
      const list = listOf[containerType(pod, name)];
      record(Object.assign(identified(pod), { fieldPath: `spec.${list}{${name}}` }), type, reason, message);
    },
    flush,
  };
}

/** Only what a reference needs, so that a queue of events does not keep whole pods alive. */
function identified(pod: Pod): Pod {
  const { name, namespace, uid, resourceVersion } = pod.metadata;
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, uid, resourceVersion } };
}
