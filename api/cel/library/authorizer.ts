// Kubernetes' authorizer: expressions ask what the user of the request, or a service account, may do.
import { nameIsDnsLabel, nameIsDnsSubdomain } from '../../names.ts';
import { type CelType, types } from '../types.ts';
import { fn, type Library, member } from '../functions.ts';
import { CelOpaque, type CelValue } from '../values.ts';
import { failure } from './arithmetic.ts';

const { string, bool } = types;
const type = (name: string): CelType => types.opaque(`kubernetes.authorization.${name}`);
export const authorizerType = type('Authorizer');
const pathType = type('PathCheck');
const groupType = type('GroupCheck');
export const resourceCheckType = type('ResourceCheck');
const decisionType = type('Decision');

/** What an expression asks; `serviceAccount` instead of the user of the request. */
export interface AuthorizationQuery {
  verb: string;
  serviceAccount?: { namespace: string; name: string };
  path?: string;
  resource?: ResourceQuery;
}
export interface ResourceQuery {
  group: string;
  resource: string;
  subresource: string;
  namespace: string;
  name: string;
  fieldSelector: string;
  labelSelector: string;
}
export interface AuthorizationAnswer {
  isAllowed: boolean;
  reason: string;
  error?: string;
}
export type Authorize = (query: AuthorizationQuery) => AuthorizationAnswer;

class Check extends CelOpaque {
  readonly typeName: string;
  readonly authorize: Authorize;
  readonly query: Omit<AuthorizationQuery, 'verb'>;
  constructor(name: string, authorize: Authorize, query: Omit<AuthorizationQuery, 'verb'>) {
    super();
    this.typeName = `kubernetes.authorization.${name}`;
    this.authorize = authorize;
    this.query = query;
  }
  equals(other: CelValue): boolean {
    return other === this;
  }
  with(name: string, query: Omit<AuthorizationQuery, 'verb'>): Check {
    return new Check(name, this.authorize, { ...this.query, ...query });
  }
  narrowed(change: Partial<ResourceQuery>): Check {
    return this.with('ResourceCheck', { resource: { ...(this.query.resource as ResourceQuery), ...change } });
  }
}

class Decision extends CelOpaque {
  readonly typeName = 'kubernetes.authorization.Decision';
  readonly answer: AuthorizationAnswer;
  constructor(answer: AuthorizationAnswer) {
    super();
    this.answer = answer;
  }
  equals(other: CelValue): boolean {
    return other === this;
  }
}

const NOTHING: ResourceQuery = {
  group: '',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
  fieldSelector: '',
  labelSelector: '',
};

/** The value of `authorizer`. */
export const authorizerValue = (authorize: Authorize): CelValue => new Check('Authorizer', authorize, {});

/** The value of `authorizer.requestResource`. */
export const resourceCheckValue = (authorize: Authorize, resource: Partial<ResourceQuery>): CelValue =>
  new Check('ResourceCheck', authorize, { resource: { ...NOTHING, ...resource } });

function serviceAccount(check: Check, namespace: string, name: string): CelValue {
  if (nameIsDnsSubdomain(name, false).length > 0) return failure('Invalid service account name');
  if (nameIsDnsLabel(namespace, false).length > 0) return failure('Invalid service account namespace');
  return check.with('Authorizer', { serviceAccount: { namespace, name } });
}

const narrowing = (name: keyof ResourceQuery, id = `resourcecheck_${name}`) =>
  fn(
    name,
    member(id, [resourceCheckType, string], resourceCheckType, (check: Check, value: string) =>
      check.narrowed({ [name]: value }),
    ),
  );
const ask = (check: Check, verb: string) => new Decision(check.authorize({ ...check.query, verb }));

export const authorizerLibrary: Library = {
  name: 'kubernetes.authz',
  types: [authorizerType, pathType, groupType, resourceCheckType, decisionType],
  functions: [
    fn(
      'path',
      member('authorizer_path', [authorizerType, string], pathType, (check: Check, path: string) =>
        path.trim() === '' ? failure('path must not be empty') : check.with('PathCheck', { path }),
      ),
    ),
    fn(
      'group',
      member('authorizer_group', [authorizerType, string], groupType, (check: Check, group: string) =>
        check.with('GroupCheck', { resource: { ...NOTHING, group } }),
      ),
    ),
    fn(
      'serviceAccount',
      member('authorizer_serviceaccount', [authorizerType, string, string], authorizerType, serviceAccount),
    ),
    fn(
      'resource',
      member('groupcheck_resource', [groupType, string], resourceCheckType, (check: Check, resource: string) =>
        resource.trim() === '' ? failure('resource must not be empty') : check.narrowed({ resource }),
      ),
    ),
    narrowing('subresource'),
    narrowing('namespace'),
    narrowing('name'),
    narrowing('fieldSelector', 'authorizer_fieldselector'),
    narrowing('labelSelector', 'authorizer_labelselector'),
    fn(
      'check',
      member('pathcheck_check', [pathType, string], decisionType, ask),
      member('resourcecheck_check', [resourceCheckType, string], decisionType, ask),
    ),
    fn(
      'errored',
      member('decision_errored', [decisionType], bool, ({ answer }: Decision) => answer.error !== undefined),
    ),
    fn(
      'error',
      member('decision_error', [decisionType], string, ({ answer }: Decision) => answer.error ?? ''),
    ),
    fn(
      'allowed',
      member('decision_allowed', [decisionType], bool, ({ answer }: Decision) => answer.isAllowed),
    ),
    fn(
      'reason',
      member('decision_reason', [decisionType], string, ({ answer }: Decision) => answer.reason),
    ),
  ],
};
