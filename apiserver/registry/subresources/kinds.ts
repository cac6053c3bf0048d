// Kinds that exist only as bodies of requests: bindings, evictions, token requests and access reviews. The reviews are
// resources of their own (create only); the others are bodies of subresources. None is stored.
import type { Kind } from '../../../api/kind.ts';

function bodyKind(facts: Pick<Kind, 'group' | 'version' | 'kind' | 'resource' | 'schema' | 'namespaced'>): Kind {
  return {
    ...facts,
    listKind: `${facts.kind}List`,
    singular: facts.kind.toLowerCase(),
    shortNames: [],
    categories: [],
    verbs: ['create'],
    columns: [
      { name: 'Name', type: 'string', format: 'name', priority: 0 },
      { name: 'Created At', type: 'date', priority: 0 },
    ],
    cells: (object) => [object.metadata.name ?? '', object.metadata.creationTimestamp ?? null],
    hasStatus: false,
    hasGeneration: false,
    validate: () => [],
    validateUpdate: () => [],
  };
}

const review = (group: string, kind: string, namespaced: boolean): Kind =>
  bodyKind({
    group: `${group}.k8s.io`,
    version: 'v1',
    kind,
    resource: `${kind.toLowerCase()}s`,
    schema: `${group}.v1.${kind}`,
    namespaced,
  });

export const bindingKind = bodyKind({
  group: '',
  version: 'v1',
  kind: 'Binding',
  resource: 'bindings',
  schema: 'core.v1.Binding',
  namespaced: true,
});

export const evictionKind = bodyKind({
  group: 'policy',
  version: 'v1',
  kind: 'Eviction',
  resource: 'evictions',
  schema: 'policy.v1.Eviction',
  namespaced: true,
});

export const tokenRequestKind = bodyKind({
  group: 'authentication.k8s.io',
  version: 'v1',
  kind: 'TokenRequest',
  resource: 'tokenrequests',
  schema: 'authentication.v1.TokenRequest',
  namespaced: true,
});

export const tokenReviewKind = review('authentication', 'TokenReview', false);
export const selfSubjectReviewKind = review('authentication', 'SelfSubjectReview', false);
export const subjectAccessReviewKind = review('authorization', 'SubjectAccessReview', false);
export const localSubjectAccessReviewKind = review('authorization', 'LocalSubjectAccessReview', true);
export const selfSubjectAccessReviewKind = review('authorization', 'SelfSubjectAccessReview', false);
export const selfSubjectRulesReviewKind = review('authorization', 'SelfSubjectRulesReview', false);

/** What the server adds to a scheme that does not have them: resources that are answered, not stored. */
export const reviewKinds: readonly Kind[] = [
  bindingKind,
  tokenReviewKind,
  selfSubjectReviewKind,
  subjectAccessReviewKind,
  localSubjectAccessReviewKind,
  selfSubjectAccessReviewKind,
  selfSubjectRulesReviewKind,
];
