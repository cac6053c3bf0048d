// NamespaceLifecycle: nothing is created in a namespace that is missing or going away, and the namespaces that a
// cluster cannot do without are not deleted.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Namespace } from '../../api/types/core-v1.ts';
import type { AdmissionPlugin } from './chain.ts';

const IMMORTAL = new Set(['default', 'kube-system', 'kube-public']);
/** Reviews ask about any namespace; they create nothing. */
const REVIEWS = new Set(['authorization.k8s.io', 'authentication.k8s.io']);

/** `find`: the namespace, looked for in the store's newest state when the cache does not have it. */
export function namespaceLifecycle(
  find: (name: string) => Promise<(Namespace & KubeObject) | undefined>,
): AdmissionPlugin {
  return {
    name: 'NamespaceLifecycle',
    handles: (kind, subresource, operation) =>
      operation === 'CREATE'
        ? kind.namespaced && !(REVIEWS.has(kind.group) && subresource === '')
        : operation === 'DELETE' && kind.group === '' && kind.resource === 'namespaces',
    async mutate({ kind, operation, namespace, name }) {
      if (operation === 'DELETE') {
        if (!IMMORTAL.has(name)) return;
        throw errors.forbidden({ group: '', resource: 'namespaces' }, name, 'this namespace may not be deleted');
      }
      const found = await find(namespace);
      if (!found) throw errors.notFound({ group: '', resource: 'namespaces' }, namespace);
      if (found.status?.phase !== 'Terminating' && !found.metadata.deletionTimestamp) return;
      const error = errors.forbidden(
        { group: kind.group, resource: kind.resource },
        name,
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
  };
}
