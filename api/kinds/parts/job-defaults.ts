// What a Job's specification has by default wherever it stands: in a Job or in a CronJob's template.
import type { JobSpec } from '../../types/batch-v1.ts';
import { setPodTemplateDefaults } from './pod-defaults.ts';

export function setJobTemplateDefaults(spec: JobSpec): void {
  for (const { onPodConditions } of spec.podFailurePolicy?.rules ?? []) {
    for (const pattern of onPodConditions ?? []) pattern.status ||= 'True';
  }
  setPodTemplateDefaults(spec);
}
