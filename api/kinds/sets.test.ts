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
      'data: Required value: data is mandatory',
      'revision: Invalid value: -1: must be greater than or equal to 0',
    ]);
    expect(updateErrors(controllerRevision, revisionOf(), revisionOf({ data: { spec: 1 } }))).toEqual([
      'data: Invalid value: {"spec":1}: field is immutable',
    ]);
  });
});
