// What a start makes of the default roles and bindings that a cluster already has: what they lack of the defaults is
// added, what was added to them is kept, and an object annotated `autoupdate: "false"` is left alone
// (https://kubernetes.io/docs/reference/access-authn-authz/rbac/#auto-reconciliation). Pure.
import { deepEqual } from '../../api/equality.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ClusterRole, ClusterRoleBinding, Role, RoleBinding } from '../../api/types/rbac-v1.ts';
import { missingRules } from './escalation.ts';

const AUTOUPDATE = 'rbac.authorization.kubernetes.io/autoupdate';

/** `replace`: a role reference cannot be changed, so the binding is deleted and created again. */
export type Reconciliation<T> = { kind: 'keep' } | { kind: 'update'; object: T } | { kind: 'replace'; object: T };

export function reconcileRole<T extends (ClusterRole | Role) & KubeObject>(present: T, wanted: T): Reconciliation<T> {
  if (isProtected(present)) return { kind: 'keep' };
  const object: T = { ...present, metadata: metadataWith(present, wanted) };
  const aggregation = (wanted as ClusterRole).aggregationRule;
  if (aggregation) {
    const has = (present as ClusterRole).aggregationRule?.clusterRoleSelectors ?? [];
    const lacks = (aggregation.clusterRoleSelectors ?? []).filter((each) => !has.some((own) => deepEqual(own, each)));
    if (lacks.length > 0) (object as ClusterRole).aggregationRule = { clusterRoleSelectors: [...has, ...lacks] };
  } else if (!deepEqual(present.rules, wanted.rules)) {
    const lacks = missingRules(present.rules ?? [], wanted.rules ?? []);
    if (lacks.length > 0) object.rules = [...(present.rules ?? []), ...lacks];
  }
  return deepEqual(object, present) ? { kind: 'keep' } : { kind: 'update', object };
}

export function reconcileBinding<T extends (ClusterRoleBinding | RoleBinding) & KubeObject>(
  present: T,
  wanted: T,
): Reconciliation<T> {
  if (isProtected(present)) return { kind: 'keep' };
  const { subjects = [] } = present;
  const lacks = (wanted.subjects ?? []).filter((each) => !subjects.some((own) => deepEqual(own, each)));
  const object: T = { ...present, metadata: metadataWith(present, wanted), roleRef: wanted.roleRef };
  if (lacks.length > 0) object.subjects = [...subjects, ...lacks];
  if (!deepEqual(present.roleRef, wanted.roleRef)) return { kind: 'replace', object };
  return deepEqual(object, present) ? { kind: 'keep' } : { kind: 'update', object };
}

const isProtected = (object: KubeObject) => object.metadata.annotations?.[AUTOUPDATE] === 'false';

/** Labels and annotations of the default are added; what somebody set wins. */
function metadataWith(present: KubeObject, wanted: KubeObject): KubeObject['metadata'] {
  const { labels, annotations } = wanted.metadata;
  return {
    ...present.metadata,
    ...(labels && { labels: { ...labels, ...present.metadata.labels } }),
    ...(annotations && { annotations: { ...annotations, ...present.metadata.annotations } }),
  };
}
