// The authorization mode Webhook: SubjectAccessReviews to another server
// (https://kubernetes.io/docs/reference/access-authn-authz/webhook/). A yes is remembered for five minutes, a no for 30 seconds.
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import type { FailurePolicy } from './authorization-config.ts';
import type { Attributes, Authorizer, Decision, SelectorTerm } from './identity.ts';
import { AnswerCache, type AskReview } from './review-webhook.ts';

const NO_OPINION: Decision = { allowed: false, reason: '' };
const ALLOWED_MS = 5 * 60_000;
const REFUSED_MS = 30_000;
/** Upstream caches no question whose extras make it larger. */
const CACHED_KEY_LENGTH = 10_000;

export interface WebhookAuthorizerOptions {
  ask: AskReview;
  clock: Clock;
  log: Logger;
  /** How long answers are remembered; 0: not at all. */
  allowedMs?: number;
  refusedMs?: number;
  /** What it means that it cannot be asked. Default: nothing, the next authorizer decides. */
  failurePolicy?: FailurePolicy;
  /** Whether it is to be asked; throws when that cannot be told. */
  matches?: ((spec: Record<string, unknown>) => boolean) | undefined;
}

export function webhookAuthorizer(options: WebhookAuthorizerOptions): Authorizer {
  const { ask, clock, log, matches, allowedMs = ALLOWED_MS, refusedMs = REFUSED_MS } = options;
  const failed: Decision =
    options.failurePolicy === 'Deny' ? { allowed: false, denied: true, reason: '' } : { allowed: false, reason: '' };
  const answers = new AnswerCache<Decision>();

  async function decide(spec: object, key: string): Promise<Decision> {
    let status: Record<string, unknown>;
    try {
      const review = await ask({ apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec });
      status = review.status ?? {};
    } catch (error) {
      log.error({ err: error }, 'the authorization webhook did not answer');
      return failed;
    }
    const decision = decisionOf(status);
    const forMs = decision.allowed ? allowedMs : refusedMs;
    if (forMs > 0 && key.length <= CACHED_KEY_LENGTH) answers.set(key, decision, clock.monotonic() + forMs);
    return decision;
  }

  return {
    authorize(attributes) {
      const spec = specOf(attributes);
      if (matches) {
        try {
          if (!matches(spec)) return NO_OPINION;
        } catch (error) {
          log.error({ err: error }, 'the match conditions of the authorization webhook cannot be told');
          return failed;
        }
      }
      const key = JSON.stringify(spec);
      return answers.get(key, clock.monotonic()) ?? decide(spec, key);
    },
  };
}

/** A webhook that says both yes and no is wrong: that is a no. */
function decisionOf(status: Record<string, unknown>): Decision {
  const reason = typeof status.reason === 'string' ? status.reason : '';
  if (status.denied === true) return { allowed: false, denied: true, reason };
  return status.allowed === true ? { allowed: true, reason } : { allowed: false, reason };
}

function specOf(attributes: Attributes): Record<string, unknown> {
  const { user, verb, isResource, path } = attributes;
  return {
    user: user.name,
    groups: user.groups,
    ...(user.uid && { uid: user.uid }),
    ...(user.extra && { extra: user.extra }),
    ...(isResource
      ? { resourceAttributes: resourceAttributes(attributes) }
      : { nonResourceAttributes: { path, verb } }),
  };
}

function resourceAttributes(attributes: Attributes): object {
  const { verb, group, version, resource, subresource, namespace, name } = attributes;
  const selector = (terms: readonly SelectorTerm[] | undefined) =>
    terms && terms.length > 0 ? { requirements: terms } : undefined;
  const fieldSelector = selector(attributes.fieldSelector);
  const labelSelector = selector(attributes.labelSelector);
  return {
    verb,
    version,
    resource,
    ...(group && { group }),
    ...(subresource && { subresource }),
    ...(namespace && { namespace }),
    ...(name && { name }),
    ...(fieldSelector && { fieldSelector }),
    ...(labelSelector && { labelSelector }),
  };
}
