// Ingresses: hosts, paths and what is behind them.
import { fieldErrors } from '../field-error.ts';
import { isDns1123Label, isWildcardDns1123Subdomain } from '../names.ts';
import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressRule,
  IngressServiceBackend,
  IngressTLS,
} from '../types/networking-v1.ts';
import { dnsSubdomain, type Findings, invalidEach, pathSegment, portNumber, portNumberOrName } from './checks.ts';
import { parseIp, validIp } from './ip.ts';

const { invalid, notSupported, required } = fieldErrors;

export const CLASS_ANNOTATION = 'kubernetes.io/ingress.class';
const FORBIDDEN_IN_PATH = ['//', '/./', '/../', '%2f', '%2F'];
const FORBIDDEN_AT_END = ['/..', '/.'];

export function* validateIngress(ingress: Ingress, old?: Ingress): Findings {
  const { metadata, spec = {} } = ingress;
  const { rules = [], defaultBackend, tls = [], ingressClassName } = spec;
  if (rules.length === 0 && !defaultBackend) {
    yield invalid('spec', spec.rules, 'either `defaultBackend` or `rules` must be specified');
  }
  if (defaultBackend) yield* backend(defaultBackend, 'spec.defaultBackend');
  for (const [i, rule] of rules.entries()) {
    const field = `spec.rules[${i}]`;
    if (rule.host) {
      if (parseIp(rule.host)) yield invalid(`${field}.host`, rule.host, 'must be a DNS name, not an IP address');
      yield* host(rule.host, `${field}.host`);
    }
    if (!(isWildcard(rule) && old?.spec?.rules?.some(hasWrongWildcard))) yield* ruleValue(rule, field);
  }
  for (const [i, { hosts = [], secretName }] of tls.entries()) {
    for (const [j, each] of hosts.entries()) yield* host(each, `spec.tls[${i}].hosts[${j}]`);
    if (secretName && !old?.spec?.tls?.some(hasWrongSecret)) {
      yield* dnsSubdomain(secretName, `spec.tls[${i}].secretName`);
    }
  }
  if (ingressClassName !== undefined) yield* dnsSubdomain(ingressClassName, 'spec.ingressClassName');
  const annotated = metadata.annotations?.[CLASS_ANNOTATION];
  if (!old && annotated !== undefined && ingressClassName !== undefined && annotated !== ingressClassName) {
    // Upstream's path.
    const field = `annotations.${CLASS_ANNOTATION}`;
    yield invalid(field, annotated, 'must match `ingressClassName` when both are specified');
  }
}

// Rules that are younger than stored objects: an object that breaks one may go on to, anywhere.
const isWildcard = ({ host = '' }: IngressRule) => host.includes('*');
const hasWrongWildcard = (rule: IngressRule) => isWildcard(rule) && [...ruleValue(rule, '')].length > 0;
const hasWrongSecret = ({ secretName = '' }: IngressTLS) =>
  secretName !== '' && [...dnsSubdomain(secretName, '')].length > 0;

function* ruleValue({ http }: IngressRule, field: string): Findings {
  if (!http) return;
  const paths = http.paths ?? [];
  if (paths.length === 0) yield required(`${field}.http.paths`);
  for (const [i, each] of paths.entries()) yield* path(each, `${field}.http.paths[${i}]`);
}

export function* validateIngressStatus({ status }: Ingress): Findings {
  for (const [i, { ip, hostname }] of (status?.loadBalancer?.ingress ?? []).entries()) {
    const field = `status.loadBalancer.ingress[${i}]`;
    if (ip) yield* validIp(ip, `${field}.ip`);
    if (!hostname) continue;
    yield* dnsSubdomain(hostname, `${field}.hostname`);
    if (parseIp(hostname)) yield invalid(`${field}.hostname`, hostname, 'must be a DNS name, not an IP address');
  }
}

function host(name: string, field: string): Findings {
  return name.includes('*') ? invalidEach(field, name, isWildcardDns1123Subdomain(name)) : dnsSubdomain(name, field);
}

function* path({ path: text = '', pathType, backend: behind = {} }: HTTPIngressPath, field: string): Findings {
  if (pathType === undefined) {
    yield required(`${field}.pathType`, 'pathType must be specified');
    return;
  }
  if (pathType === 'Exact' || pathType === 'Prefix') {
    if (!text.startsWith('/')) yield invalid(`${field}.path`, text, 'must be an absolute path');
    for (const part of FORBIDDEN_IN_PATH) {
      if (text.includes(part)) yield invalid(`${field}.path`, text, `must not contain '${part}'`);
    }
    for (const end of FORBIDDEN_AT_END) {
      if (text.endsWith(end)) yield invalid(`${field}.path`, text, `cannot end with '${end}'`);
    }
  } else if (pathType === 'ImplementationSpecific') {
    if (text !== '' && !text.startsWith('/')) yield invalid(`${field}.path`, text, 'must be an absolute path');
  } else yield notSupported(`${field}.pathType`, pathType, ['Exact', 'ImplementationSpecific', 'Prefix']);
  yield* backend(behind, `${field}.backend`);
}

function* backend({ resource, service }: IngressBackend, field: string): Findings {
  if (resource && service) yield invalid(field, '', 'cannot set both resource and service backends');
  else if (resource) yield* validateLocalReference(resource, `${field}.resource`);
  else if (service) yield* serviceBackend(service, field);
  else yield invalid(field, '', 'resource or service backend is required');
}

function* serviceBackend({ name, port = {} }: IngressServiceBackend, field: string): Findings {
  if (!name) yield required(`${field}.service.name`);
  else yield* invalidEach(`${field}.service.name`, name, isDns1123Label(name));
  if (port.name && port.number) yield invalid(field, '', 'cannot set both port name & port number');
  else if (port.name) yield* portNumberOrName(port.name, `${field}.service.port.name`);
  else if (port.number) yield* portNumber(port.number, `${field}.service.port.number`);
  else yield required(field, 'port name or number is required');
}

export function* validateLocalReference(
  { apiGroup, kind, name }: { apiGroup?: string; kind?: string; name?: string },
  field: string,
): Findings {
  if (apiGroup !== undefined) yield* dnsSubdomain(apiGroup, `${field}.apiGroup`);
  yield* pathSegment(kind, `${field}.kind`);
  yield* pathSegment(name, `${field}.name`);
}
