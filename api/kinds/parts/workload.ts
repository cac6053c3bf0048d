// What the workload kinds print of their pod template.
import type { Cell } from '../../kind.ts';
import type { PodTemplateSpec } from '../../types/core-v1.ts';

/** Containers, images. */
export function templateCells(template: PodTemplateSpec | undefined): Cell[] {
  const containers = template?.spec?.containers ?? [];
  return [containers.map((each) => each.name).join(','), containers.map((each) => each.image ?? '').join(',')];
}
