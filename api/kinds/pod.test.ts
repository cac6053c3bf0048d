import { describe, expect, it } from 'vitest';
import type { Container, ContainerStatus, Pod, PodSpec } from '../types/core-v1.ts';
import { pod } from './pod.ts';
import { createErrors, created, messagesOf, podOf, updateErrors } from './testing.ts';

describe('defaults', () => {
  it('fill a minimal pod as upstream does', () => {
    const { spec, status } = created(pod, podOf());
    expect(spec).toEqual({
      containers: [
        {
          name: 'app',
          image: 'nginx:1',
          imagePullPolicy: 'IfNotPresent',
          resources: {},
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
        },
      ],
      dnsPolicy: 'ClusterFirst',
      enableServiceLinks: true,
      restartPolicy: 'Always',
      schedulerName: 'default-scheduler',
      securityContext: {},
      terminationGracePeriodSeconds: 30,
    });
    expect(status).toEqual({ phase: 'Pending', qosClass: 'BestEffort' });
  });

  it('are the same the second time', () => {
    const first = created(
      pod,
      podOf({ hostNetwork: true }, { ports: [{ containerPort: 80 }], livenessProbe: { exec: { command: ['x'] } } }),
    );
    const second = structuredClone(first);
    pod.setDefaults?.(second);
    expect(second).toEqual(first);
  });

  it.each([
    ['nginx', 'Always'],
    ['nginx:latest', 'Always'],
    ['nginx:1.27', 'IfNotPresent'],
    ['registry:5000/nginx', 'Always'],
    ['registry:5000/nginx:1', 'IfNotPresent'],
    ['nginx@sha256:abc', 'IfNotPresent'],
  ])('pull %s %s', (image, policy) => {
    expect(created(pod, podOf({}, { image })).spec?.containers[0]?.imagePullPolicy).toBe(policy);
  });

  it('complete probes, ports, env and volumes', () => {
    const { spec } = created(
      pod,
      podOf(
        {
          hostNetwork: true,
          serviceAccount: 'robot',
          volumes: [
            { name: 'none' },
            { name: 'secret', secret: { secretName: 's' } },
            { name: 'config', configMap: { name: 'c' } },
            { name: 'host', hostPath: { path: '/x' } },
            { name: 'all', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } },
          ],
        },
        {
          ports: [{ containerPort: 80 }],
          env: [{ name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } }],
          readinessProbe: { httpGet: { port: 80 } },
          resources: { limits: { cpu: '1', memory: '64Mi' }, requests: { cpu: '500m' } },
        },
      ),
    );
    const container = spec?.containers[0];
    expect(spec?.serviceAccountName).toBe('robot');
    expect(container?.ports).toEqual([{ containerPort: 80, hostPort: 80, protocol: 'TCP' }]);
    expect(container?.env?.[0]?.valueFrom?.fieldRef?.apiVersion).toBe('v1');
    expect(container?.readinessProbe).toEqual({
      httpGet: { port: 80, path: '/', scheme: 'HTTP' },
      timeoutSeconds: 1,
      periodSeconds: 10,
      successThreshold: 1,
      failureThreshold: 3,
    });
    expect(container?.resources?.requests).toEqual({ cpu: '500m', memory: '64Mi' });
    expect(spec?.volumes).toEqual([
      { name: 'none', emptyDir: {} },
      { name: 'secret', secret: { secretName: 's', defaultMode: 420 } },
      { name: 'config', configMap: { name: 'c', defaultMode: 420 } },
      { name: 'host', hostPath: { path: '/x', type: '' } },
      {
        name: 'all',
        projected: {
          defaultMode: 420,
          sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3600 } }],
        },
      },
    ]);
  });
});

const status = (more: Partial<ContainerStatus>): ContainerStatus => ({
  name: 'app',
  ready: false,
  restartCount: 0,
  image: '',
  imageID: '',
  ...more,
});

describe('create', () => {
  it('accepts what people write', () => {
    expect(
      createErrors(
        pod,
        podOf(
          {
            serviceAccountName: 'default',
            volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Gi' } }],
            initContainers: [
              { name: 'side', image: 'x', restartPolicy: 'Always', startupProbe: { tcpSocket: { port: 'http' } } },
            ],
            tolerations: [{ operator: 'Exists' }, { key: 'a', value: 'b', effect: 'NoExecute', tolerationSeconds: 3 }],
            securityContext: {
              runAsUser: 0,
              sysctls: [{ name: 'net.core.somaxconn', value: '1' }],
              seccompProfile: { type: 'RuntimeDefault' },
            },
            affinity: {
              nodeAffinity: {
                requiredDuringSchedulingIgnoredDuringExecution: {
                  nodeSelectorTerms: [{ matchExpressions: [{ key: 'n', operator: 'Gt', values: ['3'] }] }],
                },
              },
            },
          },
          {
            volumeMounts: [{ name: 'v', mountPath: '/data', subPath: 'a/b' }],
            env: [
              { name: 'with.dots-1', value: '' },
              { name: 'LABEL', valueFrom: { fieldRef: { fieldPath: "metadata.labels['a/b']" } } },
              { name: 'CPU', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '1m' } } },
            ],
            resources: { limits: { 'example.com/gpu': '1', cpu: '2' }, requests: { 'example.com/gpu': '1' } },
            lifecycle: { preStop: { sleep: { seconds: 5 } } },
            securityContext: { privileged: true, capabilities: { drop: ['ALL'] } },
          },
        ),
      ),
    ).toEqual([]);
  });

  const SPEC_RULES: [Partial<PodSpec>, string][] = [
    [{ containers: [] }, 'spec.containers: Required value'],
    [
      { restartPolicy: 'Sometimes' },
      'spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"',
    ],
    [{ dnsPolicy: 'None' }, 'spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
    [
      { dnsConfig: { nameservers: ['x'] } },
      'spec.dnsConfig.nameservers[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)',
    ],
    [
      { activeDeadlineSeconds: 0 },
      'spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive',
    ],
    [
      { nodeSelector: { a: '-' } },
      "spec.nodeSelector: Invalid value: \"-\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
    ],
    [
      { tolerations: [{ key: 'a', operator: 'Exists', value: 'b' }] },
      'spec.tolerations[0].operator: Invalid value: "b": value must be empty when `operator` is \'Exists\'',
    ],
    [
      { tolerations: [{ key: 'a', effect: 'Never' }] },
      'spec.tolerations[0].effect: Unsupported value: "Never": supported values: "NoSchedule", "PreferNoSchedule", "NoExecute"',
    ],
    [
      { securityContext: { runAsUser: -1 } },
      'spec.securityContext.runAsUser: Invalid value: -1: must be between 0 and 2147483647, inclusive',
    ],
    [
      { securityContext: { seccompProfile: { type: 'Odd' } } },
      'spec.securityContext.seccompProfile.type: Unsupported value: "Odd": supported values: "Localhost", "RuntimeDefault", "Unconfined"',
    ],
    [
      { hostNetwork: true, securityContext: { sysctls: [{ name: 'net.ipv4.x', value: '' }] } },
      'spec.securityContext.sysctls[0].name: Invalid value: "net.ipv4.x": may not be specified when \'hostNetwork\' is true',
    ],
    [{ hostUsers: false, hostPID: true }, 'spec.HostPID: Forbidden: when `hostUsers` is false'],
    [{ volumes: [{ name: 'v', secret: {} }] }, 'spec.volumes[0].secret.secretName: Required value'],
    [
      { volumes: [{ name: 'v', emptyDir: {}, hostPath: { path: '/' } }] },
      'spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type',
    ],
    [
      { volumes: [{ name: 'v', hostPath: { path: '/a/../b' } }] },
      'spec.volumes[0].hostPath.path: Invalid value: "/a/../b": must not contain \'..\'',
    ],
    [
      {
        volumes: [
          { name: 'v', emptyDir: {} },
          { name: 'v', emptyDir: {} },
        ],
      },
      'spec.volumes[1].name: Duplicate value: "v"',
    ],
    [
      { volumes: [{ name: 'v', configMap: { name: 'c', items: [{ key: 'k', path: '/abs' }] } }] },
      'spec.volumes[0].configMap.items[0].path: Invalid value: "/abs": must be a relative path',
    ],
    [
      { volumes: [{ name: 'v', secret: { secretName: 's', defaultMode: 512 } }] },
      'spec.volumes[0].secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive',
    ],
    [
      {
        serviceAccountName: 'x',
        volumes: [
          { name: 'v', projected: { sources: [{ serviceAccountToken: { path: 't', expirationSeconds: 5 } }] } },
        ],
      },
      'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes',
    ],
    [
      { topologySpreadConstraints: [{ maxSkew: 0, topologyKey: 'z', whenUnsatisfiable: 'DoNotSchedule' }] },
      'spec.topologySpreadConstraints[0].maxSkew: Invalid value: 0: must be greater than zero',
    ],
    [
      { affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: '' }] } } },
      'spec.affinity.podAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey: Required value: can not be empty',
    ],
    [
      { schedulingGates: [{ name: 'a' }], nodeName: 'n' },
      'spec.nodeName: Forbidden: cannot be set until all schedulingGates have been cleared',
    ],
    [
      { initContainers: [{ name: 'i', image: 'x', readinessProbe: { exec: { command: ['a'] } } }] },
      'spec.initContainers[0].readinessProbe: Forbidden: may not be set for init containers without restartPolicy=Always',
    ],
    [{ initContainers: [{ name: 'app', image: 'x' }] }, 'spec.initContainers[0].name: Duplicate value: "app"'],
    [
      { resources: { limits: { storage: '1' } } },
      'spec.resources.limits[storage]: Unsupported value: "storage": supported values: "cpu", "hugepages-", "memory"',
    ],
    [{ os: { name: 'plan9' } }, 'spec.os: Unsupported value: "plan9": supported values: "linux", "windows"'],
  ];
  it.each(SPEC_RULES)('spec %j', (spec, message) => {
    expect(createErrors(pod, podOf(spec))).toContain(message);
  });

  const CONTAINER_RULES: [Partial<Container>, string][] = [
    [{ image: '' }, 'spec.containers[0].image: Required value'],
    [{ image: ' a' }, 'spec.containers[0].image: Invalid value: " a": must not have leading or trailing whitespace'],
    [
      { name: 'Not_Good' },
      "spec.containers[0].name: Invalid value: \"Not_Good\": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
    ],
    [
      { imagePullPolicy: 'Often' },
      'spec.containers[0].imagePullPolicy: Unsupported value: "Often": supported values: "Always", "IfNotPresent", "Never"',
    ],
    [
      { ports: [{ containerPort: 70000 }] },
      'spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive',
    ],
    [
      { ports: [{ containerPort: 1, protocol: 'tcp' }] },
      'spec.containers[0].ports[0].protocol: Unsupported value: "tcp": supported values: "SCTP", "TCP", "UDP"',
    ],
    [
      {
        ports: [
          { containerPort: 1, name: 'a' },
          { containerPort: 2, name: 'a' },
        ],
      },
      'spec.containers[0].ports[1].name: Duplicate value: "a"',
    ],
    [
      {
        ports: [
          { containerPort: 1, hostPort: 8 },
          { containerPort: 2, hostPort: 8 },
        ],
      },
      'spec.containers[0].ports[1].hostPort: Duplicate value: "TCP//8"',
    ],
    [
      { env: [{ name: 'A=B' }] },
      'spec.containers[0].env[0].name: Invalid value: "A=B": a valid environment variable name must consist only of printable ASCII characters other than \'=\'',
    ],
    [
      { env: [{ name: 'A', value: 'x', valueFrom: { secretKeyRef: { name: 's', key: 'k' } } }] },
      'spec.containers[0].env[0].valueFrom: Invalid value: "": may not be specified when `value` is not empty',
    ],
    [
      { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.nope' } } }] },
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.nope": error converting fieldPath: field label not supported: spec.nope',
    ],
    [
      { env: [{ name: 'A', valueFrom: { fieldRef: { fieldPath: 'status.phase' } } }] },
      'spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "status.phase": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"',
    ],
    [
      { env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: '' } } }] },
      'spec.containers[0].env[0].valueFrom.configMapKeyRef.key: Required value',
    ],
    [
      { envFrom: [{}] },
      'spec.containers[0].envFrom: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
    ],
    [
      { volumeMounts: [{ name: 'gone', mountPath: '/a' }] },
      'spec.containers[0].volumeMounts[0].name: Not found: "gone"',
    ],
    [
      { resources: { limits: { cpu: '1' }, requests: { cpu: '2' } } },
      'spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1',
    ],
    [
      { resources: { limits: { memory: '-1' } } },
      'spec.containers[0].resources.limits[memory]: Invalid value: "-1": must be greater than or equal to 0',
    ],
    [
      { resources: { limits: { bogus: '1' } } },
      'spec.containers[0].resources.limits[bogus]: Invalid value: "bogus": must be a standard resource for containers',
    ],
    [
      { resources: { requests: { 'a.b/gpu': '1' } } },
      'spec.containers[0].resources.limits: Required value: Limit must be set for non overcommitable resources',
    ],
    [
      { resources: { limits: { 'a.b/gpu': '500m' } } },
      'spec.containers[0].resources.limits[a.b/gpu]: Invalid value: "500m": must be an integer',
    ],
    [{ livenessProbe: {} }, 'spec.containers[0].livenessProbe: Required value: must specify a handler type'],
    [
      { livenessProbe: { exec: { command: ['a'] }, httpGet: { port: 1 } } },
      'spec.containers[0].livenessProbe.httpGet: Forbidden: may not specify more than 1 handler type',
    ],
    [
      { livenessProbe: { exec: { command: ['a'] }, successThreshold: 2 } },
      'spec.containers[0].livenessProbe.successThreshold: Invalid value: 2: must be 1',
    ],
    [
      { readinessProbe: { httpGet: { port: 0 } } },
      'spec.containers[0].readinessProbe.httpGet.port: Invalid value: 0: must be between 1 and 65535, inclusive',
    ],
    [
      { lifecycle: { preStop: { sleep: { seconds: 31 } } } },
      'spec.containers[0].lifecycle.preStop.sleep: Invalid value: 31: must be non-negative and less than terminationGracePeriodSeconds (30)',
    ],
    [
      { securityContext: { allowPrivilegeEscalation: false, privileged: true } },
      'spec.containers[0].securityContext: Invalid value: {"allowPrivilegeEscalation":false,"privileged":true}: cannot set `allowPrivilegeEscalation` to false and `privileged` to true',
    ],
    [
      { securityContext: { procMount: 'Unmasked' } },
      'spec.containers[0].securityContext.procMount: Invalid value: "Unmasked": `hostUsers` must be false to use `Unmasked`',
    ],
    [
      { terminationMessagePolicy: 'x' },
      'spec.containers[0].terminationMessagePolicy: Unsupported value: "x": supported values: "File", "FallbackToLogsOnError"',
    ],
  ];
  it.each(CONTAINER_RULES)('container %j', (container, message) => {
    expect(createErrors(pod, podOf({}, container))).toContain(message);
  });

  it('reports a missing spec by what it lacks', () => {
    expect(createErrors(pod, { metadata: { name: 'a' } })).toEqual(['spec.containers: Required value']);
  });
});

describe('update', () => {
  it('allows a new image, more tolerations and a shorter deadline', () => {
    const before = podOf({ activeDeadlineSeconds: 9 });
    const after = podOf({ activeDeadlineSeconds: 5, tolerations: [{ operator: 'Exists' }] }, { image: 'nginx:2' });
    expect(updateErrors(pod, before, after)).toEqual([]);
  });

  it('refuses the rest and says what changed', () => {
    expect(updateErrors(pod, podOf(), podOf({ hostname: 'other' }))).toEqual([
      'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)\n+ spec.hostname: "other"',
    ]);
  });

  it.each<[Pod, Pod, string]>([
    [podOf(), podOf({ containers: [] }), 'spec.containers: Forbidden: pod updates may not add or remove containers'],
    [
      podOf({ tolerations: [{ operator: 'Exists' }] }),
      podOf(),
      'spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds',
    ],
    [
      podOf({ activeDeadlineSeconds: 5 }),
      podOf({ activeDeadlineSeconds: 9 }),
      'spec.activeDeadlineSeconds: Invalid value: 9: must be less than or equal to previous value',
    ],
    [
      podOf({ schedulingGates: [{ name: 'a' }] }),
      podOf({ schedulingGates: [{ name: 'b' }] }),
      "spec.schedulingGates[0].name: Forbidden: only deletion is allowed, but found new scheduling gate 'b'",
    ],
    [
      podOf({ schedulingGates: [{ name: 'a' }], nodeSelector: { x: 'y' } }),
      podOf({ schedulingGates: [{ name: 'a' }] }),
      'spec.nodeSelector: Invalid value: null: only additions to spec.nodeSelector are allowed (no mutations or deletions)',
    ],
  ])('%#', (before, after, message) => {
    expect(updateErrors(pod, before, after)).toContain(message);
  });

  it('lets a gated pod be narrowed', () => {
    const gates = [{ name: 'a' }];
    const after = podOf({
      schedulingGates: gates,
      nodeSelector: { zone: 'a' },
      affinity: {
        nodeAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: [{ matchExpressions: [{ key: 'k', operator: 'Exists' }] }],
          },
        },
      },
    });
    expect(updateErrors(pod, podOf({ schedulingGates: gates }), after)).toEqual([]);
  });

  it('keeps the quality of service and the end of containers in the status', () => {
    const ended = (state: ContainerStatus['state']): Pod => ({
      ...podOf({ restartPolicy: 'Never' }),
      status: { qosClass: 'BestEffort', containerStatuses: [status({ state })] },
    });
    const old = ended({ terminated: { exitCode: 1 } });
    const now = ended({ running: {} });
    expect(messagesOf(pod.validateStatusUpdate?.(now, old) ?? [])).toEqual([
      'status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state',
    ]);
    const other = { ...old, status: { ...old.status, qosClass: 'Burstable' } };
    expect(messagesOf(pod.validateStatusUpdate?.(other, old) ?? [])).toEqual([
      'status.qosClass: Invalid value: "Burstable": field is immutable',
    ]);
  });
});

describe('graceful deletion', () => {
  const running = podOf({ nodeName: 'n', terminationGracePeriodSeconds: 30 });
  it.each<[string, Pod, number | undefined, number]>([
    ['unassigned', podOf({ terminationGracePeriodSeconds: 30 }), undefined, 0],
    ['ended', { ...running, status: { phase: 'Failed' } }, 10, 0],
    ['running', running, undefined, 30],
    ['asked for', running, 5, 5],
    ['forced', running, 0, 0],
    ['negative', running, -1, 1],
  ])('%s', (_, object, requested, seconds) => {
    expect(pod.gracefulDelete?.(object, requested)).toEqual({ gracePeriodSeconds: seconds });
  });
});

it('adds selector expressions for matchLabelKeys', () => {
  const object = podOf({
    affinity: {
      podAntiAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: [
          { topologyKey: 'z', labelSelector: {}, matchLabelKeys: ['hash'] },
        ],
      },
    },
  });
  object.metadata.labels = { hash: '1' };
  const term = created(pod, object).spec?.affinity?.podAntiAffinity
    ?.requiredDuringSchedulingIgnoredDuringExecution?.[0];
  expect(term?.labelSelector).toEqual({ matchExpressions: [{ key: 'hash', operator: 'In', values: ['1'] }] });
});

it('warns of what is probably a mistake', () => {
  const object = created(pod, {
    ...podOf(
      { nodeSelector: { 'beta.kubernetes.io/os': 'linux' } },
      {
        env: [
          { name: 'A', value: '1' },
          { name: 'A', value: '2' },
        ],
      },
    ),
    metadata: { name: 'a.b' },
  });
  expect(pod.warnings?.(object)).toEqual([
    "metadata.name: this is used in the Pod's hostname, which can result in surprising behavior; a DNS label is recommended: [must not contain dots]",
    'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
    'spec.containers[0].env[1]: hides previous definition of "A", which may be dropped when using apply',
  ]);
});
