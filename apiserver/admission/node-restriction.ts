// NodeRestriction: a kubelet may change its own Node, its own Lease and the pods bound to it, and of each no more than a
// kubelet must. What it may touch at all is the authorizer's; this looks at what it writes. Messages are upstream's.
import { deepEqual, semanticEqual } from '../../api/equality.ts';
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { TokenRequest } from '../../api/types/authentication-v1.ts';
import type { Node, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import type { ResourceSlice } from '../../api/types/resource-v1.ts';
import { nodeNameOf } from '../auth/identity.ts';
import { podReferences } from '../auth/pod-references.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';
import type { Lookup } from './lookup.ts';

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';
const PODS = { group: '', resource: 'pods' };

type Check = (node: string, request: AdmissionRequest, lookup: Lookup) => void | Promise<void>;

const CHECKS: Readonly<Record<string, Check>> = {
  pods: checkPod,
  nodes: checkNode,
  persistentvolumeclaims: checkClaim,
  serviceaccounts: checkToken,
  'leases.coordination.k8s.io': checkLease,
  'csinodes.storage.k8s.io': checkCsiNode,
  'resourceslices.resource.k8s.io': checkResourceSlice,
};

const nameOf = ({ group, resource }: { group: string; resource: string }) =>
  group === '' ? resource : `${resource}.${group}`;

export function nodeRestriction(lookup: Lookup): AdmissionPlugin {
  return {
    name: 'NodeRestriction',
    handles: (kind, _subresource, operation) => operation !== 'CONNECT' && Object.hasOwn(CHECKS, nameOf(kind)),
    mutate(request) {
      const node = nodeNameOf(request.user);
      if (node === undefined) return;
      if (node === '') throw refuse(request, `could not determine node from user ${quote(request.user.name)}`);
      return (CHECKS[nameOf(request.kind)] as Check)(node, request, lookup);
    },
  };
}

const quote = (text: string | undefined) => JSON.stringify(text ?? '');

const refuse = ({ kind, name }: AdmissionRequest, why: string) =>
  errors.forbidden({ group: kind.group, resource: kind.resource }, name, why);

function checkPod(node: string, request: AdmissionRequest, lookup: Lookup): void | Promise<void> {
  const { subresource, operation, old } = request;
  switch (subresource) {
    case '':
      if (operation === 'CREATE') return checkMirror(node, request, lookup);
      if (operation === 'DELETE') {
        if ((old as Pod).spec?.nodeName === node) return;
        throw refuse(request, `node ${quote(node)} can only delete pods with spec.nodeName set to itself`);
      }
      throw refuse(
        request,
        `unexpected operation ${quote(operation)}, node ${quote(node)} can only create and delete mirror pods`,
      );
    case 'status':
      return checkPodStatus(node, request);
    case 'eviction':
      return checkEviction(node, request, lookup);
    default:
      throw refuse(
        request,
        `unexpected pod subresource ${quote(subresource)}, only 'status' and 'eviction' are allowed`,
      );
  }
}

async function checkMirror(node: string, request: AdmissionRequest, lookup: Lookup): Promise<void> {
  const pod = request.object as Pod & KubeObject;
  const self = `node ${quote(node)}`;
  if (pod.metadata.annotations?.[MIRROR_ANNOTATION] === undefined) {
    throw refuse(
      request,
      `pod does not have ${quote(MIRROR_ANNOTATION)} annotation, ${self} can only create mirror pods`,
    );
  }
  if (pod.spec?.nodeName !== node) {
    throw refuse(request, `${self} can only create pods with spec.nodeName set to itself`);
  }
  const owners = pod.metadata.ownerReferences ?? [];
  if (owners.length > 1) {
    throw refuse(request, `${self} can only create pods with a single owner reference set to itself`);
  }
  const [owner] = owners;
  if (!owner || owner.apiVersion !== 'v1' || owner.kind !== 'Node' || owner.name !== node) {
    throw refuse(request, `${self} can only create pods with an owner reference set to itself`);
  }
  if (!owner.controller) {
    throw refuse(request, `${self} can only create pods with a controller owner reference set to itself`);
  }
  if (owner.blockOwnerDeletion) {
    throw refuse(request, `${self} must not set blockOwnerDeletion on an owner reference`);
  }
  const found = await lookup.find<Node & KubeObject>('', 'nodes', '', node);
  if (!found) throw errors.notFound({ group: '', resource: 'nodes' }, node);
  if (owner.uid !== found.metadata.uid) {
    throw refuse(request, `node ${node} UID mismatch: expected ${owner.uid} got ${found.metadata.uid}`);
  }
  if (pod.spec.serviceAccountName) {
    throw refuse(request, `${self} can not create pods that reference a service account`);
  }
  const references = podReferences(pod);
  for (const what of ['secrets', 'configmaps', 'clustertrustbundles', 'persistentvolumeclaims'] as const) {
    const uses =
      what === 'clustertrustbundles'
        ? (pod.spec.volumes ?? []).some((each) => each.projected?.sources?.some((source) => source.clusterTrustBundle))
        : references.some((each) => each.startsWith(`${what}/`));
    if (uses) throw refuse(request, `${self} can not create pods that reference ${what}`);
  }
}

function checkPodStatus(node: string, request: AdmissionRequest): void {
  const { operation } = request;
  if (operation !== 'UPDATE') throw refuse(request, `unexpected operation ${quote(operation)}`);
  const pod = request.object as Pod & KubeObject;
  const old = request.old as Pod & KubeObject;
  const self = `node ${quote(node)}`;
  if (old.spec?.nodeName !== node) {
    throw refuse(request, `${self} can only update pod status for pods with spec.nodeName set to itself`);
  }
  if (!deepEqual(pod.metadata.labels ?? {}, old.metadata.labels ?? {})) {
    throw refuse(request, `${self} cannot update labels through pod status`);
  }
  if (!deepEqual(pod.status?.resourceClaimStatuses ?? [], old.status?.resourceClaimStatuses ?? [])) {
    throw refuse(request, `${self} cannot update resource claim statues`);
  }
}

async function checkEviction(node: string, request: AdmissionRequest, lookup: Lookup): Promise<void> {
  const name = request.name || request.object?.metadata.name;
  if (!name) throw refuse(request, 'could not determine pod from request data');
  const pod = await lookup.find<Pod & KubeObject>('', 'pods', request.namespace, name);
  if (!pod) throw errors.notFound(PODS, name);
  if (pod.spec?.nodeName !== node) {
    throw refuse(request, `node ${node} can only evict pods with spec.nodeName set to itself`);
  }
}

function checkClaim(node: string, request: AdmissionRequest): void {
  const { subresource, operation } = request;
  if (subresource !== 'status') throw refuse(request, 'may only update PVC status');
  if (operation !== 'UPDATE') throw refuse(request, `unexpected operation ${quote(operation)}`);
  const rest = (object: KubeObject | undefined) => {
    const { status = {}, metadata, spec } = object as PersistentVolumeClaim & KubeObject;
    const { resourceVersion: _r, managedFields: _m, ...meta } = metadata;
    const { capacity: _c, conditions: _d, allocatedResources: _a, allocatedResourceStatuses: _s, ...kept } = status;
    return { meta, spec, kept };
  };
  if (semanticEqual(rest(request.object), rest(request.old))) return;
  throw refuse(
    request,
    `node ${quote(node)} is not allowed to update fields other than status.capacity and status.conditions`,
  );
}

function checkNode(node: string, request: AdmissionRequest): void {
  const { operation } = request;
  const named = request.name || request.object?.metadata.name;
  const self = `node ${quote(node)}`;
  if (named !== node) throw refuse(request, `${self} is not allowed to modify node ${quote(named)}`);
  if (operation === 'CREATE') {
    const created = request.object as Node & KubeObject;
    if (created.spec?.configSource) {
      throw refuse(request, `${self} is not allowed to create pods with a non-nil configSource`);
    }
    const forbidden = forbiddenLabels(created.metadata.labels, {});
    if (forbidden.length > 0) {
      throw refuse(request, `${self} is not allowed to set the following labels: ${forbidden.join(', ')}`);
    }
  }
  if (operation !== 'UPDATE') return;
  const updated = request.object as Node & KubeObject;
  const old = request.old as Node & KubeObject;
  if (updated.spec?.configSource && !deepEqual(updated.spec.configSource, old.spec?.configSource)) {
    throw refuse(request, `${self} is not allowed to update configSource to a new non-nil configSource`);
  }
  if (!deepEqual(updated.spec?.taints ?? [], old.spec?.taints ?? [])) {
    throw refuse(request, `${self} is not allowed to modify taints`);
  }
  const forbidden = forbiddenLabels(updated.metadata.labels, old.metadata.labels);
  if (forbidden.length > 0) throw refuse(request, `is not allowed to modify labels: ${forbidden.join(', ')}`);
}

type Labels = Readonly<Record<string, string>>;

/** Labels that a kubelet sets on its Node. */
const KUBELET_LABELS = new Set([
  'kubernetes.io/hostname',
  'topology.kubernetes.io/zone',
  'topology.kubernetes.io/region',
  'failure-domain.beta.kubernetes.io/zone',
  'failure-domain.beta.kubernetes.io/region',
  'node.kubernetes.io/instance-type',
  'beta.kubernetes.io/instance-type',
  'kubernetes.io/os',
  'kubernetes.io/arch',
  'beta.kubernetes.io/os',
  'beta.kubernetes.io/arch',
]);

const isIn = (domain: string, parent: string) => domain === parent || domain.endsWith(`.${parent}`);

/** Of the labels that differ, those by which a node could draw pods to itself. */
function forbiddenLabels(now: Labels = {}, was: Labels = {}): string[] {
  const changed = [...new Set([...Object.keys(now), ...Object.keys(was)])].filter((key) => now[key] !== was[key]);
  return changed
    .filter((key) => {
      const slash = key.indexOf('/');
      const domain = slash < 0 ? '' : key.slice(0, slash);
      if (isIn(domain, 'node-restriction.kubernetes.io')) return true;
      if (!isIn(domain, 'kubernetes.io') && !isIn(domain, 'k8s.io')) return false;
      if (KUBELET_LABELS.has(key)) return false;
      return !isIn(domain, 'kubelet.kubernetes.io') && !isIn(domain, 'node.kubernetes.io');
    })
    .sort();
}

async function checkToken(node: string, request: AdmissionRequest, lookup: Lookup): Promise<void> {
  if (request.operation !== 'CREATE' || request.subresource !== 'token') return;
  const { spec } = request.object as KubeObject & TokenRequest;
  const reference = spec?.boundObjectRef;
  if (reference?.apiVersion !== 'v1' || reference.kind !== 'Pod' || !reference.name) {
    throw refuse(request, 'node requested token not bound to a pod');
  }
  if (!reference.uid) throw refuse(request, 'node requested token with a pod binding without a uid');
  const pod = await lookup.find<Pod & KubeObject>('', 'pods', request.namespace, reference.name);
  if (!pod) throw errors.notFound(PODS, reference.name);
  if (reference.uid !== pod.metadata.uid) {
    throw refuse(
      request,
      `the UID in the bound object reference (${reference.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  if (pod.spec?.nodeName !== node) {
    throw refuse(request, 'node requested token bound to a pod scheduled on a different node');
  }
  const audiences = spec?.audiences ?? [];
  if (audiences.length > 1) throw refuse(request, 'node may only request 0 or 1 audiences');
  const audience = audiences[0] ?? '';
  if (audience !== '' && !mayHaveAudience(pod, audience)) {
    throw refuse(request, `audience ${quote(audience)} not found in pod spec volume`);
  }
}

/** A pod's projected tokens say their audience; what a storage driver asks for, its driver says. */
const mayHaveAudience = ({ spec }: Pod, audience: string): boolean =>
  (spec?.volumes ?? []).some(
    (each) =>
      each.projected?.sources?.some((source) => source.serviceAccountToken?.audience === audience) ||
      each.csi ||
      each.persistentVolumeClaim ||
      each.ephemeral,
  );

function checkLease(node: string, request: AdmissionRequest): void {
  if (request.namespace !== 'kube-node-lease') {
    throw refuse(request, 'can only access leases in the "kube-node-lease" system namespace');
  }
  if (writtenName(request) !== node) {
    throw refuse(request, 'can only access node lease with the same name as the requesting node');
  }
}

function checkCsiNode(node: string, request: AdmissionRequest): void {
  if (writtenName(request) === node) return;
  throw refuse(request, 'can only access CSINode with the same name as the requesting node');
}

function checkResourceSlice(node: string, request: AdmissionRequest): void {
  const { operation } = request;
  if (operation !== 'CREATE' && operation !== 'DELETE') return;
  const { spec } = (request.object ?? request.old) as KubeObject & ResourceSlice;
  if (spec?.nodeName === node) return;
  const verb = operation === 'CREATE' ? 'create' : 'delete';
  throw refuse(request, `can only ${verb} ResourceSlice with the same NodeName as the requesting node`);
}

const writtenName = ({ operation, object, name }: AdmissionRequest) =>
  operation === 'CREATE' ? object?.metadata.name : name;
