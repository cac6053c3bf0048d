// Rules of pods that the first tables leave out: operating systems, profiles in annotations, what a strategy changes, warnings.
import { describe, expect, it } from 'vitest';
import { formatValue } from '../field-error.ts';
import type { Container, ContainerStatus, Pod, PodSpec } from '../types/core-v1.ts';
import { deployment } from './deployment.ts';
import { pod } from './pod.ts';
import { CONTEXT, createErrors, created, podOf } from './testing.ts';

const windows = (spec: Partial<PodSpec>, container: Partial<Container> = {}) =>
  podOf({ os: { name: 'windows' }, ...spec }, container);
const hostProcess = (value: boolean): Partial<Container> => ({
  securityContext: { windowsOptions: { hostProcess: value } },
});
const userName = (name: string) => podOf({ securityContext: { windowsOptions: { runAsUserName: name } } });

describe('operating systems', () => {
  const message = 'Forbidden: cannot be set for a windows pod';
  it.each<[string, Pod, string[]]>([
    [
      'Windows refuses what is set, also to false',
      windows(
        { hostUsers: true, hostPID: true, shareProcessNamespace: false, securityContext: { fsGroup: 1 } },
        { securityContext: { privileged: false, readOnlyRootFilesystem: false } },
      ),
      [
        `spec.hostUsers: ${message}`,
        `spec.hostPID: ${message}`,
        `spec.securityContext.fsGroup: ${message}`,
        `spec.shareProcessNamespace: ${message}`,
        `spec.containers[0].securityContext.readOnlyRootFilesystem: ${message}`,
        `spec.containers[0].securityContext.privileged: ${message}`,
      ],
    ],
    [
      'Linux refuses what is Windows only',
      podOf({ os: { name: 'linux' } }, { securityContext: { windowsOptions: {} } }),
      ['spec.containers[0].securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod'],
    ],
    [
      'no other is known',
      podOf({ os: { name: 'plan9' } }),
      ['spec.os: Unsupported value: "plan9": supported values: "linux", "windows"'],
    ],
    ['a host process on the host network', podOf({ hostNetwork: true }, hostProcess(true)), []],
    [
      'a host process needs the host network',
      podOf({}, hostProcess(true)),
      ['spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers'],
    ],
    [
      'all or none are host processes, as the pod says',
      podOf(
        {
          hostNetwork: true,
          securityContext: { windowsOptions: { hostProcess: false } },
          initContainers: [{ name: 'i', image: 'i' }],
        },
        hostProcess(true),
      ),
      [
        'spec.containers[0].securityContext.windowsOptions.hostProcess: Invalid value: true: pod hostProcess value must be identical if both are specified, was false',
        'spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess containers',
      ],
    ],
  ])('%s', (_, each, messages) => expect(createErrors(pod, each)).toEqual(messages));

  it.each([
    ['ContainerUser', []],
    ['DOMAIN\\user', []],
    ['a.example.com\\user', []],
    ['', ['runAsUserName cannot be an empty string']],
    ['a\u0001b', ['runAsUserName cannot contain control characters']],
    ['a\\b\\c', ['runAsUserName cannot contain more than one backslash']],
    ['.domain\\user', ["runAsUserName's Domain doesn't match the NetBios nor the DNS format"]],
    ['domain\\', ["runAsUserName's User cannot be empty"]],
    ['...', ["runAsUserName's User cannot contain only periods or spaces"]],
    ['a'.repeat(105), ["runAsUserName's User length must not be longer than 104 characters"]],
    ['a:b', ['runAsUserName\'s User cannot contain the following characters: "/\\:;|=,+*?<>@[]']],
  ])('user %j', (name, messages) => {
    const field = 'spec.securityContext.windowsOptions.runAsUserName';
    expect(createErrors(pod, userName(name))).toEqual(
      messages.map((text) => `${field}: Invalid value: ${formatValue(name)}: ${text}`),
    );
  });
});

describe('profiles in annotations', () => {
  const annotated = (annotations: Record<string, string>, context: Container['securityContext'], spec = {}): Pod => {
    const each = podOf(spec, { securityContext: context });
    each.metadata.annotations = annotations;
    return each;
  };
  const apparmor = 'container.apparmor.security.beta.kubernetes.io/app';
  const seccomp = 'container.seccomp.security.alpha.kubernetes.io/app';

  it.each<[string, Pod, string[]]>([
    ['seccomp agrees', annotated({ [seccomp]: 'docker/default' }, { seccompProfile: { type: 'RuntimeDefault' } }), []],
    [
      'seccomp of another type',
      annotated({ [seccomp]: 'unconfined' }, { seccompProfile: { type: 'RuntimeDefault' } }),
      [
        'spec.containers[0].securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match',
      ],
    ],
    [
      'seccomp of another file',
      annotated({ [seccomp]: 'localhost/a' }, { seccompProfile: { type: 'Localhost', localhostProfile: 'b' } }),
      [
        'spec.containers[0].securityContext.seccompProfile.localhostProfile: Forbidden: seccomp profile in annotation and field must match',
      ],
    ],
    [
      'AppArmor of another type, inherited from the pod',
      annotated({ [apparmor]: 'localhost/x' }, { appArmorProfile: { type: 'Unconfined' } }),
      [
        'spec.containers[0].securityContext.appArmorProfile.type: Forbidden: apparmor type in annotation and field must match',
      ],
    ],
  ])('%s', (_, each, messages) => expect(createErrors(pod, each)).toEqual(messages));

  it('of templates too', () => {
    const template = annotated({ [seccomp]: 'unconfined' }, { seccompProfile: { type: 'RuntimeDefault' } });
    template.metadata.labels = { a: 'b' };
    const spec = { selector: { matchLabels: { a: 'b' } }, template };
    expect(createErrors(deployment, { metadata: { name: 'x' }, spec })).toEqual([
      'spec.template.spec.containers[0].securityContext.seccompProfile.type: Forbidden: seccomp type in annotation and field must match',
    ]);
  });

  it.each<[string, unknown, boolean]>([
    ['runtime/default', { type: 'RuntimeDefault' }, true],
    ['unconfined', { type: 'Unconfined' }, true],
    ['localhost/mine', { type: 'Localhost', localhostProfile: 'mine' }, true],
    ['', undefined, true],
  ])('AppArmor annotation %j becomes a field, with a warning', (value, profile) => {
    const object = annotated({ [apparmor]: value }, undefined);
    const warnings: string[] = [];
    pod.setDefaults?.(object);
    pod.prepareForCreate?.(object, { ...CONTEXT, warn: (text) => void warnings.push(text) });
    expect(object.spec?.containers[0]?.securityContext?.appArmorProfile).toEqual(profile);
    expect(warnings).toEqual([
      `metadata.annotations[${apparmor}]: deprecated since v1.30; use the "appArmorProfile" field instead`,
    ]);
  });

  it('leaves a field alone, and what the pod says already', () => {
    const field = { appArmorProfile: { type: 'RuntimeDefault' } };
    const same = created(pod, annotated({ [apparmor]: 'runtime/default' }, undefined, { securityContext: field }));
    expect(same.spec?.containers[0]?.securityContext).toBeUndefined();
  });
});

describe('the strategy', () => {
  it('selects by the labels of the pod where a spread constraint asks for it', () => {
    const each = podOf({
      topologySpreadConstraints: [
        {
          maxSkew: 1,
          topologyKey: 'zone',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: { matchLabels: { app: 'web' } },
          matchLabelKeys: ['rev', 'none'],
        },
      ],
    });
    each.metadata.labels = { app: 'web', rev: '1' };
    const object = created(pod, each);
    expect(object.spec?.topologySpreadConstraints?.[0]?.labelSelector).toEqual({
      matchLabels: { app: 'web' },
      matchExpressions: [{ key: 'rev', operator: 'In', values: ['1'] }],
    });
    expect(pod.validate(object)).toEqual([]);
    each.spec!.topologySpreadConstraints![0]!.matchLabelKeys = ['app'];
    expect(createErrors(pod, each)).toEqual([
      'spec.topologySpreadConstraints[0][0]: Invalid value: "app": exists in both matchLabelKeys and labelSelector',
    ]);
  });

  it('drops fields whose gates are off, unless they were there', () => {
    const gated = (): Pod =>
      podOf(
        {
          os: { name: 'linux' },
          schedulingGroup: { podGroupName: 'g' },
          volumes: [
            {
              name: 'v',
              projected: { sources: [{ clusterTrustBundle: { name: 'b', path: 'x' } }, { secret: { name: 's' } }] },
            },
          ],
        },
        { lifecycle: { stopSignal: 'SIGINT' } },
      );
    const { spec } = created(pod, gated());
    expect(spec?.containers[0]?.lifecycle).toBeUndefined();
    expect(spec?.schedulingGroup).toBeUndefined();
    expect(spec?.volumes?.[0]?.projected?.sources).toEqual([{}, { secret: { name: 's' } }]);
    const kept = gated();
    pod.prepareForUpdate?.(kept, gated(), CONTEXT);
    expect(kept.spec).toEqual(gated().spec);
  });

  it('drops which image a volume has, unless it was told', () => {
    const told = (): Pod => {
      const volumeMounts = [{ name: 'v', mountPath: '/v', volumeStatus: { image: { imageRef: 'x@sha256:0' } } }];
      return { ...podOf(), status: { containerStatuses: [{ name: 'app', volumeMounts } as ContainerStatus] } };
    };
    const now = told();
    pod.prepareForStatusUpdate?.(now, told(), CONTEXT);
    expect(now.status).toEqual(told().status);
    pod.prepareForStatusUpdate?.(now, podOf(), CONTEXT);
    expect(now.status?.containerStatuses?.[0]?.volumeMounts).toEqual([{ name: 'v', mountPath: '/v' }]);
  });

  it('keeps observed generations that a client leaves out', () => {
    const condition = (type: string, observedGeneration?: number) => ({ type, status: 'True', observedGeneration });
    const old = podOf();
    old.status = { observedGeneration: 3, conditions: [condition('A', 1), condition('A', 2), condition('B', 3)] };
    const now = podOf();
    now.status = { conditions: [condition('A'), condition('A', 7), condition('C')] };
    pod.prepareForStatusUpdate?.(now, old, CONTEXT);
    expect(now.status.observedGeneration).toBe(3);
    expect(now.status.conditions?.map((each) => each.observedGeneration)).toEqual([1, 7, undefined]);
  });
});

describe('warnings', () => {
  const term = (key: string) => ({ matchExpressions: [{ key, operator: 'Exists' }] });
  const old = 'beta.kubernetes.io/os';
  const REQUIRED = 'requiredDuringSchedulingIgnoredDuringExecution';
  it.each<[string, Pod, string[]]>([
    [
      'old labels in affinity',
      podOf({
        affinity: {
          nodeAffinity: {
            [REQUIRED]: { nodeSelectorTerms: [term(old)] },
            preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference: term(old) }],
          },
        },
      }),
      [
        'requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0]',
        'preferredDuringSchedulingIgnoredDuringExecution[0].preference',
      ].map(
        (at) =>
          `spec.affinity.nodeAffinity.${at}.matchExpressions[0].key: ${old} is deprecated since v1.14; use "kubernetes.io/os" instead`,
      ),
    ],
    [
      'selectors of nothing',
      podOf({ affinity: { podAntiAffinity: { [REQUIRED]: [{ topologyKey: 'zone' }] } } }),
      [`spec.affinity.podAntiAffinity.${REQUIRED}[0].labelSelector: a null labelSelector results in matching no pod`],
    ],
    [
      'a host address without a port there',
      podOf({}, { ports: [{ name: 'http', containerPort: 80, hostIP: '10.0.0.1' }] }),
      [
        'spec.containers[0].ports[0]: hostIP set without hostPort: {Name:http HostPort:0 ContainerPort:80 Protocol:TCP HostIP:10.0.0.1}',
      ],
    ],
    [
      'one port on every address and on one',
      podOf(
        {},
        {
          ports: [
            { containerPort: 80, hostPort: 80 },
            { containerPort: 80, hostPort: 80, hostIP: '10.0.0.1' },
          ],
        },
      ),
      ['spec.containers[0].ports[1]: dangerously ambiguous port definition with spec.containers[0].ports[0]'],
    ],
    [
      'a path that the token has',
      podOf({
        volumes: [
          {
            name: 'v',
            projected: {
              sources: [
                { serviceAccountToken: { path: 'token' } },
                { secret: { name: 's', items: [{ key: 'k', path: 'token' }] } },
              ],
            },
          },
        ],
      }),
      ['spec.volumes[0].projected.sources.secrets[0]: has duplicated path with ServiceAccountToken "token"'],
    ],
    [
      'addresses in another form',
      podOf({ hostAliases: [{ ip: 'FD00::1', hostnames: ['a'] }], dnsConfig: { nameservers: ['fd00:0::2'] } }),
      [
        'spec.hostAliases[0].ip: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")',
        'spec.dnsConfig.nameservers[0]: IPv6 address "fd00:0::2" should be in RFC 5952 canonical format ("fd00::2")',
      ],
    ],
  ])('%s', (_, each, texts) => expect(pod.warnings?.(created(pod, each))).toEqual(texts));

  it('of annotations, in a template', () => {
    const object = created(deployment, {
      metadata: { name: 'x' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: {
          metadata: {
            labels: { a: 'b' },
            annotations: {
              'scheduler.alpha.kubernetes.io/critical-pod': '',
              'seccomp.security.alpha.kubernetes.io/pod': 'unconfined',
              'container.apparmor.security.beta.kubernetes.io/app': 'unconfined',
            },
          },
          spec: podOf().spec,
        },
      },
    });
    const at = 'spec.template.metadata.annotations';
    expect(deployment.warnings?.(object)).toEqual([
      `${at}[scheduler.alpha.kubernetes.io/critical-pod]: non-functional in v1.16+; use the "priorityClassName" field instead`,
      `${at}[seccomp.security.alpha.kubernetes.io/pod]: non-functional in v1.27+; use the "seccompProfile" field instead`,
      `${at}[container.apparmor.security.beta.kubernetes.io/app]: deprecated since v1.30; use the "appArmorProfile" field instead`,
    ]);
  });
});
