// What is accepted and still probably a mistake in a pod or template: texts of `Warning:` headers.
import { isDns1123Label } from '../names.ts';
import { formatQuantity, quantityOf } from '../quantity.ts';
import type { Container, ContainerPort, PodSpec, PodTemplateSpec, Volume } from '../types/core-v1.ts';
import type { ObjectMeta } from '../types/meta.ts';

type Warnings = Generator<string, void, undefined>;

const NODE_LABELS: Record<string, string> = {
  'beta.kubernetes.io/arch': 'deprecated since v1.14; use "kubernetes.io/arch" instead',
  'beta.kubernetes.io/os': 'deprecated since v1.14; use "kubernetes.io/os" instead',
  'failure-domain.beta.kubernetes.io/region': 'deprecated since v1.17; use "topology.kubernetes.io/region" instead',
  'failure-domain.beta.kubernetes.io/zone': 'deprecated since v1.17; use "topology.kubernetes.io/zone" instead',
  'beta.kubernetes.io/instance-type': 'deprecated since v1.17; use "node.kubernetes.io/instance-type" instead',
};

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

/** `field` is empty for a pod, `spec.template` for a template. */
export function podWarnings(template: PodTemplateSpec & { metadata?: ObjectMeta }, field = ''): string[] {
  const spec = template.spec;
  if (!spec) return [];
  const at = field === '' ? '' : `${field}.`;
  return [...specWarnings(spec, `${at}spec`)];
}

function* specWarnings(spec: PodSpec, field: string): Warnings {
  for (const key of Object.keys(spec.nodeSelector ?? {})) {
    if (NODE_LABELS[key]) yield `${field}.nodeSelector[${key}]: ${NODE_LABELS[key]}`;
  }
  for (const [i, { topologyKey, labelSelector }] of (spec.topologySpreadConstraints ?? []).entries()) {
    const at = `${field}.topologySpreadConstraints[${i}]`;
    if (NODE_LABELS[topologyKey]) yield `${at}.topologyKey: ${topologyKey} is ${NODE_LABELS[topologyKey]}`;
    if (!labelSelector) yield `${at}.labelSelector: a null labelSelector results in matching no pod`;
  }
  for (const [i, volume] of (spec.volumes ?? []).entries()) {
    for (const name of Object.keys(volume) as (keyof Volume)[]) {
      if (VOLUMES[name]) yield `${field}.volumes[${i}].${name}: ${VOLUMES[name]}`;
    }
  }
  yield* repeated(spec.hostAliases, 'ip', `${field}.hostAliases`);
  yield* repeated(spec.imagePullSecrets, 'name', `${field}.imagePullSecrets`);
  for (const [i, { name }] of (spec.imagePullSecrets ?? []).entries()) {
    if (!name) yield `${field}.imagePullSecrets[${i}].name: invalid empty name ""`;
  }
  yield* fractionalBytes(spec.overhead, `${field}.overhead`);
  const containers = [...withFields(spec, field)];
  for (const [container, at] of containers) {
    yield* fractionalBytes(container.resources?.limits, `${at}.resources.limits`);
    yield* fractionalBytes(container.resources?.requests, `${at}.resources.requests`);
    yield* hiddenEnv(container, at);
  }
  yield* overlappingPorts(containers);
  if ((spec.terminationGracePeriodSeconds ?? 0) < 0) {
    yield `${field}.terminationGracePeriodSeconds: must be >= 0; negative values are invalid and will be treated as 1`;
  }
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

function* fractionalBytes(list: Readonly<Record<string, string | number>> | undefined, field: string): Warnings {
  for (const name of ['memory', 'ephemeral-storage']) {
    const value = list?.[name];
    if (value === undefined || quantityOf(value).nanos % 1_000_000_000n === 0n) continue;
    yield `${field}[${name}]: fractional byte value ${JSON.stringify(formatQuantity(quantityOf(value)))} is invalid, must be an integer`;
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

function overlap(port: ContainerPort, other: ContainerPort): 'duplicate' | 'overlapping' | undefined {
  const hostPort = port.hostPort ?? 0;
  const otherPort = other.hostPort ?? 0;
  const hostIP = port.hostIP ?? '';
  const otherIP = other.hostIP ?? '';
  if (hostIP === otherIP && hostPort === otherPort) return 'duplicate';
  if (hostPort === 0 || otherPort === 0) return 'overlapping';
  if (hostPort !== otherPort) return undefined;
  const isAny = (ip: string) => ip === '' || ip === '0.0.0.0' || ip === '::';
  return isAny(hostIP) || isAny(otherIP) ? 'overlapping' : undefined;
}
