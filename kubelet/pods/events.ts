// Events about pods and their containers. The recorder aggregates repeats; this only names what an event is about.
import type { Pod } from '../../api/types/core-v1.ts';
import type { EventRecorder } from '../../client/port.ts';
import { isInitContainer } from './containers-of.ts';

export type EventType = 'Normal' | 'Warning';

export interface PodEvents {
  pod(pod: Pod, type: EventType, reason: string, message: string): void;
  /** The event's involvedObject names the container: `spec.containers{app}`. */
  container(pod: Pod, name: string, type: EventType, reason: string, message: string): void;
}

/**
 * `fieldPath` rides on the object handed to the recorder: a recorder that knows it copies it into involvedObject, others
 * ignore it.
 */
export function podEvents(recorder: EventRecorder): PodEvents {
  return {
    pod: (pod, type, reason, message) => recorder.event(identified(pod), type, reason, message),
    container: (pod, name, type, reason, message) => {
      const list = isInitContainer(pod, name) ? 'initContainers' : 'containers';
      recorder.event(Object.assign(identified(pod), { fieldPath: `spec.${list}{${name}}` }), type, reason, message);
    },
  };
}

/** Only what a reference needs, so that a queue of events does not keep whole pods alive. */
function identified(pod: Pod): Pod {
  const { name, namespace, uid, resourceVersion } = pod.metadata;
  return { apiVersion: 'v1', kind: 'Pod', metadata: { name, namespace, uid, resourceVersion } };
}
