// What a kubelet may do: its own objects, and of secrets, config maps, claims and the like only those that the pods bound
// to its node refer to (https://kubernetes.io/docs/reference/access-authn-authz/node/). NodeRestriction, an admission
// plugin, looks at what it writes. Messages are upstream's.
import type { PolicyRule } from '../../api/types/rbac-v1.ts';
import type { Attributes, Authorizer, Decision } from './identity.ts';
import { nodeNameOf } from './identity.ts';
import type { NodeGraph } from './node-graph.ts';
import { rulesAllow } from './rules.ts';

const deny = (reason: string): Decision => ({ allowed: false, reason });
const NO_OPINION = deny('');
const ALLOW: Decision = { allowed: true, reason: '' };

export class NodeAuthorizer implements Authorizer {
  #graph: NodeGraph;
  #rules: readonly PolicyRule[];

  /** `rules`: what every node may do; the rules of the bootstrap ClusterRole system:node. */
  constructor(graph: NodeGraph, rules: readonly PolicyRule[]) {
    this.#graph = graph;
    this.#rules = rules;
  }

  authorize(attributes: Attributes): Decision {
    const node = nodeNameOf(attributes.user);
    if (node === undefined) return NO_OPINION;
    if (node === '') return deny(`unknown node for user ${JSON.stringify(attributes.user.name)}`);
    if (attributes.isResource) {
      switch (attributes.group === '' ? attributes.resource : `${attributes.resource}.${attributes.group}`) {
        case 'secrets':
        case 'configmaps':
          return this.#readNamed(node, attributes);
        case 'persistentvolumeclaims':
          return attributes.subresource === 'status'
            ? this.#updateStatus(node, attributes)
            : this.#getOne(node, attributes);
        case 'persistentvolumes':
        case 'resourceclaims.resource.k8s.io':
        case 'volumeattachments.storage.k8s.io':
          return this.#getOne(node, attributes);
        case 'serviceaccounts':
          return this.#serviceAccount(node, attributes);
        case 'leases.coordination.k8s.io':
          return lease(node, attributes);
        case 'csinodes.storage.k8s.io':
          return csiNode(node, attributes);
        case 'resourceslices.resource.k8s.io':
          return this.#resourceSlice(node, attributes);
        case 'nodes':
          return nodeItself(node, attributes);
        case 'pods':
          return this.#pod(node, attributes);
        default:
      }
    }
    return rulesAllow(this.#rules, attributes) ? ALLOW : NO_OPINION;
  }

  #related(node: string, { resource, namespace, name }: Attributes): Decision {
    if (name === '') return deny('No Object name found');
    if (this.#graph.belongs(node, resource, namespace, name)) return ALLOW;
    return deny(`no relationship found between node '${node}' and this object`);
  }

  #readNamed(node: string, attributes: Attributes): Decision {
    if (!['get', 'list', 'watch'].includes(attributes.verb)) return deny('can only read resources of this type');
    if (attributes.subresource !== '') return deny('cannot read subresource');
    if (attributes.namespace === '') return deny('can only read namespaced object of this type');
    return this.#related(node, attributes);
  }

  #getOne(node: string, attributes: Attributes): Decision {
    if (attributes.verb !== 'get') return deny('can only get individual resources of this type');
    if (attributes.subresource !== '') return deny('cannot get subresource');
    return this.#related(node, attributes);
  }

  #updateStatus(node: string, attributes: Attributes): Decision {
    if (attributes.verb !== 'update' && attributes.verb !== 'patch') return deny('can only get/update/patch this type');
    return this.#related(node, attributes);
  }

  #serviceAccount(node: string, attributes: Attributes): Decision {
    if (attributes.verb === 'get' && attributes.subresource === '') return this.#related(node, attributes);
    if (attributes.verb !== 'create' || attributes.name === '') {
      return deny('can only create tokens for individual service accounts');
    }
    if (attributes.subresource !== 'token') return deny('can only create token subresource of serviceaccount');
    return this.#related(node, attributes);
  }

  #resourceSlice(node: string, attributes: Attributes): Decision {
    if (attributes.subresource !== '') return deny('cannot authorize ResourceSlice subresources');
    switch (attributes.verb) {
      case 'create':
        return ALLOW;
      case 'get':
      case 'update':
      case 'patch':
      case 'delete':
        return this.#related(node, attributes);
      case 'watch':
      case 'list':
      case 'deletecollection':
        if (selects(attributes, 'spec.nodeName', node)) return ALLOW;
        return deny('can only list/watch/deletecollection resourceslices with spec.nodeName field selector');
      default:
        return deny(
          'only the following verbs are allowed for a ResourceSlice: get, watch, list, create, update, patch, delete, deletecollection',
        );
    }
  }

  #pod(node: string, attributes: Attributes): Decision {
    const { subresource, verb } = attributes;
    if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOW : NO_OPINION;
    if (subresource === 'eviction') return verb === 'create' ? ALLOW : NO_OPINION;
    if (subresource !== '') return NO_OPINION;
    switch (verb) {
      case 'create':
      case 'delete':
        return ALLOW;
      case 'get':
        return this.#related(node, attributes);
      case 'list':
      case 'watch':
        if (selects(attributes, 'spec.nodeName', node)) return ALLOW;
        if (attributes.name !== '') return this.#related(node, attributes);
        return deny('can only list/watch pods with spec.nodeName field selector');
      default:
        return NO_OPINION;
    }
  }
}

function selects({ fieldSelector }: Attributes, field: string, value: string): boolean {
  return (
    fieldSelector?.some(
      (each) => each.key === field && each.operator === 'In' && each.values.length === 1 && each.values[0] === value,
    ) ?? false
  );
}

function nodeItself(node: string, { subresource, verb, name }: Attributes): Decision {
  if (subresource === 'status') return verb === 'update' || verb === 'patch' ? ALLOW : NO_OPINION;
  if (subresource !== '') return NO_OPINION;
  switch (verb) {
    case 'create':
    case 'update':
    case 'patch':
      return ALLOW;
    case 'get':
    case 'list':
    case 'watch':
      // By name alone, so that a kubelet may look for its Node before it has made it.
      if (name === node) return ALLOW;
      if (name === '') return deny(`node '${node}' cannot read all nodes, only its own Node object`);
      return deny(`node '${node}' cannot read '${name}', only its own Node object`);
    default:
      return NO_OPINION;
  }
}

const OWN_VERBS = ['get', 'create', 'update', 'patch', 'delete'];

function lease(node: string, { verb, namespace, name }: Attributes): Decision {
  if (!OWN_VERBS.includes(verb)) return deny('can only get, create, update, patch, or delete a node lease');
  if (namespace !== 'kube-node-lease') return deny('can only access leases in the "kube-node-lease" system namespace');
  // The name is not known when it is created: NodeRestriction looks at it.
  if (verb === 'create' || name === node) return ALLOW;
  return deny('can only access node lease with the same name as the requesting node');
}

function csiNode(node: string, { verb, subresource, name }: Attributes): Decision {
  if (!OWN_VERBS.includes(verb)) return deny('can only get, create, update, patch, or delete a CSINode');
  if (subresource !== '') return deny('cannot authorize CSINode subresources');
  if (verb === 'create' || name === node) return ALLOW;
  return deny('can only access CSINode with the same name as the requesting node');
}
