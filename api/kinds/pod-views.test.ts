// Ephemeral containers and resizing: what a subresource takes over, and what it refuses, in upstream's words.
import { describe, expect, it } from 'vitest';
import { deepClone } from '../equality.ts';
import type { Container, Pod } from '../types/core-v1.ts';
import { pod } from './pod.ts';
import { CONTEXT, created, messagesOf, podOf } from './testing.ts';

/** What the subresource makes of a change to the stored pod, and what is wrong with it. */
function through(view: 'ephemeralcontainers' | 'resize', old: Pod, change: (pod: Pod) => void) {
  const object = deepClone(old);
  change(object);
  pod.setDefaults?.(object);
  pod.updates?.[view]?.prepare(object, old, CONTEXT);
  return { object, found: messagesOf(pod.updates?.[view]?.validate(object, old) ?? []) };
}

describe('ephemeralcontainers', () => {
  const debug = { name: 'debug', image: 'busybox' };
  const stored = () => created(pod, podOf());
  const withDebug = () =>
    through('ephemeralcontainers', stored(), (each) => (each.spec!.ephemeralContainers = [debug])).object;

  it('adds a container and takes over nothing else', () => {
    const old = stored();
    const { object, found } = through('ephemeralcontainers', old, (each) => {
      each.spec!.ephemeralContainers = [debug];
      each.spec!.containers[0]!.image = 'other';
      each.metadata.labels = { other: 'yes' };
    });
    expect(found).toEqual([]);
    expect(object.spec).toEqual({ ...old.spec, ephemeralContainers: [expect.objectContaining(debug)] });
    expect(object.metadata.labels).toBeUndefined();
  });

  it.each<[string, (pod: Pod) => void, string]>([
    [
      'takes none away',
      (each) => delete each.spec!.ephemeralContainers,
      'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be removed\n',
    ],
    [
      'changes none',
      (each) => (each.spec!.ephemeralContainers![0]!.image = 'alpine'),
      'spec.ephemeralContainers: Forbidden: existing ephemeral containers "debug" may not be changed\n' +
        '- spec.ephemeralContainers.image: "busybox"\n+ spec.ephemeralContainers.image: "alpine"',
    ],
    [
      'checks the new one',
      (each) => each.spec!.ephemeralContainers!.push({ name: 'app', image: 'busybox' }),
      'spec.ephemeralContainers[1].name: Duplicate value: "app"',
    ],
  ])('%s', (_, change, message) => {
    expect(through('ephemeralcontainers', withDebug(), change).found).toEqual([message]);
  });

  it('leaves static pods alone', () => {
    const old = stored();
    old.metadata.annotations = { 'kubernetes.io/config.mirror': 'x' };
    const { found } = through('ephemeralcontainers', old, (each) => (each.spec!.ephemeralContainers = [debug]));
    expect(found).toEqual([': Forbidden: static pods do not support ephemeral containers']);
  });
});

describe('resize', () => {
  const resources = { requests: { cpu: '100m', memory: '64Mi' }, limits: { cpu: '200m' } };
  const sidecar: Container = { name: 'side', image: 'side:1', restartPolicy: 'Always', resources };
  const init: Container = { name: 'init', image: 'init:1', resources };
  const stored = () => created(pod, podOf({ initContainers: [init, sidecar] }, { resources }));
  const first = (each: Pod) => each.spec!.containers[0]!;

  it('changes CPU and memory, and takes over nothing else', () => {
    const old = stored();
    const { object, found } = through('resize', old, (each) => {
      first(each).resources = { requests: { cpu: '150m', memory: '64Mi' }, limits: { cpu: '300m', memory: '1Gi' } };
      first(each).image = 'other';
      each.spec!.initContainers![1]!.resources!.requests!.cpu = '50m';
      each.spec!.nodeName = 'elsewhere';
    });
    expect(found).toEqual([]);
    expect(first(object)).toEqual({
      ...first(old),
      resources: { requests: { cpu: '150m', memory: '64Mi' }, limits: { cpu: '300m', memory: '1Gi' } },
    });
    expect(object.spec?.nodeName).toBeUndefined();
  });

  it.each<[string, (pod: Pod) => void, string[]]>([
    [
      'keeps the class of the pod',
      (each) => {
        for (const container of [...each.spec!.containers, ...each.spec!.initContainers!]) delete container.resources;
      },
      [
        'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
        'spec.initContainers[0].resources.requests: Forbidden: resource requests cannot be removed',
        'spec.initContainers[0].resources.limits: Forbidden: resource limits cannot be removed',
        'spec.initContainers[1].resources.requests: Forbidden: resource requests cannot be removed',
        'spec.initContainers[1].resources.limits: Forbidden: resource limits cannot be removed',
        'spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed',
        'spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed',
      ],
    ],
    [
      'removes no limit',
      (each) => delete first(each).resources!.limits,
      ['spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed'],
    ],
    [
      'changes no other resource',
      (each) => (first(each).resources!.requests!['ephemeral-storage'] = '1Gi'),
      ['spec: Forbidden: only cpu and memory resources are mutable'],
    ],
    [
      'changes no other resource of a sidecar',
      (each) => (each.spec!.initContainers![1]!.resources!.requests!['ephemeral-storage'] = '1Gi'),
      ['spec: Forbidden: only cpu and memory resources for sidecar containers are mutable'],
    ],
    ['changes init containers too', (each) => (each.spec!.initContainers![0]!.resources!.requests!.cpu = '50m'), []],
    [
      'changes no other resource of the pod',
      (each) => (each.spec!.resources = { requests: { 'hugepages-2Mi': '2Mi', cpu: '1' } }),
      [
        'spec.resources.limits: Required value: Limit must be set for non overcommitable resources',
        'spec: Forbidden: only cpu and memory resources are mutable at pod-level',
      ],
    ],
    [
      'adds no container',
      (each) => each.spec!.containers.push({ name: 'more', image: 'more:1' }),
      ['spec.containers: Forbidden: containers may not be added or removed on resize'],
    ],
    [
      'renames no container',
      (each) => (first(each).name = 'renamed'),
      ['spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize'],
    ],
    [
      'checks the new size',
      (each) => (first(each).resources!.requests!.cpu = '1'),
      ['spec.containers[0].resources.requests: Invalid value: "1": must be less than or equal to cpu limit of 200m'],
    ],
  ])('%s', (_, change, messages) => {
    expect(through('resize', stored(), change).found).toEqual(messages);
  });

  it('asks for a node that can resize', () => {
    const old = stored();
    old.status = {
      ...old.status,
      containerStatuses: [
        { name: 'app', image: '', imageID: '', ready: true, restartCount: 0, state: { running: {} } },
      ],
    };
    expect(through('resize', old, (each) => (first(each).resources!.requests!.cpu = '50m')).found).toEqual([
      'spec: Forbidden: Pod running on node without support for resize',
    ]);
  });

  it('changes the resources of the pod as a whole', () => {
    const own = { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2' } };
    const old = created(pod, podOf({ resources: own }));
    const { object, found } = through('resize', old, (each) => {
      each.spec!.resources!.requests!.cpu = '500m';
      each.spec!.nodeName = 'elsewhere';
    });
    expect(found).toEqual([]);
    expect(object.spec?.resources?.requests).toEqual({ cpu: '500m', memory: '1Gi' });
    expect(object.spec?.nodeName).toBeUndefined();
    expect(through('resize', old, (each) => delete each.spec!.resources!.limits).found).toEqual([
      'spec.resources.limits: Forbidden: pod-level resource limits cannot be removed',
    ]);
  });

  it('leaves static pods alone', () => {
    const mirror = stored();
    mirror.metadata.annotations = { 'kubernetes.io/config.mirror': 'x' };
    expect(through('resize', mirror, () => {}).found).toEqual([': Forbidden: static pods cannot be resized']);
  });
});
