// Starts the controllers. Each can be switched off by its name, as with kube-controller-manager's --controllers.
import { childAbort } from '../lib/abort.ts';
import type { Controller, ControllersContext } from './context.ts';
import { runCronJobController } from './cronjob/controller.ts';
import { runDaemonSetController } from './daemonset/controller.ts';
import { runDeploymentController } from './deployment/controller.ts';
import { runDisruptionController } from './disruption/controller.ts';
import { runEndpointSliceController } from './endpointslice/controller.ts';
import { runEndpointsController } from './endpointslice/endpoints-controller.ts';
import { runGarbageCollector } from './garbagecollector/controller.ts';
import { runJobController, runTtlAfterFinished } from './job/controller.ts';
import { runNamespaceController } from './namespace/controller.ts';
import { runNodeLifecycleController } from './nodelifecycle/controller.ts';
import { runPodGarbageCollector } from './nodelifecycle/pod-gc.ts';
import { runTaintEviction } from './nodelifecycle/taint-eviction.ts';
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
import { runReplicaSetController } from './replicaset/controller.ts';
import { runResourceQuotaController } from './resourcequota/controller.ts';
import { runRootCaPublisher, runServiceAccountController } from './serviceaccount/controller.ts';
import { runStatefulSetController } from './statefulset/controller.ts';

export type { Controller, ControllersContext } from './context.ts';

export const controllers: Readonly<Record<string, Controller>> = {
  deployment: runDeploymentController,
  replicaset: runReplicaSetController,
  daemonset: whereServed([daemonSetRef, controllerRevisionRef], runDaemonSetController),
  statefulset: whereServed([statefulSetRef, controllerRevisionRef], runStatefulSetController),
  job: whereServed([jobRef], runJobController),
  'ttl-after-finished': whereServed([jobRef], runTtlAfterFinished),
  cronjob: whereServed([cronJobRef, jobRef], runCronJobController),
  endpointslice: runEndpointSliceController,
  endpoints: runEndpointsController,
  namespace: runNamespaceController,
  garbagecollector: runGarbageCollector,
  nodelifecycle: runNodeLifecycleController,
  'taint-eviction': runTaintEviction,
  'pod-gc': runPodGarbageCollector,
  'pvc-protection': runPvcProtection,
  'pv-protection': runPvProtection,
  persistentvolume: runPersistentVolumeController,
  'ephemeral-volume': runEphemeralVolumeController,
  'default-storage-class': runDefaultStorageClass,
  resourcequota: runResourceQuotaController,
  disruption: runDisruptionController,
  serviceaccount: runServiceAccountController,
  'root-ca-publisher': runRootCaPublisher,
};

/**
 * Runs every controller but those named in `disabled` (an unknown name is an error), until `signal` aborts. The context's
 * informers are run by the caller. May be called before the API server answers: informers and queues try again.
 * A controller that ends in an error ends all of them: it is a bug, and the caller restarts.
 */
export async function runControllers(
  context: ControllersContext & { disabled?: readonly string[] },
  signal: AbortSignal,
): Promise<void> {
  const { disabled = [] } = context;
  for (const name of disabled) {
    if (!Object.hasOwn(controllers, name))
      throw new TypeError(
        `no controller is named ${JSON.stringify(name)}; there are: ${Object.keys(controllers).join(', ')}`,
      );
  }
  const all = childAbort(signal);
  try {
    const running = Object.entries(controllers).filter(([name]) => !disabled.includes(name));
    const outcomes = await Promise.allSettled(
      running.map(async ([name, run]) => {
        try {
          await run(context, all.signal);
        } catch (err) {
          context.log.error({ err, controller: name }, 'controller failed');
          all.abort(err);
          throw err;
        }
      }),
    );
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason;
  } finally {
    all.dispose();
  }
}
