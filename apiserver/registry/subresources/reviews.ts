// Access reviews: questions about users and rights, answered from the authenticator and the authorizer.
import { errors } from '../../../api/errors.ts';
import { type FieldError, fieldErrors, goStruct } from '../../../api/field-error.ts';
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';
import { validateRequirement } from '../../../api/selectors.ts';
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
import { type Authorizer, type Identity, nodeNameOf, type SelectorTerm } from '../../auth/identity.ts';
import type { RbacAuthorizer } from '../../auth/rbac.ts';
import { admitBody } from '../../admission/subresource.ts';
import type { Exchange } from '../../http/exchange.ts';
import { negotiateFor, sendEntry } from '../../http/render.ts';
import { fieldSelectorTerms, labelSelectorTerms } from '../../http/selector-attributes.ts';
import { timestamp } from '../encode.ts';
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
      answering((_body, exchange, nowMs) => ({
        metadata: { creationTimestamp: timestamp(nowMs) },
        status: { userInfo: userInfo(exchange.user) },
      })),
    ],
    [
      'tokenreviews.authentication.k8s.io',
      answering(async (body) => {
        const { spec } = body as unknown as TokenReview;
        if (!spec?.token) throw errors.badRequest('token is required for TokenReview in authentication');
        const result = await authenticator.reviewToken(spec.token, spec.audiences ?? []);
        const status = result.ok
          ? { authenticated: true, user: userInfo(result.user), audiences: result.audiences }
          : { error: result.error, user: {} };
        return { spec, status };
      }),
    ],
    [
      'selfsubjectaccessreviews.authorization.k8s.io',
      answering(async (body, exchange) => {
        const { spec } = body as unknown as SelfSubjectAccessReview;
        failIfInvalid('SelfSubjectAccessReview', [
          ...attributesErrors(spec),
          ...selectorsErrors(spec),
          ...metadataErrors(body, 'must be empty'),
        ]);
        return { spec, status: await decide(authorizer, exchange.user, spec) };
      }),
    ],
    [
      'subjectaccessreviews.authorization.k8s.io',
      answering(async (body) => {
        const { spec } = body as unknown as SubjectAccessReview;
        failIfInvalid('SubjectAccessReview', [...subjectErrors(spec), ...metadataErrors(body, 'must be empty')]);
        return { spec, status: await decide(authorizer, subjectOf(spec), spec) };
      }),
    ],
    [
      'localsubjectaccessreviews.authorization.k8s.io',
      answering(async (body, exchange) => {
        const { spec } = body as unknown as LocalSubjectAccessReview;
        const { namespace } = exchange.info;
        const { namespace: _, ...metadata } = body.metadata;
        const found = subjectErrors(spec);
        found.push(...metadataErrors({ ...body, metadata }, 'must be empty except for namespace'));
        const asked = spec?.resourceAttributes;
        if (asked && (asked.namespace ?? '') !== namespace) {
          const field = 'spec.resourceAttributes.namespace';
          found.push(fieldErrors.invalid(field, asked.namespace ?? '', 'must match metadata.namespace'));
        }
        if (spec?.nonResourceAttributes) {
          const field = 'spec.nonResourceAttributes';
          found.push(
            fieldErrors.invalid(field, shownPath(spec.nonResourceAttributes), 'disallowed on this kind of request'),
          );
        }
        failIfInvalid('LocalSubjectAccessReview', found);
        return { spec, status: await decide(authorizer, subjectOf(spec), spec) };
      }),
    ],
    [
      'selfsubjectrulesreviews.authorization.k8s.io',
      answering((body, exchange) => {
        const { spec } = body as unknown as SelfSubjectRulesReview;
        if (!spec?.namespace) throw errors.badRequest('no namespace on request');
        return { spec: {}, status: rulesStatus(rbac, exchange.user, spec.namespace) };
      }),
    ],
  ]);
}

/** The two selectors of a question have the same form. */
type AskedSelector = NonNullable<ResourceAttributes['fieldSelector']>;

type Answer = Record<string, unknown>;

function answering(
  answer: (body: KubeObject, exchange: Exchange, nowMs: number) => Answer | Promise<Answer>,
): SubresourceHandler {
  return async (context: ResourceContext, exchange: Exchange, kind: Kind) => {
    const negotiated = negotiateFor(exchange, false, kind);
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
      ...(await answer(body, exchange, context.clock.now())),
    };
    const entry = { key: '', object, bytes: Buffer.from(JSON.stringify(object)), revision: 0 };
    await sendEntry(exchange, 201, kind, entry, negotiated, context.clock.now());
  };
}

function failIfInvalid(kind: string, found: readonly FieldError[]): void {
  if (found.length > 0) throw errors.invalid({ group: 'authorization.k8s.io', kind }, '', found);
}

const shownPath = (path: NonResourceAttributes) => goStruct(path, { Path: '', Verb: '' });

function metadataErrors({ metadata }: KubeObject, text: string): FieldError[] {
  const { managedFields: _, ...rest } = metadata;
  return Object.keys(rest).length > 0 ? [fieldErrors.invalid('metadata', metadata, text)] : [];
}

function subjectErrors(spec: SubjectAccessReview['spec'] | undefined): FieldError[] {
  const found = attributesErrors(spec);
  if (!spec?.user && !spec?.groups?.length) {
    found.push(fieldErrors.invalid('spec.user', '', 'at least one of user or group must be specified'));
  }
  return [...found, ...selectorsErrors(spec)];
}

function attributesErrors(spec: SelfSubjectAccessReview['spec'] | undefined): FieldError[] {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec ?? {};
  if (resource && path) {
    const why = 'cannot be specified in combination with resourceAttributes';
    return [fieldErrors.invalid('spec.nonResourceAttributes', shownPath(path), why)];
  }
  if (!resource && !path) {
    const why = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    return [fieldErrors.invalid('spec.resourceAttributes', null, why)];
  }
  return [];
}

function selectorsErrors(spec: SelfSubjectAccessReview['spec'] | undefined): FieldError[] {
  const { fieldSelector, labelSelector } = spec?.resourceAttributes ?? {};
  const field = 'spec.resourceAttributes';
  return [
    ...selectorErrors(fieldSelector, `${field}.fieldSelector`, fieldRequirementErrors),
    ...selectorErrors(labelSelector, `${field}.labelSelector`, (each, at) =>
      validateRequirement(each, at, { allowUnknownOperator: true }),
    ),
  ];
}

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'];

type AskedRequirement = NonNullable<AskedSelector['requirements']>[number];

function selectorErrors(
  selector: AskedSelector | undefined,
  field: string,
  check: (each: AskedRequirement, at: string) => FieldError[],
): FieldError[] {
  if (!selector) return [];
  const { rawSelector = '', requirements = [] } = selector;
  const found: FieldError[] = [];
  if (rawSelector !== '' && requirements.length > 0) {
    found.push(
      fieldErrors.invalid(`${field}.rawSelector`, rawSelector, 'may not specified at the same time as requirements'),
    );
  }
  if (rawSelector === '' && requirements.length === 0) {
    const why = `when ${field} is specified, requirements or rawSelector is required`;
    found.push(fieldErrors.required(`${field}.requirements`, why));
  }
  for (const [i, each] of requirements.entries()) found.push(...check(each, `${field}.requirements[${i}]`));
  return found;
}

function fieldRequirementErrors({ key, operator, values = [] }: AskedRequirement, at: string): FieldError[] {
  const found: FieldError[] = [];
  if (!key) found.push(fieldErrors.required(`${at}.key`, 'must be specified'));
  if ((operator === 'In' || operator === 'NotIn') && values.length === 0) {
    found.push(fieldErrors.required(`${at}.values`, "must be specified when `operator` is 'In' or 'NotIn'"));
  }
  if ((operator === 'Exists' || operator === 'DoesNotExist') && values.length > 0) {
    found.push(
      fieldErrors.forbidden(`${at}.values`, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"),
    );
  }
  return found;
}

/** What cannot be understood narrows nothing: the question is then answered as if it were not asked. */
function termsOf(
  selector: AskedSelector | undefined,
  parse: (text: string) => SelectorTerm[] | undefined,
): readonly SelectorTerm[] | undefined {
  if (!selector) return undefined;
  if (selector.rawSelector) return parse(selector.rawSelector);
  return (selector.requirements ?? [])
    .filter((each) => OPERATORS.includes(each.operator))
    .map(({ key, operator, values = [] }) => ({ key, operator, values }));
}

function subjectOf(spec: SubjectAccessReview['spec']): Identity {
  return {
    name: spec.user ?? '',
    groups: spec.groups ?? [],
    ...(spec.uid && { uid: spec.uid }),
    ...(spec.extra && { extra: spec.extra }),
  };
}

async function decide(
  authorizer: Authorizer,
  user: Identity,
  spec: { resourceAttributes?: ResourceAttributes; nonResourceAttributes?: NonResourceAttributes },
): Promise<object> {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  const fieldSelector = termsOf(resource?.fieldSelector, fieldSelectorTerms);
  const labelSelector = termsOf(resource?.labelSelector, labelSelectorTerms);
  const decision = await authorizer.authorize({
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
    ...(fieldSelector && { fieldSelector }),
    ...(labelSelector && { labelSelector }),
  });
  const denied = !decision.allowed && decision.denied;
  return {
    allowed: decision.allowed,
    ...(denied && { denied: true }),
    ...(decision.reason && { reason: decision.reason }),
  };
}

function rulesStatus(rbac: RbacAuthorizer, user: Identity, namespace: string): object {
  const { rules, problems } = rbac.rulesFor(user, namespace);
  const errorsFound = [...new Set(problems)];
  // The node authorizer decides by what pods refer to: there are no rules to list.
  if (nodeNameOf(user) !== undefined) errorsFound.push('node authorizer does not support user rule resolution');
  return {
    resourceRules: rules
      .filter((rule) => rule.resources?.length)
      .map(({ verbs, apiGroups, resources, resourceNames }) => ({
        verbs,
        apiGroups,
        resources,
        ...(resourceNames && { resourceNames }),
      })),
    nonResourceRules: rules
      .filter((rule) => rule.nonResourceURLs?.length)
      .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
    incomplete: errorsFound.length > 0,
    ...(errorsFound.length > 0 && {
      evaluationError: errorsFound.length === 1 ? errorsFound[0] : `[${errorsFound.join(', ')}]`,
    }),
  };
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
