// Jobs, CronJobs, DaemonSets and StatefulSets with real containers: each runs, says so, and leaves nothing behind.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { DaemonSet, StatefulSet } from '../../api/types/apps-v1.ts';
import type { Job } from '../../api/types/batch-v1.ts';
import type { Event, Pod } from '../../api/types/core-v1.ts';
import { TestCluster, TestHost } from './harness.ts';

let host: TestHost;
let cluster: TestCluster;

beforeAll(async () => {
  host = new TestHost('workloads');
  cluster = new TestCluster(host);
  await cluster.start();
  await cluster.buildTools();
}, 120_000);

afterAll(async () => {
  await cluster?.stop();
  expect(host.dispose()).toEqual({});
}, 60_000);

const pod = (restartPolicy: string, command: string) =>
  `{restartPolicy: ${restartPolicy}, terminationGracePeriodSeconds: 0, containers: [{name: c, image: 'localhost/tools:1', command: [sh, -c, '${command}']}]}`;
const forever = pod('Always', 'exec sleep 1000');
const labelled = (spec: string) => `{metadata: {labels: {app: x}}, spec: ${spec}}`;

test('an Indexed Job completes, its pods knew their indexes, and it goes with its pods', async () => {
  await cluster.apply(`
apiVersion: batch/v1
kind: Job
metadata: {name: work}
spec:
  completions: 3
  parallelism: 2
  completionMode: Indexed
  template: {spec: ${pod('Never', 'echo index $JOB_COMPLETION_INDEX on $(hostname)')}}
`);
  await cluster.must('wait', '--for=condition=Complete', 'job/work', '--timeout=30s');
  const job = await cluster.get<Job>('job', 'work');
  expect(job.status).toMatchObject({ succeeded: 3, completedIndexes: '0-2', uncountedTerminatedPods: {} });
  const logs = await cluster.must('logs', '-l', 'job-name=work', '--tail=-1');
  expect(logs.trim().split('\n').sort()).toEqual([0, 1, 2].map((index) => `index ${index} on work-${index}`));
  await cluster.must('delete', 'job', 'work', '--cascade=foreground', '--timeout=20s');
  expect((await cluster.get<{ items: Pod[] }>('pods')).items).toEqual([]);
}, 60_000);

test('a CronJob is a template for Jobs, also by hand; a Job that fails says why', async () => {
  await cluster.apply(`
apiVersion: batch/v1
kind: CronJob
metadata: {name: tick}
spec:
  schedule: '0 0 31 12 *'
  jobTemplate:
    spec:
      backoffLimit: 0
      template: {spec: ${pod('Never', 'echo tock; exit 3')}}
`);
  await cluster.must('create', 'job', 'by-hand', '--from=cronjob/tick');
  await cluster.must('wait', '--for=condition=Failed', 'job/by-hand', '--timeout=30s');
  expect(await cluster.must('logs', 'job/by-hand')).toBe('tock\n');
  const { items } = await cluster.get<{ items: Event[] }>('events', '--field-selector', 'involvedObject.name=by-hand');
  expect(items.map((each) => each.reason)).toEqual(
    expect.arrayContaining(['SuccessfulCreate', 'BackoffLimitExceeded']),
  );
  await cluster.must('delete', 'cronjob', 'tick', '--cascade=foreground', '--timeout=20s');
  expect((await cluster.get<{ items: Job[] }>('jobs')).items).toEqual([]);
  await cluster.must('wait', '--for=delete', 'pod', '-l', 'job-name=by-hand', '--timeout=20s');
}, 60_000);

test('a DaemonSet rolls out on the node, and over to another template', async () => {
  await cluster.apply(`
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec: {selector: {matchLabels: {app: x}}, template: ${labelled(forever)}}
`);
  await cluster.must('rollout', 'status', 'daemonset/agent', '--timeout=30s');
  await cluster.must('set', 'env', 'daemonset/agent', 'GENERATION=2');
  await cluster.must('rollout', 'status', 'daemonset/agent', '--timeout=30s');
  const { status } = await cluster.get<DaemonSet>('daemonset', 'agent');
  expect(status).toMatchObject({ desiredNumberScheduled: 1, numberReady: 1, updatedNumberScheduled: 1 });
  expect(await cluster.must('rollout', 'history', 'daemonset/agent')).toMatch(/^1\s.*\n2\s/m);
  await cluster.must('delete', 'daemonset', 'agent', '--cascade=foreground', '--timeout=20s');
}, 60_000);

test('a StatefulSet scales up in order and down in reverse', async () => {
  await cluster.apply(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec: {replicas: 1, serviceName: db, selector: {matchLabels: {app: x}}, template: ${labelled(forever)}}
`);
  await cluster.must('scale', 'statefulset/db', '--replicas=3');
  await cluster.must('rollout', 'status', 'statefulset/db', '--timeout=30s');
  const { items } = await cluster.get<{ items: Pod[] }>('pods', '-l', 'app=x');
  expect(items.map((each) => each.metadata.name)).toEqual(['db-0', 'db-1', 'db-2']);
  const readyAt = items.map((each) =>
    Date.parse(each.status?.conditions?.find(({ type }) => type === 'Ready')?.lastTransitionTime ?? ''),
  );
  expect(readyAt).toEqual(readyAt.toSorted((a, b) => a - b));
  expect(await cluster.must('exec', 'db-1', '--', 'hostname')).toBe('db-1\n');
  await cluster.must('scale', 'statefulset/db', '--replicas=0');
  await cluster.must('wait', '--for=delete', 'pod/db-0', '--timeout=30s');
  const events = await cluster.get<{ items: Event[] }>(
    'events',
    '--field-selector',
    'reason=SuccessfulDelete,involvedObject.name=db',
  );
  const order = events.items.toSorted((a, b) => ((a.metadata.name ?? '') < (b.metadata.name ?? '') ? -1 : 1));
  expect(order.map((each) => each.message)).toEqual(
    ['db-2', 'db-1', 'db-0'].map((name) => `delete Pod ${name} in StatefulSet db successful`),
  );
  expect((await cluster.get<StatefulSet>('statefulset', 'db')).status?.replicas).toBe(0);
  await cluster.must('delete', 'statefulset', 'db', '--cascade=foreground', '--timeout=20s');
  expect((await cluster.get<{ items: unknown[] }>('controllerrevisions')).items).toEqual([]);
}, 60_000);

test('a StatefulSet makes its claims, and takes them along when told to', async () => {
  await cluster.apply(`
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: vol}
spec:
  replicas: 1
  serviceName: vol
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete, whenScaled: Delete}
  selector: {matchLabels: {app: x}}
  template: ${labelled(forever)}
  volumeClaimTemplates:
  - {metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}
`);
  await cluster.must('wait', '--for=create', 'pod/vol-0', '--timeout=20s');
  expect(await cluster.must('get', 'persistentvolumeclaims', '-o', 'name')).toBe('persistentvolumeclaim/data-vol-0\n');
  await cluster.must('scale', 'statefulset/vol', '--replicas=0');
  await cluster.must('wait', '--for=delete', 'persistentvolumeclaim/data-vol-0', '--timeout=20s');
  await cluster.must('delete', 'statefulset', 'vol', '--cascade=foreground', '--timeout=20s');
}, 60_000);
