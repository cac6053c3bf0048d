// NamespaceLifecycle: nothing is created in a namespace that is missing or going away, and the namespaces that a
// cluster cannot do without are not deleted.
import { errors } from '../../api/errors.ts';
import type { Namespace } from '../../api/types/core-v1.ts';
import type { AdmissionPlugin } from './chain.ts';

const IMMORTAL = new Set(['default', 'kube-system', 'kube-public']);

/** `find`: the namespace, looked for in the store's newest state when the cache does not have it. */
export function namespaceLifecycle(find: (name: string) => Promise<Namespace | undefined>): AdmissionPlugin {
  return {
    name: 'NamespaceLifecycle',
    async mutate(request) {
      const { kind, operation, namespace } = request;
      if (operation !== 'CREATE' || !kind.namespaced || request.subresource !== '') return;
      // Access reviews ask about any namespace; they create nothing.
      if (kind.group === 'authorization.k8s.io') return;
      const found = await find(namespace);
      if (!found) throw errors.notFound({ group: '', resource: 'namespaces' }, namespace);
      if (found.status?.phase !== 'Terminating' && !found.metadata.deletionTimestamp) return;
      const error = errors.forbidden(
        { group: kind.group, resource: kind.resource },
        request.name,
        `unable to create new content in namespace ${namespace} because it is being terminated`,
      );
      error.status.details = {
        ...error.status.details,
        causes: [
          {
            reason: 'NamespaceTerminating',
            message: `namespace ${namespace} is being terminated`,
            field: 'metadata.namespace',
          },
        ],
      };
      throw error;
    },
    validate({ kind, operation, name }) {
      if (operation !== 'DELETE' || kind.group !== '' || kind.kind !== 'Namespace' || !IMMORTAL.has(name)) return;
      throw errors.forbidden({ group: '', resource: 'namespaces' }, name, 'this namespace may not be deleted');
    },
  };
}
