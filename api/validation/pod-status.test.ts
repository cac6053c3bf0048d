import { describe, expect, it } from 'vitest';
import { pod } from '../kinds/pod.ts';
import { CONTEXT, created, messagesOf, podOf } from '../kinds/testing.ts';
import type { Container, ContainerStatus, Pod, PodSpec, PodStatus } from '../types/core-v1.ts';

function errorsOf(spec: Partial<PodSpec>, old: PodStatus, status: PodStatus, container: Partial<Container> = {}) {
  const stored: Pod = { ...created(pod, podOf(spec, container)), status: old };
  const object: Pod = { ...stored, status: structuredClone(status) };
  pod.prepareForStatusUpdate?.(object, stored, CONTEXT);
  return messagesOf(pod.validateStatusUpdate?.(object, stored) ?? []);
}

const ended = (name: string, exitCode: number): ContainerStatus =>
  ({ name, state: { terminated: { exitCode } } }) as ContainerStatus;
const running = (name: string): ContainerStatus => ({ name, state: { running: {} } }) as ContainerStatus;

describe('an end', () => {
  const rules = (action: string) => ({
    restartPolicy: 'Never',
    restartPolicyRules: [{ action, exitCodes: { operator: 'In', values: [42] } }],
  });
  it.each<[string, string, Partial<Container>, number, string, boolean]>([
    ['is one where nothing restarts', 'Never', {}, 1, 'app', false],
    ['is none where all restart', 'Always', {}, 0, 'app', true],
    ['is one of a success', 'OnFailure', {}, 0, 'app', false],
    ['is none of a failure', 'OnFailure', {}, 1, 'app', true],
    ['is one by the policy of the container', 'Always', { restartPolicy: 'Never' }, 1, 'app', false],
    ['is none by the policy of the container', 'Never', { restartPolicy: 'Always' }, 0, 'app', true],
    ['is none by a rule', 'Always', rules('Restart'), 42, 'app', true],
    ['is one without the rule', 'Always', rules('Restart'), 1, 'app', false],
    ['is none where a container may restart all', 'Never', rules('RestartAllContainers'), 1, 'app', true],
    ['is one of an unknown container', 'Always', {}, 1, 'other', false],
  ])('%s', (_name, restartPolicy, container, exitCode, name, mayRun) => {
    const found = errorsOf(
      { restartPolicy },
      { containerStatuses: [ended(name, exitCode)] },
      { containerStatuses: [running(name)] },
      container,
    );
    const message = 'status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state';
    expect(found).toEqual(mayRun ? [] : [message]);
  });

  it('is one of every container for debugging, and none of a sidecar', () => {
    const initContainers = [{ name: 'side', image: 's:1', restartPolicy: 'Always' }];
    const found = errorsOf(
      { restartPolicy: 'Never', initContainers },
      { ephemeralContainerStatuses: [ended('debug', 1)], initContainerStatuses: [ended('side', 0)] },
      { ephemeralContainerStatuses: [running('debug')], initContainerStatuses: [running('side')] },
    );
    expect(found).toEqual([
      'status.ephemeralContainerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state',
    ]);
  });
});

describe('status', () => {
  const linux = (uid: number) => ({ name: 'app', user: { linux: { uid, gid: 0 } } }) as ContainerStatus;
  const device = (name: string, resources: object[]) =>
    ({ name: 'app', allocatedResourcesStatus: [{ name, resources }] }) as unknown as ContainerStatus;
  it.each<[string, Partial<PodSpec>, PodStatus, PodStatus, string[]]>([
    [
      'generations are not negative, types of conditions are names',
      {},
      {},
      {
        observedGeneration: -1,
        conditions: [
          { type: 'Ready', status: 'True', observedGeneration: -1 },
          { type: 'a b', status: 'True' },
        ],
      },
      [
        'status.conditions[0].observedGeneration: Invalid value: -1: must be a non-negative integer',
        'status.conditions[1].Type: Invalid value: "a b": name part',
        'status.observedGeneration: Invalid value: -1: must be a non-negative integer',
      ],
    ],
    [
      'a bound pod is nominated no more',
      { nodeName: 'n' },
      {},
      { nominatedNodeName: 'm' },
      ['status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node'],
    ],
    ['but keeps what it has', { nodeName: 'n' }, { nominatedNodeName: 'm' }, { nominatedNodeName: 'm' }, []],
    ['and may lose it', { nodeName: 'n' }, { nominatedNodeName: 'm' }, {}, []],
    [
      'the class of service stays',
      {},
      { qosClass: 'BestEffort' },
      { qosClass: 'Guaranteed' },
      ['status.qosClass: Invalid value: "Guaranteed": field is immutable'],
    ],
    [
      'addresses, one of each family',
      {},
      {},
      { podIPs: [{ ip: 'x' }], hostIP: '10.0.0.1', hostIPs: [{ ip: '10.0.0.2' }, { ip: '10.0.0.3' }] },
      [
        'status.podIPs[0]: Invalid value: "x": must be a valid IP address',
        'status.hostIPs[0].ip: Invalid value: "10.0.0.2": must be equal to `hostIP`',
        'status.hostIPs: Invalid value: [{"ip":"10.0.0.2"},{"ip":"10.0.0.3"}]: may specify no more than one IP for each IP family',
      ],
    ],
    [
      'users are before devices',
      {},
      {},
      {
        containerStatuses: [device('claim:c', [{ resourceID: '', health: '' }])],
        initContainerStatuses: [linux(-1)],
        ephemeralContainerStatuses: [device('x', [])],
      },
      [
        'status.initContainerStatuses[0].user.linux.uid: Invalid value: -1',
        'status.containerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: "claim:c": must match one of the container\'s resource claims in a format',
        'status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health: Unsupported value: "": supported values: "Healthy", "Unhealthy", "Unknown"',
        'status.ephemeralContainerStatuses[0].allocatedResourcesStatus: Forbidden: must not be specified in container status',
      ],
    ],
    [
      'devices are told once each, with words if any',
      {},
      {},
      {
        containerStatuses: [
          device('example.com/gpu', [
            { resourceID: 'a', health: 'Healthy', message: '' },
            { resourceID: 'a', health: 'Unknown', message: 'x'.repeat(1025) },
          ]),
        ],
      },
      [
        'status.containerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: "example.com/gpu": must match one of the container\'s resource requests',
        'status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].message: Required value: must be non-empty if specified',
        'status.containerStatuses[0].allocatedResourcesStatus[0].resources[1].message: Too long: may not be more than 1024 bytes',
        'status.containerStatuses[0].allocatedResourcesStatus[0].resources[1].resourceID: Duplicate value: "a"',
      ],
    ],
    [
      'Windows has other users',
      { os: { name: 'windows' } },
      {},
      { containerStatuses: [linux(-1)] },
      ['status.containerStatuses[0].user.linux: Forbidden: cannot be set for a windows pod'],
    ],
    [
      'claims for extended resources are of containers that ask for them',
      {},
      {},
      { extendedResourceClaimStatus: { resourceClaimName: '', requestMappings: [] } },
      [
        'status.extendedResourceClaimStatus.requestMappings: Required value: at least one request mapping is required',
        'status.extendedResourceClaimStatus.resourceClaimName: Required value',
      ],
    ],
    [
      'and named once',
      {},
      {},
      {
        extendedResourceClaimStatus: {
          resourceClaimName: 'c',
          requestMappings: [
            { containerName: 'none', resourceName: 'example.com/gpu', requestName: 'r' },
            { containerName: 'app', resourceName: 'example.com/gpu', requestName: 'r' },
            { containerName: 'app', resourceName: 'example.com/gpu', requestName: 'r' },
          ],
        },
      },
      [
        'status.extendedResourceClaimStatus.requestMappings[0].containerName: Invalid value: "none": must match the name of',
        'status.extendedResourceClaimStatus.requestMappings[1].resourceName: Invalid value: "example.com/gpu": must match the extended',
        'status.extendedResourceClaimStatus.requestMappings[2].resourceName: Invalid value: "example.com/gpu": must match the extended',
        'status.extendedResourceClaimStatus.requestMappings[2].containerName: Duplicate value: "app"',
        'status.extendedResourceClaimStatus.requestMappings[2].resourceName: Duplicate value: "example.com/gpu"',
        'status.extendedResourceClaimStatus.requestMappings[2].requestName: Duplicate value: "r"',
      ],
    ],
  ])('%s', (_name, spec, old, status, errors) => {
    const found = errorsOf(spec, old, status);
    expect(found).toHaveLength(errors.length);
    errors.forEach((each, i) => expect(found[i]).toContain(each));
  });
});
