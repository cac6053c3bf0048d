// Defaults of autoscalers (k8s.io/kubernetes/pkg/apis/autoscaling/v2/defaults.go).
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  HPAScalingRules,
} from '../../types/autoscaling-v2.ts';

/** In place. */
export function setAutoscalerDefaults(object: HorizontalPodAutoscaler): void {
  const spec = (object.spec ??= {} as HorizontalPodAutoscalerSpec);
  spec.minReplicas ??= 1;
  if (!spec.metrics?.length) {
    spec.metrics = [
      { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } },
    ];
  }
  if (!spec.behavior) return;
  spec.behavior.scaleUp = withDefaults(spec.behavior.scaleUp, {
    stabilizationWindowSeconds: 0,
    selectPolicy: 'Max',
    policies: [
      { type: 'Pods', value: 4, periodSeconds: 15 },
      { type: 'Percent', value: 100, periodSeconds: 15 },
    ],
  });
  spec.behavior.scaleDown = withDefaults(spec.behavior.scaleDown, {
    selectPolicy: 'Max',
    policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
  });
}

/** An empty list of policies is one: it is refused later. */
const withDefaults = (rules: HPAScalingRules | undefined, defaults: HPAScalingRules): HPAScalingRules => ({
  ...defaults,
  ...rules,
});
