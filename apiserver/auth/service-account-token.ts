// Checks service-account tokens: signature, times, audience, and that the account and what the token is bound to
// still exist with the same uid. Verified signatures are remembered by the token's hash, the bound objects are looked
// up every time, so that a deleted pod's token stops working at once. Messages are upstream's.
import type { KubeObject } from '../../api/object.ts';
import type { Secret } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';
import { type Identity, serviceAccountUser } from './identity.ts';
import type { BoundReference, LegacyClaims, TokenClaims, TokenSigner } from './jwt.ts';
import { type TokenAnswer, type TokenAuthenticator, TokenMemory } from './token-authenticator.ts';
import { createTokenMetrics, type TokenMetrics } from './token-metrics.ts';

/** Finds live objects; the server reads its caches. */
export interface BoundObjects {
  find(
    kind: 'ServiceAccount' | 'Pod' | 'Secret' | 'Node',
    namespace: string,
    name: string,
  ): Promise<KubeObject | undefined>;
}

export interface ServiceAccountTokenOptions {
  signer: TokenSigner;
  /** All whose tokens are good; the first is the one that signs. */
  issuers: readonly string[];
  /** What a token without audiences is for. */
  audiences: readonly string[];
  objects: BoundObjects;
  clock: Clock;
  metrics?: TokenMetrics;
}

export const LEGACY_ISSUER = 'kubernetes/serviceaccount';

/** Clocks differ, and so does what is meant by now: a token, or a deleted object, is good for a minute more. */
const LEEWAY_SECONDS = 60;
const INVALIDATED = 'service account token has been invalidated';

export class ServiceAccountTokens implements TokenAuthenticator {
  #options: ServiceAccountTokenOptions;
  #verified = new TokenMemory<Record<string, unknown> | undefined>();
  #metrics: TokenMetrics;

  constructor(options: ServiceAccountTokenOptions) {
    this.#options = options;
    this.#metrics = options.metrics ?? createTokenMetrics();
  }

  async authenticate(token: string, audiences: readonly string[]): Promise<TokenAnswer> {
    const started = performance.now();
    let isHit = true;
    const claims = this.#verified.get(token, () => {
      isHit = false;
      const verified = this.#options.signer.verify(token);
      this.#metrics.fetched(verified !== undefined);
      return verified;
    });
    this.#metrics.remembered(isHit, (performance.now() - started) / 1000);
    if (!claims) return undefined;
    if (claims.iss === LEGACY_ISSUER) return this.#legacy(token, claims as unknown as LegacyClaims, audiences);
    if (!this.#options.issuers.includes(claims.iss as string)) return undefined;
    return this.#bound(claims as unknown as TokenClaims, audiences);
  }

  async #bound(claims: TokenClaims, audiences: readonly string[]): Promise<TokenAnswer> {
    const own = claims.aud?.length > 0 ? claims.aud : this.#options.audiences;
    const named = own.filter((each) => audiences.includes(each));
    if (named.length === 0) return refuse(audienceText(own, audiences));
    const nowSeconds = this.#options.clock.now() / 1000;
    if (nowSeconds > claims.exp + LEEWAY_SECONDS) return refuse('service account token has expired');
    if (nowSeconds < claims.nbf - LEEWAY_SECONDS) return refuse('service account token is not valid yet');
    const { namespace, serviceaccount, secret, pod, node } = claims['kubernetes.io'];
    const problem =
      (await this.#accountProblem(namespace, serviceaccount)) ??
      (secret && (await this.#boundProblem('Secret', namespace, secret))) ??
      (pod && (await this.#boundProblem('Pod', namespace, pod))) ??
      // Beside a pod the node is information; alone it is what the token is bound to.
      (node && !pod ? await this.#boundProblem('Node', '', node) : undefined);
    if (problem) return refuse(problem);
    const { warnafter } = claims['kubernetes.io'];
    this.#metrics.used(warnafter && nowSeconds > warnafter ? 'stale' : 'valid');
    return { ok: true, user: userOf(claims), audiences: named };
  }

  async #legacy(token: string, claims: LegacyClaims, audiences: readonly string[]): Promise<TokenAnswer> {
    const named = this.#options.audiences.filter((each) => audiences.includes(each));
    if (named.length === 0) return refuse(audienceText(this.#options.audiences, audiences));
    const namespace = claims['kubernetes.io/serviceaccount/namespace'];
    const secretName = claims['kubernetes.io/serviceaccount/secret.name'];
    const name = claims['kubernetes.io/serviceaccount/service-account.name'];
    const uid = claims['kubernetes.io/serviceaccount/service-account.uid'];
    if (claims.sub !== serviceAccountUser(namespace, name)) return refuse('sub claim is invalid');
    const secret = (await this.#options.objects.find('Secret', namespace, secretName)) as Secret | undefined;
    if (!secret || this.#isGone(secret as KubeObject)) return refuse(INVALIDATED);
    const kept = Buffer.from(secret.data?.token ?? '', 'base64').toString('utf8');
    if (kept !== token) return refuse(INVALIDATED);
    const problem = await this.#accountProblem(namespace, { name, uid });
    if (problem) return refuse(problem);
    this.#metrics.used('legacy');
    const groups = ['system:serviceaccounts', `system:serviceaccounts:${namespace}`];
    return { ok: true, user: { name: serviceAccountUser(namespace, name), uid, groups }, audiences: named };
  }

  async #accountProblem(namespace: string, { name, uid }: BoundReference): Promise<string | undefined> {
    const account = await this.#options.objects.find('ServiceAccount', namespace, name);
    if (!account) return `serviceaccounts ${JSON.stringify(name)} not found`;
    if (this.#isGone(account)) return `service account ${namespace}/${name} has been deleted`;
    if (account.metadata.uid === uid) return undefined;
    return `service account UID (${account.metadata.uid}) does not match claim (${uid})`;
  }

  async #boundProblem(
    kind: 'Pod' | 'Secret' | 'Node',
    namespace: string,
    { name, uid }: BoundReference,
  ): Promise<string | undefined> {
    const object = await this.#options.objects.find(kind, namespace, name);
    if (!object || this.#isGone(object)) return INVALIDATED;
    if (object.metadata.uid === uid) return undefined;
    const what = kind === 'Pod' ? 'pod' : kind;
    return `${what} UID (${object.metadata.uid}) does not match service account ${kind.toLowerCase()} ref claim (${uid})`;
  }

  #isGone({ metadata: { deletionTimestamp } }: KubeObject): boolean {
    return (
      deletionTimestamp !== undefined &&
      Date.parse(deletionTimestamp) + LEEWAY_SECONDS * 1000 < this.#options.clock.now()
    );
  }
}

const refuse = (error: string): TokenAnswer => ({ ok: false, error });

function audienceText(own: readonly string[], wanted: readonly string[]): string {
  const list = (values: readonly string[]) => `[${values.map((each) => JSON.stringify(each)).join(' ')}]`;
  return `token audiences ${list(own)} is invalid for the target audiences ${list(wanted)}`;
}

function userOf(claims: TokenClaims): Identity {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io'];
  const extra: Record<string, string[]> = { 'authentication.kubernetes.io/credential-id': [`JTI=${claims.jti}`] };
  if (pod) {
    extra['authentication.kubernetes.io/pod-name'] = [pod.name];
    extra['authentication.kubernetes.io/pod-uid'] = [pod.uid ?? ''];
  }
  if (node) {
    extra['authentication.kubernetes.io/node-name'] = [node.name];
    if (node.uid) extra['authentication.kubernetes.io/node-uid'] = [node.uid];
  }
  return {
    name: serviceAccountUser(namespace, serviceaccount.name),
    uid: serviceaccount.uid,
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`],
    extra,
  };
}
