// Several authorizers as one: the first that allows decides; the reasons of the others are joined.
import type { Attributes, Authorizer, Decision } from './identity.ts';

export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(attributes: Attributes): Decision {
      const reasons: string[] = [];
      for (const authorizer of authorizers) {
        const decision = authorizer.authorize(attributes);
        if (decision.allowed) return decision;
        if (decision.reason) reasons.push(decision.reason);
      }
      return { allowed: false, reason: reasons.join('; ') };
    },
  };
}
