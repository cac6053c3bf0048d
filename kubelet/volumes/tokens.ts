// Service account tokens of pods: asked for through TokenRequest, bound to the pod, renewed when 80 % of their life is
// over (and at least once a day).
import type { TokenRequest } from '../../api/types/authentication-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import type { Client } from '../../client/port.ts';
import type { Clock } from '../../lib/clock.ts';
import { refs } from '../../client/refs.ts';

interface Cached {
  token: string;
  askedMs: number;
  renewAtMs: number;
  expiresAtMs: number;
}

/** Before its life, by a clock that was set back, a token is refused as after it; API servers allow for a minute. */
const LEEWAY_MS = 60_000;
const isDue = ({ askedMs, renewAtMs }: Cached, nowMs: number) => nowMs >= renewAtMs || nowMs < askedMs - LEEWAY_MS;

const DAY_MS = 24 * 3600_000;

export class PodTokens {
  #client: Client;
  #clock: Clock;
  /** Pod uid to its tokens by audience and duration. */
  #tokens = new Map<string, Map<string, Cached>>();

  constructor(client: Client, clock: Clock) {
    this.#client = client;
    this.#clock = clock;
  }

  /** A token that is not due for renewal; an old but valid one when the API cannot be reached. */
  async get(pod: Pod, request: { audience: string | undefined; expirationSeconds: number }): Promise<string> {
    const uid = pod.metadata.uid ?? '';
    const key = JSON.stringify([request.audience ?? '', request.expirationSeconds]);
    const now = this.#clock.now();
    const cached = this.#tokens.get(uid)?.get(key);
    if (cached && !isDue(cached, now)) return cached.token;
    try {
      const made = await this.#request(pod, request);
      const tokens = this.#tokens.get(uid) ?? new Map<string, Cached>();
      tokens.set(key, made);
      this.#tokens.set(uid, tokens);
      return made.token;
    } catch (error) {
      if (cached && now < cached.expiresAtMs) return cached.token;
      throw error;
    }
  }

  /** When the earliest token of the pod wants renewal; undefined when it has none. */
  renewalMs(uid: string): number | undefined {
    const nowMs = this.#clock.now();
    const times = [...(this.#tokens.get(uid)?.values() ?? [])].map((each) =>
      isDue(each, nowMs) ? nowMs : each.renewAtMs,
    );
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** When the token that `get` has given for this request is over. */
  expiryMs(pod: Pod, request: { audience: string | undefined; expirationSeconds: number }): number | undefined {
    const key = JSON.stringify([request.audience ?? '', request.expirationSeconds]);
    return this.#tokens.get(pod.metadata.uid ?? '')?.get(key)?.expiresAtMs;
  }

  forget(uid: string): void {
    this.#tokens.delete(uid);
  }

  async #request(pod: Pod, request: { audience: string | undefined; expirationSeconds: number }): Promise<Cached> {
    const { name, namespace, uid } = pod.metadata;
    const body: TokenRequest = {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      metadata: {},
      spec: {
        audiences: request.audience ? [request.audience] : [],
        expirationSeconds: request.expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
      },
    };
    const accounts = this.#client.resource(refs.serviceAccounts, namespace);
    const account = pod.spec?.serviceAccountName || 'default';
    const askedMs = this.#clock.now();
    const answer = await accounts.createSubresource<TokenRequest, TokenRequest>(account, 'token', body);
    const token = answer.status?.token;
    if (!token) throw new Error(`the API server gave no token for service account ${namespace}/${account}`);
    const expiresAtMs =
      Date.parse(answer.status?.expirationTimestamp ?? '') || askedMs + request.expirationSeconds * 1000;
    const lifeMs = Math.max(0, expiresAtMs - askedMs);
    return { token, askedMs, expiresAtMs, renewAtMs: askedMs + Math.min(lifeMs * 0.8, DAY_MS) };
  }
}
