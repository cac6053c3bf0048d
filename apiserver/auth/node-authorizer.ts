// What a kubelet may do: its own objects, and of secrets, config maps and claims only those that the pods bound to its
// node refer to. Fed by the pods' watch cache (https://kubernetes.io/docs/reference/access-authn-authz/node/).
import type { Pod, Volume } from '../../api/types/core-v1.ts';
import type { PolicyRule } from '../../api/types/rbac-v1.ts';
import { type Attributes, type Authorizer, type Decision, nodeNameOf } from './identity.ts';
import { rulesAllow } from './rules.ts';

const DENY = (reason: string): Decision => ({ allowed: false, reason });
const ALLOW: Decision = { allowed: true, reason: '' };

export class NodeAuthorizer implements Authorizer {
  /** `RESOURCE/NAMESPACE/NAME` to how many pods of a node refer to it, by node. */
  #references = new Map<string, Map<string, number>>();
  #pods = new Map<string, { node: string; references: string[] }>();
  #rules: readonly PolicyRule[];

  /** `rules`: what every node may do; the rules of the bootstrap ClusterRole system:node. */
  constructor(rules: readonly PolicyRule[]) {
    this.#rules = rules;
  }

  /** Takes over the state of one pod; `undefined` means it is gone. Idempotent. */
  applyPod(namespace: string, name: string, pod: Pod | undefined): void {
    const key = `${namespace}/${name}`;
    const old = this.#pods.get(key);
    const node = pod?.spec?.nodeName;
    if (old) {
      for (const reference of old.references) this.#count(old.node, reference, -1);
      this.#pods.delete(key);
    }
    if (!pod || !node) return;
    const references = podReferences(pod);
    for (const reference of references) this.#count(node, reference, 1);
    this.#pods.set(key, { node, references });
  }

  authorize(attributes: Attributes): Decision {
    const node = nodeNameOf(attributes.user);
    if (node === undefined) return DENY('');
    if (!attributes.isResource) return rulesAllow(this.#rules, attributes) ? ALLOW : DENY('');
    if (attributes.group === '') {
      switch (attributes.resource) {
        case 'secrets':
        case 'configmaps':
        case 'persistentvolumeclaims':
          if (attributes.subresource === '') return this.#authorizeReference(node, attributes);
          break;
        case 'persistentvolumes':
          return attributes.verb === 'get' ? ALLOW : DENY('can only get individual resources of this type');
        case 'serviceaccounts':
          return this.#authorizeServiceAccount(node, attributes);
        default:
          break;
      }
    }
    if (attributes.group === 'coordination.k8s.io' && attributes.resource === 'leases') {
      return authorizeLease(node, attributes);
    }
    return rulesAllow(this.#rules, attributes) ? ALLOW : DENY('');
  }

  /** True when a pod on `node` runs as this service account. */
  runsAs(node: string, namespace: string, account: string): boolean {
    return this.#references.get(node)?.has(`serviceaccounts/${namespace}/${account}`) ?? false;
  }

  #authorizeReference(node: string, attributes: Attributes): Decision {
    if (!['get', 'list', 'watch'].includes(attributes.verb)) return DENY('can only read resources of this type');
    if (!attributes.name) return DENY('can only read namespaced object of this type');
    const reference = `${attributes.resource}/${attributes.namespace}/${attributes.name}`;
    if (this.#references.get(node)?.has(reference)) return ALLOW;
    return DENY(`no relationship found between node ${JSON.stringify(node)} and this object`);
  }

  #authorizeServiceAccount(node: string, attributes: Attributes): Decision {
    const wantsToken = attributes.subresource === 'token' && attributes.verb === 'create';
    const reads = attributes.subresource === '' && attributes.verb === 'get';
    if (!wantsToken && !reads) return DENY('can only create tokens for individual service accounts');
    if (this.runsAs(node, attributes.namespace, attributes.name)) return ALLOW;
    return DENY(`no relationship found between node ${JSON.stringify(node)} and this object`);
  }

  #count(node: string, reference: string, change: 1 | -1): void {
    let counts = this.#references.get(node);
    if (!counts) {
      counts = new Map();
      this.#references.set(node, counts);
    }
    const count = (counts.get(reference) ?? 0) + change;
    if (count > 0) counts.set(reference, count);
    else counts.delete(reference);
    if (counts.size === 0) this.#references.delete(node);
  }
}

function authorizeLease(node: string, attributes: Attributes): Decision {
  if (attributes.subresource !== '') return DENY('');
  if (!['get', 'create', 'update', 'patch', 'delete'].includes(attributes.verb)) {
    return DENY('can only get, create, update, patch, or delete a node lease');
  }
  if (attributes.namespace !== 'kube-node-lease')
    return DENY('can only access leases in the "kube-node-lease" system namespace');
  if (attributes.verb !== 'create' && attributes.name !== node) {
    return DENY('can only access node lease with the same name as the requesting node');
  }
  return ALLOW;
}

function podReferences(pod: Pod): string[] {
  const namespace = pod.metadata.namespace ?? '';
  const found = new Set<string>();
  const add = (resource: string, name: string | undefined) => {
    if (name) found.add(`${resource}/${namespace}/${name}`);
  };
  add('serviceaccounts', pod.spec?.serviceAccountName);
  for (const each of pod.spec?.imagePullSecrets ?? []) add('secrets', each.name);
  for (const volume of pod.spec?.volumes ?? []) volumeReferences(volume, pod, add);
  const containers = [
    ...(pod.spec?.containers ?? []),
    ...(pod.spec?.initContainers ?? []),
    ...(pod.spec?.ephemeralContainers ?? []),
  ];
  for (const container of containers) {
    for (const each of container.envFrom ?? []) {
      add('secrets', each.secretRef?.name);
      add('configmaps', each.configMapRef?.name);
    }
    for (const each of container.env ?? []) {
      add('secrets', each.valueFrom?.secretKeyRef?.name);
      add('configmaps', each.valueFrom?.configMapKeyRef?.name);
    }
  }
  return [...found];
}

function volumeReferences(volume: Volume, pod: Pod, add: (resource: string, name: string | undefined) => void): void {
  add('secrets', volume.secret?.secretName);
  add('configmaps', volume.configMap?.name);
  add('persistentvolumeclaims', volume.persistentVolumeClaim?.claimName);
  if (volume.ephemeral) add('persistentvolumeclaims', `${pod.metadata.name}-${volume.name}`);
  for (const source of volume.projected?.sources ?? []) {
    add('secrets', source.secret?.name);
    add('configmaps', source.configMap?.name);
  }
}
