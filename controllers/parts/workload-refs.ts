// The workload kinds by name: a controller of a kind that the scheme does not serve does not run.
import type { ResourceRef } from '../../client/index.ts';
import type { Controller } from '../context.ts';

const ref = (group: string, resource: string, kind: string): ResourceRef => ({
  group,
  version: 'v1',
  resource,
  kind,
  namespaced: true,
});

export const jobRef = ref('batch', 'jobs', 'Job');
export const cronJobRef = ref('batch', 'cronjobs', 'CronJob');
export const daemonSetRef = ref('apps', 'daemonsets', 'DaemonSet');
export const statefulSetRef = ref('apps', 'statefulsets', 'StatefulSet');
export const controllerRevisionRef = ref('apps', 'controllerrevisions', 'ControllerRevision');
export const claimRef = ref('', 'persistentvolumeclaims', 'PersistentVolumeClaim');

/** `run`, where the scheme has every kind of `refs`; elsewhere nothing. */
export const whereServed =
  (refs: readonly ResourceRef[], run: Controller): Controller =>
  async (context, signal) => {
    const isServed = (each: ResourceRef) =>
      context.scheme.byResource(each.group, each.version, each.resource) !== undefined;
    if (refs.every(isServed)) await run(context, signal);
  };
