// A pod specification, in a Pod or in a template.
import { fieldErrors } from '../field-error.ts';
import { byteLength, nameIsDnsSubdomain, rangeError } from '../names.ts';
import { aggregateContainerLimits, aggregateContainerRequests } from '../pod-resources.ts';
import { compareQuantities, formatQuantity, quantityOf } from '../quantity.ts';
import { validateLabels } from '../selectors.ts';
import type { PodResourceClaim, PodSchedulingGroup, PodSpec, ResourceRequirements } from '../types/core-v1.ts';
import type { ObjectMeta } from '../types/meta.ts';
import { dnsLabel, dnsSubdomain, type Findings, invalidEach, MAX_INT32, oneOf, qualifiedName } from './checks.ts';
import {
  type ContainerContext,
  validateContainers,
  validateEphemeralContainers,
  validateInitContainers,
} from './containers.ts';
import { validateDnsConfig, validateHostAliases, validateHostNetworkPorts } from './pod-network.ts';
import { MIRROR_POD } from './pod-annotations.ts';
import { isHugePages, validateOverhead, validatePodLevelResources } from './resources.ts';
import { validateAffinity, validateTolerations, validateTopologySpread } from './scheduling.ts';
import { validateHostUsers, validatePodSecurityContext } from './security-context.ts';
import { checkVolumes } from './volumes.ts';
import { containersOf, validateHostProcess, validateOperatingSystem } from './windows.ts';

const { duplicate, forbidden, invalid, notFound, required, tooLong } = fieldErrors;

export const PREEMPTION_POLICIES = ['PreemptLowerPriority', 'Never'];

/** `podMeta` is the pod's own metadata, undefined for a template. */
export function* validatePodSpec(spec: PodSpec, podMeta: ObjectMeta | undefined, field: string): Findings {
  if (spec.terminationGracePeriodSeconds === undefined) yield required(`${field}.terminationGracePeriodSeconds`);
  const volumes = checkVolumes(spec.volumes, `${field}.volumes`, { podMeta });
  yield* volumes.found;
  const claimNames = new Set((spec.resourceClaims ?? []).map((each) => each.name).filter((name) => name));
  yield* resourceClaims(spec.resourceClaims, podMeta, `${field}.resourceClaims`);
  const context: ContainerContext = { spec, volumes: volumes.byName, claimNames };
  yield* validateContainers(context, `${field}.containers`);
  yield* validateInitContainers(context, `${field}.initContainers`);
  yield* validateEphemeralContainers(context, `${field}.ephemeralContainers`);
  if (spec.resources) yield* podResources(spec, spec.resources, claimNames, `${field}.resources`);
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
  if (spec.hostnameOverride !== undefined) yield* hostnameOverride(spec, field);
  yield* subdomainName(spec.serviceAccountName, `${field}.serviceAccountName`);
  yield* subdomainName(spec.nodeName, `${field}.nodeName`);
  const seconds = spec.activeDeadlineSeconds;
  if (seconds !== undefined && (seconds < 1 || seconds > MAX_INT32)) {
    yield invalid(`${field}.activeDeadlineSeconds`, seconds, rangeError(1, MAX_INT32));
  }
  if (spec.hostname) yield* dnsLabel(spec.hostname, `${field}.hostname`);
  if (spec.subdomain) yield* dnsLabel(spec.subdomain, `${field}.subdomain`);
  yield* validateTolerations(spec.tolerations, `${field}.tolerations`);
  yield* validateHostAliases(spec.hostAliases, `${field}.hostAliases`);
  yield* subdomainName(spec.priorityClassName, `${field}.priorityClassName`);
  if (spec.runtimeClassName !== undefined) yield* dnsSubdomain(spec.runtimeClassName, `${field}.runtimeClassName`);
  if (spec.preemptionPolicy !== undefined) {
    yield* oneOf(spec.preemptionPolicy, PREEMPTION_POLICIES, `${field}.preemptionPolicy`);
  }
  if (spec.overhead) yield* validateOverhead(spec.overhead, `${field}.overhead`);
  yield* validateOperatingSystem(spec, field);
  if (spec.schedulingGroup) yield* schedulingGroup(spec.schedulingGroup, `${field}.schedulingGroup.podGroupName`);
  yield* fileKeyVolumes(spec, field);
}

const subdomainName = (name: string | undefined, at: string): Findings =>
  invalidEach(at, name, name ? nameIsDnsSubdomain(name, false) : []);

const MAX_HOSTNAME = 64;

function* hostnameOverride(spec: PodSpec, field: string): Findings {
  const name = spec.hostnameOverride ?? '';
  const at = `${field}.hostnameOverride`;
  if (spec.setHostnameAsFQDN) yield forbidden(at, 'may not be specified when setHostnameAsFQDN is true');
  if (spec.hostNetwork) yield forbidden(at, 'may not be specified when hostNetwork is true');
  if (byteLength(name) > MAX_HOSTNAME) yield tooLong(at, MAX_HOSTNAME);
  yield* dnsSubdomain(name, at);
}

/** One of several ways to name a group, of which there is one so far. */
function* schedulingGroup({ podGroupName: name }: PodSchedulingGroup, field: string): Findings {
  if (name === undefined) yield invalid(field, name, 'must specify one of: `podGroupName`');
  else if (name === '') yield invalid(field, '', 'must not be empty');
  else yield* subdomainName(name, field);
}

/** Files of environment variables are in empty directories of the pod, which a container has written. */
function* fileKeyVolumes(spec: PodSpec, field: string): Findings {
  for (const [{ env }, at] of containersOf(spec, field)) {
    for (const [i, { valueFrom }] of (env ?? []).entries()) {
      if (!valueFrom?.fileKeyRef) continue;
      const { volumeName = '' } = valueFrom.fileKeyRef;
      const path = `${at}.env[${i}].valueFrom.fileKeyRef.volumeName`;
      const volume = spec.volumes?.findLast((each) => each.name === volumeName);
      if (!volume) yield notFound(path, volumeName);
      else if (!volume.emptyDir) yield invalid(path, volumeName, 'referenced volume must be of type emptyDir');
    }
  }
}

function* schedulingGates(spec: PodSpec, field: string): Findings {
  const seen = new Set<string>();
  for (const [i, { name }] of (spec.schedulingGates ?? []).entries()) {
    yield* qualifiedName(name ?? '', `${field}[${i}]`);
    if (seen.has(name)) yield duplicate(`${field}[${i}]`, name);
    seen.add(name);
  }
}

function* resourceClaims(
  claims: readonly PodResourceClaim[] | undefined,
  podMeta: ObjectMeta | undefined,
  field: string,
): Findings {
  const seen = new Set<string>();
  const isMirror = podMeta?.annotations?.[MIRROR_POD] !== undefined;
  for (const [i, claim] of (claims ?? []).entries()) {
    const at = `${field}[${i}]`;
    const { name, resourceClaimName, resourceClaimTemplateName } = claim;
    if (isMirror) {
      yield forbidden('', 'static pods do not support resource claims');
      continue;
    }
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
function* podResources(
  spec: PodSpec,
  resources: ResourceRequirements,
  claimNames: ReadonlySet<string>,
  field: string,
): Findings {
  if (spec.os?.name === 'windows') {
    yield forbidden(field, 'may not be set for a windows pod');
    return;
  }
  if (resources.claims !== undefined) {
    yield forbidden(`${field}.claims`, 'claims may not be set for Resources at pod-level');
  }
  yield* validatePodLevelResources(resources, claimNames, field);
  yield* noLess(aggregateContainerRequests(spec), resources.requests, `${field}.requests`, 'requests');
  const hugePages = Object.entries(aggregateContainerLimits(spec)).filter(([name]) => isHugePages(name));
  yield* noLess(Object.fromEntries(hugePages), resources.limits, `${field}.limits`, 'limits');
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

/** What the pod says, where it says something, covers what its containers say together. */
function* noLess(
  totals: Readonly<Record<string, string>>,
  ofPod: ResourceRequirements['requests'],
  field: string,
  what: 'requests' | 'limits',
): Findings {
  for (const [name, total] of Object.entries(totals)) {
    const value = ofPod?.[name];
    if (value === undefined || compareQuantities(quantityOf(total), quantityOf(value)) <= 0) continue;
    yield invalid(
      `${field}[${name}]`,
      formatQuantity(quantityOf(value)),
      `must be greater than or equal to aggregate container ${what} of ${total}`,
    );
  }
}
