// Admission of requests that bring a body of another kind than their resource's, or none that is stored: bindings,
// evictions, tokens, reviews, and connections to pods.
import type { Kind } from '../../api/kind.ts';
import type { GroupVersionKind, KubeObject } from '../../api/object.ts';
import { gvkOf } from '../../api/scheme.ts';
import { admissionOf, type WriteRequest } from '../registry/types.ts';
import type { AdmissionChain } from './chain.ts';

/** Admits the creation of `body` below an object; gives back what admission made of it. Throws ApiError. */
export async function admitBody(
  chain: AdmissionChain,
  target: { kind: Kind; subresource: string; name: string; bodyKind: Kind },
  body: KubeObject,
  request: WriteRequest,
): Promise<KubeObject> {
  const { kind, subresource, name, bodyKind } = target;
  const admission = admissionOf(kind, request, {
    operation: 'CREATE',
    subresource,
    name,
    object: body,
    old: undefined,
    objectKind: gvkOf(bodyKind),
  });
  await chain.mutate(admission);
  await chain.validate(admission);
  return admission.object as KubeObject;
}

/** Options of a connection as an object, from the query; by `resource/subresource`. */
const CONNECT_OPTIONS: Readonly<Record<string, { kind: string; read(query: URLSearchParams): object }>> = {
  'pods/exec': { kind: 'PodExecOptions', read: (query) => ({ ...streams(query), ...listOf(query, 'command') }) },
  'pods/attach': { kind: 'PodAttachOptions', read: streams },
  'pods/portforward': { kind: 'PodPortForwardOptions', read: ports },
  'pods/proxy': { kind: 'PodProxyOptions', read: pathOf },
  'services/proxy': { kind: 'ServiceProxyOptions', read: pathOf },
  'nodes/proxy': { kind: 'NodeProxyOptions', read: pathOf },
};

/** Admits a connection to `kind`'s object through exec, attach, portforward or proxy. Throws ApiError. */
export async function admitConnect(
  chain: AdmissionChain,
  kind: Kind,
  target: { subresource: string; name: string; query: URLSearchParams },
  request: Omit<WriteRequest, 'dryRun'>,
): Promise<void> {
  const { subresource, name, query } = target;
  const options = CONNECT_OPTIONS[`${kind.resource}/${subresource}`];
  if (!options || kind.group !== '') return;
  const objectKind: GroupVersionKind = { group: '', version: 'v1', kind: options.kind };
  const object = { kind: options.kind, apiVersion: 'v1', ...options.read(query) } as unknown as KubeObject;
  const admission = admissionOf(
    kind,
    { ...request, dryRun: false },
    { operation: 'CONNECT', subresource, name, object, old: undefined, objectKind },
  );
  await chain.mutate(admission);
  await chain.validate(admission);
}

const isSet = (query: URLSearchParams, name: string) => {
  const value = query.get(name);
  return value !== null && value !== 'false' && value !== '0';
};

function streams(query: URLSearchParams): object {
  const found: Record<string, unknown> = {};
  for (const name of ['stdin', 'stdout', 'stderr', 'tty']) if (isSet(query, name)) found[name] = true;
  const container = query.get('container');
  if (container) found.container = container;
  return found;
}

function listOf(query: URLSearchParams, name: string): object {
  const values = query.getAll(name);
  return values.length > 0 ? { [name]: values } : {};
}

function ports(query: URLSearchParams): object {
  const found = query.getAll('ports').flatMap((each) => each.split(',').map(Number));
  return found.length > 0 ? { ports: found.filter((each) => Number.isInteger(each)) } : {};
}

function pathOf(query: URLSearchParams): object {
  const path = query.get('path');
  return path ? { path } : {};
}
