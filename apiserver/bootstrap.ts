// What a fresh cluster needs before anybody can use it: the system namespaces, RBAC, priority classes, the `kubernetes`
// Service. Idempotent; what is there is kept, except for the Service's endpoints, which follow this server's address.
import { readFileSync } from 'node:fs';
import { deepClone, deepEqual } from '../api/equality.ts';
import { ApiError } from '../api/errors.ts';
import type { Kind } from '../api/kind.ts';
import type { KubeObject } from '../api/object.ts';
import { formatTime } from '../api/time-format.ts';
import type { ServiceCIDR } from '../api/types/networking-v1.ts';
import type { Logger } from '../lib/log.ts';
import type { BootstrapRbac } from './auth/bootstrap-rbac.ts';
import type { Identity } from './auth/identity.ts';
import type { RequestHeaderConfig } from './auth/request-header.ts';
import { type Reconciliation, reconcileBinding, reconcileRole } from './auth/reconcile.ts';
import type { Registry } from './registry/registry.ts';
import type { WriteRequest } from './registry/types.ts';

export interface BootstrapOptions {
  registry: Registry;
  rbac: BootstrapRbac;
  caPem: string;
  frontProxyCaPem: string;
  requestHeaders: RequestHeaderConfig;
  /** The range of Services, `10.96.0.0/12`. */
  serviceCidr: string;
  /** First address of the service range. */
  serviceIp: string;
  /** Where pods reach this server; loopback is left out of the endpoints. */
  advertiseAddress: string;
  port: number;
  log: Logger;
}

/** The server acting for itself. */
export const SERVER_USER: Identity = { name: 'system:apiserver', groups: ['system:masters', 'system:authenticated'] };

const NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease'];

const PRIORITY_CLASSES = [
  [
    'system-cluster-critical',
    2_000_000_000,
    'Used for system critical pods that must run in the cluster, but can be moved to another node if necessary.',
  ],
  [
    'system-node-critical',
    2_000_001_000,
    'Used for system critical pods that must not be moved from their current node.',
  ],
] as const;

export async function bootstrap(options: BootstrapOptions): Promise<void> {
  const { registry, rbac } = options;
  const namespaces = registry.kind('', 'namespaces');
  await all(NAMESPACES.map((name) => ensure(registry, namespaces, '', { metadata: { name } })));
  const group = 'rbac.authorization.k8s.io';
  const many = <T extends KubeObject>(
    resource: string,
    objects: readonly T[],
    reconcile: (present: T, wanted: T) => Reconciliation<T>,
  ) => {
    const kind = registry.kind(group, resource);
    return objects.map((each) => ensureReconciled(registry, kind, each, reconcile));
  };
  const priorityClasses = registry.kind('scheduling.k8s.io', 'priorityclasses');
  await all([
    ...many('clusterroles', rbac.clusterRoles, reconcileRole),
    ...many('clusterrolebindings', rbac.clusterRoleBindings, reconcileBinding),
    ...many('roles', rbac.roles, reconcileRole),
    ...many('rolebindings', rbac.roleBindings, reconcileBinding),
    ...PRIORITY_CLASSES.map(([name, value, description]) =>
      ensure(registry, priorityClasses, '', { metadata: { name }, value, description } as KubeObject),
    ),
    upsert(registry, registry.kind('', 'configmaps'), authenticationFacts(options)),
    ensureKubernetesService(options),
    ensureServiceCidr(options),
  ]);
}

/** What the servers of aggregated APIs read to know this server, and the users whom it names to them. */
function authenticationFacts({ caPem, frontProxyCaPem, requestHeaders }: BootstrapOptions): KubeObject {
  return {
    metadata: { name: 'extension-apiserver-authentication', namespace: 'kube-system' },
    data: {
      'client-ca-file': caPem,
      'requestheader-allowed-names': JSON.stringify(requestHeaders.allowedNames),
      'requestheader-client-ca-file': frontProxyCaPem,
      'requestheader-extra-headers-prefix': JSON.stringify(requestHeaders.extraHeaderPrefixes),
      'requestheader-group-headers': JSON.stringify(requestHeaders.groupHeaders),
      'requestheader-username-headers': JSON.stringify(requestHeaders.usernameHeaders),
    },
  } as KubeObject;
}

/** Everything is tried; the first failure is thrown at the end. */
async function all(work: Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
}

async function ensure(registry: Registry, kind: Kind, namespace: string, object: KubeObject): Promise<void> {
  const name = object.metadata.name as string;
  if (await registry.find(kind, namespace, name, { anyAge: true })) return;
  try {
    await registry.create(kind, deepClone(object), ownRequest(namespace));
  } catch (error) {
    // Another API server was faster.
    if (!(error instanceof ApiError) || error.reason !== 'AlreadyExists') throw error;
  }
}

/** The default as it should be beside what people have made of it. */
async function ensureReconciled<T extends KubeObject>(
  registry: Registry,
  kind: Kind,
  wanted: T,
  reconcile: (present: T, wanted: T) => Reconciliation<T>,
): Promise<void> {
  const { name = '', namespace = '' } = wanted.metadata;
  const present = await registry.find<T>(kind, namespace, name, { anyAge: true });
  if (!present) return ensure(registry, kind, namespace, wanted);
  const planned = reconcile(present, wanted);
  if (planned.kind === 'keep') return;
  if (planned.kind === 'update') {
    const request = { ...ownRequest(namespace), name, subresource: '', isPatch: true };
    await registry.update(kind, request, (old) => {
      const again = reconcile(old as T, wanted);
      return deepClone(again.kind === 'keep' ? old : again.object);
    });
    return;
  }
  const { resourceVersion: _r, uid: _u, creationTimestamp: _c, ...metadata } = planned.object.metadata;
  await registry.delete(kind, name, { ...ownRequest(namespace), options: {} });
  await registry.create(kind, deepClone({ ...planned.object, metadata }), ownRequest(namespace));
}

const ownRequest = (namespace: string): WriteRequest => ({ user: SERVER_USER, namespace, dryRun: false, warn() {} });

async function ensureKubernetesService(options: BootstrapOptions): Promise<void> {
  const { registry, serviceIp, advertiseAddress, port } = options;
  await upsert(registry, registry.kind('', 'services'), {
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { component: 'apiserver', provider: 'kubernetes' },
    },
    spec: {
      type: 'ClusterIP',
      clusterIP: serviceIp,
      clusterIPs: [serviceIp],
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort: port }],
      sessionAffinity: 'None',
    },
  } as KubeObject);
  if (advertiseAddress.startsWith('127.') || advertiseAddress === '0.0.0.0' || advertiseAddress.includes(':')) {
    options.log.warn(
      { advertiseAddress },
      'the advertised address cannot be an endpoint: pods will not reach the API by its Service',
    );
    return;
  }
  const ports = [{ name: 'https', port, protocol: 'TCP' }];
  await upsert(registry, registry.kind('', 'endpoints'), {
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    },
    subsets: [{ addresses: [{ ip: advertiseAddress }], ports }],
  } as KubeObject);
  await upsert(registry, registry.kind('discovery.k8s.io', 'endpointslices'), {
    metadata: { name: 'kubernetes', namespace: 'default', labels: { 'kubernetes.io/service-name': 'kubernetes' } },
    addressType: 'IPv4',
    endpoints: [{ addresses: [advertiseAddress], conditions: { ready: true } }],
    ports,
  } as KubeObject);
}

/** The range that this server gives addresses from, as an object; it is ready as soon as it is there. */
async function ensureServiceCidr({ registry, serviceCidr }: BootstrapOptions): Promise<void> {
  const kind = registry.kind('networking.k8s.io', 'servicecidrs');
  const name = 'kubernetes';
  await ensure(registry, kind, '', { metadata: { name }, spec: { cidrs: [serviceCidr] } } as KubeObject);
  const present = await registry.find<ServiceCIDR & KubeObject>(kind, '', name);
  if (!present || present.status?.conditions?.length) return;
  await registry.update(kind, { ...ownRequest(''), name, subresource: 'status', isPatch: true }, (old) => {
    const ready = {
      type: 'Ready',
      status: 'True',
      lastTransitionTime: formatTime(registry.context.clock.now()),
      reason: '',
      message: 'Kubernetes default Service CIDR is ready',
    };
    return { ...deepClone(old), status: { conditions: [ready] } } as KubeObject;
  });
}

/** Creates, or brings every field that `wanted` names to its value. */
async function upsert(registry: Registry, kind: Kind, wanted: KubeObject): Promise<void> {
  const { name = '', namespace = '' } = wanted.metadata;
  await ensure(registry, kind, namespace, wanted);
  const present = await registry.find(kind, namespace, name);
  const { metadata: _, ...fields } = wanted;
  if (present && Object.entries(fields).every(([key, value]) => covers(present[key as keyof KubeObject], value)))
    return;
  const request = { ...ownRequest(namespace), name, subresource: '', isPatch: true };
  await registry.update(kind, request, (old) => {
    const object = deepClone(old) as unknown as Record<string, unknown>;
    for (const [key, value] of Object.entries(fields)) object[key] = merge(object[key], value);
    return object as unknown as KubeObject;
  });
}

function covers(present: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    return (
      Array.isArray(present) && present.length === wanted.length && wanted.every((each, i) => covers(present[i], each))
    );
  }
  if (typeof wanted !== 'object' || wanted === null) return deepEqual(present, wanted);
  if (typeof present !== 'object' || present === null) return false;
  return Object.entries(wanted).every(([key, value]) => covers((present as Record<string, unknown>)[key], value));
}

function merge(present: unknown, wanted: unknown): unknown {
  const isPlain = (value: unknown) => typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isPlain(present) || !isPlain(wanted)) return deepClone(wanted);
  return { ...(present as object), ...deepClone(wanted as object) };
}

/** The version in package.json. */
export function sampanVersion(): string {
  const file = new URL('../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
