// Access reviews: questions about users and rights, answered from the authenticator and the authorizer.
import { errors } from '../../../api/errors.ts';
import { fieldErrors } from '../../../api/field-error.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import type { TokenReview, UserInfo } from '../../../api/types/authentication-v1.ts';
import type {
  LocalSubjectAccessReview,
  NonResourceAttributes,
  ResourceAttributes,
  SelfSubjectAccessReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
} from '../../../api/types/authorization-v1.ts';
import type { Authenticator } from '../../auth/authenticate.ts';
import type { Attributes, Authorizer, Identity } from '../../auth/identity.ts';
import type { RbacAuthorizer } from '../../auth/rbac.ts';
import { admitBody } from '../../admission/subresource.ts';
import type { Exchange } from '../../http/exchange.ts';
import { negotiateFor, sendEntry } from '../../http/render.ts';
import { readObject, type ResourceContext, type SubresourceHandler, writeRequest } from '../../http/resources.ts';
import { writeOptions } from '../../http/write-options.ts';

export interface ReviewOptions {
  authenticator: Authenticator;
  authorizer: Authorizer;
  rbac: RbacAuthorizer;
}

/** By `resource.group`. */
export function reviewHandlers(options: ReviewOptions): Map<string, SubresourceHandler> {
  const { authenticator, authorizer, rbac } = options;
  return new Map<string, SubresourceHandler>([
    [
      'selfsubjectreviews.authentication.k8s.io',
      answering((_body, exchange) => ({ status: { userInfo: userInfo(exchange.user) } })),
    ],
    [
      'tokenreviews.authentication.k8s.io',
      answering(async (body) => {
        const { spec } = body as unknown as TokenReview;
        if (!spec?.token) throw errors.badRequest('token is required for TokenReview in authentication');
        const result = await authenticator.reviewToken(spec.token, spec.audiences ?? []);
        const status = result.ok
          ? { authenticated: true, user: userInfo(result.user), audiences: result.audiences }
          : { authenticated: false, error: result.error, user: {} };
        return { spec, status };
      }),
    ],
    [
      'selfsubjectaccessreviews.authorization.k8s.io',
      answering((body, exchange) => {
        const { spec } = body as unknown as SelfSubjectAccessReview;
        return { spec, status: decide(authorizer, exchange.user, spec, 'SelfSubjectAccessReview') };
      }),
    ],
    [
      'subjectaccessreviews.authorization.k8s.io',
      answering((body) => subjectReview(authorizer, body, 'SubjectAccessReview')),
    ],
    [
      'localsubjectaccessreviews.authorization.k8s.io',
      answering((body, exchange) => {
        const asked = (body as unknown as LocalSubjectAccessReview).spec?.resourceAttributes?.namespace ?? '';
        if (asked !== exchange.info.namespace) {
          throw errors.badRequest(
            `spec.resourceAttributes.namespace must match namespace: ${exchange.info.namespace}, got ${asked}`,
          );
        }
        return subjectReview(authorizer, body, 'LocalSubjectAccessReview');
      }),
    ],
    [
      'selfsubjectrulesreviews.authorization.k8s.io',
      answering((body, exchange) => {
        const { spec } = body as unknown as SelfSubjectRulesReview;
        if (!spec?.namespace) throw errors.badRequest('no namespace on request');
        const { rules, problems } = rbac.rulesFor(exchange.user, spec.namespace);
        const resourceRules = rules.filter((rule) => rule.resources?.length);
        const nonResourceRules = rules.filter((rule) => rule.nonResourceURLs?.length);
        const status = {
          resourceRules: resourceRules.map(({ verbs, apiGroups, resources, resourceNames }) => ({
            verbs,
            apiGroups,
            resources,
            ...(resourceNames && { resourceNames }),
          })),
          nonResourceRules: nonResourceRules.map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
          incomplete: problems.length > 0,
          ...(problems.length > 0 && { evaluationError: problems.join(', ') }),
        };
        return { spec: {}, status };
      }),
    ],
  ]);
}

type Answer = Record<string, unknown>;

function answering(answer: (body: KubeObject, exchange: Exchange) => Answer | Promise<Answer>): SubresourceHandler {
  return async (context: ResourceContext, exchange: Exchange, kind: Kind) => {
    const negotiated = negotiateFor(exchange, true);
    const options = writeOptions(exchange.info.query, 'CreateOptions');
    const body = await admitBody(
      context.admission,
      { kind, subresource: '', name: '', bodyKind: kind },
      await readObject(context, exchange, kind, options.fieldValidation),
      writeRequest(exchange, kind, options.dryRun),
    );
    const object = {
      kind: kind.kind,
      apiVersion: `${kind.group}/${kind.version}`,
      metadata: body.metadata,
      ...(await answer(body, exchange)),
    };
    const entry = { key: '', object, bytes: Buffer.from(JSON.stringify(object)), revision: 0 };
    await sendEntry(exchange, 201, kind, entry, negotiated, context.clock.now());
  };
}

function subjectReview(authorizer: Authorizer, body: KubeObject, kind: string): Answer {
  const { spec } = body as unknown as SubjectAccessReview;
  if (!spec?.user && !spec?.groups?.length) {
    throw errors.invalid({ group: 'authorization.k8s.io', kind }, '', [
      fieldErrors.invalid('spec.user', '', 'at least one of user or group must be specified'),
    ]);
  }
  const user: Identity = {
    name: spec.user ?? '',
    groups: spec.groups ?? [],
    ...(spec.uid && { uid: spec.uid }),
    ...(spec.extra && { extra: spec.extra }),
  };
  return { spec, status: decide(authorizer, user, spec, kind) };
}

function decide(
  authorizer: Authorizer,
  user: Identity,
  spec: { resourceAttributes?: ResourceAttributes; nonResourceAttributes?: NonResourceAttributes },
  kind: string,
): object {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec ?? {};
  if ((resource === undefined) === (path === undefined)) {
    throw errors.invalid({ group: 'authorization.k8s.io', kind }, '', [
      fieldErrors.invalid(
        resource ? 'spec.nonResourceAttributes' : 'spec.resourceAttributes',
        resource ? path : null,
        resource
          ? 'cannot be specified in combination with resourceAttributes'
          : 'exactly one of nonResourceAttributes or resourceAttributes must be specified',
      ),
    ]);
  }
  const attributes: Attributes = {
    user,
    verb: resource?.verb ?? path?.verb ?? '',
    isResource: resource !== undefined,
    group: resource?.group ?? '',
    version: resource?.version ?? '',
    resource: resource?.resource ?? '',
    subresource: resource?.subresource ?? '',
    namespace: resource?.namespace ?? '',
    name: resource?.name ?? '',
    path: path?.path ?? '',
  };
  const decision = authorizer.authorize(attributes);
  return { allowed: decision.allowed, ...(decision.reason && { reason: decision.reason }) };
}

function userInfo(user: Identity): UserInfo {
  return {
    username: user.name,
    ...(user.uid && { uid: user.uid }),
    groups: [...user.groups],
    ...(user.extra && {
      extra: Object.fromEntries(Object.entries(user.extra).map(([key, values]) => [key, [...values]])),
    }),
  };
}
