// NodeRestriction: a kubelet may change its own Node, its own Lease and the pods bound to it, and nothing else of the
// kinds that it is authorized for.
import { errors } from '../../api/errors.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import { nodeNameOf } from '../auth/identity.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';

const MIRROR_ANNOTATION = 'kubernetes.io/config.mirror';

/** `findPod`: the pod as stored, for its subresources. */
export function nodeRestriction(
  findPod: (namespace: string, name: string) => Promise<Pod | undefined>,
): AdmissionPlugin {
  return {
    name: 'NodeRestriction',
    async validate(request) {
      const node = nodeNameOf(request.user);
      if (node === undefined) return;
      const { kind } = request;
      if (kind.group === 'coordination.k8s.io' && kind.kind === 'Lease') return checkLease(node, request);
      if (kind.group !== '') return;
      if (kind.kind === 'Node') return checkNode(node, request);
      if (kind.kind !== 'Pod') return;
      if (request.subresource === 'eviction') {
        const pod = await findPod(request.namespace, request.name);
        if (pod && pod.spec?.nodeName !== node)
          throw refuse(request, `can only evict pods with spec.nodeName set to itself`);
        return;
      }
      checkPod(node, request);
    },
  };
}

function refuse(request: AdmissionRequest, why: string) {
  const node = JSON.stringify(nodeNameOf(request.user));
  return errors.forbidden(
    { group: request.kind.group, resource: request.kind.resource },
    request.name,
    `node ${node} ${why}`,
  );
}

function checkPod(node: string, request: AdmissionRequest): void {
  const pod = (request.object ?? request.old) as Pod;
  const bound = ((request.old ?? request.object) as Pod).spec?.nodeName;
  switch (request.operation) {
    case 'CREATE':
      if (pod.metadata.annotations?.[MIRROR_ANNOTATION] === undefined) {
        throw refuse(request, `can only create pods with the ${JSON.stringify(MIRROR_ANNOTATION)} annotation set`);
      }
      if (bound !== node) throw refuse(request, 'can only create pods with spec.nodeName set to itself');
      return;
    case 'UPDATE':
      if (request.subresource !== 'status') {
        throw refuse(request, 'can only update pod status, not the pod');
      }
      if (bound !== node) throw refuse(request, 'can only update pod status for pods with spec.nodeName set to itself');
      return;
    case 'DELETE':
      if (bound !== node) throw refuse(request, 'can only delete pods with spec.nodeName set to itself');
      return;
    default:
  }
}

function checkNode(node: string, request: AdmissionRequest): void {
  const named = request.name || request.object?.metadata.name;
  if (named !== node) throw refuse(request, `is not allowed to modify node ${JSON.stringify(named)}`);
  if (request.operation === 'DELETE') throw refuse(request, 'is not allowed to delete itself');
  if (request.operation !== 'UPDATE') return;
  const taints = (each: Node) => JSON.stringify(each.spec?.taints ?? []);
  if (request.subresource === '' && taints(request.object as Node) !== taints(request.old as Node)) {
    throw refuse(request, 'is not allowed to modify taints');
  }
}

function checkLease(node: string, request: AdmissionRequest): void {
  if (request.namespace !== 'kube-node-lease') {
    throw refuse(request, 'can only access leases in the "kube-node-lease" system namespace');
  }
  if ((request.name || request.object?.metadata.name) !== node) {
    throw refuse(request, 'can only access node lease with the same name as the requesting node');
  }
}
