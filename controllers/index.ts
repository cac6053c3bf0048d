// Starts the controllers. Each can be switched off by its name, as with kube-controller-manager's --controllers.
import { certificateSigningRequest } from '../api/kinds/certificate-signing-request.ts';
import { horizontalPodAutoscaler } from '../api/kinds/horizontal-pod-autoscaler.ts';
import { ipAddress } from '../api/kinds/ip-address.ts';
import { serviceCidr } from '../api/kinds/service-cidr.ts';
import { validatingAdmissionPolicy } from '../api/kinds/validating-admission-policy.ts';
import type { Client } from '../client/port.ts';
import { customResourceDefinition } from '../api/kinds/custom-resource-definition.ts';
import { childAbort } from '../lib/abort.ts';
import type { Controller, ControllersContext } from './context.ts';
import { userOf } from './accounts.ts';
import { runAttachDetach } from './attachdetach/controller.ts';
import { runBootstrapSigner, runTokenCleaner } from './bootstraptokens/controller.ts';
import { runCsrApproving, runCsrCleaner, runCsrSigning } from './certificates/controller.ts';
import { runCronJobController } from './cronjob/controller.ts';
import { runDaemonSetController } from './daemonset/controller.ts';
import { runDeploymentController } from './deployment/controller.ts';
import { runDisruptionController } from './disruption/controller.ts';
import { runEndpointSliceController } from './endpointslice/controller.ts';
import { runEndpointsController } from './endpointslice/endpoints-controller.ts';
import { runEndpointSliceMirroring } from './endpointslice/mirroring-controller.ts';
import { runGarbageCollector } from './garbagecollector/controller.ts';
import { runHorizontalPodAutoscaler } from './horizontalpodautoscaler/controller.ts';
import { runJobController, runTtlAfterFinished } from './job/controller.ts';
import { runNamespaceController } from './namespace/controller.ts';
import { runNodeLifecycleController } from './nodelifecycle/controller.ts';
import { runPodGarbageCollector } from './nodelifecycle/pod-gc.ts';
import { runTaintEviction } from './nodelifecycle/taint-eviction.ts';
import { runCustomKinds } from './parts/custom-kinds.ts';
import {
  controllerRevisionRef,
  cronJobRef,
  daemonSetRef,
  jobRef,
  statefulSetRef,
  whereServed,
} from './parts/workload-refs.ts';
import { runPersistentVolumeController } from './persistentvolume/controller.ts';
import { runDefaultStorageClass } from './persistentvolume/default-class.ts';
import { runEphemeralVolumeController } from './persistentvolume/ephemeral.ts';
import { runPvcProtection, runPvProtection } from './pvcprotection/controller.ts';
import { runClusterRoleAggregation } from './rbac/controller.ts';
import { runReplicaSetController, runReplicationController } from './replicaset/controller.ts';
import { runResourceQuotaController } from './resourcequota/controller.ts';
import { runRootCaPublisher, runServiceAccountController } from './serviceaccount/controller.ts';
import { runServiceAccountTokenController } from './serviceaccount/token-controller.ts';
import { runServiceCidrController } from './servicecidr/controller.ts';
import { runStatefulSetController } from './statefulset/controller.ts';
import { runValidatingPolicyStatus } from './validatingadmissionpolicy/controller.ts';

export type { Controller, ControllersContext, Signing } from './context.ts';

const table = {
  deployment: runDeploymentController,
  replicaset: runReplicaSetController,
  replicationcontroller: runReplicationController,
  daemonset: whereServed([daemonSetRef, controllerRevisionRef], runDaemonSetController),
  statefulset: whereServed([statefulSetRef, controllerRevisionRef], runStatefulSetController),
  job: whereServed([jobRef], runJobController),
  'ttl-after-finished': whereServed([jobRef], runTtlAfterFinished),
  cronjob: whereServed([cronJobRef, jobRef], runCronJobController),
  horizontalpodautoscaler: whereServed([horizontalPodAutoscaler], runHorizontalPodAutoscaler),
  endpointslice: runEndpointSliceController,
  endpoints: runEndpointsController,
  endpointslicemirroring: runEndpointSliceMirroring,
  namespace: runNamespaceController,
  garbagecollector: runGarbageCollector,
  nodelifecycle: runNodeLifecycleController,
  'taint-eviction': runTaintEviction,
  'pod-gc': runPodGarbageCollector,
  'pvc-protection': runPvcProtection,
  'pv-protection': runPvProtection,
  persistentvolume: runPersistentVolumeController,
  attachdetach: runAttachDetach,
  'ephemeral-volume': runEphemeralVolumeController,
  'default-storage-class': runDefaultStorageClass,
  servicecidr: whereServed([serviceCidr, ipAddress], runServiceCidrController),
  resourcequota: runResourceQuotaController,
  disruption: runDisruptionController,
  serviceaccount: runServiceAccountController,
  'root-ca-publisher': runRootCaPublisher,
  'serviceaccount-token': runServiceAccountTokenController,
  'clusterrole-aggregation': runClusterRoleAggregation,
  'validatingadmissionpolicy-status': whereServed([validatingAdmissionPolicy], runValidatingPolicyStatus),
  csrapproving: whereServed([certificateSigningRequest], runCsrApproving),
  csrsigning: whereServed([certificateSigningRequest], runCsrSigning),
  csrcleaner: whereServed([certificateSigningRequest], runCsrCleaner),
  'token-cleaner': runTokenCleaner,
  'bootstrap-signer': runBootstrapSigner,
} satisfies Record<string, Controller>;

export type ControllerName = keyof typeof table;

export const controllers: Readonly<Record<string, Controller>> = table;

/** The client through which a controller acts as its own account; reads of the shared informers are the manager's. */
function clientOf(name: string, client: Client): Client {
  const user = userOf(name);
  return user === undefined ? client : client.as(user);
}

/**
 * Runs every controller but those named in `disabled` (an unknown name is an error), until `signal` aborts. The context's
 * informers are run by the caller. May be called before the API server answers: informers and queues try again.
 * Each acts as a service account of its own, with that account's rights, unless `asManager`.
 * A controller that ends in an error ends all of them: it is a bug, and the caller restarts.
 */
export async function runControllers(
  context: ControllersContext & { disabled?: readonly string[]; asManager?: boolean },
  signal: AbortSignal,
): Promise<void> {
  const { disabled = [], asManager = false } = context;
  for (const name of disabled) {
    if (!Object.hasOwn(controllers, name))
      throw new TypeError(
        `no controller is named ${JSON.stringify(name)}; there are: ${Object.keys(controllers).join(', ')}`,
      );
  }
  const all = childAbort(signal);
  const custom = followCustomKinds(context, all.signal);
  try {
    const running = Object.entries(controllers).filter(([name]) => !disabled.includes(name));
    const outcomes = await Promise.allSettled(
      running.map(async ([name, run]) => {
        try {
          const own = custom ? { ...context, customKinds: custom.feed } : context;
          await run(asManager ? own : { ...own, client: clientOf(name, context.client) }, all.signal);
        } catch (err) {
          context.log.error({ err, controller: name }, 'controller failed');
          all.abort(err);
          throw err;
        }
      }),
    );
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  } finally {
    all.abort();
    await custom?.done;
    all.dispose();
  }
}

function followCustomKinds(context: ControllersContext, signal: AbortSignal) {
  const { group, version, resource } = customResourceDefinition;
  return context.scheme.byResource(group, version, resource) ? runCustomKinds(context, signal) : undefined;
}
