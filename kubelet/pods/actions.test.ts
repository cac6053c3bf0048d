import { describe, expect, it } from 'vitest';
import type { Container, Pod } from '../../api/types/core-v1.ts';
import { type ActionFacts, computePodActions, type PodActions, type ProbeVerdict, stoppable } from './actions.ts';
import { containerHash } from './containers-of.ts';
import { BackoffTable, formatDuration } from './crash-backoff.ts';
import type { ObservedContainer, ObservedContainerState, ObservedSandbox } from './observed.ts';

const identity = { uid: 'u', name: 'web', namespace: 'default' };
const spec = (name: string, more: Partial<Container> = {}): Container => ({ name, image: 'app:1', ...more });

function podOf(spec_: Partial<Pod['spec']> = {}): Pod {
  return {
    metadata: { name: 'web', namespace: 'default', uid: 'u' },
    spec: { restartPolicy: 'Always', containers: [spec('a'), spec('b')], ...spec_ },
  };
}

const sandbox = (more: Partial<ObservedSandbox> = {}): ObservedSandbox => ({
  id: 's0',
  pod: identity,
  attempt: 0,
  isReady: true,
  createdAtMs: 0,
  ips: ['10.0.0.1'],
  ...more,
});

function container(
  name: string,
  state: ObservedContainerState,
  more: Partial<ObservedContainer> = {},
): ObservedContainer {
  return {
    id: `${name}-id`,
    pod: identity,
    name,
    restartCount: 0,
    hash: containerHash(spec(name)),
    state,
    createdAtMs: 1,
    startedAtMs: 1,
    finishedAtMs: 1000,
    endedMs: 1000,
    exitCode: 0,
    reason: '',
    message: '',
    image: 'app:1',
    imageRef: '',
    logPath: '',
    user: undefined,
    terminationMessagePolicy: 'File',
    terminationMessageHostPath: '',
    ...more,
  };
}

interface Case {
  name: string;
  pod?: Pod;
  sandboxes?: ObservedSandbox[];
  containers?: ObservedContainer[];
  liveness?: Record<string, ProbeVerdict>;
  startup?: Record<string, ProbeVerdict>;
  /** Compact form of the plan. */
  plan: string;
}

function compute(each: Case): PodActions {
  const facts: ActionFacts = {
    pod: each.pod ?? podOf(),
    observed: { sandboxes: each.sandboxes ?? [sandbox()], containers: each.containers ?? [] },
    probes: { liveness: (id) => each.liveness?.[id], startup: (id) => each.startup?.[id] },
    backoffs: new BackoffTable(),
    nowMs: 5000,
  };
  return computePodActions(facts);
}

function print(actions: PodActions): string {
  const { sandbox: box } = actions;
  return [
    box.kind === 'create' ? `create sandbox ${box.attempt}` : box.kind === 'none' ? 'no sandbox' : 'keep',
    ...actions.kill.map((each) => `kill ${each.name} (${each.why})`),
    ...actions.start.map((each) => `start ${each.name} #${each.restartCount}`),
    ...actions.wait.map((each) => `wait ${each.name}`),
    ...(actions.finished ? ['finished'] : []),
  ].join(', ');
}

const sidecarPod = () => podOf({ initContainers: [spec('side', { restartPolicy: 'Always', startupProbe: {} })] });
const run = (name: string, more: Partial<ObservedContainer> = {}) => container(name, 'running', more);
const exit = (name: string, exitCode: number, more: Partial<ObservedContainer> = {}) =>
  container(name, 'exited', { exitCode, ...more });

const cases: Case[] = [
  { name: 'nothing there', sandboxes: [], plan: 'create sandbox 0, start a #0, start b #0' },
  { name: 'sandbox there', plan: 'keep, start a #0, start b #0' },
  { name: 'all running', containers: [run('a'), run('b')], plan: 'keep' },
  { name: 'one exited, Always', containers: [exit('a', 0), run('b')], plan: 'keep, start a #1' },
  {
    name: 'one failed, OnFailure',
    pod: podOf({ restartPolicy: 'OnFailure' }),
    containers: [exit('a', 1), run('b')],
    plan: 'keep, start a #1',
  },
  {
    name: 'one succeeded, OnFailure',
    pod: podOf({ restartPolicy: 'OnFailure' }),
    containers: [exit('a', 0), run('b')],
    plan: 'keep',
  },
  {
    name: 'all done, OnFailure',
    pod: podOf({ restartPolicy: 'OnFailure' }),
    containers: [exit('a', 0), exit('b', 0)],
    plan: 'keep, finished',
  },
  {
    name: 'all done, Never',
    pod: podOf({ restartPolicy: 'Never' }),
    containers: [exit('a', 1), exit('b', 0)],
    plan: 'keep, finished',
  },
  { name: 'created only', containers: [container('a', 'created'), run('b')], plan: 'keep, start a #0' },
  { name: 'image changed', containers: [run('a', { hash: 'old' }), run('b')], plan: 'keep, kill a (changed)' },
  {
    name: 'liveness failed',
    containers: [run('a'), run('b')],
    liveness: { 'a-id': 'failure' },
    plan: 'keep, kill a (liveness)',
  },
  {
    name: 'startup failed',
    containers: [run('a'), run('b')],
    startup: { 'b-id': 'failure' },
    plan: 'keep, kill b (startup)',
  },
  {
    name: 'sandbox died, containers still there',
    sandboxes: [sandbox({ isReady: false })],
    containers: [run('a'), exit('b', 137)],
    plan: 'create sandbox 1, kill a (sandbox)',
  },
  {
    name: 'sandbox died, all dead',
    sandboxes: [sandbox({ isReady: false })],
    containers: [exit('a', 137), exit('b', 137)],
    plan: 'create sandbox 1, start a #1, start b #1',
  },
  {
    name: 'sandbox died, Never',
    pod: podOf({ restartPolicy: 'Never' }),
    sandboxes: [sandbox({ isReady: false })],
    containers: [exit('a', 137)],
    plan: 'no sandbox, finished',
  },
  {
    name: 'sandbox died, all succeeded',
    pod: podOf({ restartPolicy: 'OnFailure' }),
    sandboxes: [sandbox({ isReady: false })],
    containers: [exit('a', 0), exit('b', 0)],
    plan: 'no sandbox, finished',
  },
  {
    name: 'sandbox without an address',
    sandboxes: [sandbox({ ips: [] })],
    plan: 'create sandbox 1, start a #0, start b #0',
  },
  {
    name: 'host network needs no address',
    pod: podOf({ hostNetwork: true }),
    sandboxes: [sandbox({ ips: [] })],
    containers: [run('a'), run('b')],
    plan: 'keep',
  },
  { name: 'init first', pod: podOf({ initContainers: [spec('i1'), spec('i2')] }), plan: 'keep, start i1 #0' },
  {
    name: 'init running',
    pod: podOf({ initContainers: [spec('i1'), spec('i2')] }),
    containers: [run('i1')],
    plan: 'keep',
  },
  {
    name: 'next init',
    pod: podOf({ initContainers: [spec('i1'), spec('i2')] }),
    containers: [exit('i1', 0)],
    plan: 'keep, start i2 #0',
  },
  {
    name: 'init failed, restarts',
    pod: podOf({ initContainers: [spec('i1')] }),
    containers: [exit('i1', 1)],
    plan: 'keep, start i1 #1',
  },
  {
    name: 'init failed, Never',
    pod: podOf({ restartPolicy: 'Never', initContainers: [spec('i1')] }),
    containers: [exit('i1', 1)],
    plan: 'keep, finished',
  },
  {
    name: 'init done',
    pod: podOf({ initContainers: [spec('i1')] }),
    containers: [exit('i1', 0)],
    plan: 'keep, start a #0, start b #0',
  },
  {
    name: 'init collected after main ran',
    pod: podOf({ initContainers: [spec('i1')] }),
    containers: [run('a'), run('b')],
    plan: 'keep',
  },
  {
    name: 'init runs again in a new sandbox',
    pod: podOf({ initContainers: [spec('i1')] }),
    sandboxes: [sandbox({ id: 's1', attempt: 1, createdAtMs: 2000 }), sandbox({ isReady: false })],
    containers: [exit('i1', 0), exit('a', 137), exit('b', 137)],
    plan: 'keep, start i1 #1',
  },
  { name: 'sidecar first', pod: sidecarPod(), plan: 'keep, start side #0' },
  { name: 'sidecar not started yet', pod: sidecarPod(), containers: [run('side')], plan: 'keep' },
  {
    name: 'sidecar started',
    pod: sidecarPod(),
    containers: [run('side')],
    startup: { 'side-id': 'success' },
    plan: 'keep, start a #0, start b #0',
  },
  {
    name: 'sidecar restarts beside running ones',
    pod: sidecarPod(),
    containers: [exit('side', 0), run('a'), run('b')],
    plan: 'keep, start side #1',
  },
  {
    name: 'sidecars end with the main ones',
    pod: { ...sidecarPod(), spec: { ...sidecarPod().spec, containers: [spec('a')], restartPolicy: 'Never' } },
    containers: [run('side'), exit('a', 0)],
    startup: { 'side-id': 'success' },
    plan: 'keep, kill side (finished), finished',
  },
  {
    name: 'own restart rules win',
    pod: podOf({
      restartPolicy: 'Never',
      containers: [
        spec('a', { restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }] }),
      ],
    }),
    containers: [exit('a', 42)],
    plan: 'keep, start a #1',
  },
];

describe('computePodActions', () => {
  it.each(cases)('$name', (each) => {
    expect(print(compute(each))).toBe(each.plan);
  });

  it('counts restarts on from what the API says when the runtime has lost the container', () => {
    const status = { name: 'a', ready: false, restartCount: 4, image: '', imageID: '', containerID: 'x://1' };
    const pod: Pod = { ...podOf(), status: { containerStatuses: [status] } };
    expect(print(compute({ name: '', pod, containers: [run('b')], plan: '' }))).toBe('keep, start a #5');
  });
});

describe('stoppable', () => {
  it('stops main containers first, then sidecars from the last', () => {
    const side = (name: string) => spec(name, { restartPolicy: 'Always' });
    const pod = podOf({ initContainers: [side('s1'), side('s2')] });
    const names = (...running: string[]) =>
      stoppable(
        pod,
        running.map((each) => run(each)),
      ).map((each) => each.name);
    expect(names('a', 'b', 's1', 's2')).toEqual(['a', 'b']);
    expect(names('s1', 's2')).toEqual(['s2']);
    expect(names('s1')).toEqual(['s1']);
  });
});

describe('crash back-off', () => {
  it('restarts at once, then doubles from 10 s to 5 min, and starts over after 10 quiet minutes', () => {
    const table = new BackoffTable();
    let now = 0;
    const delays: number[] = [];
    for (let crash = 0; crash < 8; crash++) {
      const readyAt = table.readyAt('k', now);
      delays.push((readyAt - now) / 1000);
      table.countRestart('k', now, readyAt);
      now = readyAt;
    }
    expect(delays).toEqual([0, 10, 20, 40, 80, 160, 300, 300]);
    now += 11 * 60_000;
    expect(table.readyAt('k', now)).toBe(now);
  });

  it('writes durations as Go does', () => {
    expect([10_000, 80_000, 300_000].map(formatDuration)).toEqual(['10s', '1m20s', '5m0s']);
  });
});
