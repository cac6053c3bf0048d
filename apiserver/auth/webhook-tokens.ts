// Bearer tokens that nobody here knows: TokenReviews to another server. Answers are remembered for two minutes.
import type { Clock } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { AnswerCache, type AskReview } from './review-webhook.ts';
import { hashToken, type TokenAnswer, type TokenAuthenticator } from './token-authenticator.ts';
import { createTokenMetrics, type TokenMetrics } from './token-metrics.ts';

const CACHED_MS = 2 * 60_000;

export function webhookTokens(options: {
  ask: AskReview;
  serverAudiences: readonly string[];
  clock: Clock;
  log: Logger;
  metrics?: TokenMetrics;
}): TokenAuthenticator {
  const { ask, serverAudiences, clock, log, metrics = createTokenMetrics() } = options;
  const answers = new AnswerCache<{ answer: TokenAnswer }>();
  return {
    async authenticate(token, audiences) {
      const key = hashToken(JSON.stringify([token, audiences]));
      const known = answers.get(key, clock.monotonic());
      metrics.remembered(known !== undefined, 0);
      if (known) return known.answer;
      let status: Record<string, unknown>;
      let ok = false;
      metrics.fetching(1);
      try {
        const spec = { token, audiences };
        const review = await ask({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec });
        status = review.status ?? {};
        ok = true;
      } catch (error) {
        log.error({ err: error }, 'the token webhook did not answer');
        return { ok: false, error: 'the token webhook did not answer' };
      } finally {
        metrics.fetching(-1);
        metrics.fetched(ok);
      }
      const answer = answerOf(status, audiences, serverAudiences);
      answers.set(key, { answer }, clock.monotonic() + CACHED_MS);
      return answer;
    },
  };
}

interface ReviewedUser {
  username?: string;
  uid?: string;
  groups?: string[];
  extra?: Record<string, string[]>;
}

function answerOf(
  status: Record<string, unknown>,
  audiences: readonly string[],
  serverAudiences: readonly string[],
): TokenAnswer {
  if (status.authenticated !== true) {
    return typeof status.error === 'string' && status.error !== '' ? { ok: false, error: status.error } : undefined;
  }
  const { username = '', uid, groups = [], extra } = (status.user ?? {}) as ReviewedUser;
  if (username === '') return undefined;
  // A webhook that knows no audiences speaks for the API server's own.
  const named = Array.isArray(status.audiences) && status.audiences.length > 0 ? status.audiences : serverAudiences;
  const common = audiences.filter((each) => named.includes(each));
  if (common.length === 0) return undefined;
  return {
    ok: true,
    user: { name: username, groups, ...(uid && { uid }), ...(extra && { extra }) },
    audiences: common,
  };
}
