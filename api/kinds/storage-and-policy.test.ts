import { describe, expect, it } from 'vitest';
import type {
  LimitRangeItem,
  PersistentVolumeClaim,
  PersistentVolumeSpec,
  ResourceQuotaSpec,
} from '../types/core-v1.ts';
import type { PodDisruptionBudget, PodDisruptionBudgetSpec, PodDisruptionBudgetStatus } from '../types/policy-v1.ts';
import { limitRange } from './limit-range.ts';
import { persistentVolume } from './persistent-volume.ts';
import { persistentVolumeClaim } from './persistent-volume-claim.ts';
import { podDisruptionBudget } from './pod-disruption-budget.ts';
import { podTemplate } from './pod-template.ts';
import { replicationController } from './replication-controller.ts';
import { resourceQuota } from './resource-quota.ts';
import { CONTEXT, createErrors, created, messagesOf, updateErrors } from './testing.ts';

const metadata = { name: 'x', namespace: 'default' };
const labels = { app: 'web' };
const odd = (...values: string[]) => ({ matchExpressions: [{ key: 'app', operator: 'In', values }] });
const template = { metadata: { labels }, spec: { containers: [{ name: 'app', image: 'nginx:1' }] } };

describe('PodDisruptionBudget', () => {
  it.each<[PodDisruptionBudgetSpec, string[]]>([
    [{ minAvailable: '50%' }, []],
    [
      { minAvailable: 1, maxUnavailable: 1 },
      [
        'spec: Invalid value: {"minAvailable":1,"maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set',
      ],
    ],
    [{ minAvailable: '101%' }, ['spec.minAvailable: Invalid value: "101%": must not be greater than 100%']],
    [
      { unhealthyPodEvictionPolicy: 'Odd' },
      ['spec.unhealthyPodEvictionPolicy: Unsupported value: "Odd": supported values: "AlwaysAllow", "IfHealthyBudget"'],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(podDisruptionBudget, { metadata, spec })).toEqual(messages);
  });

  it('takes values of its selector that are no labels where it has some already', () => {
    const before: PodDisruptionBudget = { metadata, spec: { selector: odd('a b') } };
    const after = { metadata: { ...metadata, labels }, spec: { selector: odd('a b', 'c d') } };
    expect(updateErrors(podDisruptionBudget, before, after)).toEqual([]);
    expect(createErrors(podDisruptionBudget, after)).toHaveLength(2);
  });

  it('checks conditions, then counts, of its status', () => {
    const status = {
      disruptionsAllowed: -1,
      conditions: [{ type: 'DisruptionAllowed', status: 'true' }],
    } as unknown as PodDisruptionBudgetStatus;
    const found = podDisruptionBudget.validateStatusUpdate?.({ metadata, status }, { metadata }) ?? [];
    expect(messagesOf(found)).toEqual([
      'status.conditions[0].status: Unsupported value: "true": supported values: "False", "True", "Unknown"',
      'status.conditions[0].lastTransitionTime: Required value: must be set',
      'status.conditions[0].reason: Required value: must be set',
      'status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0',
    ]);
  });

  it('prints its table', () => {
    const object = created(podDisruptionBudget, { metadata, spec: { minAvailable: 2 } });
    expect(podDisruptionBudget.cells(object, CONTEXT)).toEqual(['x', '2', 'N/A', 0, '<unknown>']);
  });
});

describe('ReplicationController and PodTemplate', () => {
  it('take labels and selector from the template', () => {
    const object = created(replicationController, { metadata, spec: { template } });
    expect(object).toMatchObject({ metadata: { labels }, spec: { replicas: 1, selector: labels } });
    expect(replicationController.cells(object, CONTEXT)).toEqual([
      'x',
      1,
      0,
      0,
      '<unknown>',
      'app',
      'nginx:1',
      'app=web',
    ]);
    expect(createErrors(replicationController, { metadata, spec: {} })).toEqual([
      'spec.selector: Required value',
      'spec.template: Required value',
    ]);
    expect(createErrors(replicationController, { metadata, spec: { selector: { a: 'b' }, template } })).toEqual([
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ]);
  });

  it('check their template', () => {
    expect(createErrors(podTemplate, { metadata })).toEqual(['template.spec.containers: Required value']);
    expect(podTemplate.cells(created(podTemplate, { metadata, template }), CONTEXT)).toEqual([
      'x',
      'app',
      'nginx:1',
      'app=web',
    ]);
  });
});

describe('ResourceQuota', () => {
  it.each<[ResourceQuotaSpec, string[]]>([
    [{ hard: { pods: '4', 'requests.cpu': '1', 'count/jobs.batch': '2' } }, []],
    [{ hard: { pods: '500m' } }, ['spec.hard[pods]: Invalid value: "500m": must be an integer']],
    [
      { hard: { storage: '1' } },
      ['spec.hard[storage]: Invalid value: "storage": must be a standard resource for quota'],
    ],
    [
      { hard: { cpu: '1' }, scopes: ['BestEffort'] },
      ['spec.scopes: Invalid value: ["BestEffort"]: unsupported scope applied to resource'],
    ],
    [
      { scopes: ['Terminating', 'NotTerminating'] },
      ['spec.scopes: Invalid value: ["Terminating","NotTerminating"]: conflicting scopes'],
    ],
    [
      { scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In' }] } },
      [
        "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn' for scope selector",
      ],
    ],
    [
      { scopeSelector: { matchExpressions: [{ scopeName: 'Terminating', operator: 'In', values: ['x'] }] } },
      [
        'spec.scopeSelector.matchExpressions.operator: Invalid value: "In": must be \'Exists\' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity',
      ],
    ],
    [
      {
        scopeSelector: {
          matchExpressions: [
            { scopeName: 'BestEffort', operator: 'Exists' },
            { scopeName: 'NotBestEffort', operator: 'Exists' },
          ],
        },
      },
      ['spec.scopeSelector.matchExpressions: Invalid value: null: conflicting scopes'],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(resourceQuota, { metadata, spec })).toEqual(messages);
  });

  it('prints what is used of what there is, and keeps its scopes', () => {
    const status = { hard: { pods: '10', 'limits.cpu': '2' }, used: { pods: '1' } };
    expect(resourceQuota.cells({ metadata, status }, CONTEXT)).toEqual([
      'x',
      'pods: 1/10',
      'limits.cpu: 0/2',
      '<unknown>',
    ]);
    expect(updateErrors(resourceQuota, { metadata, spec: {} }, { metadata, spec: { scopes: ['BestEffort'] } })).toEqual(
      ['spec.scopes: Invalid value: ["BestEffort"]: field is immutable'],
    );
  });
});

describe('LimitRange', () => {
  it('has defaults for containers', () => {
    const item = { type: 'Container', max: { cpu: '2' }, min: { cpu: '1', memory: '1Mi' } };
    expect(created(limitRange, { metadata, spec: { limits: [item] } }).spec?.limits[0]).toMatchObject({
      default: { cpu: '2' },
      defaultRequest: { cpu: '2', memory: '1Mi' },
    });
  });

  it.each<[LimitRangeItem, string[]]>([
    [{ type: 'Container', max: { cpu: '1' } }, []],
    [{ type: 'Odd' }, ['spec.limits[0].type: Invalid value: "Odd": must be a standard limit type or fully qualified']],
    [
      { type: 'Pod', default: { cpu: '1' } },
      ["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
    ],
    [
      { type: 'Pod', min: { cpu: '2' }, max: { cpu: '1' } },
      ['spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1'],
    ],
    [
      { type: 'PersistentVolumeClaim' },
      [
        'spec.limits[0].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
      ],
    ],
    [
      { type: 'Container', maxLimitRequestRatio: { cpu: '500m' } },
      ['spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "500m": ratio 500m is less than 1'],
    ],
  ])('%j', (item, messages) => {
    expect(createErrors(limitRange, { metadata, spec: { limits: [item] } })).toEqual(messages);
  });
});

describe('PersistentVolumeClaim', () => {
  const spec = {
    accessModes: ['ReadWriteOnce'],
    resources: { requests: { storage: '1Gi' } },
    storageClassName: 'fast',
  };

  it('stays as it was asked for', () => {
    expect(createErrors(persistentVolumeClaim, { metadata, spec })).toEqual([]);
    const bound = updateErrors(
      persistentVolumeClaim,
      { metadata, spec },
      { metadata, spec: { ...spec, volumeName: 'v' } },
    );
    expect(bound).toEqual([]);
    const grown = { ...spec, resources: { requests: { storage: '2Gi' } } };
    expect(updateErrors(persistentVolumeClaim, { metadata, spec }, { metadata, spec: grown })).toEqual([
      'spec: Forbidden: spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n- spec.resources.requests.storage: "1Gi"\n+ spec.resources.requests.storage: "2Gi"',
    ]);
  });

  it('prints its table', () => {
    const sent: PersistentVolumeClaim = { metadata, spec: { ...spec, volumeName: 'v' } };
    const object = created(persistentVolumeClaim, sent);
    object.status = { phase: 'Bound', capacity: { storage: '1Gi' }, accessModes: ['ReadOnlyMany', 'ReadWriteOnce'] };
    expect(persistentVolumeClaim.cells(object, CONTEXT)).toEqual([
      'x',
      'Bound',
      'v',
      '1Gi',
      'RWO,ROX',
      'fast',
      '<unset>',
      '<unknown>',
      'Filesystem',
    ]);
  });
});

describe('PersistentVolume', () => {
  const spec = { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/data' } };

  it.each<[PersistentVolumeSpec, string[]]>([
    [spec, []],
    [{ ...spec, hostPath: undefined }, ['spec: Required value: must specify a volume type']],
    [{ ...spec, nfs: { server: 'a', path: '/b' } }, ['spec.nfs: Forbidden: may not specify more than 1 volume type']],
    [
      { ...spec, hostPath: undefined, local: { path: '/x' } },
      ['spec.nodeAffinity: Required value: Local volume requires node affinity'],
    ],
    [
      { ...spec, capacity: { storage: '0' } },
      ['spec.capacity[storage]: Invalid value: "0": must be greater than zero'],
    ],
    [
      { ...spec, hostPath: { path: '/' }, persistentVolumeReclaimPolicy: 'Recycle' },
      ["spec.persistentVolumeReclaimPolicy: Forbidden: may not be 'recycle' for a hostPath mount of '/'"],
    ],
  ])('%j', (each, messages) => {
    expect(createErrors(persistentVolume, { metadata: { name: 'x' }, spec: each })).toEqual(messages);
  });

  it('stays where it is and prints its table', () => {
    const object = created(persistentVolume, { metadata: { name: 'x' }, spec });
    const moved = { metadata: { name: 'x' }, spec: { ...spec, hostPath: { path: '/other' } } };
    expect(updateErrors(persistentVolume, { metadata: { name: 'x' }, spec }, moved)[0]).toMatch(
      /^spec\.persistentvolumesource: Forbidden: spec\.persistentvolumesource is immutable after creation\n/,
    );
    expect(persistentVolume.cells(object, CONTEXT)).toEqual([
      'x',
      '1Gi',
      'RWO',
      'Retain',
      'Pending',
      '',
      '',
      '<unset>',
      '',
      '<unknown>',
      'Filesystem',
    ]);
  });
});
