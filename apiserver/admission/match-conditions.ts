// `matchConditions` of webhooks, compiled when the configuration changes.
import { compileWebhookConditions } from '../../api/cel/policies.ts';
import type { Authorizer } from '../auth/identity.ts';
import { Decisions } from './policy/decisions.ts';
import { matchConditionsHold } from './policy/evaluate.ts';
import type { ConditionCompiler } from './webhooks/hook-index.ts';

export function webhookConditions(authorizer: () => Authorizer): ConditionCompiler {
  return (conditions) => {
    const compiled = compileWebhookConditions(conditions, 'matchConditions');
    return (request) => {
      const { kind, object, old, user } = request;
      const decisions = new Decisions(authorizer(), user);
      const input = { request, kind, object, old, namespace: undefined, decisions };
      return decisions.run(() => matchConditionsHold(compiled, input));
    };
  };
}
