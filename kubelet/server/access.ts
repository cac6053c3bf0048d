// Who calls the node server and what they may do there. Callers show a client certificate of the cluster's CA or a bearer
// token, which the API server reviews (TokenReview); what they may do it decides too (SubjectAccessReview on subresources of
// this Node). Anonymous callers are refused. Only group system:masters, which may do everything, is not asked about: the
// API server's own way to a node is not to depend on a call back.
import { createHash } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { SubjectAccessReview } from '../../api/types/authorization-v1.ts';
import type { TokenReview } from '../../api/types/authentication-v1.ts';
import type { Client } from '../../client/port.ts';
import type { Clock } from '../../lib/clock.ts';
import { attributesOf } from './attributes.ts';
import { ExpiringMap } from './expiring-map.ts';
import { HttpError } from './http-error.ts';

export interface Caller {
  name: string;
  uid: string;
  groups: readonly string[];
  extra: Record<string, string[]>;
}

export interface AccessOptions {
  client: Pick<Client, 'request'>;
  clock: Clock;
  nodeName: string;
}

const MASTERS = 'system:masters';
/** Upstream's defaults of KubeletConfiguration: how long an answer of the API server holds. */
const TOKEN_TTL_MS = 2 * 60_000;
const ALLOWED_TTL_MS = 5 * 60_000;
const DENIED_TTL_MS = 30_000;
const MAX_ANSWERS = 1024;

export class NodeAccess {
  #options: AccessOptions;
  #tokens: ExpiringMap<Caller>;
  #decisions: ExpiringMap<boolean>;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#tokens = new ExpiringMap(options.clock, MAX_ANSWERS);
    this.#decisions = new ExpiringMap(options.clock, MAX_ANSWERS);
  }

  /** Throws HttpError 401 or 403, or 500 when the API server cannot be asked. */
  async check(request: IncomingMessage, path: string): Promise<Caller> {
    const caller = await this.#identify(request);
    if (!caller) throw new HttpError(401, 'Unauthorized');
    const method = request.method ?? 'GET';
    const { verb, subresources } = attributesOf(method, path);
    for (const subresource of subresources) if (await this.#allows(caller, verb, subresource)) return caller;
    throw new HttpError(
      403,
      `Forbidden (user=${caller.name}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(' ')}])`,
    );
  }

  async #identify(request: IncomingMessage): Promise<Caller | undefined> {
    const byCertificate = callerOf(request.socket as TLSSocket);
    if (byCertificate) return byCertificate;
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
    return token === undefined ? undefined : this.#review(token);
  }

  async #review(token: string): Promise<Caller | undefined> {
    const key = createHash('sha256').update(token).digest('hex');
    const known = this.#tokens.get(key);
    if (known) return known;
    const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token } };
    const answer = await this.#ask<TokenReview>('/apis/authentication.k8s.io/v1/tokenreviews', body);
    const user = answer.status?.authenticated ? answer.status.user : undefined;
    if (!user?.username) return undefined;
    const caller = {
      name: user.username,
      uid: user.uid ?? '',
      groups: user.groups ?? [],
      extra: user.extra ?? {},
    };
    this.#tokens.set(key, caller, TOKEN_TTL_MS);
    return caller;
  }

  async #allows(caller: Caller, verb: string, subresource: string): Promise<boolean> {
    if (caller.groups.includes(MASTERS)) return true;
    const { name: user, uid, groups, extra } = caller;
    const key = JSON.stringify([user, uid, groups, extra, verb, subresource]);
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const resourceAttributes = {
      verb,
      version: 'v1',
      resource: 'nodes',
      subresource,
      name: this.#options.nodeName,
    };
    const spec = { user, uid, groups: [...groups], extra, resourceAttributes };
    const body = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
    const answer = await this.#ask<SubjectAccessReview>('/apis/authorization.k8s.io/v1/subjectaccessreviews', body);
    const allowed = answer.status?.allowed === true;
    this.#decisions.set(key, allowed, allowed ? ALLOWED_TTL_MS : DENIED_TTL_MS);
    return allowed;
  }

  async #ask<Answer>(path: string, body: unknown): Promise<Answer> {
    try {
      return await this.#options.client.request<Answer>('POST', path, body);
    } catch (error) {
      throw new HttpError(500, `cannot ask the API server about this request: ${(error as Error).message}`);
    }
  }
}

/** Undefined unless the connection has a client certificate of the cluster's CA. */
function callerOf(socket: TLSSocket): Caller | undefined {
  if (!socket.authorized) return undefined;
  const subject = socket.getPeerCertificate()?.subject as { CN?: string | string[]; O?: string | string[] } | undefined;
  const list = (value: string | string[] | undefined) =>
    value === undefined ? [] : Array.isArray(value) ? value : [value];
  const name = list(subject?.CN)[0];
  if (!name) return undefined;
  return { name, uid: '', groups: [...list(subject?.O), 'system:authenticated'], extra: {} };
}
