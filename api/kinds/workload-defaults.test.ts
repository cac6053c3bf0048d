// Objects with every optional part that has defaults inside, each as empty as it may be: what comes with the parts of a part, for
// pods, for templates wherever they stand, and for the other parts of workloads. From upstream's SetDefaults_* alone.
import { describe, expect, it } from 'vitest';
import type { Kind } from '../kind.ts';
import { type Added, added, scheme } from './testing-defaults.ts';

const kindOf = (group: string, resource: string, version = 'v1') => scheme.byResource(group, version, resource) as Kind;

const env = [
  { name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
  { name: 'B', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } },
  { name: 'C', valueFrom: { fileKeyRef: { volumeName: 'a', path: 'p', key: 'C' } } },
  { name: 'D', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } },
];
const container = (name: string, image: string) => ({
  name,
  image,
  env,
  ports: [{ containerPort: 80 }],
  livenessProbe: { httpGet: { port: 80 } },
  readinessProbe: { grpc: { port: 80 } },
  startupProbe: { exec: {} },
  lifecycle: { postStart: { httpGet: { port: 80 } }, preStop: { tcpSocket: { port: 80 } } },
  securityContext: { capabilities: {}, seccompProfile: { type: 'RuntimeDefault' } },
  resources: { limits: { cpu: '1' } },
  resizePolicy: [{ resourceName: 'cpu', restartPolicy: 'NotRequired' }],
});
const files = [
  { path: 'a', fieldRef: { fieldPath: 'metadata.name' } },
  { path: 'b', resourceFieldRef: { containerName: 'app', resource: 'limits.cpu' } },
];
const VOLUMES = [
  { name: 'nothing' },
  { name: 'dir', emptyDir: {} },
  { name: 'host', hostPath: { path: '/h' } },
  { name: 'secret', secret: { secretName: 's' } },
  { name: 'map', configMap: { name: 'c' } },
  { name: 'down', downwardAPI: { items: files } },
  {
    name: 'projected',
    projected: {
      sources: [
        { serviceAccountToken: { path: 't' } },
        { downwardAPI: { items: files } },
        { configMap: {} },
        { secret: {} },
      ],
    },
  },
  { name: 'claim', ephemeral: { volumeClaimTemplate: { spec: {} } } },
  { name: 'image', image: { reference: 'r:1' } },
  { name: 'latest', image: { reference: 'r' } },
  { name: 'iscsi', iscsi: { targetPortal: 'p', iqn: 'iqn.2001-04.a:b', lun: 0 } },
  { name: 'rbd', rbd: { monitors: ['m'], image: 'i' } },
  { name: 'azure', azureDisk: { diskName: 'd', diskURI: 'u' } },
  { name: 'scale', scaleIO: { gateway: 'g', system: 's', secretRef: { name: 's' } } },
];
/** What has no defaults of its own, so that the test knows when it gets some. */
const PLAIN = {
  affinity: { nodeAffinity: {}, podAffinity: {}, podAntiAffinity: {} },
  dnsConfig: {},
  topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 't', whenUnsatisfiable: 'DoNotSchedule' }],
  tolerations: [{ operator: 'Exists' }],
  hostAliases: [{ ip: '10.0.0.1' }],
  readinessGates: [{ conditionType: 'a' }],
  overhead: { cpu: '1' },
  os: { name: 'linux' },
  resourceClaims: [{ name: 'c' }],
};
const podSpec = (more: object = {}) => ({
  containers: [container('app', 'app:1')],
  initContainers: [container('init', 'init')],
  volumes: VOLUMES,
  ...PLAIN,
  ...more,
});

const PROBE = { timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 };
const HTTP = { path: '/', scheme: 'HTTP' };

function under(at: string, members: object): Added {
  return Object.fromEntries(Object.entries(members).map(([name, value]) => [`${at}.${name}`, value]));
}

const ofContainer = (at: string, imagePullPolicy: string): Added => ({
  ...under(at, {
    imagePullPolicy,
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
    'ports[0].protocol': 'TCP',
    'env[0].valueFrom.fieldRef.apiVersion': 'v1',
    'env[1].valueFrom.resourceFieldRef.divisor': '0',
    'env[2].valueFrom.fileKeyRef.optional': false,
    'readinessProbe.grpc.service': '',
  }),
  ...under(`${at}.livenessProbe`, PROBE),
  ...under(`${at}.livenessProbe.httpGet`, HTTP),
  ...under(`${at}.readinessProbe`, PROBE),
  ...under(`${at}.startupProbe`, PROBE),
  ...under(`${at}.lifecycle.postStart.httpGet`, HTTP),
});

/** What a specification gets in a pod and in a template alike. */
const ofSpec = (at: string): Added => ({
  ...ofContainer(`${at}.containers[0]`, 'IfNotPresent'),
  ...ofContainer(`${at}.initContainers[0]`, 'Always'),
  ...under(at, {
    dnsPolicy: 'ClusterFirst',
    restartPolicy: 'Always',
    schedulerName: 'default-scheduler',
    terminationGracePeriodSeconds: 30,
    securityContext: {},
    'volumes[0].emptyDir': {},
    'volumes[2].hostPath.type': '',
    'volumes[3].secret.defaultMode': 0o644,
    'volumes[4].configMap.defaultMode': 0o644,
    'volumes[5].downwardAPI.defaultMode': 0o644,
    'volumes[5].downwardAPI.items[0].fieldRef.apiVersion': 'v1',
    'volumes[5].downwardAPI.items[1].resourceFieldRef.divisor': '0',
    'volumes[6].projected.defaultMode': 0o644,
    'volumes[6].projected.sources[0].serviceAccountToken.expirationSeconds': 3600,
    'volumes[6].projected.sources[1].downwardAPI.items[0].fieldRef.apiVersion': 'v1',
    'volumes[6].projected.sources[1].downwardAPI.items[1].resourceFieldRef.divisor': '0',
    'volumes[7].ephemeral.volumeClaimTemplate.spec.volumeMode': 'Filesystem',
    'volumes[8].image.pullPolicy': 'IfNotPresent',
    'volumes[9].image.pullPolicy': 'Always',
    'volumes[10].iscsi.iscsiInterface': 'default',
  }),
  ...under(`${at}.volumes[11].rbd`, { pool: 'rbd', user: 'admin', keyring: '/etc/ceph/keyring' }),
  ...under(`${at}.volumes[12].azureDisk`, {
    cachingMode: 'ReadWrite',
    kind: 'Shared',
    fsType: 'ext4',
    readOnly: false,
  }),
  ...under(`${at}.volumes[13].scaleIO`, { storageMode: 'ThinProvisioned', fsType: 'xfs' }),
});

const withoutRestarts = (at: string): Added => {
  const { [`${at}.restartPolicy`]: _, ...rest } = ofSpec(at);
  return rest;
};
const labels = { app: 'web' };
const template = (more?: object) => ({ metadata: { labels }, spec: podSpec(more) });

describe('what the parts of parts get', () => {
  it('in a pod', () => {
    const ephemeral = { ...container('debug', 'debug'), targetContainerName: 'app' };
    const spec = podSpec({
      ephemeralContainers: [ephemeral],
      hostNetwork: true,
      serviceAccount: 'old',
      resources: { limits: { memory: '1Gi' } },
    });
    expect(added(kindOf('', 'pods'), { spec, status: { podIP: '10.0.0.1' } })).toEqual({
      ...ofSpec('spec'),
      ...ofContainer('spec.ephemeralContainers[0]', 'Always'),
      'spec.enableServiceLinks': true,
      'spec.serviceAccountName': 'old',
      'spec.containers[0].ports[0].hostPort': 80,
      'spec.initContainers[0].ports[0].hostPort': 80,
      'spec.containers[0].resources.requests.cpu': '1',
      'spec.initContainers[0].resources.requests.cpu': '1',
      'spec.resources.requests.cpu': '1',
      'spec.resources.requests.memory': '1Gi',
      'status.podIPs[0].ip': '10.0.0.1',
    });
  });

  it('in a template that stands alone', () =>
    expect(added(kindOf('', 'podtemplates'), { template: template() })).toEqual(ofSpec('template.spec')));

  it.each<[string, string, object, Added]>([
    [
      '',
      'replicationcontrollers',
      {},
      { 'spec.selector.app': 'web', 'metadata.labels.app': 'web', 'spec.replicas': 1 },
    ],
    ['apps', 'replicasets', { selector: {} }, { 'spec.replicas': 1 }],
    [
      'apps',
      'deployments',
      { selector: {}, strategy: { rollingUpdate: {} } },
      {
        'spec.replicas': 1,
        'spec.strategy.type': 'RollingUpdate',
        'spec.strategy.rollingUpdate.maxUnavailable': '25%',
        'spec.strategy.rollingUpdate.maxSurge': '25%',
        'spec.revisionHistoryLimit': 10,
        'spec.progressDeadlineSeconds': 600,
      },
    ],
    [
      'apps',
      'daemonsets',
      { selector: {}, updateStrategy: { rollingUpdate: { maxSurge: 1 } } },
      {
        'spec.updateStrategy.type': 'RollingUpdate',
        'spec.updateStrategy.rollingUpdate.maxUnavailable': 1,
        'spec.revisionHistoryLimit': 10,
      },
    ],
    [
      'apps',
      'statefulsets',
      {
        selector: {},
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: {} },
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete' },
        ordinals: {},
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: {} }],
      },
      {
        'spec.podManagementPolicy': 'OrderedReady',
        'spec.updateStrategy.rollingUpdate.partition': 0,
        'spec.persistentVolumeClaimRetentionPolicy.whenScaled': 'Retain',
        'spec.replicas': 1,
        'spec.revisionHistoryLimit': 10,
        'spec.volumeClaimTemplates[0].apiVersion': 'v1',
        'spec.volumeClaimTemplates[0].kind': 'PersistentVolumeClaim',
        'spec.volumeClaimTemplates[0].spec.volumeMode': 'Filesystem',
        'spec.volumeClaimTemplates[0].status.phase': 'Pending',
      },
    ],
  ])('in a workload of %s %s', (group, resource, rest, expected) => {
    const spec = { template: template(), ...rest };
    expect(added(kindOf(group, resource), { spec })).toEqual({ ...ofSpec('spec.template.spec'), ...expected });
  });

  const policies = {
    podFailurePolicy: { rules: [{ action: 'Ignore', onPodConditions: [{ type: 'DisruptionTarget' }] }] },
    successPolicy: { rules: [{}] },
    backoffLimitPerIndex: 1,
  };
  it('in a Job', () => {
    const spec = { template: template({ restartPolicy: 'Never' }), parallelism: 2, ...policies };
    expect(added(kindOf('batch', 'jobs'), { spec })).toEqual({
      ...withoutRestarts('spec.template.spec'),
      'metadata.labels.app': 'web',
      'spec.backoffLimit': 2147483647,
      'spec.completionMode': 'NonIndexed',
      'spec.suspend': false,
      'spec.manualSelector': false,
      'spec.podReplacementPolicy': 'Failed',
      'spec.podFailurePolicy.rules[0].onPodConditions[0].status': 'True',
    });
  });

  it('in a CronJob, whose Jobs get theirs when they are made', () => {
    const job = { template: template({ restartPolicy: 'Never' }), ...policies };
    const at = 'spec.jobTemplate.spec';
    expect(added(kindOf('batch', 'cronjobs'), { spec: { schedule: '@daily', jobTemplate: { spec: job } } })).toEqual({
      ...withoutRestarts(`${at}.template.spec`),
      'spec.concurrencyPolicy': 'Allow',
      'spec.suspend': false,
      'spec.successfulJobsHistoryLimit': 3,
      'spec.failedJobsHistoryLimit': 1,
      [`${at}.podFailurePolicy.rules[0].onPodConditions[0].status`]: 'True',
    });
  });

  it('in an autoscaler: nothing in metrics that are named, rules in both directions', () => {
    const target = { type: 'Value' };
    const metrics = [
      { type: 'Resource', resource: { name: 'cpu', target } },
      { type: 'ContainerResource', containerResource: { name: 'cpu', container: 'app', target } },
      { type: 'Pods', pods: { metric: { name: 'm', selector: {} }, target } },
      { type: 'Object', object: { describedObject: { kind: 'k', name: 'n' }, metric: { name: 'm' }, target } },
      { type: 'External', external: { metric: { name: 'm' }, target } },
    ];
    const percent = { type: 'Percent', value: 100, periodSeconds: 15 };
    const spec = { scaleTargetRef: { kind: 'k', name: 'n' }, maxReplicas: 1, metrics, behavior: {} };
    expect(added(kindOf('autoscaling', 'horizontalpodautoscalers', 'v2'), { spec })).toEqual({
      'spec.minReplicas': 1,
      ...under('spec.behavior.scaleUp', { stabilizationWindowSeconds: 0, selectPolicy: 'Max' }),
      ...under('spec.behavior.scaleUp.policies[0]', { type: 'Pods', value: 4, periodSeconds: 15 }),
      ...under('spec.behavior.scaleUp.policies[1]', percent),
      'spec.behavior.scaleDown.selectPolicy': 'Max',
      ...under('spec.behavior.scaleDown.policies[0]', percent),
    });
  });

  it.each([
    ['policy', 'poddisruptionbudgets', { spec: { selector: {}, minAvailable: 0 }, status: {} }],
    ['apps', 'controllerrevisions', { data: {}, revision: 0 }],
  ])('in one of %s %s: nothing', (group, resource, sent) => {
    expect(added(kindOf(group, resource), sent)).toEqual({});
  });
});
