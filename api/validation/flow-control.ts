// Priority and fairness: flow schemas and priority levels (k8s.io/kubernetes/pkg/apis/flowcontrol/validation).
import { fieldErrors, goStruct } from '../field-error.ts';
import { nameIsDnsLabel, nameIsDnsSubdomain } from '../names.ts';
import type {
  FlowSchemaSpec,
  LimitedPriorityLevelConfiguration,
  NonResourcePolicyRule,
  PolicyRulesWithSubjects,
  PriorityLevelConfigurationSpec,
  QueuingConfiguration,
  ResourcePolicyRule,
  ServiceAccountSubject,
  Subject,
} from '../types/flowcontrol-v1.ts';
import { type Findings, invalidEach } from './checks.ts';

const { duplicate, forbidden, invalid, notSupported, required } = fieldErrors;

const MAX_PRECEDENCE = 10_000;
const MAX_QUEUES = 10_000_000;
/** Bits of the hash from which a hand of queues is dealt. */
const MAX_HASH_BITS = 60;
const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'proxy', 'update', 'watch'];

export function* validateFlowSchemaSpec(spec: FlowSchemaSpec, name: string): Findings {
  const precedence = spec.matchingPrecedence ?? 0;
  const field = 'spec.matchingPrecedence';
  if (precedence <= 0) yield invalid(field, precedence, 'must be a positive value');
  if (precedence > MAX_PRECEDENCE) yield invalid(field, precedence, `must not be greater than ${MAX_PRECEDENCE}`);
  if (precedence === 1 && name !== 'exempt') {
    yield invalid(field, precedence, "only the schema named 'exempt' may have matchingPrecedence 1");
  }
  const method = spec.distinguisherMethod;
  if (method && !['ByNamespace', 'ByUser'].includes(method.type)) {
    yield notSupported('spec.distinguisherMethod.type', goStruct(method, { Type: '' }), ['ByNamespace', 'ByUser']);
  }
  const level = spec.priorityLevelConfiguration?.name ?? '';
  if (!level) yield required('spec.priorityLevelConfiguration.name', 'must reference a priority level');
  else yield* invalidEach('spec.priorityLevelConfiguration.name', level, nameIsDnsSubdomain(level, false));
  for (const [i, rule] of (spec.rules ?? []).entries()) yield* rules(rule, `spec.rules[${i}]`);
}

function* rules(rule: PolicyRulesWithSubjects, field: string): Findings {
  const { subjects = [], resourceRules = [], nonResourceRules = [] } = rule;
  if (subjects.length === 0) yield required(`${field}.subjects`, 'subjects must contain at least one value');
  for (const [i, each] of subjects.entries()) yield* subject(each, `${field}.subjects[${i}]`);
  if (resourceRules.length === 0 && nonResourceRules.length === 0) {
    yield required(field, 'at least one of resourceRules and nonResourceRules has to be non-empty');
  }
  for (const [i, each] of resourceRules.entries()) yield* resourceRule(each, `${field}.resourceRules[${i}]`);
  for (const [i, each] of nonResourceRules.entries()) yield* nonResourceRule(each, `${field}.nonResourceRules[${i}]`);
}

const SUBJECTS = { ServiceAccount: 'serviceAccount', User: 'user', Group: 'group' } as const;

function* subject(each: Subject, field: string): Findings {
  if (!Object.hasOwn(SUBJECTS, each.kind ?? '')) {
    yield notSupported(`${field}.kind`, each.kind ?? '', ['Group', 'ServiceAccount', 'User']);
    return;
  }
  const own = SUBJECTS[each.kind as keyof typeof SUBJECTS];
  const value = each[own];
  if (!value) yield required(`${field}.${own}`, `${own} is required when subject kind is '${each.kind}'`);
  else if (own === 'serviceAccount') yield* serviceAccount(value as ServiceAccountSubject, `${field}.${own}`);
  else if (!value.name) yield required(`${field}.${own}.name`);
  for (const [kind, name] of Object.entries(SUBJECTS)) {
    if (name !== own && each[name]) {
      yield forbidden(`${field}.${name}`, `${name} is forbidden when subject kind is not '${kind}'`);
    }
  }
}

function* serviceAccount({ name = '', namespace = '' }: ServiceAccountSubject, field: string): Findings {
  if (!name) yield required(`${field}.name`);
  else if (name !== '*') yield* invalidEach(`${field}.name`, name, nameIsDnsSubdomain(name, false));
  if (!namespace) yield required(`${field}.namespace`, 'must specify namespace for service account');
  else yield* invalidEach(`${field}.namespace`, namespace, nameIsDnsLabel(namespace, false));
}

function* verbs(list: readonly string[], field: string): Findings {
  if (list.length === 0) yield required(field, 'verbs must contain at least one value');
  else if (list.includes('*')) {
    if (list.length > 1) yield invalid(field, list, "if '*' is present, must not specify other verbs");
  } else if (!list.every((each) => VERBS.includes(each))) yield notSupported(field, list, VERBS);
}

function* nonResourceRule(rule: NonResourcePolicyRule, field: string): Findings {
  yield* verbs(rule.verbs ?? [], `${field}.verbs`);
  const urls = rule.nonResourceURLs ?? [];
  const path = `${field}.nonResourceURLs`;
  if (urls.length === 0) yield required(path, 'nonResourceURLs must contain at least one value');
  else if (urls.includes('*')) {
    if (urls.length > 1) yield invalid(path, urls, "if '*' is present, must not specify other non-resource URLs");
  } else {
    for (const [i, url] of urls.entries()) {
      const text = urlProblem(url);
      if (text) yield invalid(`${path}[${i}]`, url, text);
    }
  }
}

function urlProblem(url: string): string | undefined {
  if (url === '') return 'must not be empty';
  if (url === '/') return undefined;
  if (!url.startsWith('/')) return 'must start with slash';
  if (url.includes(' ')) return 'must not contain white-space';
  if (url.includes('//')) return 'must not contain double slash';
  const stars = url.split('*').length - 1;
  return stars > 1 || (stars === 1 && !url.endsWith('/*')) ? 'wildcard can only do suffix matching' : undefined;
}

function* resourceRule(rule: ResourcePolicyRule, field: string): Findings {
  yield* verbs(rule.verbs ?? [], `${field}.verbs`);
  yield* oneWildcard(rule.apiGroups ?? [], `${field}.apiGroups`, 'api group');
  yield* oneWildcard(rule.resources ?? [], `${field}.resources`, 'resource');
  const namespaces = rule.namespaces ?? [];
  const path = `${field}.namespaces`;
  if (namespaces.length === 0 && !rule.clusterScope) {
    yield required(path, 'resource rules that are not cluster scoped must supply at least one namespace');
  } else if (namespaces.includes('*')) {
    if (namespaces.length > 1) {
      yield invalid(path, namespaces, "if '*' is present, must not specify other namespaces");
    }
  } else {
    for (const [i, each] of namespaces.entries()) {
      for (const text of nameIsDnsLabel(each, false)) {
        yield invalid(`${path}[${i}]`, each, `each member of this list must be '*' or a DNS-1123 label; ${text}`);
      }
    }
  }
}

function* oneWildcard(values: readonly string[], field: string, what: string): Findings {
  if (values.length === 0) yield required(field, `resource rules must supply at least one ${what}`);
  else if (values.length > 1 && values.includes('*')) {
    yield invalid(field, values, `if '*' is present, must not specify other ${what}s`);
  }
}

export function* validatePriorityLevelSpec(spec: PriorityLevelConfigurationSpec, name: string): Findings {
  const { type = '', limited, exempt } = spec;
  if ((name === 'exempt') !== (type === 'Exempt')) {
    yield invalid('spec.type', type, "type must be 'Exempt' if and only if name is 'exempt'");
  }
  if (type === 'Exempt') {
    if (limited) yield forbidden('spec.limited', 'must be nil if the type is not Limited');
    if (exempt) {
      yield* shares(exempt.nominalConcurrencyShares, 'spec.exempt');
      yield* lendable(exempt.lendablePercent, 'spec.exempt');
    }
  } else if (type === 'Limited') {
    if (exempt) yield forbidden('spec.exempt', 'must be nil if the type is Limited');
    if (!limited) yield required('spec.limited', 'must not be empty when type is Limited');
    else yield* limits(limited, 'spec.limited');
  } else yield notSupported('spec.type', type, ['Exempt', 'Limited']);
}

function* shares(value: number | undefined, field: string): Findings {
  if ((value ?? 0) < 0) yield invalid(`${field}.nominalConcurrencyShares`, value, 'must be a non-negative integer');
}

function* lendable(value: number | undefined, field: string): Findings {
  if (value !== undefined && (value < 0 || value > 100)) {
    yield invalid(`${field}.lendablePercent`, value, 'must be between 0 and 100, inclusive');
  }
}

function* limits(limited: LimitedPriorityLevelConfiguration, field: string): Findings {
  yield* shares(limited.nominalConcurrencyShares, field);
  const { type = '', queuing } = limited.limitResponse ?? {};
  const path = `${field}.limitResponse`;
  if (type === 'Reject') {
    if (queuing) yield forbidden(`${path}.queuing`, 'must be nil if limited.limitResponse.type is not Limited');
  } else if (type === 'Queue') {
    if (!queuing) {
      yield required(`${path}.queuing`, 'must not be empty if limited.limitResponse.type is Limited');
    } else yield* queues(queuing, `${path}.queuing`);
  } else yield notSupported(`${path}.type`, type, ['Queue', 'Reject']);
  yield* lendable(limited.lendablePercent, field);
  if ((limited.borrowingLimitPercent ?? 0) < 0) {
    const text = 'if specified, must be a non-negative integer';
    yield invalid(`${field}.borrowingLimitPercent`, limited.borrowingLimitPercent, text);
  }
}

function* queues(queuing: QueuingConfiguration, field: string): Findings {
  const { queues: count = 0, handSize = 0, queueLengthLimit = 0 } = queuing;
  if (queueLengthLimit <= 0) yield invalid(`${field}.queueLengthLimit`, queueLengthLimit, 'must be positive');
  if (count <= 0) yield invalid(`${field}.queues`, count, 'must be positive');
  else if (count > MAX_QUEUES) yield invalid(`${field}.queues`, count, `must not be greater than ${MAX_QUEUES}`);
  if (handSize <= 0) yield invalid(`${field}.handSize`, handSize, 'must be positive');
  else if (handSize > count) {
    yield invalid(`${field}.handSize`, handSize, `should not be greater than queues (${count})`);
  } else if (entropyBits(count, handSize) > MAX_HASH_BITS) {
    yield invalid(
      `${field}.handSize`,
      handSize,
      `required entropy bits of deckSize ${count} and handSize ${handSize} should not be greater than ${MAX_HASH_BITS}`,
    );
  }
}

/** Bits needed to deal `hand` cards out of `deck`: upstream's estimate, a little too high. */
const entropyBits = (deck: number, hand: number): number => Math.ceil(Math.log2(deck) * hand);

export function* validateFlowConditions(conditions: readonly { type?: string }[] | undefined): Findings {
  const seen = new Set<string>();
  for (const [i, { type = '' }] of (conditions ?? []).entries()) {
    if (seen.has(type)) yield duplicate(`status.conditions[${i}].type`, type);
    seen.add(type);
    if (!type) yield required(`status.conditions[${i}].type`, 'must not be empty');
  }
}
