import { expect, test } from 'vitest';
import { namespacePrefix, objectKey, prefixOfKey, resourcePrefix, splitKey } from './keys.ts';

const kind = (group: string, resource: string, namespaced = true) => ({ group, resource, namespaced });

test('objects lie where kube-apiserver puts them', () => {
  expect(objectKey(kind('', 'pods'), 'default', 'web')).toBe('/registry/pods/default/web');
  expect(objectKey(kind('', 'nodes', false), undefined, 'n1')).toBe('/registry/minions/n1');
  expect(objectKey(kind('', 'services'), 'a', 'b')).toBe('/registry/services/specs/a/b');
  expect(objectKey(kind('', 'endpoints'), 'a', 'b')).toBe('/registry/services/endpoints/a/b');
  expect(objectKey(kind('', 'replicationcontrollers'), 'a', 'b')).toBe('/registry/controllers/a/b');
  expect(objectKey(kind('apps', 'deployments'), 'a', 'b')).toBe('/registry/deployments/a/b');
  expect(objectKey(kind('networking.k8s.io', 'ingresses'), 'a', 'b')).toBe('/registry/ingress/a/b');
  expect(objectKey(kind('events.k8s.io', 'events'), 'a', 'b')).toBe('/registry/events/a/b');
  expect(resourcePrefix(kind('rbac.authorization.k8s.io', 'clusterroles', false))).toBe('/registry/clusterroles/');
  expect(resourcePrefix(kind('example.com', 'widgets'))).toBe('/registry/example.com/widgets/');
  expect(resourcePrefix(kind('apiextensions.k8s.io', 'customresourcedefinitions', false))).toBe(
    '/registry/apiextensions.k8s.io/customresourcedefinitions/',
  );
  expect(namespacePrefix(kind('', 'pods'), 'a')).toBe('/registry/pods/a/');
  expect(() => objectKey(kind('', 'pods'), undefined, 'web')).toThrow(/needs a namespace/);
});

test('a key tells its namespace, name and resource', () => {
  for (const each of [kind('', 'pods'), kind('', 'services'), kind('example.com', 'widgets')]) {
    const key = objectKey(each, 'ns', 'name');
    expect(splitKey(each, key)).toEqual({ namespace: 'ns', name: 'name' });
    expect(prefixOfKey(key)).toBe(resourcePrefix(each));
  }
  const role = kind('rbac.authorization.k8s.io', 'clusterroles', false);
  expect(splitKey(role, objectKey(role, undefined, 'system:node'))).toEqual({ name: 'system:node' });
});
