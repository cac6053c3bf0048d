import { describe, expect, it } from 'vitest';
import type { ContainerStatus, Pod, PodSpec, PodStatus } from '../types/core-v1.ts';
import { pod } from './pod.ts';
import { CONTEXT, podOf } from './testing.ts';

const status = (more: Partial<ContainerStatus>): ContainerStatus => ({
  name: 'app',
  ready: false,
  restartCount: 0,
  image: '',
  imageID: '',
  ...more,
});
const ago = (seconds: number) => new Date(CONTEXT.nowMs - seconds * 1000).toISOString();

describe('table', () => {
  const running = status({ ready: true, state: { running: {} } });
  const initSpec: Partial<PodSpec> = {
    initContainers: [
      { name: 'i1', image: 'x' },
      { name: 'i2', image: 'x' },
    ],
  };
  const sidecar: Partial<PodSpec> = { initContainers: [{ name: 'side', image: 'x', restartPolicy: 'Always' }] };
  const rows: [string, Partial<PodSpec>, PodStatus, string[]][] = [
    ['pending', {}, { phase: 'Pending' }, ['0/1', 'Pending', '0']],
    ['running', {}, { phase: 'Running', containerStatuses: [running] }, ['1/1', 'Running', '0']],
    [
      'creating',
      {},
      { phase: 'Pending', containerStatuses: [status({ state: { waiting: { reason: 'ContainerCreating' } } })] },
      ['0/1', 'ContainerCreating', '0'],
    ],
    [
      'crash loop',
      {},
      {
        phase: 'Running',
        containerStatuses: [
          status({
            restartCount: 3,
            state: { waiting: { reason: 'CrashLoopBackOff' } },
            lastState: { terminated: { exitCode: 1, finishedAt: ago(120) } },
          }),
        ],
      },
      ['0/1', 'CrashLoopBackOff', '3 (2m ago)'],
    ],
    [
      'completed',
      {},
      {
        phase: 'Succeeded',
        containerStatuses: [status({ state: { terminated: { exitCode: 0, reason: 'Completed' } } })],
      },
      ['0/1', 'Completed', '0'],
    ],
    [
      'exit code',
      {},
      { phase: 'Failed', containerStatuses: [status({ state: { terminated: { exitCode: 7 } } })] },
      ['0/1', 'ExitCode:7', '0'],
    ],
    [
      'signal',
      {},
      { phase: 'Failed', containerStatuses: [status({ state: { terminated: { exitCode: 137, signal: 9 } } })] },
      ['0/1', 'Signal:9', '0'],
    ],
    ['evicted', {}, { phase: 'Failed', reason: 'Evicted' }, ['0/1', 'Evicted', '0']],
    [
      'gated',
      {},
      { phase: 'Pending', conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }] },
      ['0/1', 'SchedulingGated', '0'],
    ],
    [
      'second init container',
      initSpec,
      {
        phase: 'Pending',
        initContainerStatuses: [
          status({ name: 'i1', state: { terminated: { exitCode: 0 } } }),
          status({ name: 'i2', state: { running: {} } }),
        ],
        containerStatuses: [status({ state: { waiting: { reason: 'PodInitializing' } } })],
      },
      ['0/1', 'Init:1/2', '0'],
    ],
    [
      'init crash',
      initSpec,
      {
        phase: 'Pending',
        initContainerStatuses: [
          status({ name: 'i1', restartCount: 2, state: { waiting: { reason: 'CrashLoopBackOff' } } }),
        ],
      },
      ['0/1', 'Init:CrashLoopBackOff', '2'],
    ],
    [
      'init failed',
      initSpec,
      { phase: 'Failed', initContainerStatuses: [status({ name: 'i1', state: { terminated: { exitCode: 3 } } })] },
      ['0/1', 'Init:ExitCode:3', '0'],
    ],
    [
      'sidecar',
      sidecar,
      {
        phase: 'Running',
        initContainerStatuses: [
          status({ name: 'side', ready: true, started: true, restartCount: 1, state: { running: {} } }),
        ],
        containerStatuses: [running],
      },
      ['2/2', 'Running', '1'],
    ],
    [
      'one of two done',
      {
        containers: [
          { name: 'app', image: 'x' },
          { name: 'job', image: 'x' },
        ],
      },
      {
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True' }],
        containerStatuses: [
          status({ name: 'job', state: { terminated: { exitCode: 0, reason: 'Completed' } } }),
          running,
        ],
      },
      ['1/2', 'Running', '0'],
    ],
  ];
  it.each(rows)('%s', (_, spec, podStatus, expected) => {
    const object = { ...podOf(spec), status: podStatus };
    expect(pod.cells(object, CONTEXT).slice(1, 4)).toEqual(expected);
  });

  it('shows deletion, addresses and gates', () => {
    const object: Pod = {
      metadata: { name: 'web', creationTimestamp: ago(3700), deletionTimestamp: ago(1) },
      spec: {
        containers: [{ name: 'app' }],
        nodeName: 'node-1',
        readinessGates: [{ conditionType: 'a' }, { conditionType: 'b' }],
      },
      status: { phase: 'Running', podIPs: [{ ip: '10.0.0.1' }], conditions: [{ type: 'a', status: 'True' }] },
    };
    expect(pod.cells(object, CONTEXT)).toEqual([
      'web',
      '0/1',
      'Terminating',
      '0',
      '61m',
      '10.0.0.1',
      'node-1',
      '<none>',
      '1/2',
    ]);
    expect(pod.cells({ ...object, status: { phase: 'Running', reason: 'NodeLost' } }, CONTEXT)[2]).toBe('Unknown');
    expect(pod.columns.map((each) => each.name)).toHaveLength(9);
  });
});
