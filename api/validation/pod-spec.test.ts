// Rules of pod specifications that are younger, rarer or told in more than one finding; the order of findings is upstream's.
import { describe, expect, it } from 'vitest';
import { pod } from '../kinds/pod.ts';
import { createErrors, messagesOf, podOf, updateErrors } from '../kinds/testing.ts';
import type { Container, PodSpec, Volume } from '../types/core-v1.ts';
import { validatePodSpec } from './pod-spec.ts';

const specErrors = (spec: Partial<PodSpec>, container: Partial<Container> = {}) =>
  createErrors(pod, podOf(spec, container));
const many = <T>(count: number, make: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => make(i));

/** What strategies drop because its gate is off is checked where an older object has it. */
const gatedErrors = (spec: Partial<PodSpec>, container: Partial<Container> = {}) => {
  const object = podOf(spec, container);
  pod.setDefaults?.(object);
  return messagesOf([...validatePodSpec(object.spec as PodSpec, object.metadata, 'spec')]);
};

describe('pod', () => {
  const init: Container = { name: 'init', image: 'init:1' };
  it.each<[string, Partial<PodSpec>, string[]]>([
    [
      'a host name of its own fits nothing else that names the host',
      { hostnameOverride: `${'a'.repeat(64)}.`, setHostnameAsFQDN: true, hostNetwork: true },
      [
        'spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true',
        'spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true',
        'spec.hostnameOverride: Too long: may not be more than 64 bytes',
      ],
    ],
    [
      'user namespaces share nothing and have no block devices',
      {
        hostUsers: false,
        hostNetwork: true,
        hostIPC: true,
        volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }],
        initContainers: [{ ...init, volumeDevices: [{ name: 'v', devicePath: '/dev/v' }] }],
      },
      [
        'spec.hostNetwork: Forbidden: when `hostUsers` is false',
        'spec.HostIPC: Forbidden: when `hostUsers` is false',
        'spec.initContainers[0].volumeDevices: Forbidden: when `hostUsers` is false',
      ],
    ],
    [
      'comparing tolerations have a gate that is off',
      { tolerations: [{ key: 'k', operator: 'Gt', value: '1' }] },
      ['spec.tolerations[0].operator: Unsupported value: "Gt": supported values: "Equal", "Exists", "Lt", "Gt"'],
    ],
    [
      'others have no other operator',
      { tolerations: [{ key: 'k', operator: 'In', value: '1' }] },
      ['spec.tolerations[0].operator: Unsupported value: "In": supported values: "Equal", "Exists"'],
    ],
    ['an operating system has a name', { os: { name: '' } }, ['spec.os.name: Required value']],
    [
      'init containers that end do not restart to be resized',
      {
        initContainers: [
          {
            ...init,
            resizePolicy: [
              { resourceName: 'cpu', restartPolicy: 'NotRequired' },
              { resourceName: 'memory', restartPolicy: 'RestartContainer' },
            ],
          },
        ],
      },
      [
        'spec.initContainers[0].resizePolicy[1].restartPolicy: Invalid value: "RestartContainer": must not be set to \'RestartContainer\' for non-sidecar initContainers',
      ],
    ],
    [
      'names come after the network, before classes',
      {
        nodeName: '-',
        hostname: '-',
        tolerations: [{ operator: 'x' }],
        priorityClassName: '-',
        overhead: { 'x y': '1' },
      },
      [
        'spec.nodeName',
        'spec.hostname',
        'spec.tolerations[0].operator',
        'spec.tolerations[0].operator',
        'spec.priorityClassName',
        'spec.overhead.limits[x y]',
        'spec.overhead.limits[x y]',
      ],
    ],
  ])('%s', (_name, spec, errors) => {
    const found = specErrors(spec);
    const fieldsOnly = errors.every((each) => !each.includes(': '));
    expect(fieldsOnly ? found.map((each) => each.split(':')[0]) : found.slice(0, errors.length)).toEqual(errors);
  });

  it('names its group, and files in its empty directories', () => {
    const at = 'spec.schedulingGroup.podGroupName';
    expect(gatedErrors({ schedulingGroup: {} })).toEqual([
      `${at}: Invalid value: null: must specify one of: \`podGroupName\``,
    ]);
    expect(gatedErrors({ schedulingGroup: { podGroupName: '' } })).toEqual([
      `${at}: Invalid value: "": must not be empty`,
    ]);
    expect(gatedErrors({ schedulingGroup: { podGroupName: 'a_b' } })[0]).toContain(
      `${at}: Invalid value: "a_b": a lowercase`,
    );
    const env = (volumeName: string, path = 'env') => [
      { name: 'A', valueFrom: { fileKeyRef: { volumeName, path, key: 'A' } } },
    ];
    const volumes: Volume[] = [
      { name: 'dir', emptyDir: {} },
      { name: 'host', hostPath: { path: '/x' } },
    ];
    const field = 'spec.containers[0].env[0].valueFrom.fileKeyRef';
    expect(specErrors({ volumes }, { env: env('dir', '..env') })).toEqual([]);
    expect(specErrors({ volumes }, { env: env('dir', 'a/../env') })).toEqual([
      `${field}.path: Invalid value: "a/../env": must not contain '..'`,
    ]);
    expect(specErrors({ volumes }, { env: env('host') })).toEqual([
      `${field}.volumeName: Invalid value: "host": referenced volume must be of type emptyDir`,
    ]);
    expect(specErrors({ volumes }, { env: env('none') })).toEqual([`${field}.volumeName: Not found: "none"`]);
  });

  it('asks of static pods that they claim nothing', () => {
    const mirror = podOf({ nodeName: 'n', resourceClaims: [{ name: 'c', resourceClaimName: 'c' }] });
    mirror.metadata.annotations = { 'kubernetes.io/config.mirror': 'x' };
    expect(createErrors(pod, mirror)).toEqual([': Forbidden: static pods do not support resource claims']);
  });
});

describe('resources of the pod as a whole', () => {
  const container: Partial<Container> = {
    resources: {
      limits: { cpu: '2', 'hugepages-2Mi': '4Mi', memory: '1Gi' },
      requests: { cpu: '2', 'hugepages-2Mi': '4Mi', memory: '1Gi' },
    },
  };
  it.each<[string, Partial<PodSpec>, string[]]>([
    ['cover nothing that they do not name', { resources: { limits: { memory: '2Gi' } } }, []],
    [
      'cover what the containers ask for, huge pages also as limits',
      { resources: { requests: { cpu: '1', 'hugepages-2Mi': '2Mi' }, limits: { cpu: '1', 'hugepages-2Mi': '2Mi' } } },
      [
        'spec.resources.requests[cpu]: Invalid value: "1": must be greater than or equal to aggregate container requests of 2',
        'spec.resources.requests[hugepages-2Mi]: Invalid value: "2Mi": must be greater than or equal to aggregate container requests of 4Mi',
        'spec.resources.limits[hugepages-2Mi]: Invalid value: "2Mi": must be greater than or equal to aggregate container limits of 4Mi',
        'spec.resources.containers[0][cpu].limits: Invalid value: "2": must be less than or equal to pod limits of 1',
        'spec.resources.containers[0][hugepages-2Mi].limits: Invalid value: "4Mi": must be less than or equal to pod limits of 2Mi',
      ],
    ],
    [
      'have no claims',
      { resources: { claims: [{ name: 'x' }] } },
      [
        'spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level',
        'spec.resources.claims[0]: Not found: "x": must be one of the names in pod.spec.resourceClaims which is empty',
      ],
    ],
    [
      'are not for Windows',
      { os: { name: 'windows' }, resources: { limits: { 'x y': '1' } } },
      ['spec.resources: Forbidden: may not be set for a windows pod'],
    ],
  ])('%s', (_name, spec, errors) => expect(specErrors(spec, container)).toEqual(errors));
});

describe('containers', () => {
  const at = 'spec.containers[0]';
  const rule = (action: string, operator?: string) => ({
    action,
    ...(operator !== undefined && { exitCodes: { operator, values: [1] } }),
  });
  it.each<[string, Partial<Container>, string[]]>([
    [
      'a rule without codes restarts on none',
      { restartPolicy: 'Never', restartPolicyRules: [{ action: 'Restart', exitCodes: { operator: 'In' } }] },
      [],
    ],
    [
      'rules need a policy',
      { restartPolicyRules: [rule('Restart', 'In')] },
      [`${at}.restartPolicy: Required value: must specify restartPolicy when restart rules are used`],
    ],
    [
      'what a rule says is known',
      { restartPolicy: 'x', restartPolicyRules: [rule('', ''), rule('RestartAllContainers')] },
      [
        `${at}.restartPolicy: Unsupported value: "x": supported values: "Always", "Never", "OnFailure"`,
        `${at}.restartPolicyRules[0].action: Unsupported value: "": supported values: "Restart"`,
        `${at}.restartPolicyRules[0].exitCodes.operator: Unsupported value: "": supported values: "In", "NotIn"`,
        `${at}.restartPolicyRules[1].exitCodes: Required value: must be specified`,
      ],
    ],
    [
      'not too many rules and codes',
      {
        restartPolicy: 'Never',
        restartPolicyRules: many(21, (i) => ({
          action: 'Restart',
          exitCodes: { operator: 'In', values: i === 0 ? many(256, (n) => n) : [1] },
        })),
      },
      [
        `${at}.restartPolicyRules: Too many: 21: must have at most 20 items`,
        `${at}.restartPolicyRules[0].exitCodes.values: Too many: 256: must have at most 255 items`,
      ],
    ],
    [
      'a claim is used once as a whole or by requests',
      {
        resources: {
          claims: [
            { name: 'a', request: 'x' },
            { name: 'a', request: 'x' },
            { name: 'a' },
            { name: 'a', request: 'y' },
            { name: '' },
          ],
        },
      },
      [
        `${at}.resources.claims[1]: Duplicate value: "a/x"`,
        `${at}.resources.claims[2]: Duplicate value: "a"`,
        `${at}.resources.claims[3]: Duplicate value: "a"`,
        `${at}.resources.claims[4]: Required value`,
      ],
    ],
    [
      'fields of the pod',
      {
        env: [
          { name: 'A', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'spec.host' } } },
          { name: 'B', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: "metadata.labels['a']['b']" } } },
          { name: 'C', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: "['b']" } } },
          { name: 'D', valueFrom: { resourceFieldRef: { resource: 'cpu', divisor: '2' } } },
        ],
      },
      [
        `${at}.env[1].valueFrom.fieldRef: Invalid value: "a']['b": name part must consist of`,
        `${at}.env[2].valueFrom.fieldRef.fieldPath: Invalid value: "['b']": error converting fieldPath: field label not supported: ['b']`,
        `${at}.env[3].valueFrom.resourceFieldRef.resource: Unsupported value: "cpu"`,
      ],
    ],
  ])('%s', (_name, container, errors) => {
    const found = specErrors({ resourceClaims: [{ name: 'a', resourceClaimName: 'a' }] }, container);
    expect(found).toHaveLength(errors.length);
    errors.forEach((each, i) => expect(found[i]).toContain(each));
  });

  it('of the beginning need a policy for rules, and nothing else is asked of them then', () => {
    const init = { name: 'i', image: 'i:1', restartPolicyRules: [{ action: 'x' }] };
    expect(specErrors({ initContainers: [init as Container] })).toEqual([
      'spec.initContainers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used',
    ]);
  });

  it('are not resized by a restart where nothing restarts', () => {
    const resizePolicy = [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }];
    expect(specErrors({ restartPolicy: 'Never' }, { resizePolicy })).toEqual([
      `${at}.resizePolicy: Invalid value: "RestartContainer": must be 'NotRequired' when pod \`restartPolicy\` is 'Never'`,
    ]);
  });

  it('stop by a signal of their system', () => {
    const lifecycle = { stopSignal: 'SIGUSR1' };
    const field = `${at}.lifecycle.stopSignal`;
    expect(gatedErrors({}, { lifecycle })).toEqual([
      `${field}: Forbidden: may not be set for containers with empty \`spec.os.name\``,
    ]);
    expect(gatedErrors({ os: { name: 'windows' } }, { lifecycle })).toEqual([
      `${field}: Unsupported value: "SIGUSR1": supported values: "SIGKILL", "SIGTERM"`,
    ]);
    expect(gatedErrors({ os: { name: '' } }, { lifecycle })).toEqual(['spec.os.name: Required value']);
    expect(gatedErrors({ os: { name: 'linux' } }, { lifecycle })).toEqual([]);
  });
});

describe('annotations', () => {
  const annotated = (annotations: Record<string, string>) => {
    const object = podOf();
    object.metadata.annotations = annotations;
    return object;
  };
  const COST = 'controller.kubernetes.io/pod-deletion-cost';
  it.each<[Record<string, string>, string[]]>([
    [{ [COST]: '-0' }, []],
    [{ [COST]: '+1' }, [`metadata.annotations[${COST}]: Invalid value: "+1": must be a 32bit integer`]],
    [{ [COST]: '2147483648' }, [`metadata.annotations[${COST}]: Invalid value: "2147483648": must be a 32bit integer`]],
    [
      { 'scheduler.alpha.kubernetes.io/tolerations': '[{"operator":"In","key":"k"}]' },
      [
        'metadata.annotations.scheduler.alpha.kubernetes.io/tolerations[0].operator: Unsupported value: "In": supported values: "Equal", "Exists"',
      ],
    ],
    [
      { 'scheduler.alpha.kubernetes.io/tolerations': '{' },
      ['metadata.annotations: Invalid value: "scheduler.alpha.kubernetes.io/tolerations": invalid JSON'],
    ],
    [
      { 'container.apparmor.security.beta.kubernetes.io/x': 'y', 'kubernetes.io/config.mirror': 'm' },
      [
        'metadata.annotations[kubernetes.io/config.mirror]: Invalid value: "m": must set spec.nodeName if mirror pod annotation is set',
        'metadata.annotations[container.apparmor.security.beta.kubernetes.io/x]: Invalid value: "x": container not found',
        'metadata.annotations[container.apparmor.security.beta.kubernetes.io/x]: Invalid value: "y": invalid AppArmor profile name: "y"',
      ],
    ],
  ])('%j', (annotations, errors) => expect(createErrors(pod, annotated(annotations))).toEqual(errors));

  it('are checked twice on an update, as upstream does', () => {
    const found = updateErrors(pod, annotated({ [COST]: '1' }), annotated({ [COST]: 'x' }));
    expect(found).toEqual(Array(2).fill(`metadata.annotations[${COST}]: Invalid value: "x": must be a 32bit integer`));
  });
});

describe('what a stored pod may keep', () => {
  const required = (value: string): Partial<PodSpec> => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'k', operator: 'In', values: [value] }] }],
        },
      },
    },
  });
  const selected = (value: string): Partial<PodSpec> => ({
    affinity: {
      podAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 't', labelSelector: { matchExpressions: [{ key: 'k', operator: 'In', values: [value] }] } },
        ],
      },
    },
  });
  const token = (path: string): Partial<PodSpec> => ({
    serviceAccountName: 'default',
    volumes: [{ name: 'v', projected: { sources: [{ serviceAccountToken: { path } }] } }],
  });
  const spread = (value: string): Partial<PodSpec> => ({
    topologySpreadConstraints: [
      {
        maxSkew: 1,
        topologyKey: 't',
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { k: value } },
      },
    ],
  });
  it.each<[string, Partial<PodSpec>]>([
    ['values of node affinity that no label has', required('a b')],
    ['values of selectors that no label has', selected('a b')],
    ['paths of tokens that leave the volume', token('../x')],
    ['selectors of spreading', spread('a b')],
    [
      'sysctls of the host',
      { hostNetwork: true, securityContext: { sysctls: [{ name: 'net.ipv4.ip_local_port_range', value: '1' }] } },
    ],
    ['user namespaces on the host network', { hostUsers: false, hostNetwork: true }],
  ])('%s', (_name, spec) => {
    expect(specErrors(spec)).toHaveLength(1);
    const before = podOf(spec);
    const after = podOf({ ...spec, activeDeadlineSeconds: 60 });
    expect(updateErrors(pod, before, after)).toEqual([]);
  });

  it('huge pages of odd sizes', () => {
    const resources = { limits: { 'hugepages-2Mi': '3Mi', cpu: '1' } };
    expect(specErrors({}, { resources })).toEqual(
      ['limits', 'requests'].map(
        (list) =>
          `spec.containers[0].resources.${list}[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi`,
      ),
    );
    const after = podOf({ activeDeadlineSeconds: 60 }, { resources });
    expect(updateErrors(pod, podOf({}, { resources }), after)).toEqual([]);
  });
});
