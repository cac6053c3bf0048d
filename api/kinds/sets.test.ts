import { describe, expect, it } from 'vitest';
import type { ControllerRevision, DaemonSet, DaemonSetSpec, StatefulSet, StatefulSetSpec } from '../types/apps-v1.ts';
import { controllerRevision } from './controller-revision.ts';
import { daemonSet } from './daemon-set.ts';
import { statefulSet } from './stateful-set.ts';
import { CONTEXT, createErrors, created, messagesOf, updateErrors } from './testing.ts';

const labels = { app: 'web' };
const template = (spec: object = {}) => ({
  metadata: { labels },
  spec: { containers: [{ name: 'app', image: 'nginx:1' }], ...spec },
});
const daemonOf = (spec: Partial<DaemonSetSpec> = {}): DaemonSet => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { matchLabels: labels }, template: template(), ...spec },
});
const statefulOf = (spec: Partial<StatefulSetSpec> = {}): StatefulSet => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { matchLabels: labels }, template: template(), serviceName: 'web', ...spec },
});

describe('DaemonSet', () => {
  it.each<[Partial<DaemonSetSpec>, string[]]>([
    [{}, []],
    [{ selector: {} }, ['spec.selector: Invalid value: {}: empty selector is invalid for daemonset']],
    [
      { template: template({ restartPolicy: 'Never' }) },
      ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ],
    [
      { updateStrategy: { rollingUpdate: { maxSurge: 1 } } },
      ['spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero'],
    ],
    [
      { updateStrategy: { rollingUpdate: { maxUnavailable: 0 } } },
      ['spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0'],
    ],
    [
      { updateStrategy: { type: 'Odd' } },
      ['spec.updateStrategy: Unsupported value: {"type":"Odd"}: supported values: "RollingUpdate", "OnDelete"'],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(daemonSet, daemonOf(spec))).toEqual(messages);
  });

  it('keeps its selector, also one that selects nothing', () => {
    const odd = { matchLabels: labels, matchExpressions: [{ key: 'k', operator: 'NotIn', values: ['a b'] }] };
    const other = daemonOf({ selector: { matchLabels: { app: 'web', tier: 'x' } } });
    expect(updateErrors(daemonSet, daemonOf(), other)).toEqual([
      'spec.selector: Invalid value: {"matchLabels":{"app":"web","tier":"x"}}: field is immutable',
      'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
    ]);
    expect(createErrors(daemonSet, daemonOf({ selector: odd }))[0]).toContain(
      'spec.selector.matchExpressions[0].values[0]: Invalid value: "a b"',
    );
    const after = daemonOf({ selector: odd, minReadySeconds: 1 });
    expect(updateErrors(daemonSet, daemonOf({ selector: odd }), after)).toEqual([]);
  });

  it('counts its templates in an annotation', () => {
    const old = created(daemonSet, daemonOf());
    expect(old.metadata.annotations).toEqual({ 'deprecated.daemonset.template.generation': '1' });
    const next = created(daemonSet, daemonOf({ template: template({ nodeSelector: { a: 'b' } }) }));
    daemonSet.prepareForUpdate?.(next, old, CONTEXT);
    expect(next.metadata.annotations).toEqual({ 'deprecated.daemonset.template.generation': '2' });
  });

  it('prints its table', () => {
    const object = created(daemonSet, daemonOf({ template: template({ nodeSelector: { disk: 'ssd' } }) }));
    expect(daemonSet.cells(object, CONTEXT)).toEqual([
      'web',
      0,
      0,
      0,
      0,
      0,
      'disk=ssd',
      '<unknown>',
      'app',
      'nginx:1',
      'app=web',
    ]);
  });
});

describe('StatefulSet', () => {
  it('has upstream defaults, claims too', () => {
    const claim = { metadata: { name: 'data' }, spec: { accessModes: ['ReadWriteOnce'] } };
    const { spec, status } = created(statefulSet, statefulOf({ volumeClaimTemplates: [claim] }));
    expect(spec).toMatchObject({
      replicas: 1,
      podManagementPolicy: 'OrderedReady',
      revisionHistoryLimit: 10,
      updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 0 } },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Retain' },
      volumeClaimTemplates: [
        {
          apiVersion: 'v1',
          kind: 'PersistentVolumeClaim',
          spec: { volumeMode: 'Filesystem' },
          status: { phase: 'Pending' },
        },
      ],
    });
    expect(status).toEqual({ replicas: 0, availableReplicas: 0 });
  });

  it.each<[Partial<StatefulSetSpec>, string[]]>([
    [{}, []],
    [
      { podManagementPolicy: 'Odd' },
      ["spec.podManagementPolicy: Invalid value: \"Odd\": must be 'OrderedReady' or 'Parallel'"],
    ],
    [
      { updateStrategy: { type: 'OnDelete', rollingUpdate: { partition: 1 } } },
      [
        'spec.updateStrategy.rollingUpdate: Invalid value: {"partition":1}: only allowed for updateStrategy \'RollingUpdate\'',
      ],
    ],
    [{ selector: {} }, ['spec.selector: Invalid value: {}: empty selector is invalid for statefulset']],
    [{ ordinals: { start: -1 } }, ['spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0']],
    [
      { persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Odd' } },
      [
        'spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Odd": supported values: "Retain", "Delete"',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(statefulSet, statefulOf(spec))).toEqual(messages);
  });

  const container = (name: string) => ({
    name: 'app',
    image: 'nginx:1',
    volumeMounts: [{ name, mountPath: '/data' }],
  });
  const claim = (name: string, spec: object = {}) => ({
    metadata: { name },
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } }, ...spec },
  });

  it('checks the template as its pods will be', () => {
    const claims = { volumeClaimTemplates: [claim('data')] };
    const mounts = (name: string, rest: object = {}) => template({ containers: [container(name)], ...rest });
    expect(createErrors(statefulSet, statefulOf({ template: mounts('data'), ...claims }))).toEqual([]);
    expect(createErrors(statefulSet, statefulOf({ template: mounts('data') }))).toEqual([
      'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"',
    ]);
    const volumes = [
      { name: 'data', emptyDir: {}, hostPath: { path: '/' } },
      { name: 'odd', secret: {} },
    ];
    const named = { hostname: 'not a name', subdomain: 'not a name', volumes };
    expect(createErrors(statefulSet, statefulOf({ template: mounts('data', named), ...claims }))).toEqual([
      'spec.template.spec.volumes[1].secret.secretName: Required value',
    ]);
  });

  it('checks its claims when it is made', () => {
    const bad = { volumeClaimTemplates: [claim('data', { accessModes: [] })] };
    expect(createErrors(statefulSet, statefulOf(bad))).toEqual([
      'spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least 1 access mode is required',
    ]);
    expect(updateErrors(statefulSet, statefulOf(bad), statefulOf({ ...bad, replicas: 2 }))).toEqual([]);
  });

  it('checks labels and annotations twice, as upstream', () => {
    const odd = { ...template(), metadata: { labels: { ...labels, 'a b': '' } } };
    const found = createErrors(statefulSet, statefulOf({ template: odd }));
    expect(found).toHaveLength(2);
    expect(new Set(found).size).toBe(1);
  });

  it('keeps a template that was never good; a good one stays good', () => {
    const broken = { template: template({ containers: [container('none')] }) };
    expect(updateErrors(statefulSet, statefulOf(broken), statefulOf({ ...broken, replicas: 2 }))).toEqual([]);
    expect(updateErrors(statefulSet, statefulOf(), statefulOf(broken))).toEqual([
      'spec.template.spec.containers[0].volumeMounts[0].name: Not found: "none"',
    ]);
  });

  it('changes only some of its fields', () => {
    expect(updateErrors(statefulSet, statefulOf(), statefulOf({ replicas: 3, minReadySeconds: 1 }))).toEqual([]);
    expect(updateErrors(statefulSet, statefulOf(), statefulOf({ serviceName: 'other' }))).toEqual([
      "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden",
    ]);
  });

  it('prints its table', () => {
    const object = created(statefulSet, statefulOf({ replicas: 3 }));
    object.status = { replicas: 2, readyReplicas: 1 };
    expect(statefulSet.cells(object, CONTEXT)).toEqual(['web', '1/3', '<unknown>', 'app', 'nginx:1']);
    expect(statefulSet.scale?.selector(object)).toBe('app=web');
  });
});

describe('ControllerRevision', () => {
  const revisionOf = (rest: Partial<ControllerRevision> = {}): ControllerRevision => ({
    metadata: {
      name: 'web-1',
      ownerReferences: [{ apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'web', uid: 'u', controller: true }],
    },
    data: { spec: {} },
    revision: 2,
    ...rest,
  });

  it('names its controller and keeps its data', () => {
    expect(controllerRevision.cells(revisionOf(), CONTEXT)).toEqual([
      'web-1',
      'statefulset.apps/web',
      '2',
      '<unknown>',
    ]);
    expect(messagesOf(controllerRevision.validate(revisionOf({ data: undefined, revision: -1 })))).toEqual([
      'revision: Invalid value: -1: must be greater than or equal to 0',
      'data: Required value: data is mandatory',
    ]);
    expect(messagesOf(controllerRevision.validate(revisionOf({ data: ['a'] as never })))).toEqual([
      'data: Required value: data must be a valid JSON object',
    ]);
    expect(updateErrors(controllerRevision, revisionOf(), revisionOf({ data: undefined }))).toEqual([
      'data: Invalid value: null: field is immutable',
    ]);
    expect(updateErrors(controllerRevision, revisionOf(), revisionOf({ data: { spec: 1 } }))).toEqual([
      'data: Invalid value: {"spec":1}: field is immutable',
    ]);
  });
});
