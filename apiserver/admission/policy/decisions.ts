// What `authorizer` in expressions asks. Evaluation is synchronous and an authorizer may have to ask somebody else: then
// evaluation is given up, the answer awaited and kept, and evaluation begun anew with what is known.
import type { AuthorizationAnswer, AuthorizationQuery, Authorize } from '../../../api/cel/library/authorizer.ts';
import { parseFieldSelector, parseLabelSelector } from '../../../api/selectors.ts';
import {
  type Attributes,
  type Authorizer,
  type Decision,
  type Identity,
  type SelectorTerm,
  serviceAccountUser,
} from '../../auth/identity.ts';

class Pending extends Error {}

/** The answers given during one request. */
export class Decisions {
  readonly #authorizer: Authorizer;
  readonly #user: Identity;
  readonly #known = new Map<string, AuthorizationAnswer>();
  #awaited: Promise<void> | undefined;

  constructor(authorizer: Authorizer, user: Identity) {
    this.#authorizer = authorizer;
    this.#user = user;
  }

  readonly authorize: Authorize = (query) => {
    const key = JSON.stringify(query);
    const known = this.#known.get(key);
    if (known) return known;
    const keep = (answer: AuthorizationAnswer) => {
      this.#known.set(key, answer);
      return answer;
    };
    const failed = (error: unknown) =>
      keep({ isAllowed: false, reason: '', error: error instanceof Error ? error.message : String(error) });
    try {
      const asked = this.#authorizer.authorize(attributesOf(query, this.#user));
      if (!(asked instanceof Promise)) return keep(answerOf(asked));
      this.#awaited = asked.then((decision) => void keep(answerOf(decision)), failed as (error: unknown) => void);
    } catch (error) {
      return failed(error);
    }
    throw new Pending();
  };

  /** The result of `evaluate`, which is begun anew after each answer that had to be waited for. */
  run<T>(evaluate: () => T): T | Promise<T> {
    try {
      return evaluate();
    } catch (error) {
      if (!(error instanceof Pending)) throw error;
      return (this.#awaited as Promise<void>).then(() => this.run(evaluate));
    }
  }
}

const answerOf = (decision: Decision): AuthorizationAnswer => ({
  isAllowed: decision.allowed,
  reason: decision.reason,
});

function attributesOf({ verb, path, resource, serviceAccount }: AuthorizationQuery, own: Identity): Attributes {
  const user = serviceAccount ? accountIdentity(serviceAccount.namespace, serviceAccount.name) : own;
  const { group = '', subresource = '', namespace = '', name = '' } = resource ?? {};
  const fieldSelector = resource?.fieldSelector ? fieldTerms(resource.fieldSelector) : undefined;
  const labelSelector = resource?.labelSelector ? labelTerms(resource.labelSelector) : undefined;
  return {
    user,
    verb,
    isResource: resource !== undefined,
    group,
    version: resource ? '*' : '',
    resource: resource?.resource ?? '',
    subresource,
    namespace,
    name,
    path: path ?? '',
    ...(fieldSelector && { fieldSelector }),
    ...(labelSelector && { labelSelector }),
  };
}

function accountIdentity(namespace: string, name: string): Identity {
  return {
    name: serviceAccountUser(namespace, name),
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
  };
}

/** A selector that cannot be read narrows nothing. */
function fieldTerms(text: string): SelectorTerm[] | undefined {
  try {
    return parseFieldSelector(text).requirements.map(({ field, value, operator }) => ({
      key: field,
      operator: operator === '!=' ? 'NotIn' : 'In',
      values: [value],
    }));
  } catch {
    return undefined;
  }
}

const OPERATORS: Record<string, string> = {
  in: 'In',
  '=': 'In',
  '==': 'In',
  notin: 'NotIn',
  '!=': 'NotIn',
  exists: 'Exists',
  '!': 'DoesNotExist',
};

function labelTerms(text: string): SelectorTerm[] | undefined {
  try {
    return parseLabelSelector(text).requirements.flatMap(({ key, operator, values }) => {
      const known = OPERATORS[operator];
      return known ? [{ key, operator: known, values: [...values] }] : [];
    });
  } catch {
    return undefined;
  }
}
