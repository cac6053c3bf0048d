// ResourceQuotas and LimitRanges: which resources they may name and how their numbers fit together.
import { fieldErrors, goStruct } from '../field-error.ts';
import { compareQuantities, formatQuantity, intValue, milliValue, quantityOf } from '../quantity.ts';
import type { LimitRange, LimitRangeItem, ResourceQuota, ResourceQuotaSpec } from '../types/core-v1.ts';
import { type Findings, qualifiedName } from './checks.ts';
import {
  containerResourceName,
  isHugePages,
  isOvercommittable,
  quantityOfResource,
  resourceName,
} from './resources.ts';

const { duplicate, forbidden, invalid, required } = fieldErrors;

type ResourceList = Readonly<Record<string, string | number>>;

const POD_COMPUTE = ['cpu', 'memory', 'limits.cpu', 'limits.memory', 'requests.cpu', 'requests.memory'];
const QUOTA_RESOURCES = new Set([
  ...POD_COMPUTE,
  'ephemeral-storage',
  'requests.ephemeral-storage',
  'limits.ephemeral-storage',
  'requests.storage',
  ...'pods resourcequotas services replicationcontrollers secrets persistentvolumeclaims configmaps'.split(' '),
  'services.nodeports',
  'services.loadbalancers',
]);
const POD_SCOPES = ['Terminating', 'NotTerminating', 'NotBestEffort', 'PriorityClass', 'CrossNamespacePodAffinity'];
const SCOPE_RESOURCES: Readonly<Record<string, ReadonlySet<string>>> = {
  ...Object.fromEntries(POD_SCOPES.map((scope) => [scope, new Set(['pods', ...POD_COMPUTE])])),
  BestEffort: new Set(['pods']),
  VolumeAttributesClass: new Set(['persistentvolumeclaims', 'requests.storage']),
};
const EXISTENCE_SCOPES = new Set([
  'BestEffort',
  'NotBestEffort',
  'Terminating',
  'NotTerminating',
  'CrossNamespacePodAffinity',
]);

const isQuotaResource = (name: string): boolean =>
  QUOTA_RESOURCES.has(name) || isHugePages(name) || name.startsWith('requests.hugepages-');

const scopeResources = (scope: string): ReadonlySet<string> | undefined =>
  Object.hasOwn(SCOPE_RESOURCES, scope) ? SCOPE_RESOURCES[scope] : undefined;

export function* validateQuota({ spec = {} }: ResourceQuota): Findings {
  yield* quotaList(spec.hard, 'spec.hard');
  yield* scopes(spec, 'spec.scopes');
  yield* scopeSelector(spec, 'spec.scopeSelector.matchExpressions');
}

export function* validateQuotaStatus({ status = {} }: ResourceQuota): Findings {
  yield* quotaList(status.hard, 'status.hard');
  yield* quotaList(status.used, 'status.used');
}

function* quotaList(list: ResourceList | undefined, field: string): Findings {
  for (const [name, value] of Object.entries(list ?? {})) {
    const at = `${field}[${name}]`;
    yield* resourceName(name, at);
    if (!name.includes('/') && !isQuotaResource(name)) {
      yield invalid(at, name, 'must be a standard resource for quota');
    }
    yield* quantityOfResource(name, value, at);
  }
}

/** The resources of the quota that the scope says nothing about. */
function outOfScope(spec: ResourceQuotaSpec, scope: string): number {
  const allowed = scopeResources(scope);
  return Object.keys(spec.hard ?? {}).filter((name) => isQuotaResource(name) && !allowed?.has(name)).length;
}

function* scopes(spec: ResourceQuotaSpec, field: string): Findings {
  const all = spec.scopes ?? [];
  for (const scope of all) {
    if (!scopeResources(scope)) yield invalid(field, all, 'unsupported scope');
    for (let i = outOfScope(spec, scope); i > 0; i--)
      yield invalid(field, all, 'unsupported scope applied to resource');
  }
  yield* conflicts(all, all, field);
}

function* conflicts(names: readonly string[], shown: unknown, field: string): Findings {
  for (const [one, other] of [
    ['BestEffort', 'NotBestEffort'],
    ['Terminating', 'NotTerminating'],
  ] as const) {
    if (names.includes(one) && names.includes(other)) yield invalid(field, shown, 'conflicting scopes');
  }
}

const ONLY_EXISTS =
  "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity";

function* scopeSelector(spec: ResourceQuotaSpec, field: string): Findings {
  for (const { scopeName = '', operator = '', values = [] } of spec.scopeSelector?.matchExpressions ?? []) {
    if (!scopeResources(scopeName)) yield invalid(`${field}.scopeName`, scopeName, 'unsupported scope');
    for (let i = outOfScope(spec, scopeName); i > 0; i--) {
      yield invalid(field, shownSelector(spec), 'unsupported scope applied to resource');
    }
    if (EXISTENCE_SCOPES.has(scopeName) && operator !== 'Exists') {
      yield invalid(`${field}.operator`, operator, ONLY_EXISTS);
    }
    if (operator === 'In' || operator === 'NotIn') {
      if (values.length === 0) {
        const detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
        yield required(`${field}.values`, detail);
      }
    } else if (operator === 'Exists' || operator === 'DoesNotExist') {
      if (values.length > 0) {
        const detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
        yield invalid(`${field}.values`, values, detail);
      }
    } else yield invalid(`${field}.operator`, operator, 'not a valid selector operator');
  }
  const names = (spec.scopeSelector?.matchExpressions ?? []).map(({ scopeName }) => scopeName ?? '');
  // Upstream shows the other list.
  yield* conflicts(names, spec.scopes, field);
}

/** Upstream's own type, which is shown with all its members. */
const shownSelector = ({ scopeSelector }: ResourceQuotaSpec) => ({
  MatchExpressions: (scopeSelector?.matchExpressions ?? []).map((each) =>
    goStruct(each, { ScopeName: '', Operator: '', Values: null }),
  ),
});

const LIMIT_TYPES = ['Pod', 'Container', 'PersistentVolumeClaim'];

export function* validateLimitRange({ spec }: LimitRange): Findings {
  const seen = new Set<string>();
  for (const [i, item] of (spec?.limits ?? []).entries()) {
    const field = `spec.limits[${i}]`;
    const type = item.type ?? '';
    const wrong = [...qualifiedName(type, `${field}.type`)];
    yield* wrong;
    if (wrong.length === 0 && !type.includes('/') && !LIMIT_TYPES.includes(type)) {
      yield invalid(`${field}.type`, type, 'must be a standard limit type or fully qualified');
    }
    if (seen.has(type)) yield duplicate(`${field}.type`, type);
    seen.add(type);
    yield* limitItem(item, type, field);
  }
}

const LISTS = ['max', 'min', 'default', 'defaultRequest', 'maxLimitRequestRatio'] as const;

function* limitItem(item: LimitRangeItem, type: string, field: string): Findings {
  const names = new Set<string>();
  const isPodLike = type === 'Pod' || type === 'Container';
  for (const list of LISTS) {
    if (type === 'Pod' && (list === 'default' || list === 'defaultRequest')) {
      if (Object.keys(item[list] ?? {}).length > 0) {
        yield forbidden(`${field}.${list}`, "may not be specified when `type` is 'Pod'");
      }
      continue;
    }
    for (const name of Object.keys(item[list] ?? {})) {
      names.add(name);
      const at = `${field}.${list}[${name}]`;
      yield* isPodLike ? containerResourceName(name, at) : resourceName(name, at);
    }
  }
  if (type === 'PersistentVolumeClaim' && !item.min?.storage && !item.max?.storage) {
    const detail = 'either minimum or maximum storage value is required, but neither was provided';
    yield required(`${field}.limits`, detail);
  }
  for (const name of names) yield* limitNumbers(item, name, field);
}

function* limitNumbers(item: LimitRangeItem, name: string, field: string): Findings {
  const read = (list: (typeof LISTS)[number]) => {
    const value = item[list]?.[name];
    return value === undefined ? undefined : quantityOf(value);
  };
  const text = (value: ReturnType<typeof quantityOf>) => formatQuantity(value);
  const [max, min, limit, request, ratio] = LISTS.map(read);
  const isAbove = (left: typeof max, right: typeof max) => left && right && compareQuantities(left, right) > 0;
  const at = (list: string) => `${field}.${list}[${name}]`;
  if (min && max && isAbove(min, max)) {
    yield invalid(at('min'), text(min), `min value ${text(min)} is greater than max value ${text(max)}`);
  }
  if (request && min && isAbove(min, request)) {
    const detail = `min value ${text(min)} is greater than default request value ${text(request)}`;
    yield invalid(at('defaultRequest'), text(request), detail);
  }
  if (request && max && isAbove(request, max)) {
    const detail = `default request value ${text(request)} is greater than max value ${text(max)}`;
    yield invalid(at('defaultRequest'), text(request), detail);
  }
  if (request && limit && isAbove(request, limit)) {
    const detail = `default request value ${text(request)} is greater than default limit value ${text(limit)}`;
    yield invalid(at('defaultRequest'), text(request), detail);
  }
  if (limit && min && isAbove(min, limit)) {
    yield invalid(at('default'), text(min), `min value ${text(min)} is greater than default value ${text(limit)}`);
  }
  if (limit && max && isAbove(limit, max)) {
    yield invalid(at('default'), text(max), `default value ${text(limit)} is greater than max value ${text(max)}`);
  }
  if (ratio && milliValue(ratio) < 1000) {
    yield invalid(at('maxLimitRequestRatio'), text(ratio), `ratio ${text(ratio)} is less than 1`);
  }
  if (ratio && min && max && intValue(min) > 0) {
    const most = milliValue(max) / milliValue(min);
    if (milliValue(ratio) / 1000 > most) {
      const detail = `ratio ${text(ratio)} is greater than max/min = ${most.toFixed(6)}`;
      yield invalid(at('maxLimitRequestRatio'), text(ratio), detail);
    }
  }
  if (!isOvercommittable(name) && limit && request && compareQuantities(limit, request) !== 0) {
    const detail = `default value ${text(limit)} must equal to defaultRequest value ${text(request)} in ${name}`;
    yield invalid(at('defaultRequest'), text(request), detail);
  }
}
