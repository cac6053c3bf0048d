// KubeletConfiguration (kubelet.config.k8s.io/v1beta1) as this kubelet honours it. Pure. A field that it does not know, or does not honour with
// the value that is asked for, is refused by name: nothing is ignored silently.
import { addQuantities, formatQuantity, quantityOf } from '../api/quantity.ts';
import type { Taint } from '../api/types/core-v1.ts';
import type { ThresholdSettings } from './eviction/thresholds.ts';
import { parseThresholds } from './eviction/thresholds.ts';
import type { ImagePolicy } from './images/collector.ts';
import { DEFAULT_HARD } from './eviction/thresholds.ts';
import type { RotationOptions } from './pods/log-rotation.ts';
import { groupsOf, type ShutdownGroup } from './pods/shutdown.ts';
import { readTopology, TOPOLOGY_FIELDS, type TopologyOptions } from './topology/options.ts';

export class ConfigurationError extends Error {
  constructor(field: string, problem: string) {
    super(`KubeletConfiguration: ${field}: ${problem}`);
    this.name = 'ConfigurationError';
  }
}

/** As `rotateLogs` takes them. */
export type LogLimits = Pick<RotationOptions, 'maxBytes' | 'maxFiles' | 'workers' | 'intervalMs'>;

export interface KubeletSettings {
  address?: string;
  port?: number;
  staticPodPath?: string;
  clusterDns?: string[];
  clusterDomain?: string;
  resolvConf?: string;
  maxPods?: number;
  podCidr?: string;
  cgroupRoot?: string;
  labels?: Record<string, string>;
  taints?: Taint[];
  reserved?: Record<string, string>;
  eviction?: ThresholdSettings & { transitionMs?: number; maxGraceSeconds?: number };
  images?: Partial<ImagePolicy>;
  shutdownGroups?: ShutdownGroup[];
  allowedSysctls?: string[];
  crashLoopMaxMs?: number;
  containerLogs?: LogLimits;
  podPidsLimit?: number;
  idsPerPod?: number;
  topology?: TopologyOptions;
  rotateCertificates?: boolean;
  serverTlsBootstrap?: boolean;
  runtimeEndpoint?: string;
  clientCaFile?: string;
  healthz?: { address?: string; port?: number };
  verbosity?: number;
}

type Reader = (value: unknown, field: string, into: KubeletSettings) => void;

const fail = (field: string, problem: string): never => {
  throw new ConfigurationError(field, problem);
};

const text = (value: unknown, field: string): string =>
  typeof value === 'string' ? value : fail(field, `${JSON.stringify(value)} is not a string`);
const flag = (value: unknown, field: string): boolean =>
  typeof value === 'boolean' ? value : fail(field, `${JSON.stringify(value)} is not true or false`);
const whole = (value: unknown, field: string, min = 0, max = Number.MAX_SAFE_INTEGER): number =>
  Number.isInteger(value) && (value as number) >= min && (value as number) <= max
    ? (value as number)
    : fail(field, `${JSON.stringify(value)} is not a whole number from ${min} to ${max}`);
const strings = (value: unknown, field: string): string[] =>
  Array.isArray(value) ? value.map((each, index) => text(each, `${field}[${index}]`)) : fail(field, 'is not a list');
const map = (value: unknown, field: string): Record<string, string> => {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return fail(field, 'is not a map');
  return Object.fromEntries(
    Object.entries(value).map(([key, each]) => [
      key,
      typeof each === 'number' ? String(each) : text(each, `${field}[${key}]`),
    ]),
  );
};

/** `1m30s`, `500ms`, `2h`: Go's durations. */
export function durationMs(value: unknown, field: string): number {
  const given = text(value, field);
  if (given === '0') return 0;
  const units: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, us: 0.001, ns: 0.000_001 };
  const parts = [...given.matchAll(/(\d+(?:\.\d+)?)(h|ms|us|ns|m|s)/g)];
  if (parts.length === 0 || parts.map((each) => each[0]).join('') !== given) {
    return fail(field, `${JSON.stringify(given)} is not a duration such as 1m30s`);
  }
  return parts.reduce((total, [, amount, unit]) => total + Number(amount) * (units[unit as string] as number), 0);
}

const quantityBytes = (value: unknown, field: string): number => {
  const match = /^(\d+)(Ki|Mi|Gi)?$/.exec(text(value, field));
  if (!match) return fail(field, `${JSON.stringify(value)} is not a size such as 10Mi`);
  return Number(match[1]) * ({ Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30 }[match[2] ?? ''] ?? 1);
};

/** Accepted with these values only: what the kubelet does anyway. */
const only =
  (...values: unknown[]): Reader =>
  (value, field) => {
    if (values.some((each) => JSON.stringify(each) === JSON.stringify(value))) return;
    fail(
      field,
      `${JSON.stringify(value)} is not supported; supported: ${values.map((each) => JSON.stringify(each)).join(', ')}`,
    );
  };

const fields = (value: unknown, field: string): Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : fail(field, 'is not a map');

/** `0s` is how generated files write "your default". */
function unlessZero(set: (ms: number, into: KubeletSettings) => void): Reader {
  return (value, field, into) => {
    const ms = durationMs(value, field);
    if (ms > 0) set(ms, into);
  };
}

const authentication: Reader = (value, field, into) => {
  const { anonymous = {}, webhook = {}, x509 = {}, ...rest } = fields(value, field);
  for (const key of Object.keys(rest)) fail(`${field}.${key}`, 'is not known');
  only(undefined, false)(fields(anonymous, `${field}.anonymous`)['enabled'], `${field}.anonymous.enabled`, into);
  only(undefined, true)(fields(webhook, `${field}.webhook`)['enabled'], `${field}.webhook.enabled`, into);
  const { clientCAFile } = fields(x509, `${field}.x509`);
  if (clientCAFile !== undefined) into.clientCaFile = text(clientCAFile, `${field}.x509.clientCAFile`);
};

const reserve: Reader = (value, field, into) => {
  const { cpu, memory, 'ephemeral-storage': disk, ...rest } = map(value, field);
  for (const key of Object.keys(rest)) if (key !== 'pid') fail(`${field}[${key}]`, 'cannot be reserved');
  into.reserved ??= {};
  const found = { ...(cpu && { cpu }), ...(memory && { memory }), ...(disk && { 'ephemeral-storage': disk }) };
  // systemReserved and kubeReserved add up; amounts are joined when both are given.
  for (const [key, amount] of Object.entries(found)) {
    const before = into.reserved[key];
    into.reserved[key] = before ? formatQuantity(addQuantities(quantityOf(before), quantityOf(amount))) : amount;
  }
};

const eviction = (into: KubeletSettings) => (into.eviction ??= { hard: { ...DEFAULT_HARD } });
const images = (into: KubeletSettings) => (into.images ??= {});

const readers: Record<string, Reader> = {
  address: (value, field, into) => (into.address = text(value, field)),
  port: (value, field, into) => (into.port = whole(value, field, 0, 65_535)),
  staticPodPath: (value, field, into) => (into.staticPodPath = text(value, field)),
  clusterDNS: (value, field, into) => (into.clusterDns = strings(value, field)),
  clusterDomain: (value, field, into) => (into.clusterDomain = text(value, field)),
  resolvConf: (value, field, into) => (into.resolvConf = text(value, field)),
  maxPods: (value, field, into) => (into.maxPods = whole(value, field, 1)),
  podCIDR: (value, field, into) => (into.podCidr = text(value, field)),
  cgroupRoot: (value, field, into) => (into.cgroupRoot = text(value, field)),
  podPidsLimit(value, field, into) {
    if (value !== -1) into.podPidsLimit = whole(value, field, 1);
  },
  registerWithTaints(value, field, into) {
    if (!Array.isArray(value)) fail(field, 'is not a list');
    into.taints = value as Taint[];
  },
  systemReserved: reserve,
  kubeReserved: reserve,
  evictionHard: (value, field, into) => (eviction(into).hard = { ...DEFAULT_HARD, ...map(value, field) }),
  evictionSoft: (value, field, into) => (eviction(into).soft = map(value, field)),
  evictionSoftGracePeriod(value, field, into) {
    const given = Object.entries(map(value, field));
    eviction(into).softGraceMs = Object.fromEntries(
      given.map(([key, each]) => [key, durationMs(each, `${field}[${key}]`)]),
    );
  },
  evictionMinimumReclaim: (value, field, into) => (eviction(into).minimumReclaim = map(value, field)),
  evictionPressureTransitionPeriod: unlessZero((ms, into) => (eviction(into).transitionMs = ms)),
  evictionMaxPodGracePeriod: (value, field, into) => (eviction(into).maxGraceSeconds = whole(value, field)),
  imageGCHighThresholdPercent: (value, field, into) => (images(into).highPercent = whole(value, field, 0, 100)),
  imageGCLowThresholdPercent: (value, field, into) => (images(into).lowPercent = whole(value, field, 0, 100)),
  imageMinimumGCAge: unlessZero((ms, into) => (images(into).minAgeMs = ms)),
  imageMaximumGCAge: unlessZero((ms, into) => (images(into).maxAgeMs = ms)),
  allowedUnsafeSysctls: (value, field, into) => (into.allowedSysctls = strings(value, field)),
  containerLogMaxSize: (value, field, into) => ((into.containerLogs ??= {}).maxBytes = quantityBytes(value, field)),
  containerLogMaxFiles: (value, field, into) => ((into.containerLogs ??= {}).maxFiles = whole(value, field, 2)),
  containerLogMaxWorkers: (value, field, into) => ((into.containerLogs ??= {}).workers = whole(value, field, 1)),
  containerLogMonitorInterval(value, field, into) {
    const ms = durationMs(value, field);
    if (ms < 3000) fail(field, `${JSON.stringify(value)} must be at least 3s`);
    (into.containerLogs ??= {}).intervalMs = ms;
  },
  crashLoopBackOff(value, field, into) {
    const { maxContainerRestartPeriod: max, ...rest } = (value ?? {}) as Record<string, unknown>;
    for (const key of Object.keys(rest)) fail(`${field}.${key}`, 'is not known');
    if (max !== undefined) into.crashLoopMaxMs = durationMs(max, `${field}.maxContainerRestartPeriod`);
  },
  userNamespaces(value, field, into) {
    const { idsPerPod, ...rest } = fields(value, field);
    for (const key of Object.keys(rest)) fail(`${field}.${key}`, 'is not known');
    if (idsPerPod === undefined) return;
    into.idsPerPod = whole(idsPerPod, `${field}.idsPerPod`, 65_536, 2 ** 32 - 1);
    if (into.idsPerPod % 65_536 !== 0) fail(`${field}.idsPerPod`, `${into.idsPerPod} is not a multiple of 65536`);
  },
  rotateCertificates: (value, field, into) => (into.rotateCertificates = flag(value, field)),
  serverTLSBootstrap: (value, field, into) => (into.serverTlsBootstrap = flag(value, field)),
  containerRuntimeEndpoint: (value, field, into) =>
    (into.runtimeEndpoint = text(value, field).replace(/^unix:(\/\/)?/, '')),
  // What kubeadm and kind write, with the values that this kubelet has anyway.
  authentication,
  authorization(value, field) {
    const { mode = 'Webhook', webhook: _ttl, ...rest } = fields(value, field);
    only('Webhook')(mode, `${field}.mode`, {});
    for (const key of Object.keys(rest)) fail(`${field}.${key}`, 'is not known');
  },
  healthzBindAddress: (value, field, into) => ((into.healthz ??= {}).address = text(value, field)),
  healthzPort: (value, field, into) => ((into.healthz ??= {}).port = whole(value, field, 0, 65_535)),
  logging(value, field, into) {
    const { verbosity, flushFrequency: _flush, options: _options, format = 'json', ...rest } = fields(value, field);
    for (const key of Object.keys(rest)) fail(`${field}.${key}`, 'is not known');
    only('json', 'text')(format, `${field}.format`, into);
    if (verbosity !== undefined) into.verbosity = whole(verbosity, `${field}.verbosity`);
  },
  memorySwap: only({}, { swapBehavior: '' }, { swapBehavior: 'NoSwap' }),
  // Periods of what is event-driven here, or fixed: upstream's `0s` for its default is the only value there is.
  ...Object.fromEntries(
    [
      'cpuManagerReconcilePeriod',
      'fileCheckFrequency',
      'httpCheckFrequency',
      'nodeStatusReportFrequency',
      'nodeStatusUpdateFrequency',
      'runtimeRequestTimeout',
      'streamingConnectionIdleTimeout',
      'syncFrequency',
      'volumeStatsAggPeriod',
    ].map((name) => [name, only('0s')]),
  ),
  cgroupDriver: only('cgroupfs'),
  cgroupsPerQOS: only(true),
  enforceNodeAllocatable: only(['pods'], []),
  failSwapOn: only(true, false),
  hairpinMode: only('promiscuous-bridge', 'hairpin-veth'),
  makeIPTablesUtilChains: only(true, false),
  localStorageCapacityIsolation: only(true),
  enableServer: only(true),
  enableDebuggingHandlers: only(true),
  serializeImagePulls: only(false),
  registerNode: only(true),
  protectKernelDefaults: only(false),
  seccompDefault: only(true),
  readOnlyPort: only(0),
};

const SHUTDOWN = ['shutdownGracePeriod', 'shutdownGracePeriodCriticalPods', 'shutdownGracePeriodByPodPriority'];
const HEAD = ['apiVersion', 'kind', 'metadata'];

/** Throws ConfigurationError. `document` is what the YAML or JSON of the file holds. */
export function readKubeletConfiguration(document: unknown): KubeletSettings {
  const given = (document ?? {}) as Record<string, unknown>;
  if (given['kind'] !== 'KubeletConfiguration' || given['apiVersion'] !== 'kubelet.config.k8s.io/v1beta1') {
    throw new ConfigurationError('kind', 'the file does not hold a kubelet.config.k8s.io/v1beta1 KubeletConfiguration');
  }
  const into: KubeletSettings = {};
  for (const [field, value] of Object.entries(given)) {
    if ([HEAD, SHUTDOWN, TOPOLOGY_FIELDS].some((each) => each.includes(field)) || value === null) continue;
    const read = Object.hasOwn(readers, field) ? readers[field] : undefined;
    if (!read) throw new ConfigurationError(field, 'is not known or not supported by this kubelet');
    read(value, field, into);
  }
  readShutdown(given, into);
  try {
    const topology = readTopology(given);
    if (topology) into.topology = topology;
  } catch (error) {
    const [, field = '', problem = ''] = /^([^:]*): (.*)$/s.exec((error as Error).message) ?? [];
    throw new ConfigurationError(field, problem);
  }
  const { highPercent = 85, lowPercent = 80 } = into.images ?? {};
  if (lowPercent >= highPercent) {
    throw new ConfigurationError(
      'imageGCLowThresholdPercent',
      `${lowPercent} must be less than imageGCHighThresholdPercent ${highPercent}`,
    );
  }
  try {
    if (into.eviction) parseThresholds(into.eviction);
  } catch (error) {
    throw new ConfigurationError('evictionHard', (error as Error).message);
  }
  return into;
}

function readShutdown(given: Record<string, unknown>, into: KubeletSettings): void {
  const byPriority = given['shutdownGracePeriodByPodPriority'];
  if (Array.isArray(byPriority)) {
    into.shutdownGroups = byPriority.map((each: Record<string, unknown>, index) => ({
      priority: whole(each['priority'], `shutdownGracePeriodByPodPriority[${index}].priority`, -(2 ** 31), 2 ** 31),
      seconds: whole(
        each['shutdownGracePeriodSeconds'],
        `shutdownGracePeriodByPodPriority[${index}].shutdownGracePeriodSeconds`,
      ),
    }));
    return;
  }
  const total = given['shutdownGracePeriod'];
  const critical = given['shutdownGracePeriodCriticalPods'];
  if (total === undefined && critical === undefined) return;
  const totalMs = total === undefined ? 0 : durationMs(total, 'shutdownGracePeriod');
  const criticalMs = critical === undefined ? 0 : durationMs(critical, 'shutdownGracePeriodCriticalPods');
  if (criticalMs > totalMs) {
    throw new ConfigurationError('shutdownGracePeriodCriticalPods', 'must not be more than shutdownGracePeriod');
  }
  if (totalMs > 0) into.shutdownGroups = groupsOf(totalMs / 1000, criticalMs / 1000);
}
