// `--as`: acting as another user, group or service account, for those who may `impersonate` it.
import { errors } from '../../api/errors.ts';
import { type Attributes, type Identity, parseServiceAccountUser } from '../auth/identity.ts';
import type { Exchange } from './exchange.ts';

const PREFIX = 'impersonate-';

/** The user to go on as; `authorize` throws 403 for each thing that `user` may not impersonate. */
export function impersonated(
  user: Identity,
  exchange: Exchange,
  authorize: (attributes: Attributes) => void,
): Identity {
  const name = exchange.header('impersonate-user');
  const groups = listHeader(exchange, 'impersonate-group');
  const uid = exchange.header('impersonate-uid');
  const extra: Record<string, string[]> = {};
  for (const header of Object.keys(exchange.request.headers)) {
    if (!header.startsWith('impersonate-extra-')) continue;
    extra[decodeKey(header.slice('impersonate-extra-'.length))] = listHeader(exchange, header);
  }
  if (name === undefined) {
    const others = Object.keys(exchange.request.headers).some((each) => each.startsWith(PREFIX));
    if (others) throw errors.badRequest('requested groups, uid or extra without impersonating a user');
    return user;
  }
  const check = (group: string, resource: string, subresource: string, namespace: string, wanted: string) =>
    authorize({
      user,
      verb: 'impersonate',
      isResource: true,
      group,
      version: 'v1',
      resource,
      subresource,
      namespace,
      name: wanted,
      path: '',
    });
  const account = parseServiceAccountUser(name);
  if (account) check('', 'serviceaccounts', '', account.namespace, account.name);
  else check('', 'users', '', '', name);
  for (const group of groups) check('', 'groups', '', '', group);
  if (uid !== undefined) check('authentication.k8s.io', 'uids', '', '', uid);
  for (const [key, values] of Object.entries(extra)) {
    for (const value of values) check('authentication.k8s.io', 'userextras', key, '', value);
  }
  const all = [...groups];
  if (account && all.length === 0) all.push('system:serviceaccounts', `system:serviceaccounts:${account.namespace}`);
  const isAnonymous = name === 'system:anonymous';
  const mark = isAnonymous ? 'system:unauthenticated' : 'system:authenticated';
  if (!all.includes('system:unauthenticated') && !all.includes(mark)) all.push(mark);
  return { name, groups: all, ...(uid !== undefined && { uid }), ...(Object.keys(extra).length > 0 && { extra }) };
}

/** Node joins repeated headers with commas; groups carry none. */
function listHeader(exchange: Exchange, name: string): string[] {
  const value = exchange.header(name);
  return value === undefined ? [] : value.split(', ');
}

function decodeKey(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
