// HorizontalPodAutoscalers of both versions: defaults, one row for each rule with upstream's words, and how one becomes the other.
import { describe, expect, it } from 'vitest';
import type { KubeObject } from '../object.ts';
import { horizontalPodAutoscaler as v2 } from './horizontal-pod-autoscaler.ts';
import { horizontalPodAutoscalerV1 as v1 } from './horizontal-pod-autoscaler-v1.ts';
import { created, createErrors, updateErrors, variant } from './testing.ts';
import { SAMPLES } from './testing-samples.ts';

const sample = SAMPLES['horizontalpodautoscalers.autoscaling'] as object;
const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } };

it('get defaults', () => {
  const object = created(
    v2,
    variant<never>(sample, { spec: { behavior: { scaleUp: { selectPolicy: 'Min' } } } }),
  ) as any;
  expect(object.spec).toEqual({
    ...(sample as any).spec,
    minReplicas: 1,
    metrics: [{ ...cpu, resource: { ...cpu.resource, target: { type: 'Utilization', averageUtilization: 80 } } }],
    behavior: {
      scaleUp: {
        stabilizationWindowSeconds: 0,
        selectPolicy: 'Min',
        policies: [
          { type: 'Pods', value: 4, periodSeconds: 15 },
          { type: 'Percent', value: 100, periodSeconds: 15 },
        ],
      },
      scaleDown: { selectPolicy: 'Max', policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }] },
    },
  });
  expect((created(v1, variant<never>(sample, {})) as any).spec).toMatchObject({
    minReplicas: 1,
    targetCPUUtilizationPercentage: 80,
  });
});

const target = { type: 'AverageValue', averageValue: '1' };
it.each<[object, string[]]>([
  [{}, []],
  [
    { minReplicas: 0 },
    [
      'spec.minReplicas: Invalid value: 0: must be greater than or equal to 1',
      'spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas',
    ],
  ],
  [
    { maxReplicas: 0 },
    [
      'spec.maxReplicas: Invalid value: 0: must be greater than 0',
      'spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`',
    ],
  ],
  [
    { scaleTargetRef: { kind: 'A/B', name: null } },
    [
      'spec.scaleTargetRef.kind: Invalid value: "A/B": may not contain \'/\'',
      'spec.scaleTargetRef.name: Required value',
    ],
  ],
  [
    { metrics: [{ type: 'Guess' }] },
    [
      'spec.metrics[0].type: Unsupported value: "Guess": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
      'spec.metrics[0].type: Unsupported value: "Guess": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"',
    ],
  ],
  [
    { metrics: [{ type: 'Pods' }] },
    ['spec.metrics[0].pods: Required value: must populate information for the given metric source'],
  ],
  [
    { metrics: [{ ...cpu, pods: { metric: { name: 'a' }, target } }] },
    ['spec.metrics[0].pods: Forbidden: must populate the given metric source only'],
  ],
  [
    { metrics: [{ type: 'Resource', resource: { name: '', target: { type: '' } } }] },
    [
      'spec.metrics[0].resource.name: Required value: must specify a resource name',
      'spec.metrics[0].resource.target.type: Required value: must specify a metric target type',
      'spec.metrics[0].resource.target.type: Invalid value: "": must be either Utilization, Value, or AverageValue',
      'spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization',
    ],
  ],
  [
    { metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { ...target, averageUtilization: 0 } } }] },
    [
      'spec.metrics[0].resource.target.averageUtilization: Invalid value: 0: must be greater than 0',
      'spec.metrics[0].resource.target.averageValue: Forbidden: may not set both a target raw value and a target utilization',
    ],
  ],
  [
    { metrics: [{ type: 'ContainerResource', containerResource: { name: 'cpu', target } }] },
    ['spec.metrics[0].containerResource.container: Required value: must specify a container'],
  ],
  [
    {
      metrics: [
        {
          type: 'External',
          external: { metric: { name: 'a/b' }, target: { type: 'Value', value: '-1', averageValue: '1' } },
        },
      ],
    },
    [
      'spec.metrics[0].external.metric.name: Invalid value: "a/b": may not contain \'/\'',
      'spec.metrics[0].external.target.value: Invalid value: "-1": must be positive',
      'spec.metrics[0].external.target.value: Forbidden: may not set both a target value for metric and a per-pod target',
    ],
  ],
  [
    {
      metrics: [
        {
          type: 'Object',
          object: { describedObject: { kind: 'Ingress', name: 'i' }, metric: { name: '' }, target: { type: 'Value' } },
        },
      ],
    },
    [
      'spec.metrics[0].object.metric.name: Required value: must specify a metric name',
      'spec.metrics[0].object.target.averageValue: Required value: must set either a target value or averageValue',
    ],
  ],
  [
    {
      behavior: {
        scaleDown: { stabilizationWindowSeconds: 3601, selectPolicy: 'Some', policies: [], tolerance: '-1' },
      },
    },
    [
      'spec.behavior.scaleDown.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600',
      'spec.behavior.scaleDown.selectPolicy: Unsupported value: "Some": supported values: "Disabled", "Max", "Min"',
      'spec.behavior.scaleDown.policies: Required value: must specify at least one Policy',
      'spec.behavior.scaleDown.tolerance: Invalid value: "-1": must be greater than or equal to 0',
    ],
  ],
  [
    { behavior: { scaleUp: { policies: [{ type: 'Nodes', value: 0, periodSeconds: 1801 }] } } },
    [
      'spec.behavior.scaleUp.policies[0].type: Unsupported value: "Nodes": supported values: "Percent", "Pods"',
      'spec.behavior.scaleUp.policies[0].value: Invalid value: 0: must be greater than zero',
      'spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800',
    ],
  ],
])('%j', (spec, messages) => {
  expect(createErrors(v2, variant(sample, { spec }))).toEqual(messages);
});

it('one that is at zero may stay there', () => {
  const external = { type: 'External', external: { metric: { name: 'a' }, target } };
  const object = variant<never>(sample, { spec: { minReplicas: 0, metrics: [external] } });
  expect(updateErrors(v2, object, object)).toEqual([]);
});

describe('v1 is v2', () => {
  const first = (objects: unknown) => (objects as any[])[0];
  const there = (object: KubeObject) => first(v1.conversion?.fromStored([structuredClone(object)]));
  const back = (object: KubeObject) => first(v1.conversion?.toStored([structuredClone(object)]));
  const metric = { name: 'm', selector: { matchLabels: { a: 'b' } } };
  const describedObject = { kind: 'Ingress', name: 'i', apiVersion: 'networking.k8s.io/v1' };
  const status = {
    currentReplicas: 2,
    desiredReplicas: 3,
    observedGeneration: 1,
    lastScaleTime: '2026-01-01T00:00:00Z',
    conditions: [{ type: 'AbleToScale', status: 'True', reason: 'Ready', lastTransitionTime: '2026-01-01T00:00:00Z' }],
    currentMetrics: [
      { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 40, averageValue: '100m' } } },
      { type: 'Object', object: { describedObject, metric, current: { value: '2' } } },
      { type: 'External', external: { metric, current: { value: '0', averageValue: '3' } } },
      { type: 'Pods', pods: { metric, current: { averageValue: '4' } } },
      {
        type: 'ContainerResource',
        containerResource: { name: 'memory', container: 'app', current: { averageValue: '5Mi' } },
      },
    ],
  };
  const full = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'web', annotations: { mine: 'yes' } },
    spec: {
      scaleTargetRef: { kind: 'Deployment', name: 'web', apiVersion: 'apps/v1' },
      minReplicas: 1,
      maxReplicas: 4,
      metrics: [
        { type: 'Object', object: { describedObject, metric, target: { type: 'Value', value: '2' } } },
        { type: 'External', external: { metric, target: { type: 'AverageValue', averageValue: '3' } } },
        { type: 'Pods', pods: { metric, target: { type: 'AverageValue', averageValue: '4' } } },
        { type: 'Resource', resource: { name: 'memory', target: { type: 'AverageValue', averageValue: '5Mi' } } },
        {
          type: 'ContainerResource',
          containerResource: { name: 'cpu', container: 'app', target: { type: 'Utilization', averageUtilization: 7 } },
        },
        cpu,
      ],
      behavior: {
        scaleUp: {
          stabilizationWindowSeconds: 0,
          selectPolicy: 'Max',
          policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }],
          tolerance: '100m',
        },
        scaleDown: { selectPolicy: 'Disabled', policies: [] },
      },
    },
    status,
  };

  it('and back, with nothing lost', () => {
    const old = there(full);
    expect(old.apiVersion).toBe('autoscaling/v1');
    expect(old.spec).toEqual({
      ...full.spec,
      metrics: undefined,
      behavior: undefined,
      targetCPUUtilizationPercentage: 50,
    });
    expect(old.status).toEqual({
      currentReplicas: 2,
      desiredReplicas: 3,
      observedGeneration: 1,
      lastScaleTime: '2026-01-01T00:00:00Z',
      currentCPUUtilizationPercentage: 40,
    });
    expect(Object.keys(old.metadata.annotations)).toHaveLength(5);
    expect(back(old)).toEqual(full);
  });

  it('in the forms that v1 had once', () => {
    const { annotations } = there(full).metadata;
    expect(JSON.parse(annotations['autoscaling.alpha.kubernetes.io/metrics'])[0]).toEqual({
      type: 'Object',
      object: { target: describedObject, metricName: 'm', targetValue: '2', selector: { matchLabels: { a: 'b' } } },
    });
    expect(JSON.parse(annotations['autoscaling.alpha.kubernetes.io/behavior']).ScaleUp).toEqual({
      StabilizationWindowSeconds: 0,
      SelectPolicy: 'Max',
      Policies: [{ Type: 'Pods', Value: 4, PeriodSeconds: 15 }],
      Tolerance: '100m',
    });
  });

  it('an annotation that nobody can read says nothing', () => {
    const old = there(full);
    for (const name of Object.keys(old.metadata.annotations)) old.metadata.annotations[name] = '{';
    expect(back(old).spec.metrics).toEqual([cpu]);
  });

  it('and is shown alike', () => {
    const expected = ['web', 'Deployment/web', '2/2, 3/3 (avg) + 4 more...', '1', 4, 2];
    const statuses = full.status.currentMetrics;
    const ordered = { ...full, status: { ...status, currentMetrics: [statuses[1], statuses[2], statuses[3]] } } as any;
    expect(v2.cells(ordered, { nowMs: 0 }).slice(0, 6)).toEqual(expected);
    expect(v1.cells(there(ordered), { nowMs: 0 }).slice(0, 6)).toEqual(expected);
  });
});
