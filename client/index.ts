// The public library for authors of controllers and node agents.
export * from './port.ts';
export { type ClientDependencies, createClient } from './rest.ts';
export { createInformer, createInformerFactory, type InformerDependencies } from './informer.ts';
export { WorkQueue, type WorkQueueOptions } from './work-queue.ts';
export {
  type ControllerOptions,
  createWorkQueue,
  type ReconcileResult,
  runController,
  TerminalError,
} from './controller.ts';
export { type LeaderOptions, LeadershipLostError, leaseRef, microTime, runLeaderElected } from './leader.ts';
export { createEventRecorder, eventRef, type RecorderOptions } from './event-recorder.ts';
export { KubeconfigError, type LoadedKubeconfig, loadKubeconfig, renderKubeconfig } from './kubeconfig.ts';
export { isAlreadyExists, isConflict, isExpired, isNamespaceTerminating, isNotFound } from './status.ts';
export { compareResourceVersions } from './resource-version.ts';
export { refs } from './refs.ts';
