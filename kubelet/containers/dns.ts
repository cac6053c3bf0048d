// resolv.conf of a pod by its dnsPolicy and dnsConfig, its hostname and its /etc/hosts. Pure.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
import type { Pod } from '../../api/types/core-v1.ts';
import type { DNSConfig } from '../../proto/cri-types.ts';

export interface ResolvConf {
  servers: string[];
  searches: string[];
  options: string[];
}

const MAX_SERVERS = 3;
const MAX_SEARCHES = 32;
const MAX_SEARCH_CHARS = 2048;

export function parseResolvConf(text: string): ResolvConf {
  const result: ResolvConf = { servers: [], searches: [], options: [] };
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line.trim().split(/\s+/);
    if (keyword === 'nameserver' && values[0]) result.servers.push(values[0]);
    else if (keyword === 'search') result.searches = values.filter((each) => each !== '.');
    else if (keyword === 'options') result.options.push(...values);
  }
  return result;
}

export interface DnsFacts {
  clusterDns: readonly string[];
  clusterDomain: string;
  host: ResolvConf;
}

/** `warnings` are texts for events: what did not fit or is not configured. */
export function podDns(pod: Pod, facts: DnsFacts): { config: DNSConfig; warnings: string[] } {
  const warnings: string[] = [];
  const namespace = pod.metadata.namespace ?? '';
  let policy = pod.spec?.dnsPolicy ?? 'ClusterFirst';
  if (policy === 'ClusterFirst' && pod.spec?.hostNetwork) policy = 'Default';
  if (policy === 'ClusterFirstWithHostNet') policy = 'ClusterFirst';
  if (policy === 'ClusterFirst' && facts.clusterDns.length === 0) {
    // Upstream says so in an event too (MissingClusterDNS).
    warnings.push(
      'kubelet does not have ClusterDNS IP configured and cannot create Pod using "ClusterFirst" policy. Falling back to "Default" policy.',
    );
    policy = 'Default';
  }

  let base: ResolvConf;
  if (policy === 'ClusterFirst') {
    const domain = facts.clusterDomain;
    const cluster = domain ? [`${namespace}.svc.${domain}`, `svc.${domain}`, domain] : [];
    base = {
      servers: [...facts.clusterDns],
      searches: unique([...cluster, ...facts.host.searches]),
      options: ['ndots:5'],
    };
  } else if (policy === 'None') base = { servers: [], searches: [], options: [] };
  else base = { ...facts.host };

  const more = pod.spec?.dnsConfig;
  const servers = unique([...base.servers, ...(more?.nameservers ?? [])]);
  const searches = unique([...base.searches, ...(more?.searches ?? [])]);
  const options = mergeOptions(base.options, more?.options ?? []);
  if (servers.length > MAX_SERVERS) {
    const kept = servers.slice(0, MAX_SERVERS);
    warnings.push(
      `Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: ${kept.join(' ')}`,
    );
  }
  const fitting = fitSearches(searches);
  if (fitting.length < searches.length) {
    warnings.push(
      `Search Line limits were exceeded, some search paths have been omitted, the applied search line is: ${fitting.join(' ')}`,
    );
  }
  return { config: { servers: servers.slice(0, MAX_SERVERS), searches: fitting, options }, warnings };
}

function fitSearches(searches: string[]): string[] {
  const kept: string[] = [];
  let chars = 0;
  for (const each of searches.slice(0, MAX_SEARCHES)) {
    chars += each.length + (kept.length > 0 ? 1 : 0);
    if (chars > MAX_SEARCH_CHARS) break;
    kept.push(each);
  }
  return kept;
}

function mergeOptions(base: string[], more: { name?: string; value?: string }[]): string[] {
  const merged = new Map<string, string>();
  for (const option of base) merged.set(option.split(':')[0] as string, option);
  for (const { name, value } of more) {
    if (name) merged.set(name, value === undefined || value === '' ? name : `${name}:${value}`);
  }
  return [...merged.values()];
}

const unique = (list: string[]) => [...new Set(list)];

/** Hostname and, with a subdomain, the full name under the cluster domain. */
export function podHostname(pod: Pod, clusterDomain: string): { hostname: string; fqdn: string | undefined } {
  const spec = pod.spec;
  if (spec?.hostnameOverride) return { hostname: spec.hostnameOverride, fqdn: undefined };
  const base = spec?.hostname || (pod.metadata.name ?? '').slice(0, 63).replace(/[-.]+$/, '');
  const fqdn = spec?.subdomain ? `${base}.${spec.subdomain}.${pod.metadata.namespace}.svc.${clusterDomain}` : undefined;
  const hostname = spec?.setHostnameAsFQDN && fqdn ? fqdn : base;
  return { hostname, fqdn };
}

/** The managed /etc/hosts: of the pod's own, or the host's when it shares the host's network. */
export function hostsFile(
  pod: Pod,
  podIps: readonly string[],
  hostname: string,
  fqdn: string | undefined,
  hostFile: string,
): string {
  const lines: string[] = [];
  if (pod.spec?.hostNetwork) {
    lines.push('# Kubernetes-managed hosts file (host network).', hostFile.trimEnd());
  } else {
    lines.push(
      '# Kubernetes-managed hosts file.',
      '127.0.0.1\tlocalhost',
      '::1\tlocalhost ip6-localhost ip6-loopback',
      'fe00::0\tip6-localnet',
      'fe00::0\tip6-mcastprefix',
      'fe00::1\tip6-allnodes',
      'fe00::2\tip6-allrouters',
    );
    const short = hostname === fqdn ? (hostname.split('.')[0] as string) : hostname;
    for (const ip of podIps) lines.push(fqdn ? `${ip}\t${fqdn}\t${short}` : `${ip}\t${short}`);
  }
  const aliases = pod.spec?.hostAliases ?? [];
  if (aliases.length > 0) {
    lines.push('', '# Entries added by HostAliases.');
    for (const alias of aliases) lines.push(`${alias.ip}\t${(alias.hostnames ?? []).join('\t')}`);
  }
  return `${lines.join('\n')}\n`;
}
