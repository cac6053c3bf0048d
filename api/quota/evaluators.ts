// What objects cost against a ResourceQuota, and which quotas they count against (k8s.io/kubernetes/pkg/quota/v1). Used by
// admission, which charges, and by the controller, which counts again. Pure.
import type { KubeObject } from '../object.ts';
import { podLimits, podQosClass, podRequests, type Resources } from '../pod-resources.ts';
import { quantityFromInt, quantityOf } from '../quantity.ts';
import type {
  PersistentVolumeClaim,
  Pod,
  PodAffinityTerm,
  ResourceQuota,
  ScopedResourceSelectorRequirement,
  Service,
} from '../types/core-v1.ts';
import { isExtendedResource, isHugePages } from '../validation/resources.ts';
import type { Amounts } from './amounts.ts';

export interface Evaluator {
  /** True when such a write can cost something. */
  charges(operation: string, subresource: string): boolean;
  /** True for the resources that these objects are counted in. */
  counts(resource: string): boolean;
  usage(object: KubeObject, nowMs: number): Resources;
  /** Of kinds without scopes: false. */
  inScope(selector: ScopedResourceSelectorRequirement, object: KubeObject): boolean;
  /** What the object must say when a quota has these resources: upstream's sentence, or undefined. */
  missing?(resources: readonly string[], object: KubeObject): string | undefined;
}

const one = () => quantityFromInt(1);

/** `count/deployments.apps`, `count/pods`. */
export const countName = (group: string, resource: string): string =>
  group === '' ? `count/${resource}` : `count/${resource}.${group}`;

/** Core kinds that have a name of their own besides `count/...`. */
const SHORT_COUNTS = new Set(['configmaps', 'resourcequotas', 'replicationcontrollers', 'secrets']);

/** For any kind. */
export function evaluatorOf(group: string, resource: string): Evaluator {
  if (group === '' && Object.hasOwn(SPECIAL, resource)) return SPECIAL[resource] as Evaluator;
  const names = [countName(group, resource)];
  if (group === '' && SHORT_COUNTS.has(resource)) names.push(resource);
  return {
    charges: (operation, subresource) => operation === 'CREATE' && subresource === '',
    counts: (name) => names.includes(name),
    usage: () => new Map(names.map((name) => [name, one()])),
    inScope: () => false,
  };
}

/** True when the quota has a resource that the object is counted in, and the object is in all of its scopes. */
export function quotaMatches(quota: ResourceQuota, hard: Iterable<string>, evaluator: Evaluator, object: KubeObject) {
  for (const name of hard) if (evaluator.counts(name)) return inAllScopes(quota, evaluator, object);
  return false;
}

export const inAllScopes = (quota: ResourceQuota, evaluator: Evaluator, object: KubeObject): boolean =>
  scopesOf(quota).every((selector) => evaluator.inScope(selector, object));

export const scopesOf = ({ spec }: ResourceQuota): ScopedResourceSelectorRequirement[] => [
  ...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
  ...(spec?.scopeSelector?.matchExpressions ?? []),
];

// ─── pods

const COMPUTE = ['cpu', 'memory', 'ephemeral-storage'];
const POD_RESOURCES = new Set([
  'count/pods',
  'pods',
  ...COMPUTE.flatMap((name) => [name, `requests.${name}`, `limits.${name}`]),
]);
/** Where a quota has one of these, every container must say how much of it. */
const MUST_BE_SAID = new Set(['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory']);

const podEvaluator: Evaluator = {
  charges: (operation, subresource) =>
    subresource === '' ? operation === 'CREATE' : subresource === 'resize' && operation === 'UPDATE',
  counts: (name) =>
    POD_RESOURCES.has(name) ||
    isHugePages(name) ||
    name.startsWith('requests.hugepages-') ||
    (name.startsWith('requests.') && isExtendedResource(name.slice('requests.'.length))),
  usage(object, nowMs) {
    const pod = object as Pod & KubeObject;
    const usage: Resources = new Map([['count/pods', one()]]);
    if (!isCharged(pod, nowMs)) return usage;
    for (const [name, quantity] of computeUsage(podRequests(pod), podLimits(pod))) usage.set(name, quantity);
    return usage;
  },
  inScope: (selector, object) => podInScope(selector, object as Pod & KubeObject),
  missing(resources, object) {
    const { spec } = object as Pod & KubeObject;
    const required = resources.filter((name) => MUST_BE_SAID.has(name));
    if (required.length === 0) return undefined;
    const missing = new Map<string, string[]>();
    for (const container of [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])]) {
      const said = (list: Readonly<Record<string, string | number>> | undefined): Amounts =>
        new Map(Object.entries(list ?? {}).map(([name, value]) => [name, quantityOf(value)]));
      const usage = computeUsage(said(container.resources?.requests), said(container.resources?.limits));
      const atPodLevel = computeUsage(said(spec?.resources?.requests), said(spec?.resources?.limits));
      for (const name of required) {
        if (usage.has(name) || atPodLevel.has(name)) continue;
        missing.set(name, [...(missing.get(name) ?? []), container.name]);
      }
    }
    if (missing.size === 0) return undefined;
    const parts = [...missing.keys()]
      .sort()
      .map((name) => `${name} for: ${[...new Set(missing.get(name))].sort().join(',')}`);
    return `must specify ${parts.join('; ')}`;
  },
};

/** Ended pods, and deleted ones whose time is up, cost nothing but their place in the store. */
function isCharged({ status, metadata }: Pod & KubeObject, nowMs: number): boolean {
  if (status?.phase === 'Failed' || status?.phase === 'Succeeded') return false;
  const { deletionTimestamp, deletionGracePeriodSeconds } = metadata;
  if (!deletionTimestamp || deletionGracePeriodSeconds === undefined) return true;
  return nowMs <= Date.parse(deletionTimestamp) + deletionGracePeriodSeconds * 1000;
}

function computeUsage(requests: Amounts, limits: Amounts): Resources {
  const usage: Resources = new Map([['pods', one()]]);
  for (const name of COMPUTE) {
    const request = requests.get(name);
    if (request) {
      usage.set(name, request);
      usage.set(`requests.${name}`, request);
    }
    const limit = limits.get(name);
    if (limit) usage.set(`limits.${name}`, limit);
  }
  for (const [name, request] of requests) {
    if (isHugePages(name)) usage.set(name, request);
    if (isHugePages(name) || isExtendedResource(name)) usage.set(`requests.${name}`, request);
  }
  return usage;
}

function podInScope(selector: ScopedResourceSelectorRequirement, pod: Pod & KubeObject): boolean {
  switch (selector.scopeName) {
    case 'Terminating':
      return isTimed(pod);
    case 'NotTerminating':
      return !isTimed(pod);
    case 'BestEffort':
      return podQosClass(pod) === 'BestEffort';
    case 'NotBestEffort':
      return podQosClass(pod) !== 'BestEffort';
    case 'PriorityClass':
      return valueSelected(selector, pod.spec?.priorityClassName);
    case 'CrossNamespacePodAffinity':
      return looksAcrossNamespaces(pod);
    default:
      return false;
  }
}

const isTimed = ({ spec }: Pod) => (spec?.activeDeadlineSeconds ?? -1) >= 0;

function valueSelected({ operator, values = [] }: ScopedResourceSelectorRequirement, value: string | undefined) {
  switch (operator) {
    case 'Exists':
      return !!value;
    case 'DoesNotExist':
      return !value;
    case 'In':
      return !!value && values.includes(value);
    case 'NotIn':
      return !value || !values.includes(value);
    default:
      return false;
  }
}

function looksAcrossNamespaces({ spec }: Pod): boolean {
  const crosses = (term: PodAffinityTerm | undefined) =>
    (term?.namespaces?.length ?? 0) > 0 || term?.namespaceSelector !== undefined;
  return [spec?.affinity?.podAffinity, spec?.affinity?.podAntiAffinity].some(
    (each) =>
      each?.requiredDuringSchedulingIgnoredDuringExecution?.some(crosses) ||
      each?.preferredDuringSchedulingIgnoredDuringExecution?.some((weighted) => crosses(weighted.podAffinityTerm)),
  );
}

// ─── services

const SERVICE_RESOURCES = new Set(['count/services', 'services', 'services.nodeports', 'services.loadbalancers']);

const serviceEvaluator: Evaluator = {
  charges: (operation, subresource) => subresource === '' && (operation === 'CREATE' || operation === 'UPDATE'),
  counts: (name) => SERVICE_RESOURCES.has(name),
  usage(object) {
    const { spec } = object as Service & KubeObject;
    const ports = spec?.ports ?? [];
    const count = (amount: number) => quantityFromInt(amount);
    let nodePorts = 0;
    if (spec?.type === 'NodePort') nodePorts = ports.length;
    if (spec?.type === 'LoadBalancer') {
      nodePorts =
        spec.allocateLoadBalancerNodePorts === false ? ports.filter((each) => each.nodePort).length : ports.length;
    }
    return new Map([
      ['count/services', one()],
      ['services', one()],
      ['services.nodeports', count(nodePorts)],
      ['services.loadbalancers', count(spec?.type === 'LoadBalancer' ? 1 : 0)],
    ]);
  },
  inScope: () => false,
};

// ─── persistent volume claims

const CLAIM_RESOURCES = new Set(['count/persistentvolumeclaims', 'persistentvolumeclaims', 'requests.storage']);
const CLASS_SUFFIX = '.storageclass.storage.k8s.io/';

const claimEvaluator: Evaluator = {
  charges: (operation, subresource) => subresource === '' && (operation === 'CREATE' || operation === 'UPDATE'),
  counts: (name) =>
    CLAIM_RESOURCES.has(name) ||
    name.endsWith(`${CLASS_SUFFIX}requests.storage`) ||
    name.endsWith(`${CLASS_SUFFIX}persistentvolumeclaims`),
  usage(object) {
    const { spec, status, metadata } = object as PersistentVolumeClaim & KubeObject;
    const usage: Resources = new Map([
      ['count/persistentvolumeclaims', one()],
      ['persistentvolumeclaims', one()],
    ]);
    const className = metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? spec?.storageClassName ?? '';
    if (className) usage.set(`${className}${CLASS_SUFFIX}persistentvolumeclaims`, one());
    const asked = spec?.resources?.requests?.storage;
    if (asked !== undefined) {
      // A volume that is being resized costs what was given, when that is more.
      const given = quantityOf(status?.allocatedResources?.storage);
      const storage = given.nanos > quantityOf(asked).nanos ? given : quantityOf(asked);
      usage.set('requests.storage', storage);
      if (className) usage.set(`${className}${CLASS_SUFFIX}requests.storage`, storage);
    }
    return usage;
  },
  inScope(selector, object) {
    const { spec } = object as PersistentVolumeClaim & KubeObject;
    return selector.scopeName === 'VolumeAttributesClass' && valueSelected(selector, spec?.volumeAttributesClassName);
  },
};

const SPECIAL: Readonly<Record<string, Evaluator>> = {
  pods: podEvaluator,
  services: serviceEvaluator,
  persistentvolumeclaims: claimEvaluator,
};
