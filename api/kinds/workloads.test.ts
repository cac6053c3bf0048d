import { describe, expect, it } from 'vitest';
import type { Deployment, DeploymentSpec, ReplicaSet } from '../types/apps-v1.ts';
import { deployment } from './deployment.ts';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { replicaSet } from './replica-set.ts';
import { replicationController } from './replication-controller.ts';
import { CONTEXT, createErrors, created, messagesOf, updateErrors } from './testing.ts';

const labels = { app: 'web' };
const template = () => ({ metadata: { labels }, spec: { containers: [{ name: 'app', image: 'nginx:1' }] } });

const deploymentOf = (spec: Partial<DeploymentSpec> = {}): Deployment => ({
  metadata: { name: 'web', namespace: 'default', generation: 3 },
  spec: { selector: { matchLabels: labels }, template: template(), ...spec },
});

const replicaSetOf = (spec: Partial<ReplicaSet['spec']> = {}): ReplicaSet => ({
  metadata: { name: 'web', namespace: 'default' },
  spec: { selector: { matchLabels: labels }, template: template(), ...spec },
});

describe('Deployment', () => {
  it('has upstream defaults; a template is not a pod', () => {
    const { spec, status } = created(deployment, deploymentOf());
    expect(spec).toMatchObject({
      replicas: 1,
      revisionHistoryLimit: 10,
      progressDeadlineSeconds: 600,
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: '25%' } },
    });
    expect(spec?.template.spec).toMatchObject({ restartPolicy: 'Always', terminationGracePeriodSeconds: 30 });
    expect(spec?.template.spec).not.toHaveProperty('enableServiceLinks');
    expect(status).toEqual({});
  });

  it.each<[Partial<DeploymentSpec>, string[]]>([
    [{}, []],
    [{ replicas: -1 }, ['spec.replicas: Invalid value: -1: must be greater than or equal to 0']],
    [
      { selector: { matchLabels: { app: 'other' } } },
      ['spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`'],
    ],
    [
      { selector: undefined },
      [
        'spec.selector: Required value',
        'spec.template.metadata.labels: Invalid value: {"app":"web"}: `selector` does not match template `labels`',
      ],
    ],
    [{ selector: {} }, ['spec.selector: Invalid value: {}: empty selector is invalid for deployment']],
    [
      { template: { ...template(), spec: { ...template().spec, restartPolicy: 'Never' } } },
      ['spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"'],
    ],
    [
      { template: { ...template(), spec: { ...template().spec, activeDeadlineSeconds: 5 } } },
      ['spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported'],
    ],
    [
      { strategy: { type: 'Recreate', rollingUpdate: { maxSurge: 1 } } },
      ["spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"],
    ],
    [
      { strategy: { type: 'Odd' } },
      ['spec.strategy: Unsupported value: {"type":"Odd"}: supported values: "Recreate", "RollingUpdate"'],
    ],
    [
      { strategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: '0%' } } },
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "0%": may not be 0 when `maxSurge` is 0'],
    ],
    [
      { strategy: { rollingUpdate: { maxUnavailable: '101%' } } },
      ['spec.strategy.rollingUpdate.maxUnavailable: Invalid value: "101%": must not be greater than 100%'],
    ],
    [
      { progressDeadlineSeconds: 5, minReadySeconds: 5 },
      ['spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds'],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(deployment, deploymentOf(spec))).toEqual(messages);
  });

  it('reports what a missing specification lacks', () => {
    expect(createErrors(deployment, { metadata: { name: 'web' } })).toEqual([
      'spec.selector: Required value',
      'spec.template.metadata.labels: Invalid value: null: `selector` does not match template `labels`',
      'spec.template.spec.containers: Required value',
    ]);
  });

  it('keeps its selector', () => {
    const other = { app: 'x' };
    const after = deploymentOf({
      selector: { matchLabels: other },
      template: { ...template(), metadata: { labels: other } },
    });
    expect(updateErrors(deployment, deploymentOf(), after)).toEqual([
      'spec.selector: Invalid value: {"matchLabels":{"app":"x"}}: field is immutable',
    ]);
  });

  it('counts a change of its annotations as a generation', () => {
    const old = deploymentOf();
    const same = structuredClone(old);
    deployment.prepareForUpdate?.(same, old, CONTEXT);
    expect(same.metadata.generation).toBe(3);
    const annotated = { ...structuredClone(old), metadata: { ...old.metadata, annotations: { a: 'b' } } };
    deployment.prepareForUpdate?.(annotated, old, CONTEXT);
    expect(annotated.metadata.generation).toBe(4);
  });

  it('refuses a status that counts more than there is', () => {
    const object = { ...deploymentOf(), status: { replicas: 1, readyReplicas: 2 } };
    expect(messagesOf(deployment.validateStatusUpdate?.(object, deploymentOf()) ?? [])).toEqual([
      'status.readyReplicas: Invalid value: 2: cannot be greater than status.replicas',
    ]);
  });

  it('prints its table and scales', () => {
    const object = created(deployment, deploymentOf({ replicas: 3 }));
    object.metadata.creationTimestamp = '2025-12-31T23:59:00Z';
    object.status = { replicas: 4, readyReplicas: 2, updatedReplicas: 1, availableReplicas: 2 };
    expect(deployment.cells(object, CONTEXT)).toEqual(['web', '2/3', 1, 2, '60s', 'app', 'nginx:1', 'app=web']);
    expect(deployment.scale?.statusReplicas(object)).toBe(4);
    expect(deployment.scale?.selector(object)).toBe('app=web');
    deployment.scale?.setSpecReplicas(object, 7);
    expect(deployment.scale?.specReplicas(object)).toBe(7);
  });

  it('warns for its template', () => {
    const object = deploymentOf();
    object.spec?.template.spec?.containers[0]?.env?.push();
    const spec = template().spec;
    const warned = deploymentOf({
      template: { ...template(), spec: { ...spec, nodeSelector: { 'beta.kubernetes.io/arch': 'x' } } },
    });
    expect(deployment.warnings?.(warned)).toEqual([
      'spec.template.spec.nodeSelector[beta.kubernetes.io/arch]: deprecated since v1.14; use "kubernetes.io/arch" instead',
    ]);
    expect(deployment.warnings?.(object)).toEqual([]);
  });
});

describe('counts of a status', () => {
  const negative = {
    replicas: -1,
    fullyLabeledReplicas: -1,
    updatedReplicas: -1,
    readyReplicas: -1,
    availableReplicas: -1,
    unavailableReplicas: -1,
    terminatingReplicas: -1,
    observedGeneration: -1,
    collisionCount: -1,
  };
  const parts = { fullyLabeledReplicas: 2, updatedReplicas: 2, readyReplicas: 2, availableReplicas: 3 };
  const found = <T extends KubeObject>(kind: Kind<T>, status: object, old: object = {}): string[] => {
    const of = (each: object) => ({ metadata: { name: 'web' }, status: each }) as unknown as T;
    return messagesOf(kind.validateStatusUpdate?.(of(status), of(old)) ?? []);
  };
  const fieldsOf = (messages: string[]) => messages.map((each) => /^status\.(\w+)/.exec(each)?.[1]).join(' ');
  const ofSets = 'replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration terminatingReplicas';

  it.each<[string, Kind, string, string]>([
    [
      'Deployment',
      deployment as unknown as Kind,
      'observedGeneration replicas updatedReplicas readyReplicas availableReplicas unavailableReplicas terminatingReplicas collisionCount',
      'updatedReplicas readyReplicas availableReplicas availableReplicas',
    ],
    [
      'ReplicaSet',
      replicaSet as unknown as Kind,
      ofSets,
      'fullyLabeledReplicas readyReplicas availableReplicas availableReplicas',
    ],
    [
      'ReplicationController',
      replicationController as unknown as Kind,
      ofSets,
      'fullyLabeledReplicas readyReplicas availableReplicas availableReplicas',
    ],
  ])('of a %s, in order', (name, kind, all, tooMany) => {
    expect(fieldsOf(found(kind, negative)).replace(/( availableReplicas)+$/, '')).toBe(all);
    const { fullyLabeledReplicas, updatedReplicas, ...common } = parts;
    const counts = name === 'Deployment' ? { ...common, updatedReplicas } : { ...common, fullyLabeledReplicas };
    expect(fieldsOf(found(kind, { replicas: 1, ...counts }))).toBe(tooMany);
  });

  it('collisions grow', () => {
    expect(found(deployment, { collisionCount: 2 }, { collisionCount: 2 })).toEqual([]);
    expect(found(deployment, { collisionCount: 1 }, { collisionCount: 2 })).toEqual([
      'status.collisionCount: Invalid value: 1: cannot be decremented',
    ]);
    expect(found(deployment, {}, { collisionCount: 0 })).toEqual([
      'status.collisionCount: Invalid value: 0: cannot be decremented',
    ]);
  });
});

describe('ReplicaSet', () => {
  it('is checked as a deployment is', () => {
    expect(createErrors(replicaSet, replicaSetOf())).toEqual([]);
    expect(createErrors(replicaSet, replicaSetOf({ selector: {} }))).toEqual([
      'spec.selector: Invalid value: {}: empty selector is invalid for deployment',
    ]);
    expect(
      updateErrors(
        replicaSet,
        replicaSetOf(),
        replicaSetOf({ selector: { matchExpressions: [{ key: 'app', operator: 'Exists' }] } }),
      ),
    ).toEqual([
      'spec.selector: Invalid value: {"matchExpressions":[{"key":"app","operator":"Exists"}]}: field is immutable',
    ]);
  });

  it('prints its table', () => {
    const object = created(replicaSet, replicaSetOf({ replicas: 2 }));
    expect(object.status).toEqual({ replicas: 0 });
    expect(replicaSet.cells(object, CONTEXT)).toEqual(['web', 2, 0, 0, '<unknown>', 'app', 'nginx:1', 'app=web']);
    expect(replicaSet.selectableFields?.['status.replicas']?.(object)).toBe('0');
  });
});
