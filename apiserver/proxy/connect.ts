// The subresources that connect a client with something else: pods/exec, attach and portforward with the kubelet, the
// `proxy` of pods, services and nodes with the thing itself. Admission sees each of them as CONNECT.
import { ApiError, errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Endpoints, Pod, Service } from '../../api/types/core-v1.ts';
import type { Random } from '../../lib/clock.ts';
import type { AdmissionChain } from '../admission/chain.ts';
import { admitConnect } from '../admission/subresource.ts';
import type { Attributes } from '../auth/identity.ts';
import type { Exchange } from '../http/exchange.ts';
import { isTrue } from '../http/request-info.ts';
import { attributesOf } from '../http/pipeline.ts';
import type { SubresourceHandler } from '../http/resources.ts';
import { forward, forwardUpgrade, type Onward } from './forward.ts';
import { containerOf, type KubeletAccess, kubeletOfNode, kubeletOfPod, readPod } from './kubelets.ts';
import {
  type EndpointAddress,
  nodePortLocation,
  podLocation,
  type SchemeNamePort,
  serviceLocation,
  splitSchemeNamePort,
} from './locations.ts';
import { serveLog } from './log.ts';
import type { Outbound } from './outbound.ts';

export interface ConnectContext extends KubeletAccess {
  outbound: Outbound;
  admission: AdmissionChain;
  /** Throws 403. */
  authorize(attributes: Attributes): Promise<void> | undefined;
  random: Random;
}

/** The handlers, by resource and subresource. */
export function connectSubresources(context: ConnectContext): [string, SubresourceHandler][] {
  const stream: SubresourceHandler = (_resources, exchange, kind) => serveStream(context, exchange, kind);
  const proxy: SubresourceHandler = (_resources, exchange, kind) => serveProxy(context, exchange, kind);
  return [
    ['pods/log', (_resources, exchange) => serveLog(context, context.outbound, exchange)],
    ['pods/exec', stream],
    ['pods/attach', stream],
    ['pods/portforward', stream],
    ['pods/proxy', proxy],
    ['services/proxy', proxy],
    ['nodes/proxy', proxy],
  ];
}

/** exec, attach, portforward. Throws before anything was written to the client. */
export async function serveStream(context: ConnectContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  if (info.verb !== 'get' && info.verb !== 'create') throw errors.methodNotAllowedPath();
  if (info.verb === 'get' && isWebSocket(exchange)) {
    // A GET that opens a shell is no reading: who may only `get` is not let in.
    await context.authorize({ ...attributesOf(exchange.user, info), verb: 'create' });
  }
  const pod = await readPod(context.registry, info.namespace, info.name);
  const place = [info.namespace, info.name].map(encodeURIComponent).join('/');
  let path: string;
  if (info.subresource === 'portforward') {
    const ports = info.query.getAll('ports').flatMap((each) => each.split(','));
    for (const port of ports) {
      if (!/^\d+$/.test(port))
        throw errors.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(port)}: invalid syntax`);
    }
    await admit(context, exchange, kind);
    const query = new URLSearchParams(ports.map((port): [string, string] => ['port', port]));
    path = `/portForward/${place}${query.size > 0 ? `?${query}` : ''}`;
  } else {
    const query = streamQuery(info.query, info.subresource);
    await admit(context, exchange, kind);
    const container = containerOf(pod, info.query.get('container'));
    path = `/${info.subresource}/${place}/${encodeURIComponent(container)}?${query}`;
  }
  const kubelet = await kubeletOfPod(context, pod);
  if (!exchange.isUpgrade) throw errors.badRequest('Upgrade request required');
  const { closed } = await forwardUpgrade(context.outbound, exchange, {
    ...kubelet,
    path,
    hostHeader: `${kubelet.host}:${kubelet.port}`,
    unreachable: (text) => new ApiError(500, '', `error dialing backend: ${text}`),
  });
  await closed;
}

const isWebSocket = (exchange: Exchange) => /^websocket$/i.test(exchange.header('upgrade') ?? '');

/** kubectl's words to the kubelet's. Throws 400. */
function streamQuery(query: URLSearchParams, subresource: string): URLSearchParams {
  const flags = { stdin: 'input', stdout: 'output', stderr: 'error', tty: 'tty' };
  const onward = new URLSearchParams();
  for (const [ours, theirs] of Object.entries(flags)) if (isTrue(query.get(ours))) onward.set(theirs, '1');
  const command = subresource === 'exec' ? query.getAll('command') : [];
  for (const each of command) onward.append('command', each);
  const wanted = onward.has('input') || onward.has('output') || onward.has('error');
  if (!wanted) throw errors.badRequest('you must specify at least 1 of stdin, stdout, stderr');
  // A terminal has one output.
  if (onward.has('tty')) onward.delete('error');
  if (subresource === 'exec' && command.length === 0) {
    throw errors.badRequest('you must specify at least one command for the container');
  }
  return onward;
}

/** The `proxy` of a pod, a service or a node, any verb, upgraded or not. */
export async function serveProxy(context: ConnectContext, exchange: Exchange, kind: Kind): Promise<void> {
  const { info } = exchange;
  if (info.verb === '') throw errors.methodNotAllowedPath();
  const below = pathBelow(info.path, info.parts);
  const asked = splitSchemeNamePort(info.name);
  if (!asked) throw errors.badRequest(`invalid ${kind.singular} request ${JSON.stringify(info.name)}`);
  await admit(context, exchange, kind, new URLSearchParams(below === '' ? {} : { path: below }));
  const onward = await locate(context, exchange, kind, asked);
  const { rawPath } = info;
  const mark = exchange.request.url.indexOf('?');
  const query = mark < 0 ? '' : exchange.request.url.slice(mark);
  if (exchange.isUpgrade) {
    const { closed } = await forwardUpgrade(context.outbound, exchange, {
      ...onward,
      path: `${encodePath(below) || '/'}${query}`,
    });
    return closed;
  }
  if (below === '' && (exchange.method === 'GET' || exchange.method === 'HEAD')) {
    // Relative links of the page would otherwise lead one level too high.
    await exchange.send(301, 'text/plain; charset=utf-8', Buffer.alloc(0), { location: `${rawPath}/${query}` });
    return;
  }
  const prefix = below === '' ? info.path : info.path.slice(0, info.path.length - below.length);
  await forward(context.outbound, exchange, { ...onward, path: `${encodePath(below) || '/'}${query}`, prefix });
}

async function locate(
  context: ConnectContext,
  exchange: Exchange,
  kind: Kind,
  asked: SchemeNamePort,
): Promise<Omit<Onward, 'path'>> {
  const { registry } = context;
  const { namespace } = exchange.info;
  if (kind.resource === 'nodes') {
    const kubelet = await kubeletOfNode(context, asked.name);
    const other = nodePortLocation(kubelet, asked);
    return other ? { ...other, tls: ANY_CERTIFICATE } : kubelet;
  }
  if (kind.resource === 'pods') {
    const pod = await readPod(registry, namespace, asked.name);
    return { ...podLocation(pod, asked), tls: ANY_CERTIFICATE };
  }
  const service = (await registry.get(kind, namespace, asked.name)).object as Service & KubeObject;
  const find = <T extends KubeObject>(resource: string, name: string) =>
    registry.find<T>(registry.kind('', resource), namespace, name, { anyAge: true });
  const endpoints = await find<Endpoints & KubeObject>('endpoints', asked.name);
  const current = new Set<string>();
  for (const { ip, targetRef } of (endpoints?.subsets ?? []).flatMap((each) => each.addresses ?? [])) {
    if (targetRef?.kind !== 'Pod' || !targetRef.name || (targetRef.namespace ?? namespace) !== namespace) continue;
    const pod = await find<Pod & KubeObject>('pods', targetRef.name);
    if (pod?.status?.podIPs?.some((each) => each.ip === ip) || pod?.status?.podIP === ip) current.add(ip);
  }
  const isCurrent = (address: EndpointAddress) => current.has(address.ip);
  const location = serviceLocation(service, endpoints, asked, exchange.info.name, context.random, isCurrent);
  return { ...location, tls: ANY_CERTIFICATE };
}

/** Pods have certificates of their own making. */
const ANY_CERTIFICATE = { verify: false };

/** What follows `proxy` in the path, with its slashes: '', '/', '/a/b/'. */
export function pathBelow(path: string, parts: readonly string[]): string {
  const below = parts.slice(3).join('/');
  if (below === '') return path.endsWith('/') ? '/' : '';
  return `/${below}${path.endsWith('/') ? '/' : ''}`;
}

/** Go's path encoding. */
export function encodePath(path: string): string {
  return encodeURIComponent(path)
    .replace(/%(24|26|2B|2C|2F|3A|3B|3D|40)/g, decodeURIComponent)
    .replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function admit(context: ConnectContext, exchange: Exchange, kind: Kind, query = exchange.info.query): Promise<void> {
  const { subresource, name, namespace } = exchange.info;
  return admitConnect(
    context.admission,
    kind,
    { subresource, name, query },
    {
      user: exchange.user,
      namespace,
      warn: (text) => void exchange.warnings.add(text),
      annotate: (key, value, level) => exchange.annotate(key, value, level),
    },
  );
}
