// LimitRanger: gives containers the defaults of their namespace's LimitRanges, and refuses pods and claims that are outside
// their bounds. Messages are upstream's (plugin/pkg/admission/limitranger).
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import { podLimits, podRequests } from '../../api/pod-resources.ts';
import { formatQuantity, type Quantity, quantityOf } from '../../api/quantity.ts';
import { type Amounts, amountsOf, NOTHING } from '../../api/quota/amounts.ts';
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from '../../api/types/core-v1.ts';
import type { AdmissionPlugin, AdmissionRequest } from './chain.ts';
import type { Lookup } from './lookup.ts';

const ANNOTATION = 'kubernetes.io/limit-ranger';

export function limitRanger(lookup: Lookup): AdmissionPlugin {
  const limits = (namespace: string) => lookup.list<LimitRange & KubeObject>('', 'limitranges', namespace);
  return {
    name: 'LimitRanger',
    handles(kind, subresource, operation) {
      if (kind.group !== '') return false;
      if (kind.resource === 'pods') {
        return subresource === '' ? operation === 'CREATE' : subresource === 'resize' && operation === 'UPDATE';
      }
      const isWrite = operation === 'CREATE' || operation === 'UPDATE';
      return kind.resource === 'persistentvolumeclaims' && subresource === '' && isWrite;
    },
    async mutate({ kind, namespace, object, operation }) {
      if (kind.resource !== 'pods' || operation !== 'CREATE') return;
      for (const each of await limits(namespace)) setDefaults(each, object as Pod & KubeObject);
    },
    async validate(request: AdmissionRequest) {
      const { kind, namespace, name, object } = request;
      // What is going away is not held up.
      if (object?.metadata.deletionTimestamp) return;
      for (const each of await limits(namespace)) {
        const found =
          kind.resource === 'pods'
            ? podProblems(each, object as Pod & KubeObject)
            : claimProblems(each, object as PersistentVolumeClaim & KubeObject);
        if (found.length === 0) continue;
        const unique = [...new Set(found)];
        const why = unique.length === 1 ? (unique[0] as string) : `[${unique.join(', ')}]`;
        throw errors.forbidden({ group: '', resource: kind.resource }, name, why);
      }
    },
  };
}

type List = Record<string, string | number>;

/** Completes containers in place and notes what was set. */
export function setDefaults(range: LimitRange, pod: Pod & KubeObject): void {
  const limits: List = {};
  const requests: List = {};
  for (const item of range.spec?.limits ?? []) {
    if (item.type !== 'Container') continue;
    Object.assign(requests, item.defaultRequest);
    Object.assign(limits, item.default);
  }
  const notes: string[] = [];
  const complete = (container: Container, what: string) => {
    const set = (side: 'requests' | 'limits', defaults: List, word: string) => {
      const own = container.resources?.[side];
      const names = Object.keys(defaults)
        .filter((name) => own?.[name] === undefined)
        .sort();
      if (names.length === 0) return;
      const added = Object.fromEntries(names.map((name) => [name, defaults[name] as string | number]));
      container.resources = { ...container.resources, [side]: { ...own, ...added } };
      notes.push(`${names.join(', ')} ${word} for ${what} ${container.name}`);
    };
    set('requests', requests, 'request');
    set('limits', limits, 'limit');
  };
  for (const each of pod.spec?.containers ?? []) complete(each, 'container');
  for (const each of pod.spec?.initContainers ?? []) complete(each, 'init container');
  if (notes.length === 0) return;
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [ANNOTATION]: `LimitRanger plugin set: ${notes.join('; ')}`,
  };
}

export function podProblems(range: LimitRange, pod: Pod): string[] {
  return (range.spec?.limits ?? []).flatMap((item) => {
    if (item.type === 'Container') {
      const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
      return containers.flatMap(({ resources }) =>
        outside(item, amountsOf(resources?.requests), amountsOf(resources?.limits)),
      );
    }
    if (item.type !== 'Pod' || !pod.spec) return [];
    const { overhead: _o, ...spec } = pod.spec;
    return outside(item, podRequests({ spec }), podLimits({ spec }));
  });
}

export function claimProblems(range: LimitRange, claim: PersistentVolumeClaim): string[] {
  return (range.spec?.limits ?? []).flatMap((item) => {
    if (item.type !== 'PersistentVolumeClaim') return [];
    const requests = amountsOf(claim.spec?.resources?.requests);
    return [
      ...each(item.min, (name, bound) => tooLittle(item.type, name, bound, requests, NOTHING)),
      ...each(item.max, (name, bound) => {
        const request = requests.get(name);
        const text = `maximum ${name} usage per ${item.type} is ${formatQuantity(bound)}`;
        if (!request) return `${text}.  No request is specified`;
        return request.nanos > bound.nanos ? `${text}, but request is ${formatQuantity(request)}` : undefined;
      }),
    ];
  });
}

function outside(item: LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
  return [
    ...each(item.min, (name, bound) => tooLittle(item.type, name, bound, requests, limits)),
    ...each(item.max, (name, bound) => tooMuch(item.type, name, bound, requests, limits)),
    ...each(item.maxLimitRequestRatio, (name, bound) => tooUneven(item.type, name, bound, requests, limits)),
  ];
}

function each(list: List | undefined, check: (name: string, bound: Quantity) => string | undefined): string[] {
  return Object.keys(list ?? {})
    .sort()
    .flatMap((name) => check(name, quantityOf(list?.[name])) ?? []);
}

function tooLittle(type: string, name: string, bound: Quantity, requests: Amounts, limits: Amounts) {
  const request = requests.get(name);
  const limit = limits.get(name);
  const text = `minimum ${name} usage per ${type} is ${formatQuantity(bound)}`;
  if (!request) return `${text}.  No request is specified`;
  if (request.nanos < bound.nanos) return `${text}, but request is ${formatQuantity(request)}`;
  return limit && limit.nanos < bound.nanos ? `${text}, but limit is ${formatQuantity(limit)}` : undefined;
}

function tooMuch(type: string, name: string, bound: Quantity, requests: Amounts, limits: Amounts) {
  const request = requests.get(name);
  const limit = limits.get(name);
  const text = `maximum ${name} usage per ${type} is ${formatQuantity(bound)}`;
  if (!limit) return `${text}.  No limit is specified`;
  if (limit.nanos > bound.nanos) return `${text}, but limit is ${formatQuantity(limit)}`;
  return request && request.nanos > bound.nanos ? `${text}, but request is ${formatQuantity(request)}` : undefined;
}

function tooUneven(type: string, name: string, bound: Quantity, requests: Amounts, limits: Amounts) {
  const request = requests.get(name)?.nanos ?? 0n;
  const limit = limits.get(name)?.nanos ?? 0n;
  const text = `${name} max limit to request ratio per ${type} is ${formatQuantity(bound)}`;
  if (request === 0n) return `${text}, but no request is specified or request is 0`;
  if (limit === 0n) return `${text}, but no limit is specified or limit is 0`;
  const ratio = Number(limit) / Number(request);
  return ratio > Number(bound.nanos) / 1e9 ? `${text}, but provided ratio is ${ratio.toFixed(6)}` : undefined;
}
