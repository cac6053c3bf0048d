// How the API server reaches the kubelet of a node: its address from the Node, its own client certificate, the cluster's CA.
import { errors } from '../../api/errors.ts';
import type { KubeObject } from '../../api/object.ts';
import type { Node, Pod } from '../../api/types/core-v1.ts';
import type { KeyPair } from '../auth/pki.ts';
import type { Registry } from '../registry/registry.ts';
import { kubeletLocation, type Location } from './locations.ts';
import type { OutboundTls } from './outbound.ts';

export interface KubeletAccess {
  registry: Registry;
  client: KeyPair;
  caPem: string;
}

export interface KubeletPlace extends Location {
  tls: OutboundTls;
}

/** Throws 404 when there is no such node, 500 when it has no address. */
export async function kubeletOfNode({ registry, client, caPem }: KubeletAccess, name: string): Promise<KubeletPlace> {
  const node = await registry.find<Node & KubeObject>(registry.kind('', 'nodes'), '', name, { anyAge: true });
  if (!node) throw errors.notFound({ group: '', resource: 'nodes' }, name);
  const tls = { ca: caPem, cert: client.certificatePem, key: client.keyPem, verify: true };
  return { ...kubeletLocation(node), tls };
}

/** Throws 400 when the pod has no node yet. */
export function kubeletOfPod(access: KubeletAccess, pod: Pod & KubeObject): Promise<KubeletPlace> {
  const node = pod.spec?.nodeName;
  if (!node) throw errors.badRequest(`pod ${pod.metadata.name} does not have a host assigned`);
  return kubeletOfNode(access, node);
}

export async function readPod(registry: Registry, namespace: string, name: string): Promise<Pod & KubeObject> {
  return (await registry.get(registry.kind('', 'pods'), namespace, name)).object as Pod & KubeObject;
}

/** The container that is meant. Throws 400, naming those there are to choose from. */
export function containerOf(pod: Pod & KubeObject, asked: string | null): string {
  const name = pod.metadata.name;
  const names = (list: readonly { name: string }[] | undefined) => (list ?? []).map((each) => each.name);
  const main = names(pod.spec?.containers);
  const init = names(pod.spec?.initContainers);
  const ephemeral = names(pod.spec?.ephemeralContainers);
  if (asked) {
    if ([...main, ...init, ...ephemeral].includes(asked)) return asked;
    throw errors.badRequest(`container ${asked} is not valid for pod ${name}`);
  }
  if (main.length === 1) return main[0] as string;
  let text = `a container name must be specified for pod ${name}, choose one of: [${main.join(' ')}]`;
  if (init.length > 0) text += ` or one of the init containers: [${init.join(' ')}]`;
  if (ephemeral.length > 0) text += ` or one of the ephemeral containers: [${ephemeral.join(' ')}]`;
  throw errors.badRequest(text);
}
