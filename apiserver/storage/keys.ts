// Where an object lives in the store: the keys of a kube-apiserver with its default `--etcd-prefix=/registry`, so that the
// same etcd can be read by either.
import type { Kind } from '../../api/kind.ts';

export const ROOT = '/registry/';

type Resource = Pick<Kind, 'group' | 'resource' | 'namespaced' | 'conversion'>;

/** Resources whose directory is not their name (kubernetes/pkg/kubeapiserver/default_storage_factory_builder.go). */
const SPECIAL: Readonly<Record<string, string>> = {
  replicationcontrollers: 'controllers',
  endpoints: 'services/endpoints',
  services: 'services/specs',
  nodes: 'minions',
  'ingresses.networking.k8s.io': 'ingress',
};

/** Groups built into kube-apiserver: their resources lie directly below the root. */
const BUILT_IN = new Set([
  '',
  'admissionregistration.k8s.io',
  'apps',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'events.k8s.io',
  'flowcontrol.apiserver.k8s.io',
  'internal.apiserver.k8s.io',
  'networking.k8s.io',
  'node.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'resource.k8s.io',
  'scheduling.k8s.io',
  'storage.k8s.io',
  'storagemigration.k8s.io',
]);

/**
 * The prefix of all keys of a resource, with its slash: `/registry/pods/`, `/registry/example.com/widgets/`. Every version of a
 * kind has the keys of the one it is stored as.
 */
export function resourcePrefix(served: Resource): string {
  const kind = served.conversion ? served.conversion.storage() : served;
  const special = SPECIAL[kind.group === '' ? kind.resource : `${kind.resource}.${kind.group}`];
  if (special) return `${ROOT}${special}/`;
  return BUILT_IN.has(kind.group) ? `${ROOT}${kind.resource}/` : `${ROOT}${kind.group}/${kind.resource}/`;
}

/** The prefix of a namespace's objects of that resource: `/registry/pods/default/`. */
export function namespacePrefix(kind: Resource, namespace: string): string {
  return `${resourcePrefix(kind)}${namespace}/`;
}

/** `/registry/pods/default/web`; `namespace` is ignored for cluster-scoped resources. */
export function objectKey(kind: Resource, namespace: string | undefined, name: string): string {
  if (!kind.namespaced) return `${resourcePrefix(kind)}${name}`;
  if (!namespace) throw new RangeError(`${kind.resource} "${name}": a namespaced object needs a namespace`);
  return `${resourcePrefix(kind)}${namespace}/${name}`;
}

/** Namespace and name of a key below `resourcePrefix(kind)`. */
export function splitKey(kind: Resource, key: string): { namespace?: string; name: string } {
  const rest = key.slice(resourcePrefix(kind).length);
  const slash = kind.namespaced ? rest.indexOf('/') : -1;
  return slash < 0 ? { name: rest } : { namespace: rest.slice(0, slash), name: rest.slice(slash + 1) };
}

/** The resource prefix that a key belongs to, from the key alone: directories with a dot, and `services`, have two levels. */
export function prefixOfKey(key: string): string {
  const start = key.startsWith(ROOT) ? ROOT.length : 0;
  let end = key.indexOf('/', start);
  if (end < 0) return key;
  const first = key.slice(start, end);
  if (first.includes('.') || first === 'services') {
    const second = key.indexOf('/', end + 1);
    if (second >= 0) end = second;
  }
  return key.slice(0, end + 1);
}
