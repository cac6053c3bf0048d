// The containers of a pod: what every kind of container must hold, and what ordinary, init and ephemeral ones may.
import { fieldErrors } from '../field-error.ts';
import { isPortName, isPortNumber } from '../names.ts';
import { isSidecar } from '../pod-resources.ts';
import type { Container, ContainerPort, ContainerResizePolicy, PodSpec } from '../types/core-v1.ts';
import { dnsLabel, type Findings, invalidEach, oneOf, PROTOCOLS } from './checks.ts';
import { validateEnv, validateEnvFrom } from './env.ts';
import { validateHostPortConflicts } from './pod-network.ts';
import { validateLifecycle, validateProbes } from './probes.ts';
import { ofRule } from './ratcheting.ts';
import { validateContainerResources } from './resources.ts';
import { validateSecurityContext } from './security-context.ts';
import { validateVolumeDevices, validateVolumeMounts, type Volumes } from './volume-mounts.ts';

const { duplicate, forbidden, invalid, notFound, notSupported, required, tooMany } = fieldErrors;

export interface ContainerContext {
  spec: PodSpec;
  volumes: Volumes;
  /** Names of spec.resourceClaims. */
  claimNames: ReadonlySet<string>;
}

export function* validateContainers(context: ContainerContext, field: string): Findings {
  const { spec } = context;
  const containers = spec.containers ?? [];
  if (containers.length === 0) {
    yield required(field);
    return;
  }
  const names = new Set<string>();
  for (const [i, container] of containers.entries()) {
    const at = `${field}[${i}]`;
    yield* common(container, context, at);
    if (names.has(container.name)) yield duplicate(`${at}.name`, container.name);
    names.add(container.name);
    yield* longRunning(container, spec, at);
    yield* restartRules(container, at);
  }
  yield* validateHostPortConflicts(containers, (i) => `${field}[${i}]`);
}

export function* validateInitContainers(context: ContainerContext, field: string): Findings {
  const { spec } = context;
  const names = new Set((spec.containers ?? []).map((each) => each.name));
  for (const [i, container] of (spec.initContainers ?? []).entries()) {
    const at = `${field}[${i}]`;
    yield* common(container, context, at);
    if (container.restartPolicy !== undefined) yield* restartRules(container, at);
    else if (container.restartPolicyRules?.length) yield required(`${at}.restartPolicy`, NEEDS_POLICY);
    if (names.has(container.name)) yield duplicate(`${at}.name`, container.name);
    else if (container.name) names.add(container.name);
    // They run one by one, so each is checked alone; upstream counts each as the first.
    yield* validateHostPortConflicts([container], () => `${field}[0]`);
    if (isSidecar(container)) yield* longRunning(container, spec, at);
    else {
      for (const name of ['lifecycle', 'livenessProbe', 'readinessProbe', 'startupProbe'] as const) {
        if (container[name] !== undefined) {
          yield forbidden(`${at}.${name}`, 'may not be set for init containers without restartPolicy=Always');
        }
      }
      yield* ofRule('restarts of resized init containers', noRestarts(container, `${at}.resizePolicy`));
    }
  }
}

/** In the order of the type. */
const NOT_FOR_EPHEMERAL = [
  'ports',
  'resources',
  'resizePolicy',
  'restartPolicy',
  'restartPolicyRules',
  'livenessProbe',
  'readinessProbe',
  'startupProbe',
  'lifecycle',
] as const;

export function* validateEphemeralContainers(context: ContainerContext, field: string): Findings {
  const { spec } = context;
  const targets = new Set([...(spec.containers ?? []), ...(spec.initContainers ?? [])].map((each) => each.name));
  const names = new Set(targets);
  for (const [i, container] of (spec.ephemeralContainers ?? []).entries()) {
    const at = `${field}[${i}]`;
    const target = container.targetContainerName;
    yield* common(container, context, at);
    yield* validateTrimmedImage(container, at);
    if (names.has(container.name)) yield duplicate(`${at}.name`, container.name);
    names.add(container.name);
    if (target && !targets.has(target)) yield notFound(`${at}.targetContainerName`, target);
    for (const name of NOT_FOR_EPHEMERAL) {
      const isSet =
        name === 'resources' ? Object.keys(container[name] ?? {}).length > 0 : container[name] !== undefined;
      if (isSet) yield forbidden(`${at}.${name}`, 'cannot be set for an Ephemeral Container');
    }
    for (const [j, mount] of (container.volumeMounts ?? []).entries()) {
      for (const name of ['subPath', 'subPathExpr'] as const) {
        if (mount[name]) {
          yield forbidden(`${at}.volumeMounts[${j}].${name}`, 'cannot be set for an Ephemeral Container');
        }
      }
    }
  }
}

/** For pods, not templates: an image with blanks around it may be a placeholder there. */
export function* validateTrimmedImage({ image = '' }: Container, field: string): Findings {
  if (image.trim() !== image) {
    yield invalid(`${field}.image`, image, 'must not have leading or trailing whitespace');
  }
}

function* common(container: Container, { spec, volumes, claimNames }: ContainerContext, field: string): Findings {
  if (!container.name) yield required(`${field}.name`);
  else yield* dnsLabel(container.name, `${field}.name`);
  if (!container.image) yield required(`${field}.image`);
  yield* oneOf(
    container.terminationMessagePolicy,
    ['File', 'FallbackToLogsOnError'],
    `${field}.terminationMessagePolicy`,
  );
  if (container.ports) yield* ports(container.ports, `${field}.ports`);
  if (container.env) yield* validateEnv(container.env, `${field}.env`);
  if (container.envFrom) yield* validateEnvFrom(container.envFrom, `${field}.envFrom`);
  if (container.volumeMounts) yield* validateVolumeMounts(container, volumes, `${field}.volumeMounts`);
  if (container.volumeDevices) yield* validateVolumeDevices(container, volumes, `${field}.volumeDevices`);
  yield* oneOf(container.imagePullPolicy, ['Always', 'IfNotPresent', 'Never'], `${field}.imagePullPolicy`);
  yield* validateContainerResources(container.resources, claimNames, `${field}.resources`);
  if (container.resizePolicy) {
    yield* resizePolicy(container.resizePolicy, `${field}.resizePolicy`, spec.restartPolicy);
  }
  yield* validateSecurityContext(container.securityContext, `${field}.securityContext`, spec.hostUsers !== false);
}

/** Probes and hooks, for containers that stay. */
function* longRunning(container: Container, spec: PodSpec, field: string): Findings {
  const graceSeconds = spec.terminationGracePeriodSeconds;
  yield* validateLifecycle(container.lifecycle, graceSeconds, spec.os, `${field}.lifecycle`);
  yield* validateProbes(container, graceSeconds, field);
}

function* ports(all: readonly ContainerPort[] | undefined, field: string): Findings {
  const names = new Set<string>();
  for (const [i, { name, containerPort, hostPort, protocol }] of (all ?? []).entries()) {
    const at = `${field}[${i}]`;
    if (name) {
      const messages = isPortName(name);
      yield* invalidEach(`${at}.name`, name, messages);
      if (messages.length === 0 && names.has(name)) yield duplicate(`${at}.name`, name);
      else if (messages.length === 0) names.add(name);
    }
    if (!containerPort) yield required(`${at}.containerPort`);
    else yield* invalidEach(`${at}.containerPort`, containerPort, isPortNumber(containerPort));
    if (hostPort) yield* invalidEach(`${at}.hostPort`, hostPort, isPortNumber(hostPort));
    yield* oneOf(protocol, PROTOCOLS, `${at}.protocol`);
  }
}

/** Upstream names the list, not the entry, but for repetitions. */
function* resizePolicy(
  policies: readonly ContainerResizePolicy[] | undefined,
  field: string,
  podRestartPolicy: string | undefined,
): Findings {
  const names = new Set<string>();
  for (const [i, { resourceName, restartPolicy }] of (policies ?? []).entries()) {
    if (names.has(resourceName)) yield duplicate(`${field}[${i}]`, resourceName);
    names.add(resourceName);
    yield* oneOf(resourceName, ['cpu', 'memory'], field);
    yield* oneOf(restartPolicy, ['NotRequired', 'RestartContainer'], field);
    if (podRestartPolicy === 'Never' && restartPolicy !== 'NotRequired') {
      yield invalid(field, restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'");
    }
  }
}

/** What runs to its end does not restart to be resized. */
function* noRestarts({ resizePolicy: policies = [] }: Container, field: string): Findings {
  for (const [i, { restartPolicy }] of policies.entries()) {
    if (restartPolicy !== 'RestartContainer') continue;
    const detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
    yield invalid(`${field}[${i}].restartPolicy`, restartPolicy, detail);
  }
}

const MAX_RULES = 20;
const MAX_EXIT_CODES = 255;
const POLICIES = ['Always', 'Never', 'OnFailure'];
const ACTIONS = ['Restart', 'RestartAllContainers'];
const OPERATORS = ['In', 'NotIn'];
const NEEDS_POLICY = 'must specify restartPolicy when restart rules are used';

function* restartRules({ restartPolicy, restartPolicyRules: rules = [] }: Container, field: string): Findings {
  if (restartPolicy === undefined) {
    if (rules.length > 0) yield required(`${field}.restartPolicy`, NEEDS_POLICY);
  } else if (!POLICIES.includes(restartPolicy)) yield notSupported(`${field}.restartPolicy`, restartPolicy, POLICIES);
  const at = `${field}.restartPolicyRules`;
  if (rules.length > MAX_RULES) yield tooMany(at, rules.length, MAX_RULES);
  for (const [i, { action = '', exitCodes }] of rules.entries()) {
    // Upstream lists the first action only.
    if (!ACTIONS.includes(action)) yield notSupported(`${at}[${i}].action`, action, ['Restart']);
    if (!exitCodes) {
      yield required(`${at}[${i}].exitCodes`, 'must be specified');
      continue;
    }
    const { operator = '', values = [] } = exitCodes;
    if (!OPERATORS.includes(operator)) yield notSupported(`${at}[${i}].exitCodes.operator`, operator, OPERATORS);
    if (values.length > MAX_EXIT_CODES) yield tooMany(`${at}[${i}].exitCodes.values`, values.length, MAX_EXIT_CODES);
  }
}
