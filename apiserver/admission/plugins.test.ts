// Plugins on their own: one row per sentence.
import { describe, expect, it } from 'vitest';
import type { Kind } from '../../api/kind.ts';
import { builtinKinds } from '../../api/kinds/index.ts';
import { ApiError } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import { FakeClock } from '../../lib/clock.ts';
import { tokenRequestKind } from '../registry/subresources/kinds.ts';
import type { AdmissionPlugin, AdmissionRequest, Operation } from './chain.ts';
import type { Lookup } from './lookup.ts';
import { nodeRestriction } from './node-restriction.ts';
import { serviceAccountAdmission } from './service-account.ts';

const kindOf = (resource: string): Kind =>
  builtinKinds.find((each) => each.resource === resource && each.version === 'v1') as Kind;

/** By `resource/namespace/name`. */
const lookupOf = (objects: Record<string, object>): Lookup => ({
  find: async (_group, resource, namespace, name) => objects[`${resource}/${namespace}/${name}`] as never,
  list: async () => [],
});

interface Asked {
  operation?: Operation;
  resource?: string;
  subresource?: string;
  namespace?: string;
  name?: string;
  object?: object;
  old?: object;
  user?: string;
}

function request(asked: Asked): AdmissionRequest {
  const object = asked.object as KubeObject | undefined;
  const name = asked.user ?? 'system:node:n1';
  return {
    operation: asked.operation ?? 'CREATE',
    kind: kindOf(asked.resource ?? 'pods'),
    subresource: asked.subresource ?? '',
    namespace: asked.namespace ?? 'ns',
    name: asked.name ?? object?.metadata?.name ?? 'x',
    object,
    old: asked.old as KubeObject | undefined,
    user: { name, groups: name.startsWith('system:node:') ? ['system:nodes'] : [] },
    dryRun: false,
    warn() {},
  };
}

/** What the plugin says: the sentence after `is forbidden: `, a whole message, or `ok`. */
async function verdict(plugin: AdmissionPlugin, asked: Asked): Promise<string> {
  const of = request(asked);
  if (!plugin.handles?.(of.kind, of.subresource, of.operation)) return 'not asked';
  try {
    await plugin.mutate?.(of);
    await plugin.validate?.(of);
    return 'ok';
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error.message.replace(/^.* is forbidden: /, '');
  }
}

describe('NodeRestriction', () => {
  const pods = {
    'pods/ns/mine': {
      metadata: { name: 'mine', uid: 'u1' },
      spec: { nodeName: 'n1', volumes: [{ projected: { sources: [{ serviceAccountToken: { audience: 'vault' } }] } }] },
    },
    'pods/ns/other': { metadata: { name: 'other', uid: 'u2' }, spec: { nodeName: 'n2' } },
    'nodes//n1': { metadata: { name: 'n1', uid: 'node-uid' } },
  };
  const plugin = nodeRestriction(lookupOf(pods));
  const owner = { apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'node-uid', controller: true };
  const mirror = (spec: object = {}, metadata: object = {}) => ({
    metadata: { name: 'm', annotations: { 'kubernetes.io/config.mirror': 'x' }, ownerReferences: [owner], ...metadata },
    spec: { nodeName: 'n1', containers: [], ...spec },
  });
  const node = (labels: object = {}, spec: object = {}) => ({ metadata: { name: 'n1', labels }, spec });
  const token = (boundObjectRef: object | undefined, audiences: string[] = []) => ({
    operation: 'CREATE' as const,
    resource: 'serviceaccounts',
    subresource: 'token',
    object: { kind: tokenRequestKind.kind, metadata: {}, spec: { audiences, boundObjectRef } },
  });
  const bound = (name: string, uid: string | undefined) => ({ apiVersion: 'v1', kind: 'Pod', name, uid });
  const status = (labels: object, nodeName = 'n1') => ({ metadata: { labels }, spec: { nodeName }, status: {} });

  it.each<[string, Asked, string]>([
    ['another user', { user: 'alice', object: mirror() }, 'ok'],
    [
      'a node without a name',
      { user: 'system:node:', object: mirror() },
      'could not determine node from user "system:node:"',
    ],
    ['a mirror', { object: mirror() }, 'ok'],
    [
      'an ordinary pod',
      { object: mirror({}, { annotations: {} }) },
      'pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
    ],
    [
      'a mirror elsewhere',
      { object: mirror({ nodeName: 'n2' }) },
      'node "n1" can only create pods with spec.nodeName set to itself',
    ],
    [
      'a mirror of nobody',
      { object: mirror({}, { ownerReferences: [] }) },
      'node "n1" can only create pods with an owner reference set to itself',
    ],
    [
      'a mirror of two',
      { object: mirror({}, { ownerReferences: [owner, owner] }) },
      'node "n1" can only create pods with a single owner reference set to itself',
    ],
    [
      'a mirror of another node',
      { object: mirror({}, { ownerReferences: [{ ...owner, uid: 'z' }] }) },
      'node n1 UID mismatch: expected z got node-uid',
    ],
    [
      'a mirror with an account',
      { object: mirror({ serviceAccountName: 'a' }) },
      'node "n1" can not create pods that reference a service account',
    ],
    [
      'a mirror with a secret',
      { object: mirror({ volumes: [{ name: 'v', secret: { secretName: 's' } }] }) },
      'node "n1" can not create pods that reference secrets',
    ],
    [
      'a mirror with a config map',
      { object: mirror({ containers: [{ name: 'c', envFrom: [{ configMapRef: { name: 'm' } }] }] }) },
      'node "n1" can not create pods that reference configmaps',
    ],
    [
      'a mirror with a claim',
      { object: mirror({ volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] }) },
      'node "n1" can not create pods that reference persistentvolumeclaims',
    ],
    ['the deletion of its own pod', { operation: 'DELETE', old: mirror() }, 'ok'],
    [
      'the deletion of another',
      { operation: 'DELETE', old: mirror({ nodeName: 'n2' }) },
      'node "n1" can only delete pods with spec.nodeName set to itself',
    ],
    [
      'an update',
      { operation: 'UPDATE', object: mirror(), old: mirror() },
      'unexpected operation "UPDATE", node "n1" can only create and delete mirror pods',
    ],
    ['a status', { operation: 'UPDATE', subresource: 'status', object: status({}), old: status({}) }, 'ok'],
    [
      'a status of another',
      { operation: 'UPDATE', subresource: 'status', object: status({}), old: status({}, 'n2') },
      'node "n1" can only update pod status for pods with spec.nodeName set to itself',
    ],
    [
      'labels with a status',
      { operation: 'UPDATE', subresource: 'status', object: status({ a: 'b' }), old: status({}) },
      'node "n1" cannot update labels through pod status',
    ],
    [
      'a binding',
      { subresource: 'binding', object: status({}) },
      `unexpected pod subresource "binding", only 'status' and 'eviction' are allowed`,
    ],
    ['an eviction', { subresource: 'eviction', name: 'mine', object: { metadata: {} } }, 'ok'],
    [
      'an eviction of another',
      { subresource: 'eviction', name: 'other', object: { metadata: {} } },
      'node n1 can only evict pods with spec.nodeName set to itself',
    ],
    [
      'an eviction of nobody',
      { subresource: 'eviction', name: 'gone', object: { metadata: {} } },
      'pods "gone" not found',
    ],
    [
      'itself',
      { resource: 'nodes', object: node({ 'kubernetes.io/os': 'linux', mine: 'x', 'foo.node.kubernetes.io/a': 'b' }) },
      'ok',
    ],
    ['another node', { resource: 'nodes', name: 'n2', object: node() }, 'node "n1" is not allowed to modify node "n2"'],
    [
      'labels that are not its to set',
      { resource: 'nodes', object: node({ 'node-restriction.kubernetes.io/a': 'b', 'foo.k8s.io/x': 'y' }) },
      'node "n1" is not allowed to set the following labels: foo.k8s.io/x, node-restriction.kubernetes.io/a',
    ],
    [
      'labels that are not its to take away',
      { operation: 'UPDATE', resource: 'nodes', object: node(), old: node({ 'node-role.kubernetes.io/x': '' }) },
      'is not allowed to modify labels: node-role.kubernetes.io/x',
    ],
    [
      'taints',
      {
        operation: 'UPDATE',
        resource: 'nodes',
        object: node({}, { taints: [] }),
        old: node({}, { taints: [{ key: 'a' }] }),
      },
      'node "n1" is not allowed to modify taints',
    ],
    ['a lease', { resource: 'leases', namespace: 'kube-node-lease', object: { metadata: { name: 'n1' } } }, 'ok'],
    [
      'a lease of another',
      { resource: 'leases', namespace: 'kube-node-lease', object: { metadata: { name: 'n2' } } },
      'can only access node lease with the same name as the requesting node',
    ],
    [
      'a lease elsewhere',
      { resource: 'leases', object: { metadata: { name: 'n1' } } },
      'can only access leases in the "kube-node-lease" system namespace',
    ],
    [
      'a CSINode of another',
      { resource: 'csinodes', object: { metadata: { name: 'n2' } } },
      'can only access CSINode with the same name as the requesting node',
    ],
    [
      'a slice of another',
      { resource: 'resourceslices', object: { metadata: { name: 's' }, spec: { nodeName: 'n2' } } },
      'can only create ResourceSlice with the same NodeName as the requesting node',
    ],
    [
      'a claim',
      { operation: 'UPDATE', resource: 'persistentvolumeclaims', object: { metadata: {} }, old: { metadata: {} } },
      'may only update PVC status',
    ],
    ['a token for a pod of its own', token(bound('mine', 'u1'), ['vault']), 'ok'],
    ['a token for nobody', token(undefined), 'node requested token not bound to a pod'],
    [
      'a token for a pod without a uid',
      token(bound('mine', undefined)),
      'node requested token with a pod binding without a uid',
    ],
    [
      'a token for another pod of that name',
      token(bound('mine', 'u0')),
      'the UID in the bound object reference (u0) does not match the UID in record. The object might have been deleted and then recreated',
    ],
    [
      'a token for a pod elsewhere',
      token(bound('other', 'u2')),
      'node requested token bound to a pod scheduled on a different node',
    ],
    [
      'a token for whom no pod asks',
      token(bound('mine', 'u1'), ['bank']),
      'audience "bank" not found in pod spec volume',
    ],
  ])('%s', async (_, asked, expected) => {
    expect(await verdict(plugin, asked)).toBe(expected);
  });
});

describe('ServiceAccount', () => {
  const account = (more: object = {}) => ({
    metadata: { name: 'a', annotations: {}, ...more },
    secrets: [{ name: 'mine' }],
    imagePullSecrets: [{ name: 'pull' }],
  });
  const strict = account({ annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } });
  const objects: Record<string, object> = { 'serviceaccounts/ns/a': account(), 'serviceaccounts/ns/strict': strict };
  const clock = new FakeClock();
  const plugin = serviceAccountAdmission(lookupOf(objects), { clock, random: () => 0 });
  const pod = (spec: object, metadata: object = {}) => ({
    metadata: { name: 'p', ...metadata },
    spec: { containers: [{ name: 'c' }], ...spec },
  });
  const mirror = { annotations: { 'kubernetes.io/config.mirror': 'x' } };
  const env = (name: string) => [{ name: 'c', env: [{ name: 'E', valueFrom: { secretKeyRef: { name, key: 'k' } } }] }];

  it.each<[string, object, string]>([
    ['an account', pod({ serviceAccountName: 'a' }), 'ok'],
    [
      'an account that is not there',
      pod({ serviceAccountName: 'b' }),
      'error looking up service account ns/b: serviceaccount "b" not found',
    ],
    [
      'secrets of an account that lists them',
      pod({
        serviceAccountName: 'strict',
        containers: env('mine'),
        volumes: [{ name: 'v', secret: { secretName: 'mine' } }],
      }),
      'ok',
    ],
    [
      'a volume that it does not list',
      pod({ serviceAccountName: 'strict', volumes: [{ name: 'v', secret: { secretName: 'theirs' } }] }),
      'volume with secret.secretName="theirs" is not allowed because service account a does not reference that secret',
    ],
    [
      'a variable that it does not list',
      pod({ serviceAccountName: 'strict', containers: env('theirs') }),
      'container c with envVar E referencing secret.secretName="theirs" is not allowed because service account a does not reference that secret',
    ],
    [
      'a pull secret that it does not list',
      pod({ serviceAccountName: 'strict', imagePullSecrets: [{ name: 'theirs' }] }),
      'imagePullSecrets[0].name="theirs" is not allowed because service account a does not reference that imagePullSecret',
    ],
    ['a mirror', pod({}, mirror), 'ok'],
    [
      'a mirror with an account',
      pod({ serviceAccountName: 'a' }, mirror),
      'a mirror pod may not reference service accounts',
    ],
    ['a mirror with a secret', pod({ containers: env('x') }, mirror), 'a mirror pod may not reference secrets'],
    [
      'a mirror with a token',
      pod({ volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } }] }, mirror),
      'a mirror pod may not use ServiceAccountToken volume projections',
    ],
  ])('%s', async (_, object, expected) => {
    expect(await verdict(plugin, { object, user: 'alice' })).toBe(expected);
  });

  it('waits a little for the account that every namespace gets', async () => {
    const asked = verdict(plugin, { object: pod({}), user: 'alice' });
    await clock.advance(150);
    objects['serviceaccounts/ns/default'] = account();
    await clock.advance(150);
    expect(await asked).toBe('ok');
  });
});
