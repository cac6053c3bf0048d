import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeObject, decodePatched } from '../codec.ts';
import { ApiError } from '../errors.ts';
import { createScheme } from '../kinds/index.ts';
import type { Kind } from '../kind.ts';
import { apiVersionOf, type KubeObject } from '../object.ts';
import { applyConfiguration } from './apply.ts';
import { sameManagers } from './managers.ts';
import { trackUpdate } from './update.ts';

const scheme = createScheme();
const kindOf = (group: string, resource: string) => scheme.byGroupResource(group, resource) as Kind;
const deployments = kindOf('apps', 'deployments');
const configMaps = kindOf('', 'configmaps');
const services = kindOf('', 'services');

let clock = 0;
const facts = (kind: Kind, manager: string, subresource = '') => ({
  target: kind,
  manager,
  subresource,
  hasStatus: kind.hasStatus,
  time: new Date(Date.UTC(2026, 0, 1) + clock++ * 1000).toISOString().replace('.000', ''),
});

function finish(kind: Kind, raw: KubeObject): KubeObject {
  const { managedFields, ...metadata } = structuredClone(raw.metadata);
  const { object } = decodePatched(kind, structuredClone({ ...raw, metadata }));
  kind.setDefaults?.(object);
  if (managedFields) object.metadata.managedFields = managedFields;
  return object;
}

const head = (kind: Kind) => ({ apiVersion: apiVersionOf(kind), kind: kind.kind });

function apply(kind: Kind, old: KubeObject | undefined, manager: string, config: object, force = false, sub = '') {
  const before = JSON.stringify(old);
  const full = { ...head(kind), metadata: { name: 'x' }, ...config };
  const object = finish(kind, applyConfiguration(old, full, facts(kind, manager, sub), force));
  expect(JSON.stringify(old)).toBe(before);
  return object;
}

function update(kind: Kind, old: KubeObject | undefined, manager: string, value: object): KubeObject {
  const base = old ?? { ...head(kind), metadata: { name: 'x' } };
  const { object } = decodeObject(kind, Buffer.from(JSON.stringify({ ...base, ...value })), 'json');
  kind.setDefaults?.(object);
  trackUpdate(old, object, facts(kind, manager));
  return object;
}

const owners = (object: KubeObject) =>
  Object.fromEntries(
    (object.metadata.managedFields ?? []).map((each) => [`${each.manager} ${each.operation}`, each.fieldsV1]),
  );

function errorOf(run: () => unknown): ApiError {
  try {
    run();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

const template = (containers: object[]) => ({
  selector: { matchLabels: { app: 'x' } },
  template: { metadata: { labels: { app: 'x' } }, spec: { containers } },
});

describe('updates', () => {
  it('book what a create sets, with what the defaults add, in order', () => {
    const made = update(deployments, undefined, 'kubectl-create', {
      spec: template([{ name: 'c', image: 'i', ports: [{ containerPort: 80 }] }]),
    });
    expect(made.metadata.managedFields).toMatchObject([
      { manager: 'kubectl-create', operation: 'Update', apiVersion: 'apps/v1', fieldsType: 'FieldsV1' },
    ]);
    const text = JSON.stringify(made.metadata.managedFields?.[0]?.fieldsV1);
    expect(text).toBe(
      '{"f:spec":{"f:progressDeadlineSeconds":{},"f:replicas":{},"f:revisionHistoryLimit":{},"f:selector":{},"f:strategy":{"f:rollingUpdate":{".":{},"f:maxSurge":{},"f:maxUnavailable":{}},"f:type":{}},"f:template":{"f:metadata":{"f:labels":{".":{},"f:app":{}}},"f:spec":{"f:containers":{"k:{\\"name\\":\\"c\\"}":{".":{},"f:image":{},"f:imagePullPolicy":{},"f:name":{},"f:ports":{".":{},"k:{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:containerPort":{},"f:protocol":{}}},"f:resources":{},"f:terminationMessagePath":{},"f:terminationMessagePolicy":{}}},"f:dnsPolicy":{},"f:restartPolicy":{},"f:schedulerName":{},"f:securityContext":{},"f:terminationGracePeriodSeconds":{}}}}}',
    );
  });

  it('take fields from whom they were, and forget removed ones', () => {
    const made = update(configMaps, undefined, 'one', { data: { a: '1', b: '1', c: '1' } });
    const now = update(configMaps, made, 'two', { data: { a: '2', b: '1' } });
    expect(owners(now)).toEqual({
      'one Update': { 'f:data': { '.': {}, 'f:b': {} } },
      'two Update': { 'f:data': { 'f:a': {} } },
    });
    // What did not change keeps its entry as it is.
    const later = update(configMaps, now, 'two', { data: { a: '3', b: '1' } });
    expect(later.metadata.managedFields?.[0]).toEqual(now.metadata.managedFields?.[0]);
    expect(later.metadata.managedFields?.[1]?.fieldsV1).toBe(now.metadata.managedFields?.[1]?.fieldsV1);
    expect(later.metadata.managedFields?.[1]?.time).not.toBe(now.metadata.managedFields?.[1]?.time);
  });

  it('name sets by value and atomic structs as a whole', () => {
    const made = update(configMaps, undefined, 'one', {
      metadata: {
        name: 'x',
        finalizers: ['a.b/c'],
        ownerReferences: [{ apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' }],
      },
    });
    expect(owners(made)).toEqual({
      'one Update': {
        'f:metadata': {
          'f:finalizers': { '.': {}, 'v:"a.b/c"': {} },
          'f:ownerReferences': { '.': {}, 'k:{"uid":"u"}': {} },
        },
      },
    });
  });

  it('keep status and spec apart', () => {
    const made = update(deployments, undefined, 'one', { spec: template([{ name: 'c', image: 'i' }]) });
    const object = structuredClone(made) as KubeObject & { spec: { replicas: number }; status: object };
    object.spec.replicas = 9;
    object.status = { replicas: 1, conditions: [{ type: 'Available', status: 'True' }] };
    trackUpdate(made, object, facts(deployments, 'kcm', 'status'));
    expect(object.metadata.managedFields?.[1]).toMatchObject({
      manager: 'kcm',
      subresource: 'status',
      fieldsV1: {
        'f:status': {
          'f:conditions': { '.': {}, 'k:{"type":"Available"}': { '.': {}, 'f:status': {}, 'f:type': {} } },
          'f:replicas': {},
        },
      },
    });
  });

  it('fold the oldest of more than ten updaters', () => {
    let object = update(configMaps, undefined, 'm0', { data: { k0: '' } });
    const data: Record<string, string> = { k0: '' };
    for (let i = 1; i < 15; i++) {
      data[`k${i}`] = '';
      object = update(configMaps, object, `m${i}`, { data });
    }
    expect(object.metadata.managedFields).toHaveLength(10);
    expect(owners(object)['ancient-changes Update']).toEqual({
      'f:data': { '.': {}, 'f:k0': {}, 'f:k1': {}, 'f:k2': {}, 'f:k3': {}, 'f:k4': {}, 'f:k5': {} },
    });
  });

  it.each([
    ['absent', undefined, 1],
    ['null', null, 1],
    ['malformed', [{ manager: 'x', operation: 'Nonsense', apiVersion: 'v1' }], 1],
    ['unreadable', [{ operation: 'Update', apiVersion: 'v1', fieldsType: 'FieldsV1', fieldsV1: { 'k:{': {} } }], 1],
    ['an empty entry', [{}], 0],
    ['an empty list', [], 0],
  ])('take managed fields that are %s', (_name, given, count) => {
    const made = update(configMaps, undefined, 'one', { data: { a: '1' } });
    const now = structuredClone(made) as KubeObject;
    now.metadata.managedFields = (given ?? undefined) as never;
    trackUpdate(made, now, facts(configMaps, 'two'));
    expect(now.metadata.managedFields ?? []).toHaveLength(count);
  });

  it('accept what a client makes of managed fields', () => {
    const made = update(configMaps, undefined, 'kubectl-client-side-apply', { data: { a: '1' } });
    const now = structuredClone(made) as KubeObject;
    const entry = now.metadata.managedFields?.[0];
    if (entry) Object.assign(entry, { manager: 'kubectl', operation: 'Apply' });
    trackUpdate(made, now, facts(configMaps, 'two'));
    expect(owners(now)).toEqual({ 'kubectl Apply': { 'f:data': { '.': {}, 'f:a': {} } } });
  });
});

describe('apply', () => {
  it('creates and owns what the configuration says, no defaults', () => {
    const made = apply(services, undefined, 'one', { spec: { ports: [{ port: 80 }, { port: 80, protocol: 'UDP' }] } });
    expect(owners(made)).toEqual({
      'one Apply': {
        'f:spec': {
          'f:ports': {
            'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {} },
            'k:{"port":80,"protocol":"UDP"}': { '.': {}, 'f:port': {}, 'f:protocol': {} },
          },
        },
      },
    });
  });

  it('removes what was applied before unless somebody else owns it', () => {
    const one = apply(configMaps, undefined, 'one', { data: { a: '1', b: '1', c: '1' } });
    const two = apply(configMaps, one, 'two', { data: { b: '1' } });
    const now = apply(configMaps, two, 'one', { data: { c: '1' } });
    expect(now).toMatchObject({ data: { b: '1', c: '1' } });
    expect((now as { data?: object }).data).not.toHaveProperty('a');
    expect(owners(now)).toEqual({
      'one Apply': { 'f:data': { 'f:c': {} } },
      'two Apply': { 'f:data': { 'f:b': {} } },
    });
  });

  it('removes list items, keeps the ones of others and the order of the configuration', () => {
    const containers = (...names: string[]) => ({ spec: template(names.map((name) => ({ name, image: 'i' }))) });
    const one = apply(deployments, undefined, 'one', containers('a', 'b', 'c'));
    const two = apply(deployments, one, 'two', containers('sidecar'));
    const now = apply(deployments, two, 'one', containers('c', 'a'));
    const { spec } = now as unknown as { spec: { template: { spec: { containers: { name: string }[] } } } };
    expect(spec.template.spec.containers.map((each) => each.name)).toEqual(['c', 'sidecar', 'a']);
  });

  it('names the conflicts', () => {
    const one = apply(deployments, undefined, 'one', {
      spec: { replicas: 1, ...template([{ name: 'c', image: 'i' }]) },
    });
    const single = errorOf(() => apply(deployments, one, 'two', { spec: { replicas: 2 } }));
    expect(single.code).toBe(409);
    expect(single.message).toBe('Apply failed with 1 conflict: conflict with "one": .spec.replicas');
    expect(single.status.details).toEqual({
      causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.spec.replicas' }],
    });
    const scaled = update(deployments, one, 'hand', {
      spec: { ...(one as unknown as { spec: object }).spec, replicas: 4 },
    });
    const both = errorOf(() =>
      apply(deployments, scaled, 'two', {
        spec: { replicas: 2, template: { spec: { containers: [{ name: 'c', image: 'j' }] } } },
      }),
    );
    expect(both.message).toBe(
      'Apply failed with 2 conflicts: conflicts with "hand" using apps/v1:\n- .spec.replicas\nconflicts with "one":\n- .spec.template.spec.containers[name="c"].image',
    );
    const forced = apply(deployments, scaled, 'two', { spec: { replicas: 2 } }, true);
    expect(owners(forced)['hand Update']).toBeUndefined();
    expect(owners(forced)['two Apply']).toEqual({ 'f:spec': { 'f:replicas': {} } });
    // The same value is no conflict: both own it.
    expect(Object.keys(owners(apply(deployments, one, 'two', { spec: { replicas: 1 } })))).toHaveLength(2);
  });

  it('takes atomic values as a whole', () => {
    const one = apply(services, undefined, 'one', { spec: { selector: { a: '1' }, ports: [{ port: 1 }] } });
    expect(errorOf(() => apply(services, one, 'two', { spec: { selector: { b: '1' } } })).message).toBe(
      'Apply failed with 1 conflict: conflict with "one": .spec.selector',
    );
    const two = apply(services, one, 'two', { spec: { selector: { b: '1' } } }, true);
    expect(two).toMatchObject({ spec: { selector: { b: '1' } } });
    expect((two as unknown as { spec: { selector: object } }).spec.selector).not.toHaveProperty('a');
  });

  it('starts with the managers that were before', () => {
    const bare = update(configMaps, undefined, 'one', { data: { a: '1' } });
    delete bare.metadata.managedFields;
    bare.metadata.uid = 'u';
    expect(errorOf(() => apply(configMaps, bare, 'two', { data: { a: '2' } })).message).toBe(
      'Apply failed with 1 conflict: conflict with "before-first-apply" using v1: .data.a',
    );
  });

  it('lets kubectl take over what it applied as a client', () => {
    const annotation = JSON.stringify({ ...head(configMaps), metadata: { name: 'x' }, data: { a: '1' } });
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': annotation };
    const made = update(configMaps, undefined, 'kubectl-client-side-apply', {
      metadata: { name: 'x', annotations },
      data: { a: '1', b: '1' },
    });
    const now = apply(configMaps, made, 'kubectl', { data: { a: '2' } });
    expect(now).toMatchObject({ data: { a: '2', b: '1' } });
    expect(JSON.parse(now.metadata.annotations?.['kubectl.kubernetes.io/last-applied-configuration'] ?? '')).toEqual({
      ...head(configMaps),
      metadata: { name: 'x' },
      data: { a: '2' },
    });
    expect(errorOf(() => apply(configMaps, made, 'kubectl', { data: { a: '2', b: '2' } })).message).toBe(
      'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using v1: .data.b',
    );
    expect(errorOf(() => apply(configMaps, made, 'other', { data: { a: '2' } })).code).toBe(409);
  });

  it('changes nothing the second time, times neither', () => {
    const one = apply(deployments, undefined, 'one', { spec: template([{ name: 'c', image: 'i' }]) });
    expect(apply(deployments, one, 'one', { spec: template([{ name: 'c', image: 'i' }]) })).toEqual(one);
  });

  it.each([
    [{ spec: { foo: 1 } }, '.spec.foo: field not declared in schema'],
    [{ spec: { replicas: 'lots' } }, '.spec.replicas: expected numeric (int or float), got string'],
    [
      { metadata: { name: 'x', labels: { a: true } } },
      '.metadata.labels.a: expected string, got &value.valueUnstructured{Value:true}',
    ],
    [
      { spec: template([{ name: 'c' }, { name: 'c' }]) },
      '.spec.template.spec.containers: duplicate entries for key [name="c"]',
    ],
    [
      { spec: template([{ image: 'i' }]) },
      '.spec.template.spec.containers: element 0: associative list with keys has an element that omits all key fields ["name"] (and doesn\'t have default values for any key fields)',
    ],
  ])('refuses %j', (config, message) => {
    const error = errorOf(() => apply(deployments, undefined, 'one', config));
    expect(error.code).toBe(500);
    expect(error.message).toBe(`failed to create typed patch object (/x; apps/v1, Kind=Deployment): ${message}`);
  });

  it.each([
    [{ apiVersion: 'v1' }, 'invalid object type: /v1, Kind=Deployment'],
    [{ kind: 'Pod' }, 'invalid object type: apps/v1, Kind=Pod'],
    [{ metadata: { name: 'x', managedFields: [] } }, 'metadata.managedFields must be nil'],
  ])('refuses %j as a bad request', (config, message) => {
    const error = errorOf(() => apply(deployments, undefined, 'one', config));
    expect([error.code, error.message]).toEqual([400, message]);
  });

  it('has no schema to go by for custom resources: granular maps, atomic lists', () => {
    const widgets = {
      ...configMaps,
      group: 'example.com',
      kind: 'Widget',
      resource: 'widgets',
      schema: '',
      hasStatus: true,
    };
    const one = apply(widgets, undefined, 'one', { spec: { size: 1, tags: ['a'], nested: { a: 1 } } });
    expect(owners(one)).toEqual({
      'one Apply': { 'f:spec': { 'f:nested': { '.': {}, 'f:a': {} }, 'f:size': {}, 'f:tags': {} } },
    });
    const two = apply(widgets, one, 'two', { spec: { nested: { b: 2 } } });
    const now = apply(widgets, two, 'one', { spec: { size: 1 } });
    expect((now as unknown as { spec: object }).spec).toEqual({ size: 1, nested: { b: 2 } });
  });
});

describe('properties', () => {
  const key = fc.constantFrom('a', 'b', 'c', 'd');
  const data = fc.dictionary(key, fc.constantFrom('1', '2'));
  const env = fc.uniqueArray(fc.record({ name: key, value: fc.constantFrom('1', '2') }), {
    selector: (each) => each.name,
  });
  const config = fc.record({ labels: data, env }).map(({ labels, env: list }) => ({
    metadata: { name: 'x', labels },
    spec: template([{ name: 'c', image: 'i', env: list }]),
  }));
  type Config = typeof config extends fc.Arbitrary<infer T> ? T : never;

  it('applying again changes nothing', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('one', 'two'), config), { minLength: 1, maxLength: 5 }),
        (steps) => {
          let object: KubeObject | undefined;
          for (const [manager, each] of steps) object = apply(deployments, object, manager, each, true);
          const [manager, last] = steps.at(-1) as [string, Config];
          const again = apply(deployments, object, manager, last);
          expect(sameManagers(again.metadata.managedFields, object?.metadata.managedFields)).toBe(true);
          // An empty list, which is not kept, counts as set each time; times of managed fields alone are not written.
          const { managedFields: _, ...metadata } = again.metadata;
          const { managedFields: __, ...before } = object?.metadata ?? {};
          expect({ ...again, metadata }).toEqual({ ...object, metadata: before });
        },
      ),
      { numRuns: 150 },
    );
  });

  it('two managers of different fields commute', () => {
    fc.assert(
      fc.property(data, data, (left, right) => {
        const ours = Object.fromEntries(Object.entries(left).map(([name, value]) => [`l${name}`, value]));
        const theirs = Object.fromEntries(Object.entries(right).map(([name, value]) => [`r${name}`, value]));
        const base = apply(configMaps, undefined, 'base', { data: { x: '1' } });
        const step = (object: KubeObject, manager: string, each: object) =>
          apply(configMaps, object, manager, { data: each });
        const a = step(step(base, 'one', ours), 'two', theirs);
        const b = step(step(base, 'two', theirs), 'one', ours);
        expect((a as { data?: object }).data).toEqual((b as { data?: object }).data);
        expect(owners(a)).toEqual(owners(b));
      }),
      { numRuns: 100 },
    );
  });

  it('a field that is applied no longer goes iff nobody else owns it', () => {
    fc.assert(
      fc.property(data, data, data, (first, other, second) => {
        const one = apply(configMaps, undefined, 'one', { data: first });
        const two = apply(configMaps, one, 'two', { data: other }, true);
        const now = apply(configMaps, two, 'one', { data: second }, true) as { data?: Record<string, string> };
        const wanted = { ...other, ...second };
        expect(now.data ?? {}).toEqual(wanted);
      }),
      { numRuns: 200 },
    );
  });
});
