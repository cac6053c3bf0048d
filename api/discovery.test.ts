import { describe, expect, it } from 'vitest';
import { aggregatedDiscovery, apiGroup, apiGroupList, apiResourceList, apiVersions } from './discovery.ts';
import { createScheme } from './kinds/index.ts';
import { compareVersions, Scheme } from './scheme.ts';
import { parseIncludeObject, tableOf } from './table.ts';

const scheme = createScheme();

describe('the scheme', () => {
  it('finds kinds by what people type', () => {
    for (const typed of [
      'deploy',
      'deployment',
      'Deployments',
      'deployments.apps',
      'deployments.v1.apps',
      'DEPLOYMENT',
    ]) {
      expect(scheme.lookup(typed)?.kind).toBe('Deployment');
    }
    expect(scheme.lookup('po')?.kind).toBe('Pod');
    expect(scheme.lookup('deployments.example.com')).toBeUndefined();
    expect(scheme.inCategory('all').map((each) => each.resource)).toContain('pods');
  });
  it('finds kinds by what objects and requests say', () => {
    expect(scheme.byObject({ apiVersion: 'apps/v1', kind: 'ReplicaSet' })?.resource).toBe('replicasets');
    expect(scheme.byResource('', 'v1', 'pods')?.kind).toBe('Pod');
    expect(scheme.byResource('', 'v2', 'pods')).toBeUndefined();
    expect(scheme.byGroupKind('apps', 'Deployment')?.version).toBe('v1');
  });
  it('refuses a kind twice, and forgets one that is removed', () => {
    const pod = scheme.byKind('', 'v1', 'Pod');
    const own = new Scheme([pod as never]);
    expect(() => own.add(pod as never)).toThrow('v1 Pod (pods) is already registered');
    const before = own.revision;
    expect(own.remove({ group: '', version: 'v1', resource: 'pods' })).toBe(true);
    expect(own.revision).toBeGreaterThan(before);
    expect(own.byKind('', 'v1', 'Pod')).toBeUndefined();
    expect(() => own.add({ ...pod, schema: 'core.v1.Nothing' } as never)).toThrow('has no schema core.v1.Nothing');
  });
  it('orders versions by stability and number', () => {
    const versions = ['v1alpha1', 'foo10', 'v1', 'v2beta1', 'v10', 'v1beta2', 'v2', 'v1beta1', 'bar'];
    expect(versions.sort(compareVersions)).toEqual([
      'v10',
      'v2',
      'v1',
      'v2beta1',
      'v1beta2',
      'v1beta1',
      'v1alpha1',
      'bar',
      'foo10',
    ]);
  });
});

describe('discovery', () => {
  it('in one document: the core group, and all others', () => {
    const core = aggregatedDiscovery(scheme, true) as unknown as {
      items: { metadata: object; versions: { resources: Record<string, unknown>[] }[] }[];
    };
    expect(core.items).toHaveLength(1);
    expect(core.items[0]?.metadata).not.toHaveProperty('name');
    const pods = core.items[0]?.versions[0]?.resources.find((each) => each['resource'] === 'pods');
    expect(pods).toMatchObject({
      responseKind: { group: '', version: 'v1', kind: 'Pod' },
      scope: 'Namespaced',
      singularResource: 'pod',
      shortNames: ['po'],
      categories: ['all'],
    });
    const others = aggregatedDiscovery(scheme, false) as unknown as { items: { metadata: { name: string } }[] };
    expect(others.items.map((each) => each.metadata.name)).toContain('apps');
  });
  it('group by group', () => {
    expect(apiVersions('127.0.0.1:6443').versions).toEqual(['v1']);
    expect(apiGroupList(scheme).groups.map((each) => each.name)).not.toContain('');
    expect(apiGroup(scheme, 'apps')).toMatchObject({ preferredVersion: { groupVersion: 'apps/v1', version: 'v1' } });
    expect(apiGroup(scheme, 'nope')).toBeUndefined();
    const apps = apiResourceList(scheme, 'apps', 'v1');
    expect(apps?.resources.map((each) => each.name)).toEqual(
      expect.arrayContaining(['deployments', 'deployments/scale', 'deployments/status']),
    );
    expect(apps?.resources.find((each) => each.name === 'deployments/scale')).toMatchObject({
      group: 'autoscaling',
      version: 'v1',
      kind: 'Scale',
    });
    expect(apiResourceList(scheme, 'apps', 'v9')).toBeUndefined();
  });
});

describe('tables', () => {
  const kind = scheme.byKind('', 'v1', 'ConfigMap');
  const object = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'a', resourceVersion: '5' },
    data: { x: '1' },
  };
  const table = (includeObject: 'None' | 'Metadata' | 'Object') =>
    tableOf(kind as never, [object], { nowMs: 0, version: 'v1', includeObject, metadata: { resourceVersion: '7' } });

  it('have one cell per column and as much of the object as asked for', () => {
    const { columnDefinitions, rows } = table('Metadata');
    expect(columnDefinitions[0]).toMatchObject({ name: 'Name', type: 'string', format: 'name', priority: 0 });
    expect(rows[0]?.cells).toHaveLength(columnDefinitions.length);
    expect(rows[0]?.object).toEqual({
      kind: 'PartialObjectMetadata',
      apiVersion: 'meta.k8s.io/v1',
      metadata: object.metadata,
    });
    expect(table('None').rows[0]).not.toHaveProperty('object');
    expect(table('Object').rows[0]?.object).toBe(object);
  });
  it('refuse other demands', () => {
    expect(parseIncludeObject(undefined)).toBe('Metadata');
    expect(() => parseIncludeObject('All')).toThrow(
      "includeObject: Invalid value: \"All\": must be 'Metadata', 'Object', 'None', or empty",
    );
  });
});
