// Turns changes of Services, pods and nodes into keys of Services to look at; shared by slices and Endpoints.
import { node as nodeKind } from '../../api/kinds/node.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { service as serviceKind } from '../../api/kinds/service.ts';
import { keyOf } from '../../api/object.ts';
import { type Labels, selectorFromMap } from '../../api/selectors.ts';
import type { Node, Pod, Service } from '../../api/types/core-v1.ts';
import type { Informer, WorkQueue } from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { fingerprint, isSelecting } from './endpoints-of-pods.ts';

export interface ServiceWatch {
  services: Informer<Service>;
  pods: Informer<Pod>;
  nodes: Informer<Node>;
  podsOf(service: Service): Pod[];
}

const zoneOf = (node: Node) => node.metadata.labels?.['topology.kubernetes.io/zone'];

export function watchServices({ informers }: ControllersContext, queue: WorkQueue): ServiceWatch {
  const services = informers.of<Service>(serviceKind);
  const pods = informers.of<Pod>(podKind);
  const nodes = informers.of<Node>(nodeKind);
  const wake = (service: Service) => queue.add(keyOf(service));
  services.addHandler({ onAdd: wake, onUpdate: wake, onDelete: wake });

  function wakeSelecting(namespace: string | undefined, labels: Labels | undefined): void {
    if (!labels) return;
    for (const service of services.list(namespace)) {
      if (isSelecting(service) && selectorFromMap(service.spec?.selector).matches(labels)) wake(service);
    }
  }
  pods.addHandler({
    onAdd: (pod) => wakeSelecting(pod.metadata.namespace, pod.metadata.labels),
    onUpdate(pod, old) {
      if (fingerprint(pod) === fingerprint(old)) return;
      wakeSelecting(pod.metadata.namespace, pod.metadata.labels);
      wakeSelecting(old.metadata.namespace, old.metadata.labels);
    },
    onDelete: (pod) => wakeSelecting(pod.metadata.namespace, pod.metadata.labels),
  });
  const wakeAll = () => services.list().filter(isSelecting).forEach(wake);
  nodes.addHandler({
    onAdd: (node) => void (zoneOf(node) !== undefined && wakeAll()),
    onUpdate: (node, old) => void (zoneOf(node) !== zoneOf(old) && wakeAll()),
  });
  return {
    services,
    pods,
    nodes,
    podsOf(service) {
      const selector = selectorFromMap(service.spec?.selector);
      return pods.list(service.metadata.namespace).filter((pod) => selector.matches(pod.metadata.labels));
    },
  };
}
