// The service accounts of kube-system as which controllers act: upstream's names, whose roles every cluster has. A
// controller that needs more than such a role gives acts as the controller manager, with a role of Sampan's own.
import type { ControllerName } from './index.ts';

const MANAGER = undefined;

const ACCOUNTS: Readonly<Record<ControllerName, string | undefined>> = {
  deployment: 'deployment-controller',
  disruption: 'disruption-controller',
  replicaset: 'replicaset-controller',
  replicationcontroller: 'replication-controller',
  daemonset: 'daemon-set-controller',
  statefulset: 'statefulset-controller',
  job: 'job-controller',
  'ttl-after-finished': 'ttl-after-finished-controller',
  cronjob: 'cronjob-controller',
  horizontalpodautoscaler: 'horizontal-pod-autoscaler',
  endpointslice: 'endpointslice-controller',
  endpoints: 'endpoint-controller',
  endpointslicemirroring: 'endpointslicemirroring-controller',
  namespace: 'namespace-controller',
  garbagecollector: 'generic-garbage-collector',
  nodelifecycle: 'node-controller',
  'taint-eviction': 'node-controller',
  'pod-gc': 'pod-garbage-collector',
  'pvc-protection': 'pvc-protection-controller',
  'pv-protection': 'pv-protection-controller',
  persistentvolume: 'persistent-volume-binder',
  attachdetach: 'attachdetach-controller',
  'ephemeral-volume': 'ephemeral-volume-controller',
  'default-storage-class': MANAGER,
  servicecidr: 'service-cidrs-controller',
  resourcequota: 'resourcequota-controller',
  serviceaccount: 'service-account-controller',
  'root-ca-publisher': 'root-ca-cert-publisher',
  // As upstream: tokens of accounts are written by the manager itself.
  'serviceaccount-token': MANAGER,
  'clusterrole-aggregation': 'clusterrole-aggregation-controller',
  'validatingadmissionpolicy-status': 'validatingadmissionpolicy-status-controller',
  csrapproving: 'certificate-controller',
  csrsigning: 'certificate-controller',
  csrcleaner: 'certificate-controller',
  'token-cleaner': 'token-cleaner',
  'bootstrap-signer': 'bootstrap-signer',
};

/** The user that the controller acts as; undefined: the controller manager. */
export function userOf(controller: string): string | undefined {
  const account = ACCOUNTS[controller as ControllerName];
  return account && `system:serviceaccount:kube-system:${account}`;
}
