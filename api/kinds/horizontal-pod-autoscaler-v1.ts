// autoscaling/v1 HorizontalPodAutoscaler: what version v2 is, as far as CPU goes; the rest travels in annotations. Stored as v2.
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import type { HorizontalPodAutoscaler } from '../types/autoscaling-v1.ts';
import type * as v2 from '../types/autoscaling-v2.ts';
import { validateAutoscaler, validateAutoscalerStatus } from '../validation/autoscaling.ts';
import { defineKind } from './define.ts';
import { horizontalPodAutoscaler } from './horizontal-pod-autoscaler.ts';
import { AUTOSCALER_COLUMNS, autoscalerCells } from './parts/autoscaler-cells.ts';
import { autoscalerFromV2, autoscalerToV2, METRICS_ANNOTATION } from './parts/autoscaler-conversion.ts';

/** What v1 means when it names no target. */
const DEFAULT_CPU_PERCENT = 80;

export const horizontalPodAutoscalerV1 = defineKind<HorizontalPodAutoscaler>({
  group: 'autoscaling',
  version: 'v1',
  kind: 'HorizontalPodAutoscaler',
  resource: 'horizontalpodautoscalers',
  shortNames: ['hpa'],
  categories: ['all'],
  namespaced: true,
  schema: 'autoscaling.v1.HorizontalPodAutoscaler',
  columns: AUTOSCALER_COLUMNS,
  cells: (object, { nowMs }) => autoscalerCells(autoscalerToV2(object), nowMs),
  hasStatus: true,
  conversion: {
    storage: () => horizontalPodAutoscaler as unknown as Kind,
    toStored: (objects) => objects.map((each) => autoscalerToV2(each as HorizontalPodAutoscaler) as KubeObject),
    fromStored: (objects) =>
      objects.map((each) =>
        each.apiVersion === 'autoscaling/v2'
          ? (autoscalerFromV2(each as v2.HorizontalPodAutoscaler) as KubeObject)
          : each,
      ),
  },

  setDefaults(object) {
    const spec = (object.spec ??= {} as HorizontalPodAutoscaler['spec']);
    spec.minReplicas ??= 1;
    const metrics = object.metadata.annotations?.[METRICS_ANNOTATION];
    if (!metrics || metrics === '[]') spec.targetCPUUtilizationPercentage ??= DEFAULT_CPU_PERCENT;
  },
  prepareForCreate(object) {
    object.status = { currentReplicas: 0, desiredReplicas: 0 };
  },
  validate: (object) => [...validateAutoscaler(autoscalerToV2(object))],
  validateUpdate: (object, old) => [...validateAutoscaler(autoscalerToV2(object), autoscalerToV2(old))],
  validateStatusUpdate: (object) => [...validateAutoscalerStatus(autoscalerToV2(object))],
});
