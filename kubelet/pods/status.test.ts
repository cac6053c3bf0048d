import { describe, expect, it } from 'vitest';
import type { ContainerStatus, Pod } from '../../api/types/core-v1.ts';
import { statusPatch } from './status-writer.ts';
import { computePhase } from './status.ts';

const waiting = { state: { waiting: { reason: 'ContainerCreating' } } };
const running = { state: { running: {} } };
const exited = (exitCode: number) => ({ state: { terminated: { exitCode } } });
const crashed = (exitCode: number) => ({
  state: { waiting: { reason: 'CrashLoopBackOff' } },
  lastState: { terminated: { exitCode } },
});
type Some = Partial<ContainerStatus>;

const statuses = (prefix: string, list: Some[]): ContainerStatus[] =>
  list.map((each, index) => ({
    name: `${prefix}${index}`,
    ready: false,
    restartCount: 0,
    image: '',
    imageID: '',
    ...each,
  }));

function phase(
  restartPolicy: string,
  main: Some[],
  options: { init?: Some[]; isOver?: boolean; sidecar?: boolean } = {},
): string {
  const init = options.init ?? [];
  const pod: Pod = {
    metadata: {},
    spec: {
      restartPolicy,
      containers: main.map((_, index) => ({ name: `c${index}` })),
      initContainers: init.map((_, index) => ({
        name: `i${index}`,
        ...(options.sidecar && { restartPolicy: 'Always' }),
      })),
    },
  };
  return computePhase(pod, statuses('c', main), statuses('i', init), options.isOver ?? false);
}

describe('computePhase', () => {
  it.each([
    ['waiting', 'Always', [waiting], 'Pending'],
    ['running', 'Always', [running], 'Running'],
    ['one of two waiting', 'Always', [running, waiting], 'Pending'],
    ['crash loop', 'Always', [crashed(1)], 'Running'],
    ['exited, Always', 'Always', [exited(0)], 'Running'],
    ['all succeeded, Never', 'Never', [exited(0), exited(0)], 'Succeeded'],
    ['one failed, Never', 'Never', [exited(0), exited(1)], 'Failed'],
    ['one failed one running, Never', 'Never', [running, exited(1)], 'Running'],
    ['succeeded, OnFailure', 'OnFailure', [exited(0)], 'Succeeded'],
    ['failed, OnFailure', 'OnFailure', [exited(1)], 'Running'],
  ] as const)('%s', (_name, policy, main, expected) => {
    expect(phase(policy, [...main])).toBe(expected);
  });

  it('is Pending while init containers run or retry, Failed when they may not', () => {
    expect(phase('Always', [waiting], { init: [running] })).toBe('Pending');
    expect(phase('Always', [waiting], { init: [exited(1)] })).toBe('Pending');
    expect(phase('Never', [waiting], { init: [exited(1)] })).toBe('Failed');
    expect(phase('Always', [running], { init: [{ ...running, started: true }], sidecar: true })).toBe('Running');
  });

  it('is final once the pod is over, whatever its restart policy', () => {
    expect(phase('Always', [exited(0)], { isOver: true })).toBe('Succeeded');
    expect(phase('Always', [exited(143)], { isOver: true })).toBe('Failed');
  });
});

describe('statusPatch', () => {
  it('holds only what differs, keeps the conditions of others and clears what is gone', () => {
    const gate = { type: 'example.com/gate', status: 'True' };
    const old = {
      phase: 'Pending',
      reason: 'Evicted',
      hostIP: '1.1.1.1',
      conditions: [gate, { type: 'Ready', status: 'False', lastProbeTime: null as never }],
    };
    const wanted = { phase: 'Running', hostIP: '1.1.1.1', conditions: [{ type: 'Ready', status: 'True' }] };
    expect(statusPatch(old, wanted)).toEqual({
      phase: 'Running',
      reason: null,
      conditions: [{ type: 'Ready', status: 'True' }, gate],
    });
    expect(
      statusPatch(
        { conditions: [{ type: 'Ready', status: 'True', lastProbeTime: null as never }] },
        { conditions: [{ type: 'Ready', status: 'True' }] },
      ),
    ).toEqual({});
  });
});
