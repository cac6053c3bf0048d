// What is accepted and still probably a mistake in a pod or template: texts of `Warning:` headers.
import { isDns1123Label } from '../names.ts';
import type {
  Container,
  ContainerPort,
  PodSpec,
  PodStatus,
  PodTemplateSpec,
  Volume,
  VolumeProjection,
} from '../types/core-v1.ts';
import type { ObjectMeta } from '../types/meta.ts';
import { ipWarnings } from './ip-warnings.ts';
import { labelDeprecation, termWarnings } from './node-labels.ts';
import { APP_ARMOR_PREFIX, SECCOMP_POD, SECCOMP_PREFIX } from './pod-annotations.ts';
import { claimSpecWarnings, fractional } from './storage-warnings.ts';

type Warnings = Generator<string, void, undefined>;

const ANNOTATIONS: Record<string, string> = {
  'scheduler.alpha.kubernetes.io/critical-pod': 'non-functional in v1.16+; use the "priorityClassName" field instead',
  'security.alpha.kubernetes.io/sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
  'security.alpha.kubernetes.io/unsafe-sysctls': 'non-functional in v1.11+; use the "sysctls" field instead',
};
const SECCOMP = 'non-functional in v1.27+; use the "seccompProfile" field instead';

export const appArmorWarning = (field: string): string =>
  `${field}: deprecated since v1.30; use the "appArmorProfile" field instead`;

const VOLUMES: Partial<Record<keyof Volume, string>> = {
  photonPersistentDisk: 'deprecated in v1.11, non-functional in v1.16+',
  gitRepo: 'deprecated in v1.11',
  scaleIO: 'deprecated in v1.16, non-functional in v1.22+',
  flocker: 'deprecated in v1.22, non-functional in v1.25+',
  storageos: 'deprecated in v1.22, non-functional in v1.25+',
  quobyte: 'deprecated in v1.22, non-functional in v1.25+',
  glusterfs: 'deprecated in v1.25, non-functional in v1.26+',
  cephfs: 'deprecated in v1.28, non-functional in v1.31+',
  rbd: 'deprecated in v1.28, non-functional in v1.31+',
};

/** The names of pods and of what makes them become host names. `what` is how upstream puts it for the kind. */
export function nameWarning(name: string | undefined, what: 'Pod' | 'workload'): string[] {
  const messages = isDns1123Label(name ?? '');
  if (!name || messages.length === 0) return [];
  const use = what === 'Pod' ? "this is used in the Pod's hostname" : 'this is used in Pod names and hostnames';
  return [
    `metadata.name: ${use}, which can result in surprising behavior; a DNS label is recommended: [${messages.join(' ')}]`,
  ];
}

/** Of a workload with a template in its specification: when it is made, and when an update makes a new generation of it. */
export function workloadWarnings(
  { metadata }: { metadata: ObjectMeta },
  old: { metadata: ObjectMeta } | undefined,
  template: PodTemplateSpec | undefined,
): string[] {
  if (!old) return [...nameWarning(metadata.name, 'workload'), ...podWarnings(template ?? {}, 'spec.template')];
  return metadata.generation === old.metadata.generation ? [] : podWarnings(template ?? {}, 'spec.template');
}

/** `field` is empty for a pod, `spec.template` for a template. */
export function podWarnings(template: PodTemplateSpec & { metadata?: ObjectMeta }, field = ''): string[] {
  const { spec, metadata } = template;
  if (!spec) return [];
  const at = field === '' ? '' : `${field}.`;
  return [...specWarnings(spec, metadata?.annotations ?? {}, `${at}spec`, `${at}metadata.annotations`, field !== '')];
}

/** Addresses that a node reports. */
export function podAddressWarnings({ podIPs = [], hostIPs = [] }: PodStatus): string[] {
  return [
    ...podIPs.flatMap(({ ip }, i) => ipWarnings(ip, `status.podIPs[${i}].ip`)),
    ...hostIPs.flatMap(({ ip }, i) => ipWarnings(ip, `status.hostIPs[${i}].ip`)),
  ];
}

function* specWarnings(
  spec: PodSpec,
  annotations: Readonly<Record<string, string>>,
  field: string,
  metaField: string,
  isTemplate: boolean,
): Warnings {
  yield* nodeLabels(spec, field);
  for (const [key, text] of Object.entries(ANNOTATIONS)) {
    if (annotations[key] !== undefined) yield `${metaField}[${key}]: ${text}`;
  }
  yield* volumes(spec.volumes ?? [], field);
  yield* repeated(spec.hostAliases, 'ip', `${field}.hostAliases`);
  for (const [i, { ip }] of (spec.hostAliases ?? []).entries()) {
    yield* ipWarnings(ip, `${field}.hostAliases[${i}].ip`);
  }
  yield* repeated(spec.imagePullSecrets, 'name', `${field}.imagePullSecrets`);
  for (const [i, { name }] of (spec.imagePullSecrets ?? []).entries()) {
    if (!name) yield `${field}.imagePullSecrets[${i}].name: invalid empty name ""`;
  }
  yield* fractionalBytes(spec.overhead, `${field}.overhead`);
  if (!spec.securityContext?.seccompProfile && annotations[SECCOMP_POD] !== undefined) {
    yield `${metaField}[${SECCOMP_POD}]: ${SECCOMP}`;
  }
  const containers = [...withFields(spec, field)];
  for (const [container, at] of containers) {
    const { name, securityContext, resources } = container;
    const seccomp = SECCOMP_PREFIX + name;
    if (!securityContext?.seccompProfile && annotations[seccomp] !== undefined) {
      yield `${metaField}[${seccomp}]: ${SECCOMP}`;
    }
    // For pods it is said where the annotation becomes a field.
    const appArmor = APP_ARMOR_PREFIX + name;
    const hasField = spec.securityContext?.appArmorProfile ?? securityContext?.appArmorProfile;
    if (isTemplate && !hasField && annotations[appArmor] !== undefined) {
      yield appArmorWarning(`${metaField}[${appArmor}]`);
    }
    yield* fractionalBytes(resources?.limits, `${at}.resources.limits`, 'memory');
    yield* fractionalBytes(resources?.requests, `${at}.resources.requests`, 'memory');
    yield* fractionalBytes(resources?.limits, `${at}.resources.limits`, 'ephemeral-storage');
    yield* fractionalBytes(resources?.requests, `${at}.resources.requests`, 'ephemeral-storage');
    yield* hiddenEnv(container, at);
  }
  yield* overlappingPorts(containers);
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    yield `${field}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`;
  }
  yield* selectorsOfNothing(spec, field);
  for (const [i, server] of (spec.dnsConfig?.nameservers ?? []).entries()) {
    yield* ipWarnings(server, `${field}.dnsConfig.nameservers[${i}]`);
  }
}

function* nodeLabels(spec: PodSpec, field: string): Warnings {
  for (const key of Object.keys(spec.nodeSelector ?? {})) {
    const why = labelDeprecation(key);
    if (why) yield `${field}.nodeSelector[${key}]: ${why}`;
  }
  const affinity = spec.affinity?.nodeAffinity;
  const at = `${field}.affinity.nodeAffinity`;
  for (const [i, term] of (affinity?.[REQUIRED]?.nodeSelectorTerms ?? []).entries()) {
    yield* termWarnings(term, `${at}.${REQUIRED}.nodeSelectorTerms[${i}]`);
  }
  for (const [i, { preference }] of (affinity?.[PREFERRED] ?? []).entries()) {
    yield* termWarnings(preference, `${at}.${PREFERRED}[${i}].preference`);
  }
  for (const [i, { topologyKey, labelSelector }] of (spec.topologySpreadConstraints ?? []).entries()) {
    const constraint = `${field}.topologySpreadConstraints[${i}]`;
    const why = labelDeprecation(topologyKey);
    if (why) yield `${constraint}.topologyKey: ${topologyKey} is ${why}`;
    if (!labelSelector) yield `${constraint}.labelSelector: ${MATCHES_NONE}`;
  }
}

const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
const PREFERRED = 'preferredDuringSchedulingIgnoredDuringExecution';
const MATCHES_NONE = 'a null labelSelector results in matching no pod';

function* selectorsOfNothing(spec: PodSpec, field: string): Warnings {
  for (const name of ['podAffinity', 'podAntiAffinity'] as const) {
    const affinity = spec.affinity?.[name];
    const at = `${field}.affinity.${name}`;
    for (const [i, { labelSelector }] of (affinity?.[REQUIRED] ?? []).entries()) {
      if (!labelSelector) yield `${at}.${REQUIRED}[${i}].labelSelector: ${MATCHES_NONE}`;
    }
    for (const [i, { podAffinityTerm }] of (affinity?.[PREFERRED] ?? []).entries()) {
      if (podAffinityTerm?.labelSelector) continue;
      yield `${at}.${PREFERRED}[${i}].podAffinityTerm.labelSelector: ${MATCHES_NONE}`;
    }
  }
}

function* volumes(all: readonly Volume[], field: string): Warnings {
  for (const [i, volume] of all.entries()) {
    const at = `${field}.volumes[${i}]`;
    for (const name of Object.keys(VOLUMES) as (keyof Volume)[]) {
      if (volume[name] !== undefined) yield `${at}.${name === 'storageos' ? 'storageOS' : name}: ${VOLUMES[name]}`;
    }
    const claim = volume.ephemeral?.volumeClaimTemplate?.spec;
    if (claim) yield* claimSpecWarnings(claim, `${at}.ephemeral.volumeClaimTemplate.spec`);
  }
  const tokens = new Set(
    all.flatMap(({ projected }) =>
      (projected?.sources ?? []).flatMap(({ serviceAccountToken: token }) => (token ? [token.path] : [])),
    ),
  );
  if (tokens.size === 0) return;
  for (const [i, { projected }] of all.entries()) {
    for (const [name, index, path] of (projected?.sources ?? []).flatMap(pathsOf)) {
      if (!path || !tokens.has(path)) continue;
      const at = `${field}.volumes[${i}].projected.sources.${name}${index === undefined ? '' : `[${index}]`}`;
      yield `${at}: has duplicated path with ServiceAccountToken ${JSON.stringify(path)}`;
    }
  }
}

/** What a source writes besides the token, by upstream's names for the sources. */
function pathsOf(source: VolumeProjection): [name: string, index: number | undefined, path: string | undefined][] {
  const { configMap, secret, downwardAPI, clusterTrustBundle } = source;
  return [
    ...(configMap?.items ?? []).map(({ path }, i): [string, number, string] => ['configMap', i, path]),
    ...(secret?.items ?? []).map(({ path }, i): [string, number, string] => ['secrets', i, path]),
    ...(downwardAPI?.items ?? []).map(({ path }, i): [string, number, string] => ['downwardAPI', i, path]),
    ...(clusterTrustBundle
      ? [['ClusterTrustBundle', undefined, clusterTrustBundle.path] as [string, undefined, string]]
      : []),
  ];
}

function* withFields(spec: PodSpec, field: string): Generator<[Container, string]> {
  for (const list of ['initContainers', 'containers', 'ephemeralContainers'] as const) {
    for (const [i, container] of (spec[list] ?? []).entries()) yield [container, `${field}.${list}[${i}]`];
  }
}

function* repeated<K extends string>(
  items: readonly { [P in K]?: string }[] | undefined,
  key: K,
  field: string,
): Warnings {
  const seen = new Set<string>();
  for (const [i, item] of (items ?? []).entries()) {
    const value = item[key] ?? '';
    if (seen.has(value)) yield `${field}[${i}].${key}: duplicate ${key} ${JSON.stringify(value)}`;
    seen.add(value);
  }
}

function* fractionalBytes(
  list: Readonly<Record<string, string | number>> | undefined,
  field: string,
  ...names: string[]
): Warnings {
  for (const name of names.length > 0 ? names : ['memory', 'ephemeral-storage']) {
    yield* fractional(list?.[name], `${field}[${name}]`);
  }
}

/** A second definition may build on the first (`$(X)more`); otherwise the first is lost. */
function* hiddenEnv(container: Container, field: string): Warnings {
  const seen = new Set<string>();
  for (const [i, { name, value = '', valueFrom }] of (container.env ?? []).entries()) {
    const reference = `$(${name})`;
    const hides = valueFrom !== undefined || value === reference || !value.includes(reference);
    if (seen.has(name) && hides) {
      yield `${field}.env[${i}]: hides previous definition of ${JSON.stringify(name)}, which may be dropped when using apply`;
    }
    seen.add(name);
  }
}

function* overlappingPorts(containers: readonly [Container, string][]): Warnings {
  const known = new Map<string, { port: ContainerPort; field: string }[]>();
  for (const [container, at] of containers) {
    for (const [i, port] of (container.ports ?? []).entries()) {
      const field = `${at}.ports[${i}]`;
      if (port.hostIP && !port.hostPort) yield `${field}: hostIP set without hostPort: ${inGo(port)}`;
      const key = `${port.containerPort}/${port.protocol}`;
      const others = known.get(key) ?? [];
      for (const other of others) {
        const kind = overlap(port, other.port);
        if (kind) yield `${field}: ${kind} port definition with ${other.field}`;
      }
      known.set(key, [...others, { port, field }]);
    }
  }
}

/** A port as Go prints it. */
const inGo = ({ name = '', hostPort = 0, containerPort, protocol = '', hostIP = '' }: ContainerPort): string =>
  `{Name:${name} HostPort:${hostPort} ContainerPort:${containerPort} Protocol:${protocol} HostIP:${hostIP}}`;

function overlap(
  port: ContainerPort,
  other: ContainerPort,
): 'duplicate' | 'overlapping' | 'dangerously ambiguous' | undefined {
  const hostPort = port.hostPort ?? 0;
  const otherPort = other.hostPort ?? 0;
  const hostIP = port.hostIP ?? '';
  const otherIP = other.hostIP ?? '';
  if (hostIP === otherIP && hostPort === otherPort) return 'duplicate';
  if (hostPort === 0 || otherPort === 0) return 'overlapping';
  // One on every address, the other on one of them: which is meant there is undefined.
  return hostPort === otherPort && (hostIP === '') !== (otherIP === '') ? 'dangerously ambiguous' : undefined;
}
