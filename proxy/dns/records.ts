// The cluster's names as records (https://github.com/kubernetes/dns, the DNS specification for Kubernetes 1.1). Pure: a question and
// what the informers hold in, an answer out.
import type { Service } from '../../api/types/core-v1.ts';
import type { EndpointSlice } from '../../api/types/discovery-v1.ts';

export type DnsRecord =
  | { type: 'A'; name: string; ttl: number; data: string }
  | { type: 'CNAME'; name: string; ttl: number; data: string }
  | { type: 'PTR'; name: string; ttl: number; data: string }
  | { type: 'TXT'; name: string; ttl: number; data: string }
  | {
      type: 'SRV';
      name: string;
      ttl: number;
      data: { priority: number; weight: number; port: number; target: string };
    };

/** What the answers are made from. */
export interface ClusterView {
  service(namespace: string, name: string): Service | undefined;
  slices(namespace: string, service: string): readonly EndpointSlice[];
  serviceByIp(ip: string): Service | undefined;
  hasNamespace(name: string): boolean;
}

export type Answer =
  | { kind: 'records'; records: DnsRecord[]; additionals: DnsRecord[] }
  /** The name is of the cluster and does not exist. */
  | { kind: 'nxdomain' }
  /** The name is somebody else's: ask upstream. */
  | { kind: 'elsewhere' };

const TTL = 5;
const NOTHING: Answer = { kind: 'records', records: [], additionals: [] };

/** `name` as asked, without a final dot; `domain` such as `cluster.local`. */
export function answer(question: { name: string; type: string }, domain: string, view: ClusterView): Answer {
  const asked = question.name;
  const name = asked.toLowerCase();
  const reverse = /^(\d+)\.(\d+)\.(\d+)\.(\d+)\.in-addr\.arpa$/.exec(name);
  if (reverse) return answerReverse(asked, reverse.slice(1, 5).reverse().join('.'), question.type, domain, view);
  if (name !== domain && !name.endsWith(`.${domain}`)) return { kind: 'elsewhere' };
  const labels = name === domain ? [] : name.slice(0, -domain.length - 1).split('.');
  const [group, namespace, ...rest] = labels.toReversed();
  if (group === 'dns-version' && labels.length === 1) {
    return question.type === 'TXT' ? records([{ type: 'TXT', name: asked, ttl: TTL, data: '1.1.0' }]) : NOTHING;
  }
  if (group === undefined || (group === 'svc' && namespace === undefined)) return NOTHING;
  if (group === 'pod') return answerPod(asked, namespace, rest, question.type, view);
  if (group !== 'svc' || namespace === undefined) return { kind: 'nxdomain' };
  const [service, ...before] = rest;
  if (service === undefined) return view.hasNamespace(namespace) ? NOTHING : { kind: 'nxdomain' };
  return answerService(asked, question.type, domain, view, namespace, service, before.toReversed());
}

function answerService(
  asked: string,
  type: string,
  domain: string,
  view: ClusterView,
  namespace: string,
  name: string,
  prefix: readonly string[],
): Answer {
  const service = view.service(namespace, name);
  if (!service) return { kind: 'nxdomain' };
  const base = `${name}.${namespace}.svc.${domain}`;
  if (service.spec?.type === 'ExternalName') {
    if (prefix.length > 0) return { kind: 'nxdomain' };
    return records([{ type: 'CNAME', name: asked, ttl: TTL, data: service.spec.externalName ?? '' }]);
  }
  const isHeadless = service.spec?.clusterIP === 'None';
  const hosts = isHeadless ? endpointHosts(view.slices(namespace, name)) : [];
  if (prefix.length === 2 && prefix.every((label) => label.startsWith('_'))) {
    return answerPort(asked, type, service, base, hosts, prefix);
  }
  if (prefix.length === 1) {
    const matching = hosts.filter((each) => each.host === prefix[0]);
    if (matching.length === 0) return { kind: 'nxdomain' };
    return addresses(
      asked,
      type,
      matching.map((each) => each.ip),
    );
  }
  if (prefix.length > 0) return { kind: 'nxdomain' };
  const ips = isHeadless ? [...new Set(hosts.map((each) => each.ip))] : [service.spec?.clusterIP ?? ''];
  if (isHeadless && ips.length === 0) return { kind: 'nxdomain' };
  return addresses(asked, type, ips);
}

/** `_http._tcp.web.default.svc.cluster.local` */
function answerPort(
  asked: string,
  type: string,
  service: Service,
  base: string,
  hosts: readonly Host[],
  prefix: readonly string[],
): Answer {
  const [portName = '', protocol = ''] = prefix.map((label) => label.slice(1));
  const srv = (target: string, port: number): DnsRecord => ({
    type: 'SRV',
    name: asked,
    ttl: TTL,
    data: { priority: 0, weight: 100, port, target },
  });
  if (service.spec?.clusterIP !== 'None') {
    const port = service.spec?.ports?.find(
      (each) => each.name === portName && (each.protocol ?? 'TCP').toLowerCase() === protocol,
    );
    if (!port) return { kind: 'nxdomain' };
    if (type !== 'SRV') return NOTHING;
    return records([srv(base, port.port)], [{ type: 'A', name: base, ttl: TTL, data: service.spec?.clusterIP ?? '' }]);
  }
  const matching = hosts.flatMap((host) =>
    host.ports
      .filter((each) => each.name === portName && each.protocol.toLowerCase() === protocol)
      .map((port) => ({ host, port: port.port })),
  );
  if (matching.length === 0) return { kind: 'nxdomain' };
  if (type !== 'SRV') return NOTHING;
  return records(
    matching.map(({ host, port }) => srv(`${host.host}.${base}`, port)),
    matching.map(({ host }) => ({ type: 'A', name: `${host.host}.${base}`, ttl: TTL, data: host.ip })),
  );
}

/** `10-244-0-7.default.pod.cluster.local`: the address is in the name. */
function answerPod(
  asked: string,
  namespace: string | undefined,
  rest: readonly string[],
  type: string,
  view: ClusterView,
): Answer {
  if (namespace === undefined) return NOTHING;
  if (!view.hasNamespace(namespace)) return { kind: 'nxdomain' };
  if (rest.length === 0) return NOTHING;
  const match = /^(\d{1,3})-(\d{1,3})-(\d{1,3})-(\d{1,3})$/.exec(rest[0] ?? '');
  const octets = match?.slice(1, 5).map(Number) ?? [];
  if (rest.length !== 1 || octets.length !== 4 || octets.some((each) => each > 255)) return { kind: 'nxdomain' };
  return addresses(asked, type, [octets.join('.')]);
}

function answerReverse(asked: string, ip: string, type: string, domain: string, view: ClusterView): Answer {
  const service = view.serviceByIp(ip);
  if (!service) return { kind: 'elsewhere' };
  if (type !== 'PTR') return NOTHING;
  const { name, namespace } = service.metadata;
  return records([{ type: 'PTR', name: asked, ttl: TTL, data: `${name}.${namespace}.svc.${domain}` }]);
}

interface Host {
  ip: string;
  /** The endpoint's hostname, else its address with dashes. */
  host: string;
  ports: { name: string; protocol: string; port: number }[];
}

function endpointHosts(slices: readonly EndpointSlice[]): Host[] {
  return slices.flatMap((slice) => {
    if (slice.addressType !== 'IPv4') return [];
    const ports = (slice.ports ?? []).map((each) => ({
      name: each.name ?? '',
      protocol: each.protocol ?? 'TCP',
      port: each.port ?? 0,
    }));
    return (slice.endpoints ?? [])
      .filter((endpoint) => endpoint.conditions?.ready ?? true)
      .flatMap((endpoint) =>
        endpoint.addresses.map((ip) => ({ ip, host: endpoint.hostname ?? ip.replaceAll('.', '-'), ports })),
      );
  });
}

/** A name that exists has no error for types it has no records of. */
function addresses(name: string, type: string, ips: readonly string[]): Answer {
  if (type !== 'A' && type !== 'ANY') return NOTHING;
  return records(ips.filter((ip) => ip.includes('.')).map((data) => ({ type: 'A', name, ttl: TTL, data })));
}

function records(found: DnsRecord[], additionals: DnsRecord[] = []): Answer {
  return { kind: 'records', records: found, additionals };
}
