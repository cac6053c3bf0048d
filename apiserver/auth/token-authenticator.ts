// What bearer tokens are asked of: several authenticators, each of which knows the token, refuses it with a reason, or has
// nothing to say about it.
import { createHash } from 'node:crypto';
import { authenticated, type Identity } from './identity.ts';

export type TokenResult = { ok: true; user: Identity; audiences: string[] } | { ok: false; error: string };

/** Undefined: not a token of this kind. */
export type TokenAnswer = TokenResult | undefined;

export interface TokenAuthenticator {
  /** The token must be for one of `audiences`. Never throws for what a token says. */
  authenticate(token: string, audiences: readonly string[]): Promise<TokenAnswer> | TokenAnswer;
}

/** Upstream's words for a token that nobody knows. */
const UNKNOWN = 'invalid bearer token';

/**
 * The first that knows the token decides. Its refusal comes behind the one of the server's own token, which upstream asks
 * first: `[invalid bearer token, service account token has expired]`.
 */
export async function authenticateToken(
  authenticators: readonly TokenAuthenticator[],
  token: string,
  audiences: readonly string[],
): Promise<TokenResult> {
  const refusals = [UNKNOWN];
  for (const each of authenticators) {
    const answer = await each.authenticate(token, audiences);
    if (answer?.ok) return { ...answer, user: authenticated(answer.user) };
    if (answer && !refusals.includes(answer.error)) refusals.push(answer.error);
  }
  return { ok: false, error: refusals.length === 1 ? UNKNOWN : `[${refusals.join(', ')}]` };
}

/** For tokens that name no audience: they are good for the API server and nobody else. */
export function forServerOnly(
  serverAudiences: readonly string[],
  find: (token: string) => Promise<Identity | TokenAnswer> | Identity | TokenAnswer,
): TokenAuthenticator {
  return {
    async authenticate(token, audiences) {
      const named = audiences.filter((each) => serverAudiences.includes(each));
      if (named.length === 0) return undefined;
      const found = await find(token);
      if (!found || 'ok' in found) return found;
      return { ok: true, user: found, audiences: named };
    },
  };
}

/** Look-ups by hash: the time they take says nothing about a token. */
export const hashToken = (token: string): string => createHash('sha256').update(token).digest('base64');

/** Remembers `capacity` values by token, the oldest goes first. */
export class TokenMemory<T> {
  #known = new Map<string, T>();
  #capacity: number;

  constructor(capacity = 4096) {
    this.#capacity = capacity;
  }

  get(token: string, make: () => T): T {
    const hash = hashToken(token);
    if (this.#known.has(hash)) return this.#known.get(hash) as T;
    const made = make();
    if (this.#known.size >= this.#capacity) this.#known.delete(this.#known.keys().next().value as string);
    this.#known.set(hash, made);
    return made;
  }
}
