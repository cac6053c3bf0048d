// Creates Jobs on schedule, follows them, and keeps their history short.
import { deepEqual } from '../../api/equality.ts';
import { keyOf } from '../../api/object.ts';
import type { CronJob, CronJobStatus, Job } from '../../api/types/batch-v1.ts';
import {
  compareResourceVersions,
  createWorkQueue,
  isAlreadyExists,
  isNamespaceTerminating,
  isNotFound,
  type ReconcileResult,
  runController,
} from '../../client/index.ts';
import type { ControllersContext } from '../context.ts';
import { controlledBy, controllerOf, controllerReference, indexByController } from '../parts/owners.ts';
import { messageOf } from '../parts/pod-control.ts';
import { parseTime } from '../parts/time.ts';
import { cronJobRef, jobRef } from '../parts/workload-refs.ts';
import { isOurs, planCronJob, referenceOf } from './plan.ts';

export function runCronJobController(context: ControllersContext, signal: AbortSignal): Promise<void> {
  const { client, clock, random, informers } = context;
  const events = context.events.withSource?.('cronjob-controller') ?? context.events;
  const log = context.log.child({ controller: 'cronjob' });
  const cronJobs = informers.of<CronJob>(cronJobRef);
  const jobs = informers.of<Job>(jobRef);
  const queue = createWorkQueue({ clock, random });
  /** By uid: the resourceVersion of the last status written, so that no start is planned from an older one. */
  const written = new Map<string, string>();
  indexByController(jobs);
  const wake = (cronJob: CronJob) => queue.add(keyOf(cronJob));
  cronJobs.addHandler({
    onAdd: wake,
    onUpdate: wake,
    onDelete: (cronJob) => void written.delete(cronJob.metadata.uid as string),
  });
  const wakeOwner = (job: Job) => {
    const owner = controllerOf(job);
    if (owner?.kind === cronJobRef.kind) queue.add(`${job.metadata.namespace}/${owner.name}`);
  };
  jobs.addHandler({ onAdd: wakeOwner, onUpdate: wakeOwner, onDelete: wakeOwner });

  async function removeJob(cronJob: CronJob, job: Job): Promise<void> {
    const { name, uid, namespace } = job.metadata;
    try {
      const preconditions = { uid };
      const resource = client.resource<Job>(jobRef, namespace);
      await resource.delete(name as string, { propagationPolicy: 'Background', preconditions });
    } catch (error) {
      if (isNotFound(error)) return;
      events.event(cronJob, 'Warning', 'FailedDelete', `Deleted job: ${messageOf(error)}`);
      throw error;
    }
    events.event(cronJob, 'Normal', 'SuccessfulDelete', `Deleted job ${name}`);
  }

  /** The Job as created now or, its answer having been lost, before; undefined in a namespace that is going away. */
  async function createJob(cronJob: CronJob, job: Job): Promise<Job | undefined> {
    const resource = client.resource<Job>(jobRef, cronJob.metadata.namespace);
    const ownerReferences = [controllerReference(cronJobRef, cronJob)];
    try {
      const created = await resource.create({ ...job, metadata: { ...job.metadata, ownerReferences } });
      events.event(cronJob, 'Normal', 'SuccessfulCreate', `Created job ${job.metadata.name}`);
      return created;
    } catch (error) {
      if (isNamespaceTerminating(error)) return undefined;
      if (isAlreadyExists(error)) {
        const present = await resource.get(job.metadata.name as string);
        if (isOurs(cronJob, present)) return present;
      }
      events.event(cronJob, 'Warning', 'FailedCreate', `Error creating job: ${messageOf(error)}`);
      throw error;
    }
  }

  async function writeStatus(cronJob: CronJob, status: CronJobStatus): Promise<CronJob> {
    if (deepEqual(status, cronJob.status ?? {})) return cronJob;
    const resource = client.resource<CronJob>(cronJobRef, cronJob.metadata.namespace);
    const answer = await resource.update({ ...cronJob, status }, { subresource: 'status' });
    const { resourceVersion } = answer.metadata;
    if (resourceVersion) written.set(cronJob.metadata.uid as string, resourceVersion);
    return answer;
  }

  async function reconcile(key: string): Promise<ReconcileResult> {
    const cronJob = cronJobs.get(key);
    if (!cronJob) return;
    const last = written.get(cronJob.metadata.uid as string);
    if (last && compareResourceVersions(cronJob.metadata.resourceVersion ?? '', last) < 0) return; // its event wakes us
    const plan = planCronJob(cronJob, controlledBy(jobs, cronJob.metadata.uid as string), clock.now());
    for (const { type, reason, message } of plan.events) events.event(cronJob, type, reason, message);
    for (const job of plan.remove) await removeJob(cronJob, job);
    let current = await writeStatus(cronJob, plan.status);
    if (plan.create) {
      for (const job of plan.replace) await removeJob(cronJob, job);
      const replaced = new Set(plan.replace.map((job) => job.metadata.uid));
      const job = await createJob(cronJob, plan.create);
      if (!job) return;
      const scheduled = plan.create.metadata.annotations?.['batch.kubernetes.io/cronjob-scheduled-timestamp'];
      const active = (plan.status.active ?? []).filter((each) => !replaced.has(each.uid));
      const isActive = active.some((each) => each.uid === job.metadata.uid);
      if (!isActive) active.push(referenceOf(job));
      current = await writeStatus(current, { ...plan.status, active, lastScheduleTime: scheduled });
    }
    if (parseTime(current.metadata.deletionTimestamp) > 0 || plan.recheckMs === undefined) return;
    return { requeueAfterMs: plan.recheckMs };
  }

  return runController({ name: 'cronjob', queue, reconcile, workers: 5, informers: [cronJobs, jobs], log }, signal);
}
