// Where a pod, a service or a node is reached, from the objects alone: which part of `scheme:name:port` means what, which
// port is meant when none is named, and which addresses nobody is proxied to. Pure; messages are upstream's.
import { BlockList, isIP } from 'node:net';
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Endpoints, Node, Pod, Service } from '../../api/types/core-v1.ts';

export interface Location {
  scheme: 'http' | 'https';
  host: string;
  port: number;
}

export interface SchemeNamePort {
  scheme: 'http' | 'https' | '';
  name: string;
  port: string;
}

/** `name`, `name:port` or `scheme:name:port`; undefined for anything else. */
export function splitSchemeNamePort(id: string): SchemeNamePort | undefined {
  const parts = id.split(':');
  const [scheme, name, port] =
    parts.length === 1 ? ['', parts[0], ''] : parts.length === 2 ? ['', parts[0], parts[1]] : parts;
  if (parts.length > 3 || !name || port === undefined) return undefined;
  if (scheme !== '' && scheme !== 'http' && scheme !== 'https') return undefined;
  return { scheme, name, port };
}

const INTERNAL = new BlockList();
INTERNAL.addSubnet('127.0.0.0', 8);
INTERNAL.addSubnet('169.254.0.0', 16);
INTERNAL.addSubnet('224.0.0.0', 4);
INTERNAL.addAddress('0.0.0.0');
INTERNAL.addAddress('255.255.255.255');
INTERNAL.addAddress('::', 'ipv6');
INTERNAL.addAddress('::1', 'ipv6');
INTERNAL.addSubnet('fe80::', 10, 'ipv6');
INTERNAL.addSubnet('ff00::', 8, 'ipv6');

/** False for what would reach this machine itself or its neighbours: loopback, link-local, multicast, unspecified. */
export function isProxyable(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && !INTERNAL.check(address, family === 6 ? 'ipv6' : 'ipv4');
}

/** Throws 400. */
export function podLocation(pod: Pod & KubeObject, asked: SchemeNamePort): Location {
  const scheme = asked.scheme || 'http';
  const declared = pod.spec?.containers.flatMap((each) => each.ports ?? [])[0]?.containerPort;
  const port = asked.port || (declared === undefined ? '' : String(declared));
  const address = pod.status?.podIPs?.[0]?.ip || pod.status?.podIP || '';
  if (!isProxyable(address)) throw errors.badRequest('address not allowed');
  return { scheme, host: address, port: portNumber(port, scheme) };
}

/** A ready endpoint of the service, chosen by `random`; `isCurrent` is asked whether its pod still has the address. Throws 503. */
export function serviceLocation(
  service: Service & KubeObject,
  endpoints: (Endpoints & KubeObject) | undefined,
  asked: SchemeNamePort,
  id: string,
  random: () => number,
  isCurrent: (address: EndpointAddress) => boolean,
): Location {
  let portName = asked.port;
  if (/^\d+$/.test(asked.port)) {
    const number = Number(asked.port);
    const declared = service.spec?.ports?.find((each) => each.port === number);
    if (!declared) {
      throw errors.serviceUnavailable(`no service port ${number} found for service ${JSON.stringify(asked.name)}`);
    }
    portName = declared.name ?? '';
  }
  if (!endpoints?.subsets?.length) {
    throw errors.serviceUnavailable(`no endpoints available for service ${JSON.stringify(asked.name)}`);
  }
  const candidates: Location[] = [];
  for (const subset of endpoints.subsets) {
    const port = subset.ports?.find((each) => (each.name ?? '') === portName)?.port;
    if (port === undefined) continue;
    for (const address of subset.addresses ?? []) {
      if (isCurrent(address)) candidates.push({ scheme: asked.scheme || 'http', host: address.ip, port });
    }
  }
  const chosen = candidates[Math.floor(random() * candidates.length)];
  if (!chosen) throw errors.serviceUnavailable(`no endpoints available for service ${JSON.stringify(id)}`);
  return chosen;
}

export type EndpointAddress = NonNullable<NonNullable<Endpoints['subsets']>[number]['addresses']>[number];

/** Address types in the order in which they are tried (upstream's --kubelet-preferred-address-types). */
const ADDRESS_TYPES = ['InternalIP', 'Hostname', 'InternalDNS', 'ExternalDNS', 'ExternalIP'];
const DEFAULT_KUBELET_PORT = 10250;

/** The kubelet of a node. Throws 500 when the node has no address yet. */
export function kubeletLocation(node: Node & KubeObject): Location {
  const addresses = node.status?.addresses ?? [];
  for (const type of ADDRESS_TYPES) {
    const found = addresses.find((each) => each.type === type && each.address);
    if (!found) continue;
    const port = node.status?.daemonEndpoints?.kubeletEndpoint?.Port || DEFAULT_KUBELET_PORT;
    return { scheme: 'https', host: found.address, port };
  }
  throw errors.internal(
    `no preferred addresses found; known addresses: [${addresses.map((each) => `{${each.type} ${each.address}}`).join(' ')}]`,
  );
}

/** Another port of the node than its kubelet's; undefined when the kubelet is meant. Throws 400. */
export function nodePortLocation(kubelet: Location, asked: SchemeNamePort): Location | undefined {
  if (asked.port === '' || asked.port === String(kubelet.port)) return undefined;
  if (isIP(kubelet.host) !== 0 && !isProxyable(kubelet.host)) throw errors.badRequest('address not allowed');
  const scheme = asked.scheme || 'http';
  return { scheme, host: kubelet.host, port: portNumber(asked.port, scheme) };
}

function portNumber(text: string, scheme: 'http' | 'https'): number {
  if (text === '') return scheme === 'https' ? 443 : 80;
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < 1 || number > 65535) {
    throw errors.serviceUnavailable(`error trying to reach service: dial tcp: address ${text}: invalid port`);
  }
  return number;
}
