// What policies are given: where to look things up, and the request's objects in the form they want.
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { Scheme } from '../../../api/scheme.ts';
import type { Authorizer } from '../../auth/identity.ts';
import type { AdmissionRequest } from '../chain.ts';
import type { Lookup } from '../lookup.ts';
import type { WebhookMetrics } from '../webhook-metrics.ts';

export interface PolicyContext {
  scheme: Scheme;
  lookup: Lookup;
  authorizer: () => Authorizer;
  findNamespace(name: string): Promise<KubeObject | undefined>;
  /** `object` of kind `from` as one of `to`, which is another version of it. */
  convert(object: KubeObject, from: Kind, to: Kind): Promise<KubeObject> | KubeObject;
  metrics: WebhookMetrics;
}

/** The objects as `kind`, and the namespace they are in. */
export async function policyObjects(request: AdmissionRequest, kind: Kind, context: PolicyContext) {
  const as = async (object: KubeObject | undefined) =>
    object && kind !== request.kind && !request.objectKind ? context.convert(object, request.kind, kind) : object;
  const isNamespace = request.kind.group === '' && request.kind.resource === 'namespaces';
  const namespace =
    request.namespace && request.kind.namespaced && !isNamespace
      ? await context.findNamespace(request.namespace)
      : undefined;
  return { object: await as(request.object), old: await as(request.old), namespace };
}
