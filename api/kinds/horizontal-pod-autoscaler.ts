// autoscaling/v2 HorizontalPodAutoscaler: how many replicas a workload has, by what is measured.
import type { HorizontalPodAutoscaler } from '../types/autoscaling-v2.ts';
import { validateAutoscaler, validateAutoscalerStatus } from '../validation/autoscaling.ts';
import { defineKind } from './define.ts';
import { AUTOSCALER_COLUMNS, autoscalerCells } from './parts/autoscaler-cells.ts';
import { dropRoundTripAnnotations } from './parts/autoscaler-conversion.ts';
import { setAutoscalerDefaults } from './parts/autoscaler-defaults.ts';

export const horizontalPodAutoscaler = defineKind<HorizontalPodAutoscaler>({
  group: 'autoscaling',
  version: 'v2',
  kind: 'HorizontalPodAutoscaler',
  resource: 'horizontalpodautoscalers',
  shortNames: ['hpa'],
  categories: ['all'],
  namespaced: true,
  schema: 'autoscaling.v2.HorizontalPodAutoscaler',
  columns: AUTOSCALER_COLUMNS,
  cells: (object, { nowMs }) => autoscalerCells(object, nowMs),
  hasStatus: true,

  setDefaults(object) {
    dropRoundTripAnnotations(object);
    setAutoscalerDefaults(object);
  },
  prepareForCreate(object) {
    object.status = { desiredReplicas: 0, currentMetrics: undefined };
  },
  validate: (object) => [...validateAutoscaler(object)],
  validateUpdate: (object, old) => [...validateAutoscaler(object, old)],
  validateStatusUpdate: (object) => [...validateAutoscalerStatus(object)],
});
