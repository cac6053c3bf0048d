// Several authorizers as one: the first that allows or denies decides; the reasons of the others are joined. Answers
// at once unless one of them has to wait.
import type { Attributes, Authorizer, Decision } from './identity.ts';

export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  function decide(attributes: Attributes, from: number, reasons: string[]): Decision | Promise<Decision> {
    for (let i = from; i < authorizers.length; i++) {
      const asked = (authorizers[i] as Authorizer).authorize(attributes);
      if (asked instanceof Promise) {
        return asked.then((decision) => settled(decision, reasons) ?? decide(attributes, i + 1, reasons));
      }
      const final = settled(asked, reasons);
      if (final) return final;
    }
    return { allowed: false, reason: reasons.join('\n') };
  }
  return { authorize: (attributes) => decide(attributes, 0, []) };
}

/** The decision when it ends the asking; else its reason is kept. */
function settled(decision: Decision, reasons: string[]): Decision | undefined {
  if (decision.allowed) return decision;
  if (decision.reason) reasons.push(decision.reason);
  return decision.denied ? { allowed: false, denied: true, reason: reasons.join('\n') } : undefined;
}
