// A pod's names and addresses: DNS configuration, host aliases, ports on the host.
import { fieldErrors } from '../field-error.ts';
import { isDns1123SubdomainWithUnderscore } from '../names.ts';
import type { Container, HostAlias, PodDNSConfig, PodSpec } from '../types/core-v1.ts';
import { dnsSubdomain, type Findings, invalidEach } from './checks.ts';
import { validIp } from './ip.ts';

const { duplicate, invalid, required } = fieldErrors;

const MAX_NAMESERVERS = 3;
const MAX_SEARCH_PATHS = 32;
const MAX_SEARCH_CHARACTERS = 2048;

export function* validateDnsConfig(config: PodDNSConfig | undefined, dnsPolicy: string, field: string): Findings {
  const { nameservers = [], searches = [], options = [] } = config ?? {};
  if (dnsPolicy === 'None' && !config) {
    yield required(field, 'must provide `dnsConfig` when `dnsPolicy` is None');
    return;
  }
  if (dnsPolicy === 'None' && nameservers.length === 0) {
    yield required(`${field}.nameservers`, 'must provide at least one DNS nameserver when `dnsPolicy` is None');
    return;
  }
  if (nameservers.length > MAX_NAMESERVERS) {
    yield invalid(`${field}.nameservers`, nameservers, `must not have more than ${MAX_NAMESERVERS} nameservers`);
  }
  for (const [i, server] of nameservers.entries()) yield* validIp(server, `${field}.nameservers[${i}]`);
  if (searches.length > MAX_SEARCH_PATHS) {
    yield invalid(`${field}.searches`, searches, `must not have more than ${MAX_SEARCH_PATHS} search paths`);
  }
  if (searches.join(' ').length > MAX_SEARCH_CHARACTERS) {
    yield invalid(
      `${field}.searches`,
      searches,
      `must not have more than ${MAX_SEARCH_CHARACTERS} characters (including spaces) in the search list`,
    );
  }
  for (const [i, search] of searches.entries()) {
    if (search === '.') continue;
    const domain = search.replace(/\.$/, '');
    yield* invalidEach(`${field}.searches[${i}]`, domain, isDns1123SubdomainWithUnderscore(domain));
  }
  for (const [i, option] of options.entries()) {
    if (!option.name) yield required(`${field}.options[${i}]`, 'must not be empty');
  }
}

export function* validateHostAliases(aliases: readonly HostAlias[] | undefined, field: string): Findings {
  for (const [i, { ip, hostnames }] of (aliases ?? []).entries()) {
    yield* validIp(ip, `${field}[${i}].ip`);
    for (const [j, name] of (hostnames ?? []).entries()) yield* dnsSubdomain(name, `${field}[${i}].hostnames[${j}]`);
  }
}

/** On the host's network a container port is a host port; a template may leave it out, the pod's defaults fill it. */
export function* validateHostNetworkPorts(spec: PodSpec, field: string, isPod: boolean): Findings {
  if (!spec.hostNetwork) return;
  for (const [i, container] of (spec.containers ?? []).entries()) {
    for (const [j, { hostPort = 0, containerPort }] of (container.ports ?? []).entries()) {
      if ((isPod || hostPort !== 0) && hostPort !== containerPort) {
        yield invalid(
          `${field}.containers[${i}].ports[${j}].hostPort`,
          hostPort,
          'must match `containerPort` when `hostNetwork` is true',
        );
      }
    }
  }
}

/** No two ports of the containers on one host address. */
export function* validateHostPortConflicts(
  containers: readonly Container[],
  fieldOf: (index: number) => string,
): Findings {
  const taken = new Set<string>();
  for (const [i, container] of containers.entries()) {
    for (const [j, { protocol, hostIP = '', hostPort }] of (container.ports ?? []).entries()) {
      if (!hostPort) continue;
      const key = `${protocol}/${hostIP}/${hostPort}`;
      if (taken.has(key)) yield duplicate(`${fieldOf(i)}.ports[${j}].hostPort`, key);
      taken.add(key);
    }
  }
}
