// A pod specification, in a Pod or in a template.
import { fieldErrors } from '../field-error.ts';
import { nameIsDnsSubdomain, rangeError } from '../names.ts';
import { aggregateContainerRequests } from '../pod-resources.ts';
import { compareQuantities, formatQuantity, quantityOf } from '../quantity.ts';
import { validateLabels } from '../selectors.ts';
import type { PodResourceClaim, PodSpec } from '../types/core-v1.ts';
import type { ObjectMeta } from '../types/meta.ts';
import { dnsLabel, dnsSubdomain, type Findings, invalidEach, MAX_INT32, oneOf, qualifiedName } from './checks.ts';
import {
  type ContainerContext,
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
} from './containers.ts';
import { validateDnsConfig, validateHostAliases, validateHostNetworkPorts } from './pod-network.ts';
import { validateOverhead, validatePodLevelResources } from './resources.ts';
import { validateAffinity, validateTolerations, validateTopologySpread } from './scheduling.ts';
import { validateHostUsers, validatePodSecurityContext } from './security-context.ts';
import { checkVolumes } from './volumes.ts';
import { validateHostProcess, validateOperatingSystem } from './windows.ts';

const { duplicate, forbidden, invalid, required } = fieldErrors;

export const PREEMPTION_POLICIES = ['PreemptLowerPriority', 'Never'];

/** `podMeta` is the pod's own metadata, undefined for a template. */
export function* validatePodSpec(spec: PodSpec, podMeta: ObjectMeta | undefined, field: string): Findings {
  if (spec.terminationGracePeriodSeconds === undefined) yield required(`${field}.terminationGracePeriodSeconds`);
  const volumes = checkVolumes(spec.volumes, `${field}.volumes`, { podMeta });
  yield* volumes.found;
  const claimNames = new Set((spec.resourceClaims ?? []).map((each) => each.name).filter((name) => name));
  yield* resourceClaims(spec.resourceClaims, `${field}.resourceClaims`);
  const context: ContainerContext = { spec, volumes: volumes.byName, claimNames };
  yield* validateContainers(context, `${field}.containers`);
  yield* validateInitContainers(context, `${field}.initContainers`);
  yield* validateEphemeralContainers(context, `${field}.ephemeralContainers`);
  yield* podResources(spec, claimNames, `${field}.resources`);
  yield* validateHostNetworkPorts(spec, field, podMeta !== undefined);
  yield* oneOf(spec.restartPolicy, ['Always', 'OnFailure', 'Never'], `${field}.restartPolicy`);
  yield* oneOf(spec.dnsPolicy, ['ClusterFirstWithHostNet', 'ClusterFirst', 'Default', 'None'], `${field}.dnsPolicy`);
  yield* validateLabels(spec.nodeSelector, `${field}.nodeSelector`);
  yield* validatePodSecurityContext(spec, `${field}.securityContext`);
  yield* validateAffinity(spec.affinity, `${field}.affinity`);
  yield* validateDnsConfig(spec.dnsConfig, spec.dnsPolicy ?? '', `${field}.dnsConfig`);
  for (const [i, { conditionType }] of (spec.readinessGates ?? []).entries()) {
    yield* qualifiedName(conditionType ?? '', `${field}.readinessGates[${i}].conditionType`);
  }
  yield* schedulingGates(spec, `${field}.schedulingGates`);
  yield* validateTopologySpread(spec.topologySpreadConstraints, `${field}.topologySpreadConstraints`);
  yield* validateHostProcess(spec, field);
  yield* validateHostUsers(spec, field);
  yield* names(spec, field);
  yield* validateTolerations(spec.tolerations, `${field}.tolerations`);
  yield* validateHostAliases(spec.hostAliases, `${field}.hostAliases`);
  if (spec.preemptionPolicy !== undefined) {
    yield* oneOf(spec.preemptionPolicy, PREEMPTION_POLICIES, `${field}.preemptionPolicy`);
  }
  if (spec.overhead) yield* validateOverhead(spec.overhead, `${field}.overhead`);
  yield* validateOperatingSystem(spec, field);
}

/** Names of other objects, and the pod's own host name. */
function* names(spec: PodSpec, field: string): Findings {
  const subdomainName = (name: string | undefined, at: string) =>
    invalidEach(at, name, name ? nameIsDnsSubdomain(name, false) : []);
  yield* subdomainName(spec.serviceAccountName, `${field}.serviceAccountName`);
  yield* subdomainName(spec.nodeName, `${field}.nodeName`);
  const seconds = spec.activeDeadlineSeconds;
  if (seconds !== undefined && (seconds < 1 || seconds > MAX_INT32)) {
    yield invalid(`${field}.activeDeadlineSeconds`, seconds, rangeError(1, MAX_INT32));
  }
  if (spec.hostname) yield* dnsLabel(spec.hostname, `${field}.hostname`);
  if (spec.subdomain) yield* dnsLabel(spec.subdomain, `${field}.subdomain`);
  if (spec.hostnameOverride !== undefined) yield* hostnameOverride(spec, field);
  yield* subdomainName(spec.priorityClassName, `${field}.priorityClassName`);
  if (spec.runtimeClassName !== undefined) yield* dnsSubdomain(spec.runtimeClassName, `${field}.runtimeClassName`);
}

const MAX_HOSTNAME = 64;

function* hostnameOverride(spec: PodSpec, field: string): Findings {
  const name = spec.hostnameOverride ?? '';
  const at = `${field}.hostnameOverride`;
  yield* dnsSubdomain(name, at);
  if (name.length > MAX_HOSTNAME) yield invalid(at, name, `must be no more than ${MAX_HOSTNAME} characters`);
  if (spec.setHostnameAsFQDN) {
    yield forbidden(at, 'must not be set when setHostnameAsFQDN is true');
  }
  if (spec.hostNetwork) yield forbidden(at, 'must not be set when hostNetwork is true');
}

function* schedulingGates(spec: PodSpec, field: string): Findings {
  const seen = new Set<string>();
  for (const [i, { name }] of (spec.schedulingGates ?? []).entries()) {
    yield* qualifiedName(name ?? '', `${field}[${i}]`);
    if (seen.has(name)) yield duplicate(`${field}[${i}]`, name);
    seen.add(name);
  }
}

function* resourceClaims(claims: readonly PodResourceClaim[] | undefined, field: string): Findings {
  const seen = new Set<string>();
  for (const [i, claim] of (claims ?? []).entries()) {
    const at = `${field}[${i}]`;
    const { name, resourceClaimName, resourceClaimTemplateName } = claim;
    if (!name) yield required(`${at}.name`);
    else if (seen.has(name)) yield duplicate(`${at}.name`, name);
    else yield* dnsLabel(name, `${at}.name`);
    seen.add(name);
    if (resourceClaimName !== undefined && resourceClaimTemplateName !== undefined) {
      yield invalid(at, claim, 'at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified');
    }
    if (resourceClaimName === undefined && resourceClaimTemplateName === undefined) {
      yield invalid(at, claim, 'must specify one of: `resourceClaimName`, `resourceClaimTemplateName`');
    }
    if (resourceClaimName !== undefined) yield* dnsSubdomain(resourceClaimName, `${at}.resourceClaimName`);
    if (resourceClaimTemplateName !== undefined) {
      yield* dnsSubdomain(resourceClaimTemplateName, `${at}.resourceClaimTemplateName`);
    }
  }
}

/** The pod as a whole asks for no less than its containers together, and none of them may exceed its limit. */
function* podResources(spec: PodSpec, claimNames: ReadonlySet<string>, field: string): Findings {
  const resources = spec.resources;
  if (!resources) return;
  if (resources.claims !== undefined) {
    yield forbidden(`${field}.claims`, 'claims cannot be set for Resources at pod-level');
  }
  yield* validatePodLevelResources(resources, claimNames, field);
  for (const [name, total] of Object.entries(aggregateContainerRequests(spec))) {
    const request = quantityOf(resources.requests?.[name]);
    if (compareQuantities(quantityOf(total), request) > 0) {
      yield invalid(
        `${field}.requests[${name}]`,
        formatQuantity(request),
        `must be greater than or equal to aggregate container requests of ${total}`,
      );
    }
  }
  for (const [i, container] of (spec.containers ?? []).entries()) {
    for (const [name, value] of Object.entries(container.resources?.limits ?? {})) {
      const podLimit = resources.limits?.[name];
      if (podLimit === undefined || compareQuantities(quantityOf(value), quantityOf(podLimit)) <= 0) continue;
      yield invalid(
        `${field}.containers[${i}][${name}].limits`,
        formatQuantity(quantityOf(value)),
        `must be less than or equal to pod limits of ${formatQuantity(quantityOf(podLimit))}`,
      );
    }
  }
}
