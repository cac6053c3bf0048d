// Bootstrap tokens: Secrets bootstrap-token-ID in kube-system, with which nodes that have no credentials yet come in
// (https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/).
import { timingSafeEqual } from 'node:crypto';
import type { Secret } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Identity } from './identity.ts';
import { forServerOnly, hashToken, type TokenAuthenticator } from './token-authenticator.ts';

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/;
const GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/;
const TYPE = 'bootstrap.kubernetes.io/token';

/** `find`: a Secret of kube-system by name. */
export function bootstrapTokens(options: {
  find(name: string): Promise<Secret | undefined>;
  clock: Clock;
  serverAudiences: readonly string[];
}): TokenAuthenticator {
  return forServerOnly(options.serverAudiences, async (token) => {
    const match = TOKEN.exec(token);
    if (!match) return undefined;
    const [, id = '', secret = ''] = match;
    const found = await options.find(`bootstrap-token-${id}`);
    return found && bootstrapUser(found, id, secret, options.clock.now());
  });
}

/** The user that the token makes, or undefined when the Secret does not allow it (any more). Pure. */
export function bootstrapUser(object: Secret, id: string, secret: string, nowMs: number): Identity | undefined {
  if (object.metadata.deletionTimestamp || object.type !== TYPE) return undefined;
  const read = (key: string) => Buffer.from(object.data?.[key] ?? '', 'base64').toString('utf8');
  if (!same(read('token-secret'), secret) || read('token-id') !== id) return undefined;
  const expiration = read('expiration');
  // A time that cannot be read counts as past.
  if (expiration !== '' && !(Date.parse(expiration) > nowMs)) return undefined;
  if (read('usage-bootstrap-authentication') !== 'true') return undefined;
  const groups = read('auth-extra-groups')
    .split(',')
    .filter((each) => each !== '');
  if (!groups.every((each) => GROUP.test(each))) return undefined;
  return { name: `system:bootstrap:${id}`, groups: [...new Set(['system:bootstrappers', ...groups])].sort() };
}

const same = (left: string, right: string) =>
  timingSafeEqual(Buffer.from(hashToken(left)), Buffer.from(hashToken(right)));
