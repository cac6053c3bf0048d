// What the workload kinds share: how they print their pod template, and how they are scaled.
import type { Cell, ScaleMapping } from '../../kind.ts';
import type { KubeObject } from '../../object.ts';
import type { PodTemplateSpec } from '../../types/core-v1.ts';

/** Containers, images. */
export function templateCells(template: PodTemplateSpec | undefined): Cell[] {
  const containers = template?.spec?.containers ?? [];
  return [containers.map((each) => each.name).join(','), containers.map((each) => each.image ?? '').join(',')];
}

interface Scaled extends KubeObject {
  spec?: { replicas?: number };
  status?: { replicas?: number };
}

/** The scale subresource of a kind with spec.replicas and status.replicas; kinds write their selector in two forms. */
export function replicasScale<T extends Scaled>(selector: (object: T) => string): ScaleMapping<T> {
  return {
    specReplicas: (object) => object.spec?.replicas ?? 0,
    setSpecReplicas(object, replicas) {
      if (object.spec) object.spec.replicas = replicas;
    },
    statusReplicas: (object) => object.status?.replicas ?? 0,
    selector,
  };
}
