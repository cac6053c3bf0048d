// Runs pods until a Job is complete or has failed, and removes finished Jobs whose time to live is over.
import { deepEqual } from '../../api/equality.ts';
import { pod as podKind } from '../../api/kinds/pod.ts';
import { keyOf } from '../../api/object.ts';
import { isPodActive } from '../../api/pod-conditions.ts';
import { selectorFromObject } from '../../api/selectors.ts';
import type { Job } from '../../api/types/batch-v1.ts';
import type { Pod } from '../../api/types/core-v1.ts';
import {
  compareResourceVersions,
  createWorkQueue,
  isNamespaceTerminating,
  isNotFound,
  type ReconcileResult,
  runController,
} from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { Expectations } from '../parts/expectations.ts';
import { claim, controllerOf, indexByController, settleClaims } from '../parts/owners.ts';
import { createPodControl, wakeOwnersOfPods } from '../parts/pod-control.ts';
import { jobRef } from '../parts/workload-refs.ts';
import { finishedAtMs } from './conditions.ts';
import { failureAnnotations } from './per-index.ts';
import { planJob } from './plan.ts';
import { isTracked, newPod, trackingFinalizer } from './pods.ts';

const ownName = 'kubernetes.io/job-controller';

export function runJobController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('job-controller') ?? context.events;
  const log = context.log.child({ controller: 'job' });
  const jobs = informers.of<Job>(jobRef);
  const pods = informers.of<Pod>(podKind);
  const queue = createWorkQueue({ clock, random });
  const expectations = new Expectations(clock);
  const control = createPodControl({ client, events, expectations, ownerRef: jobRef });
  /** By uid: the resourceVersion of the last status written. Counts are never made from an older one. */
  const written = new Map<string, string>();
  const orphans = 'job-orphans';
  indexByController(pods);
  pods.addIndex(orphans, (pod) => {
    const owner = controllerOf(pod);
    return owner?.kind === jobRef.kind && isTracked(pod) ? [`${pod.metadata.namespace}/${owner.name}`] : [];
  });
  wakeOwnersOfPods({ pods, owners: jobs, ownerRef: jobRef, expectations, queue });
  jobs.addHandler({ onDelete: (job) => void written.delete(job.metadata.uid as string) });

  async function untrack(pod: Pod): Promise<void> {
    const { name, uid, resourceVersion, finalizers = [] } = pod.metadata;
    const rest = finalizers.filter((each) => each !== trackingFinalizer);
    const metadata = { uid, resourceVersion, finalizers: rest };
    try {
      await client.resource<Pod>(podKind, pod.metadata.namespace).patch(name as string, 'merge', { metadata });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  async function untrackAll(released: readonly Pod[]): Promise<void> {
    for (let i = 0; i < released.length; i += 16) await Promise.all(released.slice(i, i + 16).map(untrack));
  }

  /** Tracked pods of Jobs that are no more, or that another Job of the same name has followed. */
  async function releaseOrphans(key: string, job: Job | undefined): Promise<void> {
    const left = pods.byIndex(orphans, key).filter((pod) => controllerOf(pod)?.uid !== job?.metadata.uid);
    if (left.length === 0) return;
    const [namespace, name] = key.split('/') as [string, string];
    const live = await client
      .resource<Job>(jobRef, namespace)
      .get(name)
      .catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      });
    await untrackAll(left.filter((pod) => controllerOf(pod)?.uid !== live?.metadata.uid));
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const job = jobs.get(key);
    await releaseOrphans(key, job);
    if (!job || (job.spec?.managedBy ?? ownName) !== ownName) return;
    const uid = job.metadata.uid as string;
    const last = written.get(uid);
    if (last && compareResourceVersions(job.metadata.resourceVersion ?? '', last) < 0) return; // its event wakes us
    const claims = claim(pods, job, selectorFromObject(job.spec?.selector));
    const owned = await settleClaims(client, jobRef, job, podKind, claims);
    const waitMs = expectations.waitMs(uid);
    if (waitMs > 0) return { requeueAfterMs: waitMs };

    const plan = planJob(job, owned, clock.now());
    const resource = client.resource<Job>(jobRef, job.metadata.namespace);
    let failed: unknown;
    try {
      await control.removeAll(job, plan.remove);
      if (plan.create.length > 0) {
        const live = await resource.get(job.metadata.name as string); // never more pods than asked for from a stale count
        if (live.metadata.resourceVersion !== job.metadata.resourceVersion)
          throw new Error('the Job has changed since');
        const created = plan.create.map((index) => {
          const failures = index === undefined ? undefined : plan.failuresOf?.(index);
          return newPod(job, index, random, failures && failureAnnotations(failures));
        });
        await control.createAll(job, created);
      }
    } catch (error) {
      if (isNamespaceTerminating(error)) return;
      failed = error;
    }
    // What ended is counted even when nothing new can be started.
    const status = failed === undefined ? plan.status : { ...plan.status, active: owned.filter(isPodActive).length };
    if (!deepEqual(status, job.status ?? {})) {
      const answer = await resource.update({ ...job, status }, { subresource: 'status' });
      if (answer.metadata.resourceVersion) written.set(uid, answer.metadata.resourceVersion);
      for (const { type, reason, message } of plan.events) events.event(job, type, reason, message);
    }
    await untrackAll(plan.untrack);
    if (failed !== undefined) throw failed;
    return plan.recheckMs === undefined ? undefined : { requeueAfterMs: plan.recheckMs };
  }

  return runController({ name: 'job', queue, reconcile, workers: 5, informers: [jobs, pods], log }, signal);
}

/** Deletes finished Jobs `ttlSecondsAfterFinished` after their end, dependents first. */
export function runTtlAfterFinished(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const log = context.log.child({ controller: 'ttl-after-finished' });
  const jobs = informers.of<Job>(jobRef);
  const queue = createWorkQueue({ clock, random });
  const consider = (job: Job) => {
    if (expiresInMs(job) !== undefined) queue.add(keyOf(job));
  };
  jobs.addHandler({ onAdd: consider, onUpdate: consider });

  function expiresInMs(job: Job): number | undefined {
    const finishedMs = finishedAtMs(job);
    const ttl = job.spec?.ttlSecondsAfterFinished;
    if (ttl === undefined || finishedMs === undefined || job.metadata.deletionTimestamp) return undefined;
    return Math.max(0, finishedMs + ttl * 1000 - clock.now());
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const job = jobs.get(key);
    const leftMs = job && expiresInMs(job);
    if (!job || leftMs === undefined) return;
    if (leftMs > 0) return { requeueAfterMs: leftMs };
    const { name, uid, resourceVersion } = job.metadata;
    const preconditions = { uid, resourceVersion };
    try {
      const resource = client.resource<Job>(jobRef, job.metadata.namespace);
      await resource.delete(name as string, { propagationPolicy: 'Foreground', preconditions });
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
  }

  return runController({ name: 'ttl-after-finished', queue, reconcile, workers: 2, informers: [jobs], log }, signal);
}
