// The rules of a Service. Whether an address or node port is free, and in range, the registry finds out; that runs first, so
// clusterIP and clusterIPs agree when they come here.
import { semanticEqual } from '../equality.ts';
import { type FieldError, fieldErrors, goStruct } from '../field-error.ts';
import { isDns1123Subdomain } from '../names.ts';
import { validateLabels } from '../selectors.ts';
import type { Service, ServicePort, ServiceSpec } from '../types/core-v1.ts';
import {
  dnsLabel,
  dnsSubdomain,
  type Findings,
  invalidEach,
  oneOf,
  optionalOneOf,
  portNumber,
  portNumberOrName,
  PROTOCOLS,
  qualifiedName,
} from './checks.ts';
import { ipFamily, isDualStack, nonSpecialIp, parseIp, validCidr, validIp } from './ip.ts';

const { duplicate, forbidden, invalid, notSupported, required } = fieldErrors;

const TYPES = ['ClusterIP', 'ExternalName', 'LoadBalancer', 'NodePort'];
const FAMILIES = ['IPv4', 'IPv6'];
const FAMILY_POLICIES = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
const TRAFFIC_POLICIES = ['Cluster', 'Local'];
const DISTRIBUTIONS = ['PreferClose', 'PreferSameNode', 'PreferSameZone'];
const MAX_AFFINITY_SECONDS = 86_400;
const ONLY_LOAD_BALANCER = "may only be used when `type` is 'LoadBalancer'";
const SOURCE_RANGES = 'service.beta.kubernetes.io/load-balancer-source-ranges';

export const TOPOLOGY_HINTS = 'service.kubernetes.io/topology-aware-hints';
export const TOPOLOGY_MODE = 'service.kubernetes.io/topology-mode';

export const isHeadless = (spec: ServiceSpec): boolean =>
  spec.clusterIPs?.length === 1 && spec.clusterIPs[0] === 'None';

/** Reachable from outside the cluster, so that externalTrafficPolicy means something. */
export const isExternallyAccessible = (spec: ServiceSpec): boolean =>
  spec.type === 'LoadBalancer' ||
  spec.type === 'NodePort' ||
  (spec.type === 'ClusterIP' && (spec.externalIPs?.length ?? 0) > 0);

const needsHealthCheck = (spec: ServiceSpec): boolean =>
  spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';

export function validateService(service: Service): FieldError[] {
  return [...serviceFindings(service, service.spec ?? {})];
}

function* serviceFindings(service: Service, spec: ServiceSpec): Findings {
  const { [TOPOLOGY_HINTS]: hints, [TOPOLOGY_MODE]: mode } = service.metadata.annotations ?? {};
  if (mode !== undefined && hints !== undefined && mode !== hints) {
    const message = `must match annotations[${TOPOLOGY_HINTS}] when both are specified`;
    yield invalid(`metadata.annotations[${TOPOLOGY_MODE}]`, mode, message);
  }
  const ports = spec.ports ?? [];
  if (ports.length === 0 && !isHeadless(spec) && spec.type !== 'ExternalName') yield required('spec.ports');
  yield* typeRules(spec);
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) yield* portRules(port, ports.length > 1, names, `spec.ports[${i}]`);
  yield* validateLabels(spec.selector, 'spec.selector');
  yield* oneOf(spec.sessionAffinity, ['ClientIP', 'None'], 'spec.sessionAffinity');
  yield* affinityConfig(spec);
  yield* addressRules(spec);
  for (const [i, ip] of (spec.externalIPs ?? []).entries()) {
    const found = [...validIp(ip, `spec.externalIPs[${i}]`)];
    yield* found;
    if (found.length === 0) yield* nonSpecialIp(ip, `spec.externalIPs[${i}]`);
  }
  yield* oneOf(spec.type, TYPES, 'spec.type');
  yield* portConflicts(ports, spec.type);
  yield* sourceRanges(service, spec);
  yield* loadBalancerFields(spec);
  yield* trafficPolicies(spec);
}

function* typeRules(spec: ServiceSpec): Findings {
  if ((spec.type === 'LoadBalancer' || spec.type === 'NodePort') && isHeadless(spec)) {
    yield invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`);
  }
  if (spec.type !== 'ExternalName') return;
  const message = 'may not be set for ExternalName services';
  if ((spec.clusterIPs?.length ?? 0) > 0 || spec.clusterIP) yield forbidden('spec.clusterIPs', message);
  if ((spec.ipFamilies?.length ?? 0) > 0) yield forbidden('spec.ipFamilies', message);
  if (spec.ipFamilyPolicy !== undefined) yield forbidden('spec.ipFamilyPolicy', message);
  const name = (spec.externalName ?? '').replace(/\.$/, '');
  if (name === '') yield required('spec.externalName');
  else yield* dnsSubdomain(name, 'spec.externalName');
}

function* portRules(port: ServicePort, needsName: boolean, names: Set<string>, field: string): Findings {
  if (port.name) {
    yield* dnsLabel(port.name, `${field}.name`);
    if (names.has(port.name)) yield duplicate(`${field}.name`, port.name);
    names.add(port.name);
  } else if (needsName) yield required(`${field}.name`);
  yield* portNumber(port.port, `${field}.port`);
  yield* oneOf(port.protocol, PROTOCOLS, `${field}.protocol`);
  yield* portNumberOrName(port.targetPort, `${field}.targetPort`);
  if (port.appProtocol !== undefined) yield* qualifiedName(port.appProtocol, `${field}.appProtocol`);
}

function* affinityConfig({ sessionAffinity, sessionAffinityConfig: config }: ServiceSpec): Findings {
  const field = 'spec.sessionAffinityConfig';
  if (sessionAffinity === 'None' && config) yield forbidden(field, 'must not be set when session affinity is None');
  if (sessionAffinity !== 'ClientIP') return;
  const why = 'when session affinity type is ClientIP';
  const seconds = config?.clientIP?.timeoutSeconds;
  if (!config) yield required(field, why);
  else if (!config.clientIP) yield required(`${field}.clientIP`, why);
  else if (seconds === undefined) yield required(`${field}.clientIP.timeoutSeconds`, why);
  else if (seconds <= 0 || seconds > MAX_AFFINITY_SECONDS) {
    yield invalid(
      `${field}.clientIP.timeoutSeconds`,
      seconds,
      `must be greater than 0 and less than ${MAX_AFFINITY_SECONDS}`,
    );
  }
}

/** Upstream's own type, which is shown with all its members. */
const EMPTY_PORT = { Name: '', Protocol: '', AppProtocol: null, Port: 0, TargetPort: 0, NodePort: 0 };

/** Cluster IPs, their families and the policy that says how many there are. */
function* addressRules(spec: ServiceSpec): Findings {
  if (spec.type === 'ExternalName') return;
  const found = [...addressesAlone(spec)];
  yield* found;
  // Whether they fit together would only be confusing to know.
  if (found.length > 0 || isHeadless(spec)) return;
  for (const [i, ip] of (spec.clusterIPs ?? []).entries()) {
    const expected = spec.ipFamilies?.[i];
    if (expected && expected !== ipFamily(ip)) {
      yield invalid(`spec.clusterIPs[${i}]`, ip, `expected an ${expected} value as indicated by \`ipFamilies[${i}]\``);
    }
  }
}

function* addressesAlone(spec: ServiceSpec): Findings {
  const { clusterIP, clusterIPs = [], ipFamilies = [] } = spec;
  const field = 'spec.clusterIPs';
  if (clusterIP && clusterIPs.length === 0) yield required(field);
  else if (clusterIP && clusterIPs[0] !== clusterIP) {
    yield invalid(field, clusterIPs, 'first value must match `clusterIP`');
  } else if (!clusterIP && clusterIPs.length > 0) {
    yield invalid(field, clusterIPs, 'must be empty when `clusterIP` is not specified');
  }
  for (const [i, family] of ipFamilies.entries()) {
    if (!FAMILIES.includes(family)) yield notSupported(`spec.ipFamilies[${i}]`, family, FAMILIES);
    if (ipFamilies.indexOf(family) < i) yield duplicate(`spec.ipFamilies[${i}]`, family);
  }
  yield* optionalOneOf(spec.ipFamilyPolicy, FAMILY_POLICIES, 'spec.ipFamilyPolicy');
  const badIps: FieldError[] = [];
  for (const [i, ip] of clusterIPs.entries()) {
    if (i > 0 || ip !== 'None') badIps.push(...validIp(ip, `${field}[${i}]`));
    else if (clusterIPs.length > 1) badIps.push(invalid(field, clusterIPs, "'None' must be the first and only value"));
  }
  yield* badIps;
  if (clusterIPs.length > 2) yield invalid(field, clusterIPs, 'may only hold up to 2 values');
  if (badIps.length > 0) return;
  if (clusterIPs.length > 1 && !isDualStack(clusterIPs)) {
    yield invalid(field, clusterIPs, 'may specify no more than one IP for each IP family');
  }
}

function* portConflicts(ports: readonly ServicePort[], type: string | undefined): Findings {
  for (const [i, { nodePort }] of ports.entries()) {
    if (type === 'ClusterIP' && nodePort) {
      yield forbidden(`spec.ports[${i}].nodePort`, "may not be used when `type` is 'ClusterIP'");
    }
  }
  const nodePorts = new Set<string>();
  for (const [i, { protocol, nodePort }] of ports.entries()) {
    if (!nodePort) continue;
    const key = `${protocol}/${nodePort}`;
    if (nodePorts.has(key)) yield duplicate(`spec.ports[${i}].nodePort`, nodePort);
    nodePorts.add(key);
  }
  const seen = new Set<string>();
  for (const [i, { protocol, port }] of ports.entries()) {
    const key = `${protocol}/${port}`;
    if (seen.has(key)) yield duplicate(`spec.ports[${i}]`, goStruct({ port, protocol }, EMPTY_PORT));
    seen.add(key);
  }
}

function* sourceRanges(service: Service, spec: ServiceSpec): Findings {
  const ranges = spec.loadBalancerSourceRanges ?? [];
  const annotation = service.metadata.annotations?.[SOURCE_RANGES];
  if (ranges.length > 0) {
    const field = 'spec.LoadBalancerSourceRanges';
    if (spec.type !== 'LoadBalancer') yield forbidden(field, ONLY_LOAD_BALANCER);
    for (const [i, range] of ranges.entries()) yield* validCidr(range.trim(), `${field}[${i}]`);
  } else if (annotation !== undefined) {
    const field = `metadata.annotations[${SOURCE_RANGES}]`;
    if (spec.type !== 'LoadBalancer') yield forbidden(field, ONLY_LOAD_BALANCER);
    for (const range of annotation.trim() === '' ? [] : annotation.split(',')) yield* validCidr(range.trim(), field);
  }
}

function* loadBalancerFields(spec: ServiceSpec): Findings {
  const isLoadBalancer = spec.type === 'LoadBalancer';
  if (spec.allocateLoadBalancerNodePorts !== undefined && !isLoadBalancer) {
    yield forbidden('spec.allocateLoadBalancerNodePorts', ONLY_LOAD_BALANCER);
  }
  if (isLoadBalancer && spec.allocateLoadBalancerNodePorts === undefined) {
    yield required('allocateLoadBalancerNodePorts');
  }
  if (spec.loadBalancerClass === undefined) return;
  if (isLoadBalancer) yield* qualifiedName(spec.loadBalancerClass, 'spec.loadBalancerClass');
  else yield forbidden('spec.loadBalancerClass', ONLY_LOAD_BALANCER);
}

function* trafficPolicies(spec: ServiceSpec): Findings {
  const external = spec.externalTrafficPolicy ?? '';
  if (isExternallyAccessible(spec)) yield* oneOf(external, TRAFFIC_POLICIES, 'spec.externalTrafficPolicy');
  else if (external !== '') {
    yield invalid('spec.externalTrafficPolicy', external, 'may only be set for externally-accessible services');
  }
  const checkPort = spec.healthCheckNodePort ?? 0;
  if (needsHealthCheck(spec)) {
    if (checkPort === 0) yield required('spec.healthCheckNodePort');
    else yield* portNumber(checkPort, 'spec.healthCheckNodePort');
  } else if (checkPort !== 0) {
    yield invalid(
      'spec.healthCheckNodePort',
      checkPort,
      "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'",
    );
  }
  if (spec.internalTrafficPolicy === undefined && ['ClusterIP', 'NodePort', 'LoadBalancer'].includes(spec.type ?? '')) {
    yield required('spec.internalTrafficPolicy');
  }
  yield* optionalOneOf(spec.internalTrafficPolicy, TRAFFIC_POLICIES, 'spec.internalTrafficPolicy');
  yield* optionalOneOf(spec.trafficDistribution, DISTRIBUTIONS, 'spec.trafficDistribution');
}

export function validateServiceUpdate(service: Service, old: Service): FieldError[] {
  const spec = service.spec ?? {};
  const oldSpec = old.spec ?? {};
  return [...allocatedStays(spec, oldSpec), ...serviceFindings(service, spec)];
}

/** Addresses and families stay while the Service has any: a second may come and go, the first may not change. */
function* allocatedStays(spec: ServiceSpec, old: ServiceSpec): Findings {
  if (spec.type !== 'ExternalName' && old.type !== 'ExternalName') {
    if (!(isHeadless(spec) && isHeadless(old))) {
      yield* firstStays(spec.clusterIPs ?? [], old.clusterIPs ?? [], spec, 'clusterIP');
    }
    if (!isHeadless(spec) && !isHeadless(old)) {
      yield* firstStays(spec.ipFamilies ?? [], old.ipFamilies ?? [], spec, 'ipFamily');
    }
  }
  const wasLoadBalancer = spec.type === 'LoadBalancer' && old.type === 'LoadBalancer';
  if (wasLoadBalancer && spec.loadBalancerClass !== old.loadBalancerClass) {
    yield invalid('spec.loadBalancerClass', spec.loadBalancerClass, 'may not change once set');
  }
  if (needsHealthCheck(spec) && needsHealthCheck(old) && spec.healthCheckNodePort !== old.healthCheckNodePort) {
    yield forbidden('spec.healthCheckNodePort', 'field is immutable');
  }
}

function* firstStays(
  values: readonly string[],
  old: readonly string[],
  spec: ServiceSpec,
  what: 'clusterIP' | 'ipFamily',
): Findings {
  const field = what === 'clusterIP' ? 'spec.clusterIPs' : 'spec.ipFamilies';
  if (values.length === old.length) {
    for (const [i, value] of old.entries()) {
      if (value !== values[i]) {
        yield invalid(`${field}[${what === 'clusterIP' ? i : 0}]`, values, 'may not change once set');
      }
    }
    return;
  }
  if (old.length > 0 && values.length === 0) yield invalid(`${field}[0]`, values, `primary ${what} can not be unset`);
  else if (old.length > 0 && values[0] !== old[0]) yield invalid(`${field}[0]`, values, 'may not change once set');
  if (values.length === 1 && old.length > 1 && spec.ipFamilyPolicy !== 'SingleStack') {
    yield invalid(
      'spec.ipFamilyPolicy',
      spec.ipFamilyPolicy,
      `must be set to 'SingleStack' when releasing the secondary ${what}`,
    );
  }
}

export function validateServiceStatus(service: Service): FieldError[] {
  return [...loadBalancerStatus(service)];
}

function* loadBalancerStatus({ spec, status }: Service): Findings {
  const field = 'status.loadBalancer.ingress';
  const ingress = status?.loadBalancer?.ingress ?? [];
  if (spec?.type !== 'LoadBalancer' && ingress.length > 0) {
    yield forbidden(field, "may only be used when `spec.type` is 'LoadBalancer'");
    return;
  }
  for (const [i, { ip, ipMode, hostname }] of ingress.entries()) {
    const at = `${field}[${i}]`;
    if (ip) yield* validIp(ip, `${at}.ip`);
    if (ip && ipMode === undefined) yield required(`${at}.ipMode`, 'must be specified when `ip` is set');
    else if (!ip && ipMode !== undefined) {
      yield forbidden(`${at}.ipMode`, 'may not be specified when `ip` is not set');
    } else yield* optionalOneOf(ipMode, ['Proxy', 'VIP'], `${at}.ipMode`);
    if (!hostname) continue;
    yield* invalidEach(`${at}.hostname`, hostname, isDns1123Subdomain(hostname));
    if (parseIp(hostname)) yield invalid(`${at}.hostname`, hostname, 'must be a DNS name, not an IP address');
  }
}

/** Fields that only meant something for the old type go with it, unless the user set them anew. */
export function dropTypeFields(spec: ServiceSpec, old: ServiceSpec): void {
  const drop = (name: keyof ServiceSpec) => {
    if (semanticEqual(spec[name], old[name])) delete spec[name];
  };
  if (old.type === 'ExternalName' && spec.type !== 'ExternalName') drop('externalName');
  if (isExternallyAccessible(old) && !isExternallyAccessible(spec)) drop('externalTrafficPolicy');
  if (old.type === 'LoadBalancer' && spec.type !== 'LoadBalancer') {
    drop('allocateLoadBalancerNodePorts');
    drop('loadBalancerClass');
  }
  if (needsHealthCheck(old) && !needsHealthCheck(spec)) drop('healthCheckNodePort');
}
