// Which Secrets and ConfigMaps a pod refers to: exactly those are watched. Pure.
import type { Pod } from '../../api/types/core-v1.ts';
import type { ObjectKind, ObjectReference } from '../objects.ts';
import { allContainers, ephemeralContainers } from '../pods/containers-of.ts';

export function objectReferences(pod: Pod): ObjectReference[] {
  const namespace = pod.metadata.namespace ?? '';
  const found = new Map<string, ObjectReference>();
  const add = (kind: ObjectKind, name: string | undefined) => {
    if (name) found.set(`${kind}/${name}`, { kind, namespace, name });
  };
  for (const volume of pod.spec?.volumes ?? []) {
    add('secret', volume.secret?.secretName);
    add('configmap', volume.configMap?.name);
    for (const source of volume.projected?.sources ?? []) {
      add('secret', source.secret?.name);
      add('configmap', source.configMap?.name);
    }
  }
  for (const container of [...allContainers(pod), ...ephemeralContainers(pod)]) {
    for (const from of container.envFrom ?? []) {
      add('secret', from.secretRef?.name);
      add('configmap', from.configMapRef?.name);
    }
    for (const variable of container.env ?? []) {
      add('secret', variable.valueFrom?.secretKeyRef?.name);
      add('configmap', variable.valueFrom?.configMapKeyRef?.name);
    }
  }
  for (const secret of pod.spec?.imagePullSecrets ?? []) add('secret', secret.name);
  return [...found.values()];
}
