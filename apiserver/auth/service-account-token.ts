// Checks service-account tokens: signature, times, audience, and that the account and what the token is bound to
// still exist with the same uid. Verified signatures are remembered by the token's hash, the bound objects are looked
// up every time, so that a deleted pod's token stops working at once.
import { createHash } from 'node:crypto';
import type { KubeObject } from '../../api/object.ts';
import type { Clock } from '../../lib/clock.ts';
import { type Identity, serviceAccountUser } from './identity.ts';
import type { TokenClaims, TokenSigner } from './jwt.ts';

/** Finds live objects; the server reads its caches. */
export interface BoundObjects {
  find(
    kind: 'ServiceAccount' | 'Pod' | 'Secret' | 'Node',
    namespace: string,
    name: string,
  ): Promise<KubeObject | undefined>;
}

export type TokenResult = { ok: true; user: Identity; audiences: string[] } | { ok: false; error: string };

const CACHED_TOKENS = 4096;

export class ServiceAccountTokens {
  #signer: TokenSigner;
  #issuer: string;
  #objects: BoundObjects;
  #clock: Clock;
  /** Insertion order is age: the oldest goes first when full. */
  #verified = new Map<string, TokenClaims | undefined>();

  constructor(options: { signer: TokenSigner; issuer: string; objects: BoundObjects; clock: Clock }) {
    this.#signer = options.signer;
    this.#issuer = options.issuer;
    this.#objects = options.objects;
    this.#clock = options.clock;
  }

  /** True when `token` looks like one of ours: other authenticators need not be asked. */
  claims(token: string): TokenClaims | undefined {
    const hash = createHash('sha256').update(token).digest('base64');
    if (this.#verified.has(hash)) return this.#verified.get(hash);
    const claims = this.#signer.verify(token);
    if (this.#verified.size >= CACHED_TOKENS) this.#verified.delete(this.#verified.keys().next().value as string);
    this.#verified.set(hash, claims);
    return claims;
  }

  /** `audiences` are those the token must name one of. */
  async authenticate(token: string, audiences: readonly string[]): Promise<TokenResult> {
    const claims = this.claims(token);
    if (!claims || claims.iss !== this.#issuer) return { ok: false, error: 'invalid bearer token' };
    const nowSeconds = this.#clock.now() / 1000;
    if (nowSeconds >= claims.exp) return { ok: false, error: 'service account token has expired' };
    if (nowSeconds < claims.nbf - 60) return { ok: false, error: 'service account token is not valid yet' };
    const named = claims.aud.filter((audience) => audiences.includes(audience));
    if (named.length === 0) {
      return {
        ok: false,
        error: `token audiences ${JSON.stringify(claims.aud)} is invalid for the target audiences ${JSON.stringify(audiences)}`,
      };
    }
    const problem = await this.#boundProblem(claims);
    if (problem) return { ok: false, error: problem };
    return { ok: true, user: userOf(claims), audiences: named };
  }

  async #boundProblem(claims: TokenClaims): Promise<string | undefined> {
    const bound = claims['kubernetes.io'];
    const checks = [
      ['ServiceAccount', bound.namespace, bound.serviceaccount],
      ['Pod', bound.namespace, bound.pod],
      ['Secret', bound.namespace, bound.secret],
    ] as const;
    for (const [kind, namespace, reference] of checks) {
      if (!reference) continue;
      const object = await this.#objects.find(kind, namespace, reference.name);
      if (!object) return `${kind.toLowerCase()} ${namespace}/${reference.name} has been deleted`;
      if (object.metadata.uid !== reference.uid)
        return `${kind.toLowerCase()} UID (${object.metadata.uid}) does not match claim (${reference.uid})`;
      const deleted = object.metadata.deletionTimestamp;
      // A terminating pod keeps its credentials for its grace period and a minute.
      if (deleted && Date.parse(deleted) + 60_000 < this.#clock.now())
        return `${kind.toLowerCase()} ${namespace}/${reference.name} has been deleted`;
    }
    return undefined;
  }
}

function userOf(claims: TokenClaims): Identity {
  const bound = claims['kubernetes.io'];
  const extra: Record<string, string[]> = { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`] };
  if (bound.pod) {
    extra['authentication.kubernetes.io/pod-name'] = [bound.pod.name];
    extra['authentication.kubernetes.io/pod-uid'] = [bound.pod.uid];
  }
  if (bound.node) {
    extra['authentication.kubernetes.io/node-name'] = [bound.node.name];
    extra['authentication.kubernetes.io/node-uid'] = [bound.node.uid];
  }
  return {
    name: serviceAccountUser(bound.namespace, bound.serviceaccount.name),
    uid: bound.serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${bound.namespace}`],
    extra,
  };
}
