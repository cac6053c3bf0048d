// A Pod as it is created, and what may change of it later: of the specification nearly nothing, of the status what nodes report.
import { deepClone, semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors } from '../field-error.ts';
import { nameIsDnsSubdomain, rangeError } from '../names.ts';
import { isSidecar } from '../pod-resources.ts';
import type {
  Container,
  ContainerStatus,
  NodeAffinity,
  NodeSelectorTerm,
  Pod,
  PodSpec,
  Toleration,
} from '../types/core-v1.ts';
import { type Findings, groupId, IMMUTABLE, invalidEach, MAX_INT32, qualifiedName, userId } from './checks.ts';
import { validateTrimmedImage } from './containers.ts';
import { describeChange } from './describe-change.ts';
import { onePerFamily } from './ip.ts';
import { validatePodAnnotationChanges, validatePodAnnotations, validateProfilesMatch } from './pod-annotations.ts';
import { validatePodSpec } from './pod-spec.ts';
import { validateTolerations } from './scheduling.ts';

const { duplicate, forbidden, invalid, notSupported, required } = fieldErrors;

const NO_SPEC: PodSpec = { containers: [] };

export function validatePod(pod: Pod): FieldError[] {
  const spec = pod.spec ?? NO_SPEC;
  const found = [...annotationsAndSpec(pod, spec)];
  if ((spec.ephemeralContainers ?? []).length > 0) {
    found.push(forbidden('spec.ephemeralContainers', 'cannot be set on create'));
  }
  if (spec.nodeName && (spec.schedulingGates ?? []).length > 0) {
    found.push(forbidden('spec.nodeName', 'cannot be set until all schedulingGates have been cleared'));
  }
  found.push(...validateProfilesMatch(pod.metadata.annotations, spec, 'spec'));
  return found;
}

/** What is wrong with a pod whatever was before it. */
export const validatePodMetadataAndSpec = (pod: Pod): Findings => annotationsAndSpec(pod, pod.spec ?? NO_SPEC);

function* annotationsAndSpec(pod: Pod, spec: PodSpec): Findings {
  yield* validatePodAnnotations(pod.metadata.annotations, spec, 'metadata.annotations');
  yield* validatePodSpec(spec, pod.metadata, 'spec');
  if (!spec.serviceAccountName) {
    for (const [i, { projected }] of (spec.volumes ?? []).entries()) {
      for (const [j, source] of (projected?.sources ?? []).entries()) {
        if (!source.serviceAccountToken) continue;
        yield forbidden(
          `spec.volumes[${i}].projected.sources[${j}].serviceAccountToken`,
          'must not be specified when serviceAccountName is not set',
        );
      }
    }
  }
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) {
      yield* validateTrimmedImage(container, `spec.${list}[${i}]`);
    }
  }
}

export function validatePodUpdate(pod: Pod, old: Pod): FieldError[] {
  const spec = pod.spec ?? NO_SPEC;
  const oldSpec = old.spec ?? NO_SPEC;
  const found = [
    ...annotationsAndSpec(pod, spec),
    ...validatePodAnnotationChanges(pod.metadata.annotations, old.metadata.annotations, 'metadata.annotations'),
  ];
  for (const list of ['containers', 'initContainers'] as const) {
    const containers = spec[list] ?? [];
    if (containers.length !== (oldSpec[list] ?? []).length) {
      found.push(forbidden(`spec.${list}`, 'pod updates may not add or remove containers'));
      return found;
    }
    found.push(...images(containers, `spec.${list}`));
  }
  const deadline = [...deadlineChange(spec.activeDeadlineSeconds, oldSpec.activeDeadlineSeconds)];
  found.push(...deadline);
  if (deadline.length > 0 && spec.activeDeadlineSeconds !== undefined) return found;
  found.push(...tolerationChange(spec.tolerations ?? [], oldSpec.tolerations ?? []));
  found.push(...gateChange(spec, oldSpec));
  if (!semanticEqual(spec, oldSpec)) found.push(...specChange(spec, oldSpec));
  return found;
}

function* images(containers: readonly Container[], field: string): Findings {
  for (const [i, container] of containers.entries()) {
    if (!container.image) yield required(`${field}[${i}].image`);
    yield* validateTrimmedImage(container, `${field}[${i}]`);
  }
}

function* deadlineChange(seconds: number | undefined, old: number | undefined): Findings {
  const field = 'spec.activeDeadlineSeconds';
  if (seconds === undefined) {
    if (old !== undefined) yield invalid(field, null, 'must not update from a positive integer to nil value');
  } else if (seconds < 0 || seconds > MAX_INT32) yield invalid(field, seconds, rangeError(0, MAX_INT32));
  else if (old !== undefined && old < seconds) {
    yield invalid(field, seconds, 'must be less than or equal to previous value');
  }
}

function* tolerationChange(tolerations: readonly Toleration[], old: readonly Toleration[]): Findings {
  for (const each of old) {
    const seconds = each.tolerationSeconds;
    if (tolerations.some((other) => semanticEqual({ ...other, tolerationSeconds: seconds }, each))) continue;
    yield forbidden('spec.tolerations', 'existing toleration can not be modified except its tolerationSeconds');
    return;
  }
  yield* validateTolerations(tolerations, 'spec.tolerations');
}

function* gateChange(spec: PodSpec, old: PodSpec): Findings {
  const known = new Set((old.schedulingGates ?? []).map((each) => each.name));
  for (const [i, { name }] of (spec.schedulingGates ?? []).entries()) {
    if (!known.has(name)) {
      yield forbidden(
        `spec.schedulingGates[${i}].name`,
        `only deletion is allowed, but found new scheduling gate '${name}'`,
      );
    }
  }
}

const UPDATABLE = [
  '`spec.containers[*].image`',
  '`spec.initContainers[*].image`',
  '`spec.activeDeadlineSeconds`',
  '`spec.tolerations` (only additions to existing tolerations)',
  '`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
].join(',');

/** What may change is put back to the old value; whatever still differs may not. */
function* specChange(spec: PodSpec, old: PodSpec): Findings {
  const rest = deepClone(spec);
  for (const list of ['containers', 'initContainers'] as const) {
    for (const [i, container] of (rest[list] ?? []).entries()) container.image = old[list]?.[i]?.image;
  }
  rest.activeDeadlineSeconds = old.activeDeadlineSeconds;
  rest.schedulingGates = old.schedulingGates;
  rest.tolerations = old.tolerations;
  if ((old.terminationGracePeriodSeconds ?? 0) < 0 && rest.terminationGracePeriodSeconds === 1) {
    rest.terminationGracePeriodSeconds = old.terminationGracePeriodSeconds;
  }
  if ((old.schedulingGates ?? []).length > 0) {
    yield* narrowing(spec, old);
    rest.nodeSelector = old.nodeSelector;
    rest.affinity = { ...rest.affinity, nodeAffinity: old.affinity?.nodeAffinity };
    if (!old.affinity && !rest.affinity.podAffinity && !rest.affinity.podAntiAffinity) delete rest.affinity;
  }
  if (semanticEqual(rest, old)) return;
  yield forbidden(
    'spec',
    `pod updates may not change fields other than ${UPDATABLE}\n${describeChange(old, rest, 'spec')}`,
  );
}

/** A pod that still waits at a gate may be bound to fewer nodes, never to others. */
function* narrowing(spec: PodSpec, old: PodSpec): Findings {
  for (const [key, value] of Object.entries(old.nodeSelector ?? {})) {
    if (spec.nodeSelector?.[key] === value) continue;
    yield invalid(
      'spec.nodeSelector',
      spec.nodeSelector,
      'only additions to spec.nodeSelector are allowed (no mutations or deletions)',
    );
    break;
  }
  const terms = (affinity: NodeAffinity | undefined): NodeSelectorTerm[] =>
    affinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms ?? [];
  const oldTerms = terms(old.affinity?.nodeAffinity);
  const newTerms = terms(spec.affinity?.nodeAffinity);
  const field = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
  if (oldTerms.length > 0 && oldTerms.length !== newTerms.length) {
    yield invalid(field, newTerms, 'no additions/deletions to non-empty NodeSelectorTerms list are allowed');
    return;
  }
  for (const [i, oldTerm] of oldTerms.entries()) {
    if (!onlyAdds(newTerms[i] ?? {}, oldTerm)) {
      yield invalid(`${field}[${i}]`, newTerms[i], 'only additions are allowed (no mutations or deletions)');
    }
  }
}

function onlyAdds(term: NodeSelectorTerm, old: NodeSelectorTerm): boolean {
  const lists = ['matchExpressions', 'matchFields'] as const;
  const sizeOf = (each: NodeSelectorTerm) => lists.reduce((sum, name) => sum + (each[name]?.length ?? 0), 0);
  // An empty term selects nothing: adding to it would widen.
  if (sizeOf(old) === 0) return sizeOf(term) === 0;
  return lists.every((name) => {
    const before = old[name] ?? [];
    return semanticEqual((term[name] ?? []).slice(0, before.length), before);
  });
}

export function validatePodStatusUpdate(pod: Pod, old: Pod): FieldError[] {
  return [...statusChange(pod, old)];
}

function* statusChange(pod: Pod, old: Pod): Findings {
  yield* validatePodAnnotationChanges(pod.metadata.annotations, old.metadata.annotations, 'metadata.annotations');
  const status = pod.status ?? {};
  const oldStatus = old.status ?? {};
  for (const [i, { type }] of (status.conditions ?? []).entries()) {
    // The path is upstream's.
    yield* qualifiedName(type ?? '', `metadata.conditions[${i}].Type`);
  }
  const nominated = status.nominatedNodeName;
  if (nominated && nominated !== oldStatus.nominatedNodeName) {
    yield* invalidEach('status.nominatedNodeName', nominated, nameIsDnsSubdomain(nominated, false));
  }
  if ((status.qosClass ?? '') !== (oldStatus.qosClass ?? '')) {
    yield invalid('status.qosClass', status.qosClass ?? '', IMMUTABLE);
  }
  const policy = old.spec?.restartPolicy;
  const sidecars = new Set((old.spec?.initContainers ?? []).filter(isSidecar).map((each) => each.name));
  const lists = [
    ['containerStatuses', policy, new Set<string>()],
    ['initContainerStatuses', policy, sidecars],
    ['ephemeralContainerStatuses', 'Never', new Set<string>()],
  ] as const;
  for (const [name, restartPolicy, restarting] of lists) {
    yield* staysTerminated(status[name], oldStatus[name], `status.${name}`, restartPolicy, restarting, old);
  }
  yield* claimStatuses(pod);
  yield* onePerFamily(status.podIPs ?? [], 'status.podIPs');
  yield* hostIPs(pod);
  yield* containerStatuses(pod);
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

const STATUS_LISTS = [
  ['containerStatuses', 'containers'],
  ['initContainerStatuses', 'initContainers'],
  ['ephemeralContainerStatuses', undefined],
] as const;
const HEALTHS = ['Healthy', 'Unhealthy', 'Unknown'];

/** As whom a container runs, and how the devices are that it has. */
function* containerStatuses({ spec, status }: Pod): Findings {
  for (const [list, containers] of STATUS_LISTS) {
    for (const [i, each] of (status?.[list] ?? []).entries()) {
      const user = each.user?.linux;
      const at = `status.${list}[${i}]`;
      if (user) {
        if (spec?.os?.name === 'windows') yield forbidden(`${at}.user.linux`, 'cannot be set for a windows pod');
        else {
          yield* userId(user.uid, `${at}.user.linux.uid`);
          yield* groupId(user.gid, `${at}.user.linux.gid`);
          for (const [j, id] of (user.supplementalGroups ?? []).entries()) {
            yield* groupId(id, `${at}.user.linux.supplementalGroups[${j}]`);
          }
        }
      }
      const resources = each.allocatedResourcesStatus ?? [];
      if (!containers) {
        if (resources.length > 0)
          yield forbidden(`${at}.allocatedResourcesStatus`, 'cannot be set for a container status');
        continue;
      }
      yield* deviceHealth(
        resources,
        spec?.[containers]?.find(({ name }) => name === each.name),
        at,
      );
    }
  }
}

function* deviceHealth(
  resources: NonNullable<ContainerStatus['allocatedResourcesStatus']>,
  container: Container | undefined,
  at: string,
): Findings {
  const names = new Set<string>();
  for (const [j, { name, resources: devices = [] }] of resources.entries()) {
    const field = `${at}.allocatedResourcesStatus[${j}]`;
    if (names.has(name)) yield duplicate(`${field}.name`, name);
    names.add(name);
    const isAsked = name.startsWith('claim:')
      ? container?.resources?.claims?.some((claim) => name === claimName(claim))
      : container?.resources?.requests?.[name] !== undefined;
    if (container && !isAsked) {
      yield invalid(`${field}.name`, name, "must match one of the container's resource requests");
    }
    const ids = new Set<string>();
    for (const [k, { resourceID, health = '' }] of devices.entries()) {
      if (health && !HEALTHS.includes(health)) yield notSupported(`${field}.resources[${k}].health`, health, HEALTHS);
      if (!resourceID) yield required(`${field}.resources[${k}].resourceID`);
      else if (ids.has(resourceID)) yield duplicate(`${field}.resources[${k}].resourceID`, resourceID);
      ids.add(resourceID);
    }
  }
}

const claimName = ({ name, request }: { name: string; request?: string }) =>
  request ? `claim:${name}/${request}` : `claim:${name}`;

/** A container that has ended, and by its policies will not run again, keeps its end. */
function* staysTerminated(
  statuses: readonly ContainerStatus[] | undefined,
  old: readonly ContainerStatus[] | undefined,
  field: string,
  restartPolicy: string | undefined,
  restarting: ReadonlySet<string>,
  pod: Pod,
): Findings {
  if (restartPolicy === 'Always') return;
  for (const [i, each] of (old ?? []).entries()) {
    const terminated = each.state?.terminated;
    if (!terminated || restarting.has(each.name) || hasOwnPolicy(pod, each.name)) continue;
    if (terminated.exitCode !== 0 && restartPolicy === 'OnFailure') continue;
    const now = statuses?.find((other) => other.name === each.name);
    if (now && !now.state?.terminated) {
      yield forbidden(`${field}[${i}].state`, 'may not be transitioned to non-terminated state');
    }
  }
}

const hasOwnPolicy = ({ spec }: Pod, name: string): boolean =>
  [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].some(
    (each) => each.name === name && each.restartPolicy !== undefined,
  );

function* hostIPs({ status }: Pod): Findings {
  const all = status?.hostIPs ?? [];
  const first = all[0];
  if (!first) return;
  if (status?.hostIP !== first.ip) yield invalid('status.hostIPs[0].ip', first.ip, 'must be equal to `hostIP`');
  yield* onePerFamily(all, 'status.hostIPs');
}
