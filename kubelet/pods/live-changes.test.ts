// What changes in a pod that runs: containers added for debugging, resources, all containers started over.
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Container, Pod } from '../../api/types/core-v1.ts';
import { refs } from '../../client/refs.ts';
import { createHarness, type Harness, makePod } from '../testing/harness.ts';

let test: Harness;
beforeEach(() => {
  test = createHarness();
});
afterEach(() => test.stop());

async function change(spec: (pod: Pod) => object, name = 'web'): Promise<void> {
  const pod = test.pod(name) as Pod;
  const generation = (pod.metadata.generation ?? 1) + 1;
  await test.api
    .resource<Pod>(refs.pods, 'default')
    .patch(name, 'merge', { metadata: { generation }, spec: spec(pod) });
  await test.quiet();
}

const condition = (type: string, name = 'web') => {
  const found = test.pod(name)?.status?.conditions?.find((each) => each.type === type);
  return found && { status: found.status, reason: found.reason, message: found.message };
};

describe('ephemeral containers', () => {
  it('start beside the others, see the processes of their target, and are never restarted', async () => {
    await test.start();
    await test.create(makePod());
    const targetId = test.cri.container('app')?.status.id;
    await change(() => ({ ephemeralContainers: [{ name: 'debug', image: 'app:1', targetContainerName: 'app' }] }));
    expect(test.cri.container('debug')?.config?.linux?.securityContext?.namespaceOptions).toMatchObject({
      pid: 'TARGET',
      targetId,
    });
    expect(test.pod()?.status?.ephemeralContainerStatuses).toMatchObject([
      { name: 'debug', ready: false, state: { running: {} } },
    ]);
    expect(test.pod()?.status?.containerStatuses).toHaveLength(1);
    test.cri.exit(test.cri.container('debug')?.status.id as string, 0);
    await test.advance(60_000);
    expect(test.cri.running('debug')).toEqual([]);
    expect(test.pod()?.status?.ephemeralContainerStatuses?.[0]?.state?.terminated?.exitCode).toBe(0);
    expect(test.pod()?.status?.phase).toBe('Running');
  });

  it('keep no pod alive', async () => {
    await test.start();
    await test.create(makePod({ restartPolicy: 'Never' }));
    await change(() => ({ ephemeralContainers: [{ name: 'debug', image: 'app:1' }] }));
    test.cri.exit(test.cri.container('app')?.status.id as string, 0);
    await test.quiet();
    expect(test.pod()?.status?.phase).toBe('Succeeded');
    expect(test.cri.running()).toEqual([]);
  });
});

const sized = (cpu: string, memory: string, more: Partial<Container> = {}): Container => ({
  name: 'app',
  image: 'app:1',
  imagePullPolicy: 'IfNotPresent',
  resources: { requests: { cpu, memory }, limits: { cpu, memory } },
  ...more,
});

describe('resize', () => {
  it('changes what runs, without a restart', async () => {
    await test.start();
    await test.create(makePod({ containers: [sized('100m', '64Mi')] }));
    const id = test.cri.container('app')?.status.id as string;
    await change(() => ({ containers: [sized('200m', '128Mi')] }));
    expect(test.cri.containers.get(id)?.config?.linux?.resources).toMatchObject({
      cpuQuota: 20_000,
      memoryLimitInBytes: 128 * 2 ** 20,
    });
    const sandbox = [...test.cri.sandboxes.values()][0];
    expect(sandbox?.config.linux?.resources?.memoryLimitInBytes).toBe(128 * 2 ** 20);
    expect(test.pod()?.status?.containerStatuses?.[0]).toMatchObject({
      restartCount: 0,
      allocatedResources: { cpu: '200m', memory: '128Mi' },
      resources: { limits: { cpu: '200m', memory: '128Mi' } },
    });
    expect(condition('PodResizeInProgress')).toBeUndefined();
    await test.advance(300);
    const reasons = test.events.map((each) => each.reason).filter((each) => each.startsWith('Resize'));
    expect(reasons).toEqual(['ResizeStarted', 'ResizeCompleted']);
  });

  it('says what can never be, and what has to wait, and grants it when there is room', async () => {
    await test.start();
    await test.create(makePod({ containers: [sized('2', '64Mi')] }, 'other'));
    await test.create(makePod({ containers: [sized('1', '64Mi')] }));
    await change(() => ({ containers: [sized('5', '64Mi')] }));
    expect(condition('PodResizePending')).toEqual({
      status: 'True',
      reason: 'Infeasible',
      message: "Node didn't have enough capacity: cpu, requested: 5000, capacity: 4000",
    });
    await change(() => ({ containers: [sized('3', '64Mi')] }));
    expect(condition('PodResizePending')).toEqual({
      status: 'True',
      reason: 'Deferred',
      message: "Node didn't have enough resource: cpu, requested: 3000, used: 2000, capacity: 4000",
    });
    expect(test.pod()?.status?.containerStatuses?.[0]?.allocatedResources).toMatchObject({ cpu: '1' });
    await test.api.resource<Pod>(refs.pods, 'default').delete('other', { gracePeriodSeconds: 0 });
    await test.advance(5000);
    expect(condition('PodResizePending')).toBeUndefined();
    expect(test.pod()?.status?.containerStatuses?.[0]?.resources?.limits).toMatchObject({ cpu: '3' });
  });

  it('restarts where the policy of the resource says so', async () => {
    const resizePolicy = [{ resourceName: 'memory', restartPolicy: 'RestartContainer' }];
    await test.start();
    await test.create(makePod({ containers: [sized('100m', '64Mi', { resizePolicy })] }));
    const first = test.cri.container('app')?.status.id;
    await change(() => ({ containers: [sized('200m', '64Mi', { resizePolicy })] }));
    expect(test.cri.container('app')?.status.id).toBe(first);
    await change(() => ({ containers: [sized('200m', '96Mi', { resizePolicy })] }));
    await test.advance(1000);
    expect(test.cri.running('app')[0]?.status.id).not.toBe(first);
    expect(test.cri.running('app')[0]?.config?.linux?.resources?.memoryLimitInBytes).toBe(96 * 2 ** 20);
    expect(test.pod()?.status?.containerStatuses?.[0]).toMatchObject({ restartCount: 1 });
  });

  it('refuses a limit below what is used, says so, and carries it out when less is used', async () => {
    await test.start();
    await test.create(makePod({ containers: [sized('100m', '64Mi')] }));
    const id = test.cri.container('app')?.status.id as string;
    test.cri.memoryUsage.set(id, 50 * 2 ** 20);
    await change(() => ({ containers: [sized('100m', '32Mi')] }));
    expect(condition('PodResizeInProgress')).toEqual({
      status: 'True',
      reason: 'Error',
      message: `attempting to set container "app" memory limit (${32 * 2 ** 20}) below current usage (${50 * 2 ** 20})`,
    });
    test.cri.memoryUsage.set(id, 2 ** 20);
    await test.advance(5000);
    expect(condition('PodResizeInProgress')).toBeUndefined();
    expect(test.cri.containers.get(id)?.config?.linux?.resources?.memoryLimitInBytes).toBe(32 * 2 ** 20);
  });

  it('is carried out by the next kubelet when this one dies in between', async () => {
    await test.start();
    await test.create(makePod({ containers: [sized('100m', '64Mi')] }));
    await test.kill();
    await change(() => ({ containers: [sized('300m', '64Mi')] }));
    await test.start();
    expect(test.cri.container('app')?.config?.linux?.resources?.cpuQuota).toBe(30_000);
    expect(test.cri.containers.size).toBe(1);
  });
});

describe('restart of all containers', () => {
  it('by the exit code of one: init containers run again, in the same sandbox', async () => {
    const rules: Container['restartPolicyRules'] = [
      { action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [42] } },
    ];
    const app = { name: 'app', image: 'app:1', restartPolicy: 'Never', restartPolicyRules: rules };
    await test.start();
    await test.create(
      makePod({
        restartPolicy: 'Never',
        initContainers: [{ name: 'init', image: 'app:1' }],
        containers: [app, { name: 'other', image: 'app:1' }],
      }),
    );
    test.cri.exit(test.cri.container('init')?.status.id as string, 0);
    await test.quiet();
    expect(condition('AllContainersRestarting')).toMatchObject({ status: 'False' });
    test.cri.exit(test.cri.container('app')?.status.id as string, 42);
    await test.advance(1000);
    expect(test.cri.running().map((each) => each.status.metadata)).toEqual([{ name: 'init', attempt: 1 }]);
    expect(test.pod()?.status?.phase).toBe('Running');
    test.cri.exit(test.cri.container('init')?.status.id as string, 0);
    await test.advance(1000);
    expect(
      test.cri
        .running()
        .map((each) => each.status.metadata)
        .sort((a, b) => (a?.name ?? '').localeCompare(b?.name ?? '')),
    ).toEqual([
      { name: 'app', attempt: 1 },
      { name: 'other', attempt: 1 },
    ]);
    expect(test.cri.sandboxes.size).toBe(1);
    expect(test.pod()?.status?.containerStatuses?.map((each) => each.restartCount)).toEqual([1, 1]);
    expect(condition('AllContainersRestarting')).toMatchObject({ status: 'False' });
    // Another exit code ends it for good.
    test.cri.exit(test.cri.container('app')?.status.id as string, 1);
    test.cri.exit(test.cri.container('other')?.status.id as string, 0);
    await test.quiet();
    expect(test.pod()?.status?.phase).toBe('Failed');
  });
});
