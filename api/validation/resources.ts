// Compute resources: which names containers, pods and nodes may use, and how requests and limits fit together.
import { fieldErrors } from '../field-error.ts';
import { isDns1123Label, isQualifiedName } from '../names.ts';
import { compareQuantities, formatQuantity, intValue, quantityOf } from '../quantity.ts';
import type { ResourceClaim, ResourceRequirements } from '../types/core-v1.ts';
import { isPodLevelResource } from '../pod-resources.ts';
import { type Findings, invalidEach, NOT_NEGATIVE } from './checks.ts';
import { ofRule } from './ratcheting.ts';

const { duplicate, forbidden, invalid, notSupported, required } = fieldErrors;

type ResourceList = Readonly<Record<string, string | number>>;

const CONTAINER_RESOURCES = new Set(['cpu', 'memory', 'ephemeral-storage']);
const COUNTED = 'pods services replicationcontrollers resourcequotas secrets configmaps persistentvolumeclaims';
const INTEGER_RESOURCES = new Set([...COUNTED.split(' '), 'services.nodeports', 'services.loadbalancers']);
const STANDARD_RESOURCES = new Set([
  ...CONTAINER_RESOURCES,
  ...INTEGER_RESOURCES,
  'storage',
  'requests.cpu',
  'requests.memory',
  'requests.ephemeral-storage',
  'requests.storage',
  'limits.cpu',
  'limits.memory',
  'limits.ephemeral-storage',
]);

export const isHugePages = (name: string): boolean => name.startsWith('hugepages-');

/** Without a domain, or of one of Kubernetes' own. */
const isNative = (name: string): boolean => !name.includes('/') || name.includes('kubernetes.io/');

/** `example.com/device`: counted in whole units and never overcommitted. */
export function isExtendedResource(name: string): boolean {
  if (isNative(name) || name.startsWith('requests.')) return false;
  return isQualifiedName(`requests.${name}`).length === 0;
}

export const isOvercommittable = (name: string): boolean => isNative(name) && !isHugePages(name);

const asText = (value: string | number): string => formatQuantity(quantityOf(value));

export function* quantityOfResource(name: string, value: string | number, field: string): Findings {
  const quantity = quantityOf(value);
  if (quantity.nanos < 0n) yield invalid(field, formatQuantity(quantity), NOT_NEGATIVE);
  const isWhole = quantity.nanos % 1_000_000_000n === 0n;
  if (!isWhole && (INTEGER_RESOURCES.has(name) || isExtendedResource(name))) {
    yield invalid(field, formatQuantity(quantity), 'must be an integer');
  }
}

export function* resourceName(name: string, field: string): Findings {
  const messages = isQualifiedName(name);
  yield* invalidEach(field, name, messages);
  if (
    messages.length === 0 &&
    !name.includes('/') &&
    !STANDARD_RESOURCES.has(name) &&
    !isHugePages(name.replace(/^requests\./, ''))
  ) {
    yield invalid(field, name, 'must be a standard resource type or fully qualified');
  }
}

export function* containerResourceName(name: string, field: string): Findings {
  yield* resourceName(name, field);
  if (!name.includes('/')) {
    if (!CONTAINER_RESOURCES.has(name) && !isHugePages(name)) {
      yield invalid(field, name, 'must be a standard resource for containers');
    }
  } else if (!isNative(name) && !isExtendedResource(name)) {
    yield invalid(field, name, "doesn't follow extended resource name standard");
  }
}

function* podResourceName(name: string, field: string): Findings {
  const found = [...resourceName(name, field)];
  yield* found;
  if (found.length === 0 && !isPodLevelResource(name)) {
    yield notSupported(field, name, ['cpu', 'hugepages-', 'memory']);
  }
}

export const validateContainerResources = (
  resources: ResourceRequirements | undefined,
  claimNames: ReadonlySet<string>,
  field: string,
): Findings => requirements(resources, containerResourceName, claimNames, field);

export const validatePodLevelResources = (
  resources: ResourceRequirements | undefined,
  claimNames: ReadonlySet<string>,
  field: string,
): Findings => requirements(resources, podResourceName, claimNames, field);

/** `spec.overhead` is checked as limits are. */
export const validateOverhead = (overhead: ResourceList, field: string): Findings =>
  requirements({ limits: overhead }, containerResourceName, new Set(), field);

function* requirements(
  resources: ResourceRequirements | undefined,
  checkName: (name: string, field: string) => Findings,
  claimNames: ReadonlySet<string>,
  field: string,
): Findings {
  if (!resources) return;
  const { limits = {}, requests = {}, claims } = resources;
  for (const [name, value] of Object.entries(limits)) {
    yield* checkName(name, `${field}.limits[${name}]`);
    yield* quantityOfResource(name, value, `${field}.limits[${name}]`);
    yield* hugePages(name, value, `${field}.limits[${name}]`);
  }
  for (const [name, value] of Object.entries(requests)) {
    yield* checkName(name, `${field}.requests[${name}]`);
    yield* quantityOfResource(name, value, `${field}.requests[${name}]`);
    yield* requestAgainstLimit(name, value, limits[name], field);
    yield* hugePages(name, value, `${field}.requests[${name}]`);
  }
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.includes('cpu') && !names.includes('memory')) {
    yield forbidden(field, 'HugePages require cpu or memory');
  }
  yield* claimReferences(claims ?? [], claimNames, `${field}.claims`);
}

function* requestAgainstLimit(
  name: string,
  request: string | number,
  limit: string | number | undefined,
  field: string,
): Findings {
  if (limit === undefined) {
    if (!isOvercommittable(name)) {
      yield required(`${field}.limits`, 'Limit must be set for non overcommitable resources');
    }
    return;
  }
  const order = request === limit ? 0 : compareQuantities(quantityOf(request), quantityOf(limit));
  if (order !== 0 && !isOvercommittable(name)) {
    yield invalid(`${field}.requests`, asText(request), `must be equal to ${name} limit of ${asText(limit)}`);
  } else if (order > 0) {
    yield invalid(
      `${field}.requests`,
      asText(request),
      `must be less than or equal to ${name} limit of ${asText(limit)}`,
    );
  }
}

function* hugePages(name: string, value: string | number, field: string): Findings {
  if (!isHugePages(name)) return;
  const pageSize = intValue(quantityOf(name.slice('hugepages-'.length)));
  const bytes = intValue(quantityOf(value));
  if (pageSize <= 0 || bytes % pageSize !== 0) {
    const found = invalid(field, asText(value), `${asText(value)} is not positive integer multiple of ${name}`);
    yield* ofRule('multiples of huge pages', [found]);
  }
}

/** Claims of spec.resourceClaims that a container uses, as a whole or one request of them. */
function* claimReferences(claims: readonly ResourceClaim[], known: ReadonlySet<string>, field: string): Findings {
  const seen = new Set<string>();
  for (const [i, { name, request }] of claims.entries()) {
    const at = `${field}[${i}]`;
    if (!name) {
      yield required(at);
      continue;
    }
    yield* repeated(name, request, seen, at);
    if (!known.has(name)) {
      const names = [...known].sort().join(', ');
      const hint = `must be one of the names in pod.spec.resourceClaims${names === '' ? ' which is empty' : `: ${names}`}`;
      yield { type: 'FieldValueNotFound', field: at, body: `Not found: ${JSON.stringify(name)}: ${hint}` };
    }
  }
}

function* repeated(name: string, request: string | undefined, seen: Set<string>, at: string): Findings {
  if (seen.has(name)) {
    yield duplicate(at, name);
    return;
  }
  const key = request ? `${name}/${request}` : name;
  if (request) yield* invalidEach(`${at}.request`, request, isDns1123Label(request));
  if (seen.has(key)) yield duplicate(at, key);
  else if (!request) {
    for (const each of seen) if (each.startsWith(`${name}/`)) yield duplicate(at, name);
  }
  seen.add(key);
}
