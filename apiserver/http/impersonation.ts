// Impersonation: an authorized user acts as somebody else by the Impersonate-* headers. Every part of the other identity
// is a right of its own: users, groups, uids, userextras, service accounts.
import type { IncomingHttpHeaders } from 'node:http';
import { ApiError } from '../../api/errors.ts';
import { type Attributes, type Identity, parseServiceAccountUser } from '../auth/identity.ts';

const EXTRA = 'impersonate-extra-';

/** One thing to be: what upstream makes an object reference of. */
interface Wanted {
  kind: 'User' | 'ServiceAccount' | 'Group' | 'UID' | 'UserExtra';
  group: string;
  resource: string;
  /** The key of an extra. */
  subresource: string;
  namespace: string;
  name: string;
}

export function isImpersonating(headers: IncomingHttpHeaders): boolean {
  for (const name in headers) if (name.startsWith('impersonate-')) return true;
  return false;
}

/** The user to go on as; `authorize` throws 403 for each thing that `user` may not impersonate. */
export async function impersonated(
  user: Identity,
  headers: IncomingHttpHeaders,
  authorize: (attributes: Attributes) => Promise<void> | undefined,
): Promise<Identity> {
  const wanted = wantedOf(headers);
  if (wanted.length === 0) return user;
  if (wanted[0]?.kind !== 'User' && wanted[0]?.kind !== 'ServiceAccount') {
    throw new ApiError(500, 'InternalError', `requested ${goText(wanted)} without impersonating a user`);
  }
  for (const { group, resource, subresource, namespace, name } of wanted) {
    await authorize({
      user,
      verb: 'impersonate',
      isResource: true,
      group,
      version: 'v1',
      resource,
      subresource,
      namespace,
      name,
      path: '',
    });
  }
  return identityOf(wanted);
}

/** The user first, then groups, extras and uid: the order in which upstream asks. */
function wantedOf(headers: IncomingHttpHeaders): Wanted[] {
  const wanted: Wanted[] = [];
  const want = (kind: Wanted['kind'], group: string, resource: string, name: string, more?: Partial<Wanted>) =>
    wanted.push({ kind, group, resource, subresource: '', namespace: '', name, ...more });
  const [user] = valuesOf(headers, 'impersonate-user');
  if (user) {
    const account = parseServiceAccountUser(user);
    if (account) want('ServiceAccount', '', 'serviceaccounts', account.name, { namespace: account.namespace });
    else want('User', '', 'users', user);
  }
  for (const group of valuesOf(headers, 'impersonate-group')) want('Group', '', 'groups', group);
  for (const header of Object.keys(headers)) {
    if (!header.startsWith(EXTRA)) continue;
    const subresource = decodeKey(header.slice(EXTRA.length));
    for (const value of valuesOf(headers, header)) {
      want('UserExtra', 'authentication.k8s.io', 'userextras', value, { subresource });
    }
  }
  const [uid] = valuesOf(headers, 'impersonate-uid');
  if (uid) want('UID', 'authentication.k8s.io', 'uids', uid);
  return wanted;
}

function identityOf(wanted: readonly Wanted[]): Identity {
  const { kind, namespace, name } = wanted[0] as Wanted;
  const username = kind === 'ServiceAccount' ? `system:serviceaccount:${namespace}:${name}` : name;
  const groups = wanted.filter((each) => each.kind === 'Group').map((each) => each.name);
  if (kind === 'ServiceAccount' && groups.length === 0) {
    groups.push('system:serviceaccounts', `system:serviceaccounts:${namespace}`);
  }
  if (username === 'system:anonymous') {
    if (!groups.includes('system:unauthenticated')) groups.push('system:unauthenticated');
  } else if (!groups.includes('system:authenticated') && !groups.includes('system:unauthenticated')) {
    groups.push('system:authenticated');
  }
  const uid = wanted.find((each) => each.kind === 'UID')?.name;
  const extra: Record<string, string[]> = {};
  for (const each of wanted) {
    if (each.kind === 'UserExtra') (extra[each.subresource] ??= []).push(each.name);
  }
  return {
    name: username,
    groups,
    ...(uid !== undefined && { uid }),
    ...(Object.keys(extra).length > 0 && { extra }),
  };
}

/** Node joins repeated headers with commas; names carry none. */
function valuesOf(headers: IncomingHttpHeaders, name: string): string[] {
  const value = headers[name];
  if (value === undefined) return [];
  return Array.isArray(value) ? value : value.split(', ');
}

/** Keys are percent-encoded when they hold what a header name cannot, such as `/`. */
function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** As Go prints a list of object references. */
function goText(wanted: readonly Wanted[]): string {
  const one = ({ kind, namespace, name, subresource, group }: Wanted) =>
    `{${[kind, namespace, name, '', group && `${group}/v1`, '', subresource].join(' ')}}`;
  return `[${wanted.map(one).join(' ')}]`;
}
