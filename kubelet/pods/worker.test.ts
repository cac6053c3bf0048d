// The whole kubelet against a runtime and an API server in memory, in virtual time.
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Pod } from '../../api/types/core-v1.ts';
import { NetworkError } from '../../client/port.ts';
import { CriError } from '../cri/client.ts';
import { refs } from '../../client/refs.ts';
import { createHarness, type Harness, makePod } from '../testing/harness.ts';

let test: Harness;
beforeEach(() => {
  test = createHarness();
});
afterEach(() => test.stop());

const appStatus = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0];
const reasons = () => test.events.map((each) => each.reason);

describe('running a pod', () => {
  it('brings a pod to Running and Ready without time passing', async () => {
    await test.start();
    await test.create(makePod());
    const pod = test.pod();
    expect(pod?.status).toMatchObject({
      phase: 'Running',
      podIP: '10.244.0.1',
      hostIP: '192.0.2.1',
      qosClass: 'BestEffort',
    });
    expect(pod?.status?.conditions?.map((each) => `${each.type}=${each.status}`)).toEqual([
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ]);
    expect(appStatus(pod)).toMatchObject({
      ready: true,
      started: true,
      restartCount: 0,
      containerID: 'fake://container-2',
    });
    await test.advance(200);
    expect(reasons().filter((each) => ['Pulled', 'Created', 'Started'].includes(each))).toEqual([
      'Pulled',
      'Created',
      'Started',
    ]);
    // One patch: the status "being created" was overtaken.
    expect(test.api.writes.filter((each) => each.subresource === 'status' && each.ref.kind === 'Pod')).toHaveLength(1);
  });

  it('says ContainerCreating when the sandbox takes its time', async () => {
    await test.start();
    test.cri.before = (call) =>
      call.method === 'RunPodSandbox' ? new Promise((resolve) => test.clock.after(2000, resolve)) : undefined;
    await test.create(makePod());
    await test.advance(1050);
    expect(test.pod()?.status?.phase).toBe('Pending');
    expect(appStatus(test.pod())?.state).toEqual({ waiting: { reason: 'ContainerCreating' } });
    await test.advance(1000);
    expect(test.pod()?.status?.phase).toBe('Running');
  });

  it('writes nothing when nothing changed', async () => {
    await test.start();
    await test.create(makePod());
    const before = test.api.writes.filter((each) => each.ref.kind === 'Pod').length;
    test.cri.dropEvents();
    await test.advance(130_000);
    expect(test.api.writes.filter((each) => each.ref.kind === 'Pod').length).toBe(before);
    expect(test.cri.containers.size).toBe(1);
  });

  it('runs init containers in order before the main ones', async () => {
    await test.start();
    const init = (name: string) => ({ name, image: 'app:1' });
    await test.create(makePod({ initContainers: [init('one'), init('two')] }));
    expect(test.cri.running().map((each) => each.status.metadata?.name)).toEqual(['one']);
    expect(appStatus(test.pod())?.state?.waiting?.reason).toBe('PodInitializing');
    test.cri.exit(test.cri.container('one')?.status.id as string, 0);
    await test.quiet();
    expect(test.cri.running().map((each) => each.status.metadata?.name)).toEqual(['two']);
    test.cri.exit(test.cri.container('two')?.status.id as string, 0);
    await test.quiet();
    expect(test.cri.running().map((each) => each.status.metadata?.name)).toEqual(['app']);
    expect(test.pod()?.status?.phase).toBe('Running');
  });
});

describe('restarts', () => {
  const crash = async () => {
    test.cri.exit(test.cri.container('app')?.status.id as string, 1);
    await test.quiet();
  };

  it('restarts at once, then after 10 s, then after 20 s', async () => {
    await test.start();
    await test.create(makePod());
    await test.advance(1000);
    await crash();
    expect(appStatus(test.pod())).toMatchObject({
      restartCount: 1,
      lastState: { terminated: { exitCode: 1, reason: 'Error' } },
    });
    await crash();
    const uid = test.pod()?.metadata.uid;
    expect(appStatus(test.pod())?.state?.waiting).toEqual({
      reason: 'CrashLoopBackOff',
      message: `back-off 10s restarting failed container=app pod=web_default(${uid})`,
    });
    expect(test.pod()?.status?.phase).toBe('Running');
    await test.advance(9900);
    expect(test.cri.running()).toHaveLength(0);
    await test.advance(100);
    expect(appStatus(test.pod())).toMatchObject({ restartCount: 2, ready: true });
    await crash();
    expect(appStatus(test.pod())?.state?.waiting?.message).toContain('back-off 20s');
    await test.advance(20_000);
    expect(appStatus(test.pod())?.restartCount).toBe(3);
    // Only the newest dead instance is kept.
    expect(test.cri.containers.size).toBe(2);
  });

  it('keeps the run before for logs --previous when the next ends before its start is answered', async () => {
    await test.start();
    const reported: string[] = [];
    test.cri.after = (call) => {
      if (call.method !== 'StartContainer') return;
      const status = appStatus(test.pod());
      if (status?.state?.waiting) reported.push(`${status.state.waiting.reason} ${status.restartCount}`);
      test.cri.exit(test.cri.container('app')?.status.id as string, 3);
    };
    await test.create(makePod());
    await test.advance(1000);
    expect(appStatus(test.pod())).toMatchObject({
      restartCount: 1,
      state: { waiting: { reason: 'CrashLoopBackOff' } },
    });
    expect(test.cri.containers.size).toBe(2);
    expect(reported).not.toContain('CrashLoopBackOff 0');
  });

  it('keeps restarting while the API server is away, and reports afterwards', async () => {
    await test.start();
    await test.create(makePod());
    test.faults.before = () => {
      throw new NetworkError('connection refused');
    };
    await crash();
    await test.advance(60_000);
    expect(test.cri.running()).toHaveLength(1);
    delete test.faults.before;
    await test.advance(20_000);
    expect(appStatus(test.pod())?.restartCount).toBe(1);
  });

  it('ends as Succeeded or Failed by restart policy', async () => {
    await test.start();
    await test.create(makePod({ restartPolicy: 'Never' }, 'never'));
    await test.create(makePod({ restartPolicy: 'OnFailure' }, 'on-failure'));
    for (const each of test.cri.running())
      test.cri.exit(each.status.id as string, each.status.labels?.['io.kubernetes.pod.name'] === 'never' ? 3 : 0);
    await test.quiet();
    expect(test.pod('never')?.status?.phase).toBe('Failed');
    expect(test.pod('on-failure')?.status?.phase).toBe('Succeeded');
    expect(test.pod('on-failure')?.status?.conditions?.find((each) => each.type === 'Ready')).toMatchObject({
      status: 'False',
      reason: 'PodCompleted',
    });
    // The containers stay for their logs, the sandboxes stop.
    expect(test.cri.containers.size).toBe(2);
    expect([...test.cri.sandboxes.values()].map((each) => each.status.state)).toEqual([
      'SANDBOX_NOTREADY',
      'SANDBOX_NOTREADY',
    ]);
  });

  it('replaces a sandbox that died', async () => {
    await test.start();
    await test.create(makePod());
    const sandbox = [...test.cri.sandboxes.values()][0];
    if (sandbox) sandbox.status.state = 'SANDBOX_NOTREADY';
    test.cri.dropEvents();
    await test.advance(2000);
    expect(reasons()).toContain('SandboxChanged');
    expect(test.cri.running()).toHaveLength(1);
    expect(test.pod()?.status?.podIP).toBe(
      test.cri.sandboxes.get(test.cri.running()[0]?.sandboxId ?? '')?.status.network?.ip,
    );
    expect(appStatus(test.pod())?.restartCount).toBe(1);
  });

  it('fails a pod at its activeDeadlineSeconds', async () => {
    await test.start();
    await test.create(makePod({ activeDeadlineSeconds: 5 }));
    await test.advance(5000);
    expect(test.pod()?.status).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
    expect(test.cri.running()).toHaveLength(0);
  });
});

describe('termination', () => {
  const remove = (grace?: number) =>
    test.api
      .resource<Pod>(refs.pods, 'default')
      .delete('web', grace === undefined ? {} : { gracePeriodSeconds: grace });

  it('stops containers within the grace period and then deletes the pod', async () => {
    await test.start();
    await test.create(makePod());
    await remove();
    await test.quiet();
    expect(test.pod()).toBeUndefined();
    expect(test.cri.containers.size + test.cri.sandboxes.size).toBe(0);
    const stop = test.cri.calls.find((each) => each.method === 'StopContainer');
    expect(stop?.request).toMatchObject({ timeout: 30 });
    await test.advance(200);
    expect(test.events).toContainEqual({
      about: 'web',
      type: 'Normal',
      reason: 'Killing',
      message: 'Stopping container app',
    });
  });

  it('obeys a shorter grace period given later', async () => {
    await test.start();
    test.cri.ignoreTermMs = 100_000;
    await test.create(makePod());
    await remove();
    await test.quiet();
    await test.advance(1000);
    await remove(2);
    await test.quiet();
    await test.advance(2100);
    expect(test.pod()).toBeUndefined();
  });

  it('runs preStop within the grace period', async () => {
    await test.start();
    const commands: string[][] = [];
    test.cri.execSync = (_id, cmd) => {
      commands.push(cmd);
      return { exitCode: 0, stdout: '' };
    };
    await test.create(
      makePod({
        containers: [{ name: 'app', image: 'app:1', lifecycle: { preStop: { exec: { command: ['bye'] } } } }],
      }),
    );
    await remove();
    await test.quiet();
    expect(commands).toEqual([['bye']]);
    expect(test.pod()).toBeUndefined();
  });

  it('kills a pod that was removed by force', async () => {
    await test.start();
    await test.create(makePod());
    test.api.change<Pod>(refs.pods, 'default/web', () => undefined);
    await test.quiet();
    expect(test.cri.containers.size + test.cri.sandboxes.size).toBe(0);
  });

  it('leaves nothing of a finished pod that is gone from the API at once', async () => {
    await test.start();
    await test.create(makePod({ restartPolicy: 'Never' }));
    test.cri.exit(test.cri.running()[0]?.status.id as string, 0);
    await test.quiet();
    expect(test.pod()?.status?.phase).toBe('Succeeded');
    test.api.change<Pod>(refs.pods, 'default/web', () => undefined);
    await test.quiet();
    expect(test.cri.containers.size + test.cri.sandboxes.size).toBe(0);
    expect(readdirSync(join(test.stateDir, 'logs'))).toEqual([]);
  });

  it('leaves nothing of a pod that goes while its volumes are being made', async () => {
    await test.start();
    const answer = Promise.withResolvers<void>();
    test.faults.token = () => answer.promise;
    const volumes = [{ name: 'api', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }];
    await test.create(makePod({ volumes }));
    test.api.change<Pod>(refs.pods, 'default/web', () => undefined);
    await test.quiet();
    answer.resolve();
    await test.advance(1000);
    for (const directory of ['memory', 'pods', 'logs']) expect(readdirSync(join(test.stateDir, directory))).toEqual([]);
  });

  it('never touches a successor of the same name', async () => {
    await test.start();
    await test.create(makePod());
    test.api.change<Pod>(refs.pods, 'default/web', () => undefined);
    await test.create(makePod());
    expect(test.pod()?.status?.phase).toBe('Running');
    expect(test.cri.running()).toHaveLength(1);
  });
});

describe('restart of the kubelet', () => {
  it('takes over what runs and doubles nothing', async () => {
    await test.start();
    await test.create(makePod());
    const before = [...test.cri.containers.keys()];
    await test.kill();
    await test.start();
    expect([...test.cri.containers.keys()]).toEqual(before);
    expect(test.pod()?.status?.phase).toBe('Running');
  });

  it('removes pods that were deleted from the API meanwhile', async () => {
    await test.start();
    await test.create(makePod());
    await test.kill();
    test.api.change<Pod>(refs.pods, 'default/web', () => undefined);
    await test.start();
    expect(test.cri.containers.size + test.cri.sandboxes.size).toBe(0);
  });

  it('removes the logs of a pod that was all but gone', async () => {
    const left = join(test.stateDir, 'logs', 'default_web_4f2e/app');
    mkdirSync(left, { recursive: true });
    await test.start();
    await test.create(makePod());
    await test.quiet();
    expect(readdirSync(join(test.stateDir, 'logs'))).toEqual([`default_web_${test.pod()?.metadata.uid}`]);
  });

  it('does not kill a container whose start succeeded without an answer', async () => {
    await test.start();
    let isAway = false;
    test.cri.mute = true;
    const away = () => {
      if (isAway) throw new CriError('any', 'unavailable', 'the runtime is away');
    };
    test.cri.before = away;
    test.cri.after = ({ method }) => {
      if (method === 'StartContainer') isAway = true;
      away();
    };
    await test.create(makePod());
    isAway = false;
    await test.advance(5000);
    expect(appStatus(test.pod())).toMatchObject({ ready: true, restartCount: 0 });
    expect(test.cri.calls.map(({ method }) => method)).not.toContain('RemoveContainer');
  });

  it('converges from a crash after any of the runtime calls', async () => {
    for (const method of [
      'RunPodSandbox',
      'CreateContainer',
      'StartContainer',
      'StopContainer',
      'StopPodSandbox',
      'RemoveContainer',
    ] as const) {
      const fresh = createHarness();
      try {
        await fresh.start();
        let hit = false;
        const dies = () => {
          fresh.cri.after = (call) => {
            if (call.method !== method || hit) return;
            hit = true;
            throw new Error('killed before the answer arrived');
          };
        };
        dies();
        await fresh.create(makePod());
        await fresh.kill();
        await fresh.start();
        await fresh.advance(15_000);
        expect(fresh.cri.running(), method).toHaveLength(1);
        expect(fresh.pod()?.status?.phase, method).toBe('Running');
        await fresh.api.resource<Pod>(refs.pods, 'default').delete('web', {});
        await fresh.quiet();
        await fresh.kill();
        await fresh.start();
        await fresh.advance(15_000);
        expect(fresh.pod(), method).toBeUndefined();
        expect(fresh.cri.containers.size + fresh.cri.sandboxes.size, method).toBe(0);
        expect(hit, method).toBe(true);
      } finally {
        await fresh.stop();
      }
    }
  });
});

describe('what goes wrong', () => {
  it('waits with ImagePullBackOff and recovers', async () => {
    await test.start();
    let broken = true;
    test.cri.before = (call) => {
      if (call.method === 'PullImage' && broken) throw new Error('manifest unknown');
    };
    await test.create(makePod({ containers: [{ name: 'app', image: 'gone:1', imagePullPolicy: 'IfNotPresent' }] }));
    await test.advance(250);
    expect(appStatus(test.pod())?.state?.waiting).toEqual({ reason: 'ErrImagePull', message: 'manifest unknown' });
    await test.advance(1000);
    expect(appStatus(test.pod())?.state?.waiting).toMatchObject({ reason: 'ImagePullBackOff' });
    expect(
      test.events.some((each) => each.reason === 'BackOff' && each.message === 'Back-off pulling image "gone:1"'),
    ).toBe(true);
    broken = false;
    await test.advance(10_000);
    expect(test.pod()?.status?.phase).toBe('Running');
  });

  it('names a volume type that it does not support and leaves the pod Pending', async () => {
    await test.start();
    await test.create(makePod({ volumes: [{ name: 'data', iscsi: { targetPortal: 'x', iqn: 'y', lun: 0 } }] }));
    await test.advance(1000);
    expect(test.pod()?.status?.phase).toBe('Pending');
    expect(test.events.find((each) => each.reason === 'FailedMount')?.message).toBe(
      'MountVolume.SetUp failed for volume "data" : volumes of type iscsi are not supported by this kubelet',
    );
    expect(test.cri.containers.size).toBe(0);
  });

  it('waits for a missing secret and starts as soon as it is there', async () => {
    await test.start();
    const env = [{ name: 'KEY', valueFrom: { secretKeyRef: { name: 'late', key: 'k' } } }];
    await test.create(makePod({ containers: [{ name: 'app', image: 'app:1', env }] }));
    await test.advance(250);
    expect(appStatus(test.pod())?.state?.waiting).toEqual({
      reason: 'CreateContainerConfigError',
      message: 'secret "late" not found',
    });
    await test.api
      .resource(refs.secrets, 'default')
      .create({ metadata: { name: 'late', namespace: 'default' }, data: { k: 'dg==' } } as never);
    await test.quiet();
    expect(test.pod()?.status?.phase).toBe('Running');
    expect(test.cri.container('app')?.config?.envs).toContainEqual({ key: 'KEY', value: 'v' });
  });

  it('rejects a pod that does not fit', async () => {
    await test.start();
    await test.create(
      makePod({ containers: [{ name: 'app', image: 'app:1', resources: { requests: { cpu: '100' } } }] }),
    );
    await test.quiet();
    expect(test.pod()?.status).toMatchObject({ phase: 'Failed', reason: 'OutOfcpu' });
    expect(test.cri.sandboxes.size).toBe(0);
  });

  it('makes way for a critical pod, which begins when the room is there', async () => {
    await test.start();
    const asking = (cpu: string) => [{ name: 'app', image: 'app:1', resources: { requests: { cpu } } }];
    await test.create(makePod({ priority: 0, terminationGracePeriodSeconds: 5, containers: asking('3') }));
    test.cri.ignoreTermMs = 3000;
    await test.create(makePod({ priority: 2_000_001_000, containers: asking('2') }, 'critical'));
    const text = 'Preempted in order to admit critical pod';
    expect(test.events).toContainEqual({ about: 'web', type: 'Warning', reason: 'Preempting', message: text });
    expect(test.pod('critical')?.status?.phase).toBe('Pending');
    await test.advance(3000);
    expect(test.pod()?.status).toMatchObject({ phase: 'Failed', reason: 'Preempting', message: text });
    expect(test.pod()?.status?.conditions).toContainEqual(
      expect.objectContaining({
        type: 'DisruptionTarget',
        reason: 'TerminationByKubelet',
        message: 'Pod was preempted by Kubelet to accommodate a critical pod.',
      }),
    );
    expect(test.pod('critical')?.status?.phase).toBe('Running');
  });

  it('restarts a container that fails its liveness probe', async () => {
    await test.start();
    let healthy = true;
    test.cri.execSync = () => ({ exitCode: healthy ? 0 : 1, stdout: 'sick' });
    const livenessProbe = { exec: { command: ['check'] }, periodSeconds: 5, failureThreshold: 2 };
    await test.create(makePod({ containers: [{ name: 'app', image: 'app:1', livenessProbe }] }));
    healthy = false;
    await test.advance(11_000);
    expect(test.events).toContainEqual({
      about: 'web',
      type: 'Warning',
      reason: 'Unhealthy',
      message: 'Liveness probe failed: sick',
    });
    expect(test.events).toContainEqual({
      about: 'web',
      type: 'Normal',
      reason: 'Killing',
      message: 'Container app failed liveness probe, will be restarted',
    });
    expect(appStatus(test.pod())?.restartCount).toBe(1);
  });

  it('is ready soon after it answers, and stays so when the kubelet restarts', async () => {
    await test.start();
    let answers = false;
    test.cri.execSync = () => ({ exitCode: answers ? 0 : 1, stdout: 'not yet' });
    const readinessProbe = { exec: { command: ['check'] }, periodSeconds: 10 };
    await test.create(makePod({ containers: [{ name: 'app', image: 'app:1', readinessProbe }] }));
    await test.advance(500);
    expect(appStatus(test.pod())).toMatchObject({ ready: false, started: true });
    answers = true;
    await test.advance(500);
    expect(appStatus(test.pod())?.ready).toBe(true);
    expect(reasons()).not.toContain('Unhealthy');

    await test.kill();
    const seen: (boolean | undefined)[] = [];
    test.faults.before = (request) => {
      if (request.subresource === 'status' && request.ref.kind === 'Pod') seen.push(appStatus(test.pod())?.ready);
    };
    await test.start();
    await test.advance(20_000);
    expect(appStatus(test.pod())?.ready).toBe(true);
    expect(seen).toEqual([]);
    answers = false;
    await test.advance(40_000);
    expect(appStatus(test.pod())?.ready).toBe(false);
    expect(reasons()).toContain('Unhealthy');
  });
});
