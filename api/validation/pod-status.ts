// What a node and a scheduler report of a pod, and how that may change (k8s.io/kubernetes/pkg/apis/core/validation:
// ValidatePodStatusUpdate). Statuses of containers that the pod does not have are let through, as upstream.
import { mayRestartAll, restartsAfter } from '../container-restarts.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { nameIsDnsSubdomain } from '../names.ts';
import type {
  Container,
  ContainerStatus,
  Pod,
  PodCondition,
  PodExtendedResourceClaimStatus,
  PodSpec,
} from '../types/core-v1.ts';
import { dnsLabel, type Findings, groupId, IMMUTABLE, invalidEach, qualifiedName, userId } from './checks.ts';
import { onePerFamily } from './ip.ts';
import { validatePodAnnotationChanges } from './pod-annotations.ts';

const { duplicate, forbidden, invalid, notSupported, required, tooLong } = fieldErrors;

const NO_SPEC: PodSpec = { containers: [] };
const LISTS = ['containerStatuses', 'initContainerStatuses', 'ephemeralContainerStatuses'] as const;

export function validatePodStatusUpdate(pod: Pod, old: Pod): FieldError[] {
  return [...findings(pod, old)];
}

function* findings(pod: Pod, old: Pod): Findings {
  const spec = pod.spec ?? NO_SPEC;
  const { annotations } = pod.metadata;
  yield* validatePodAnnotationChanges(annotations, old.metadata.annotations, spec, 'metadata.annotations');
  const status = pod.status ?? {};
  const was = old.status ?? {};
  yield* conditions(status.conditions ?? []);
  yield* nomination(status.nominatedNodeName, old);
  yield* notNegative(status.observedGeneration, 'status.observedGeneration');
  if ((status.qosClass ?? '') !== (was.qosClass ?? '')) {
    yield invalid('status.qosClass', status.qosClass ?? '', IMMUTABLE);
  }
  yield* transitions(pod, old);
  yield* claimStatuses(pod);
  yield* extendedClaim(status.extendedResourceClaimStatus, spec, 'status.extendedResourceClaimStatus');
  yield* onePerFamily(status.podIPs ?? [], 'status.podIPs');
  yield* hostIPs(pod);
  for (const list of LISTS) {
    for (const [i, { user }] of (status[list] ?? []).entries()) {
      if (user?.linux) yield* linuxUser(user.linux, spec, `status.${list}[${i}].user.linux`);
    }
  }
  yield* allocated(status.containerStatuses, spec.containers, 'status.containerStatuses');
  yield* allocated(status.initContainerStatuses, spec.initContainers, 'status.initContainerStatuses');
  for (const [i, { allocatedResourcesStatus }] of (status.ephemeralContainerStatuses ?? []).entries()) {
    if (!allocatedResourcesStatus?.length) continue;
    const field = `status.ephemeralContainerStatuses[${i}].allocatedResourcesStatus`;
    yield forbidden(field, 'must not be specified in container status');
  }
}

const notNegative = (value: number | undefined, field: string): Findings =>
  (value ?? 0) < 0 ? [invalid(field, value, 'must be a non-negative integer')] : [];

const OF_THE_SYSTEM = ['PodScheduled', 'Ready', 'Initialized'];

function* conditions(all: readonly PodCondition[]): Findings {
  for (const [i, { type = '', observedGeneration }] of all.entries()) {
    yield* notNegative(observedGeneration, `status.conditions[${i}].observedGeneration`);
    // The path is upstream's.
    if (!OF_THE_SYSTEM.includes(type)) yield* qualifiedName(type, `status.conditions[${i}].Type`);
  }
}

function* nomination(name: string | undefined, old: Pod): Findings {
  if (!name || name === old.status?.nominatedNodeName) return;
  yield* invalidEach('status.nominatedNodeName', name, nameIsDnsSubdomain(name, false));
  if (old.spec?.nodeName) {
    yield forbidden('status.nominatedNodeName', 'may not be set on pods that are already bound to a node');
  }
}

/** A container that has ended, and by its policies and rules will not run again, keeps its end. */
function* transitions({ status }: Pod, old: Pod): Findings {
  const { containers = [], initContainers = [], restartPolicy } = old.spec ?? NO_SPEC;
  const mayAll = mayRestartAll(old.spec ?? NO_SPEC);
  for (const [list, known] of [
    ['containerStatuses', containers],
    ['initContainerStatuses', initContainers],
    ['ephemeralContainerStatuses', []],
  ] as const) {
    if (mayAll && list !== 'ephemeralContainerStatuses') continue;
    for (const [i, { name, state }] of (old.status?.[list] ?? []).entries()) {
      if (!state?.terminated) continue;
      const now = status?.[list]?.find((each) => each.name === name);
      if (!now || now.state?.terminated) continue;
      const container = known.find((each) => each.name === name);
      if (container && restartsAfter(container, restartPolicy, state.terminated.exitCode)) continue;
      yield forbidden(`status.${list}[${i}].state`, 'may not be transitioned to non-terminated state');
    }
  }
}

/** Which claims were made for the pod: only of those that it asks for. */
function* claimStatuses({ spec, status }: Pod): Findings {
  const seen = new Set<string>();
  for (const [i, { name = '', resourceClaimName }] of (status?.resourceClaimStatuses ?? []).entries()) {
    const field = `status.resourceClaimStatuses[${i}].name`;
    if (!spec?.resourceClaims?.some((each) => each.name === name)) {
      yield invalid(field, name, 'must match the name of an entry in `spec.resourceClaims`');
    }
    if (seen.has(name)) yield duplicate(field, name);
    seen.add(name);
    if (resourceClaimName !== undefined) {
      yield* invalidEach(field, resourceClaimName, nameIsDnsSubdomain(resourceClaimName, false));
    }
  }
}

/** The claim that the scheduler made for the extended resources of the containers. */
function* extendedClaim(claim: PodExtendedResourceClaimStatus | undefined, spec: PodSpec, field: string): Findings {
  if (!claim) return;
  const { requestMappings: mappings = [], resourceClaimName: claimName = '' } = claim;
  const containers = new Map([...(spec.initContainers ?? []), ...spec.containers].map((each) => [each.name, each]));
  if (mappings.length === 0) {
    yield required(`${field}.requestMappings`, 'at least one request mapping is required');
  }
  const seen = new Set<string>();
  for (const [i, { containerName = '', resourceName = '', requestName = '' }] of mappings.entries()) {
    const at = `${field}.requestMappings[${i}]`;
    const container = containers.get(containerName);
    if (!container) {
      const detail = 'must match the name of an entry in spec.initContainers.name or spec.containers.name';
      yield invalid(`${at}.containerName`, containerName, detail);
    } else if (container.resources?.requests?.[resourceName] === undefined) {
      const detail =
        'must match the extended resource name of an entry in spec.initContainers.resources.requests or spec.containers.resources.requests';
      yield invalid(`${at}.resourceName`, resourceName, detail);
    }
    // The path is upstream's.
    yield* dnsLabel(requestName, `${field}.requestName`);
    const key = JSON.stringify([containerName, resourceName, requestName]);
    if (seen.has(key)) {
      yield duplicate(`${at}.containerName`, containerName);
      yield duplicate(`${at}.resourceName`, resourceName);
      yield duplicate(`${at}.requestName`, requestName);
    }
    seen.add(key);
  }
  if (!claimName) yield required(`${field}.resourceClaimName`);
  else yield* invalidEach(`${field}.resourceClaimName`, claimName, nameIsDnsSubdomain(claimName, false));
}

function* hostIPs({ status }: Pod): Findings {
  const all = status?.hostIPs ?? [];
  const first = all[0];
  if (!first) return;
  if ((status?.hostIP ?? '') !== first.ip) {
    yield invalid('status.hostIPs[0].ip', first.ip, 'must be equal to `hostIP`');
  }
  yield* onePerFamily(all, 'status.hostIPs');
}

type LinuxUser = NonNullable<NonNullable<ContainerStatus['user']>['linux']>;

function* linuxUser(user: LinuxUser, { os }: PodSpec, field: string): Findings {
  if (os?.name === 'windows') yield forbidden(field, 'cannot be set for a windows pod');
  if (os && os.name !== 'linux') return;
  yield* userId(user.uid, `${field}.uid`);
  yield* groupId(user.gid, `${field}.gid`);
  for (const [i, id] of (user.supplementalGroups ?? []).entries()) {
    yield* groupId(id, `${field}.supplementalGroups[${i}]`);
  }
}

const HEALTHS = ['Healthy', 'Unhealthy', 'Unknown'];
const MAX_HEALTH_MESSAGE = 1024;
const NO_CLAIM =
  "must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty";
const NO_REQUEST = "must match one of the container's resource requests";

/** How the devices are that a container has. */
function* allocated(
  statuses: readonly ContainerStatus[] | undefined,
  containers: readonly Container[] | undefined,
  field: string,
): Findings {
  for (const [i, status] of (statuses ?? []).entries()) {
    const resources = containers?.find(({ name }) => name === status.name)?.resources ?? {};
    const isKnown = containers?.some(({ name }) => name === status.name);
    for (const [j, { name, resources: devices = [] }] of (status.allocatedResourcesStatus ?? []).entries()) {
      const at = `${field}[${i}].allocatedResourcesStatus[${j}]`;
      const isClaim = name.startsWith('claim:');
      const isAsked = isClaim
        ? resources.claims?.some((claim) => name === claimName(claim))
        : resources.requests?.[name] !== undefined;
      if (isKnown && !isAsked) yield invalid(`${at}.name`, name, isClaim ? NO_CLAIM : NO_REQUEST);
      const ids = new Set<string>();
      for (const [k, { resourceID = '', health = '', message }] of devices.entries()) {
        if (!HEALTHS.includes(health)) yield notSupported(`${at}.resources[${k}].health`, health, HEALTHS);
        if (message === '') yield required(`${at}.resources[${k}].message`, 'must be non-empty if specified');
        else if (message !== undefined && Buffer.byteLength(message) > MAX_HEALTH_MESSAGE) {
          yield tooLong(`${at}.resources[${k}].message`, MAX_HEALTH_MESSAGE);
        }
        if (ids.has(resourceID)) yield duplicate(`${at}.resources[${k}].resourceID`, resourceID);
        ids.add(resourceID);
      }
    }
  }
}

const claimName = ({ name, request }: { name: string; request?: string }) =>
  request ? `claim:${name}/${request}` : `claim:${name}`;
