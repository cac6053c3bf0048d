// Makes a namespace usable: its ServiceAccount `default` and the ConfigMap kube-root-ca.crt that pods mount. Both are
// written when the namespace appears, and again when someone removes or changes them.
import { configMap as configMapKind } from '../../api/kinds/config-map.ts';
import { namespace as namespaceKind } from '../../api/kinds/namespace.ts';
import { serviceAccount as serviceAccountKind } from '../../api/kinds/service-account.ts';
import type { KubeObject } from '../../api/object.ts';
import type { ConfigMap, Namespace, ServiceAccount } from '../../api/types/core-v1.ts';
import {
  createWorkQueue,
  type Informer,
  isAlreadyExists,
  isNamespaceTerminating,
  isNotFound,
  runController,
} from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';

export const rootCaName = 'kube-root-ca.crt';
const rootCaDescription =
  'Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. ' +
  'No other usage is guaranteed across distributions of Kubernetes clusters.';

/** A queue of namespaces: woken by the namespace and by the one object in it that this controller keeps. */
function watchNamespaces<T extends KubeObject>(context: ControllersContext, kept: Informer<T>, name: string) {
  const { clock, random, informers } = context;
  const namespaces = informers.of<Namespace>(namespaceKind);
  const queue = createWorkQueue({ clock, random });
  const wake = (namespace: Namespace) => queue.add(namespace.metadata.name as string);
  namespaces.addHandler({ onAdd: wake, onUpdate: wake });
  const wakeOwn = (object: T) => {
    if (object.metadata.name === name) queue.add(object.metadata.namespace as string);
  };
  kept.addHandler({ onUpdate: wakeOwn, onDelete: wakeOwn });
  const isActive = (key: string) => {
    const namespace = namespaces.get(key);
    return (
      namespace !== undefined && !namespace.metadata.deletionTimestamp && namespace.status?.phase !== 'Terminating'
    );
  };
  return { queue, namespaces, isActive };
}

async function unlessGone(write: Promise<unknown>): Promise<void> {
  try {
    await write;
  } catch (error) {
    if (!isAlreadyExists(error) && !isNamespaceTerminating(error) && !isNotFound(error)) throw error;
  }
}

export function runServiceAccountController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'serviceaccount' });
  const accounts = context.informers.of<ServiceAccount>(serviceAccountKind);
  const { queue, namespaces, isActive } = watchNamespaces(context, accounts, 'default');
  async function reconcile(namespace: string): Promise<void> {
    if (!isActive(namespace) || accounts.get(`${namespace}/default`)) return;
    await unlessGone(
      context.client
        .resource<ServiceAccount>(serviceAccountKind, namespace)
        .create({ metadata: { name: 'default', namespace } }),
    );
  }
  return runController({ name: 'serviceaccount', queue, reconcile, informers: [namespaces, accounts], log }, signal);
}

export function runRootCaPublisher(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const log = context.log.child({ controller: 'root-ca-publisher' });
  const configMaps = context.informers.of<ConfigMap>(configMapKind, { fieldSelector: `metadata.name=${rootCaName}` });
  const { queue, namespaces, isActive } = watchNamespaces(context, configMaps, rootCaName);
  const data = { 'ca.crt': context.rootCaPem };
  async function reconcile(namespace: string): Promise<void> {
    if (!isActive(namespace)) return;
    const present = configMaps.get(`${namespace}/${rootCaName}`);
    const resource = context.client.resource<ConfigMap>(configMapKind, namespace);
    if (!present) {
      const metadata = { name: rootCaName, namespace, annotations: { 'kubernetes.io/description': rootCaDescription } };
      return unlessGone(resource.create({ metadata, data }));
    }
    if (present.data?.['ca.crt'] !== context.rootCaPem || Object.keys(present.data).length !== 1)
      await unlessGone(resource.update({ ...present, data }));
  }
  return runController(
    { name: 'root-ca-publisher', queue, reconcile, informers: [namespaces, configMaps], log },
    signal,
  );
}
