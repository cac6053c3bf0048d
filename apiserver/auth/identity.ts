// Who a request is from and what it wants to do; and the two decisions about it. Pure shapes.

export interface Identity {
  name: string;
  uid?: string;
  groups: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
}

export const ANONYMOUS: Identity = { name: 'system:anonymous', groups: ['system:unauthenticated'] };

/** Adds `system:authenticated`, which every identified user is in. */
export function authenticated(identity: Identity): Identity {
  if (identity.groups.includes('system:authenticated')) return identity;
  return { ...identity, groups: [...identity.groups, 'system:authenticated'] };
}

/** What is asked for, as RBAC and the reviews name it. */
export interface Attributes {
  user: Identity;
  verb: string;
  /** False for paths such as /healthz: then only `path` matters. */
  isResource: boolean;
  group: string;
  version: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  path: string;
  /** What a list, watch or deletecollection is narrowed to; absent when it is not, or when it could not be read. */
  fieldSelector?: readonly SelectorTerm[];
  labelSelector?: readonly SelectorTerm[];
}

/** One requirement of a selector as authorizers see it; `operator` is In, NotIn, Exists or DoesNotExist. */
export interface SelectorTerm {
  key: string;
  operator: string;
  values: readonly string[];
}

/** `denied`: a final no, which no later authorizer is asked about. */
export type Decision = { allowed: true; reason: string } | { allowed: false; reason: string; denied?: boolean };

/** A promise only when somebody else has to be asked (the webhook): the built-in authorizers answer at once. */
export interface Authorizer {
  authorize(attributes: Attributes): Decision | Promise<Decision>;
}

/** `serviceaccount` names as users: `system:serviceaccount:NAMESPACE:NAME`. */
export function serviceAccountUser(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

export function parseServiceAccountUser(user: string): { namespace: string; name: string } | undefined {
  const parts = user.split(':');
  if (parts.length !== 4 || parts[0] !== 'system' || parts[1] !== 'serviceaccount') return undefined;
  return { namespace: parts[2] as string, name: parts[3] as string };
}

/** The node's name when the user is a kubelet (`system:node:NAME` in group `system:nodes`), else undefined. */
export function nodeNameOf(user: Identity): string | undefined {
  if (!user.name.startsWith('system:node:') || !user.groups.includes('system:nodes')) return undefined;
  return user.name.slice('system:node:'.length);
}

/** The sentence of a 403, as upstream writes it: `User "x" cannot list resource "pods" in API group "" ...`. */
export function denialText(attributes: Attributes, reason: string): string {
  const quoted = JSON.stringify;
  let text: string;
  if (!attributes.isResource) {
    text = `User ${quoted(attributes.user.name)} cannot ${attributes.verb} path ${quoted(attributes.path)}`;
  } else {
    const resource = attributes.subresource ? `${attributes.resource}/${attributes.subresource}` : attributes.resource;
    text = `User ${quoted(attributes.user.name)} cannot ${attributes.verb} resource ${quoted(resource)} in API group ${quoted(attributes.group)}`;
    text += attributes.namespace ? ` in the namespace ${quoted(attributes.namespace)}` : ' at the cluster scope';
  }
  return reason ? `${text}: ${reason}` : text;
}
