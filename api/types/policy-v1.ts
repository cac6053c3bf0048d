// Generated from api/schema/policy.v1.txt by scripts/generate-types.ts; do not edit.
import type * as meta from './meta.ts';

export interface Eviction {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ObjectMeta;
  deleteOptions?: meta.DeleteOptions;
}

export interface PodDisruptionBudget {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ObjectMeta;
  spec?: PodDisruptionBudgetSpec;
  status?: PodDisruptionBudgetStatus;
}

export interface PodDisruptionBudgetList {
  apiVersion?: string;
  kind?: string;
  metadata: meta.ListMeta;
  items: PodDisruptionBudget[];
}

export interface PodDisruptionBudgetSpec {
  minAvailable?: number | string;
  selector?: meta.LabelSelector;
  maxUnavailable?: number | string;
  unhealthyPodEvictionPolicy?: string;
}

export interface PodDisruptionBudgetStatus {
  observedGeneration?: number;
  disruptedPods?: Record<string, string>;
  disruptionsAllowed?: number;
  currentHealthy?: number;
  desiredHealthy?: number;
  expectedPods?: number;
  conditions?: meta.Condition[];
}
