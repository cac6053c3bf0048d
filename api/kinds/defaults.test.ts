// What a server adds to the least of each kind, and to fuller objects, as upstream's SetDefaults_* do. To a kind
// that is not in the table nothing is added.
import { describe, expect, it } from 'vitest';
import { decodeObject } from '../codec.ts';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { builtinKinds } from './index.ts';
import { type Added, added, kindName, scheme } from './testing-defaults.ts';
import { SAMPLES } from './testing-samples.ts';

/** Of a pod specification with one container; its restart policy is given where a kind wants another. */
const podSpec = (at: string, rest: Added = { restartPolicy: 'Always' }): Added => {
  const container = {
    imagePullPolicy: 'IfNotPresent',
    terminationMessagePath: '/dev/termination-log',
    terminationMessagePolicy: 'File',
  };
  const own = {
    dnsPolicy: 'ClusterFirst',
    schedulerName: 'default-scheduler',
    terminationGracePeriodSeconds: 30,
    securityContext: {},
    ...rest,
  };
  return {
    ...Object.fromEntries(Object.entries(container).map(([name, value]) => [`${at}.containers[0].${name}`, value])),
    ...Object.fromEntries(Object.entries(own).map(([name, value]) => [`${at}.${name}`, value])),
  };
};
const TEMPLATE = podSpec('spec.template.spec');
const webhook = {
  'webhooks[0].failurePolicy': 'Fail',
  'webhooks[0].matchPolicy': 'Equivalent',
  'webhooks[0].namespaceSelector': {},
  'webhooks[0].objectSelector': {},
  'webhooks[0].timeoutSeconds': 10,
};
const policy = {
  'spec.matchConstraints.resourceRules[0].scope': '*',
  'spec.matchConstraints.matchPolicy': 'Equivalent',
  'spec.matchConstraints.namespaceSelector': {},
  'spec.matchConstraints.objectSelector': {},
  'spec.failurePolicy': 'Fail',
};

const MINIMAL: Record<string, Added> = {
  'endpoints v1': { 'subsets[0].ports[0].protocol': 'TCP' },
  // In Go these are written also when they are empty.
  'events v1': { reportingComponent: '', reportingInstance: '' },
  'limitranges v1': { 'spec.limits[0].default.cpu': '2', 'spec.limits[0].defaultRequest.cpu': '2' },
  'namespaces v1': { 'metadata.labels.kubernetes.io/metadata.name': 'x' },
  'persistentvolumeclaims v1': { 'spec.volumeMode': 'Filesystem', 'status.phase': 'Pending' },
  'persistentvolumes v1': {
    'spec.hostPath.type': '',
    'spec.persistentVolumeReclaimPolicy': 'Retain',
    'spec.volumeMode': 'Filesystem',
    'status.phase': 'Pending',
  },
  'pods v1': { ...podSpec('spec'), 'spec.enableServiceLinks': true },
  'podtemplates v1': podSpec('template.spec'),
  'replicationcontrollers v1': { ...TEMPLATE, 'spec.replicas': 1, 'metadata.labels.app': 'web' },
  'secrets v1': { type: 'Opaque' },
  'services v1': {
    'spec.ports[0].protocol': 'TCP',
    'spec.ports[0].targetPort': 80,
    'spec.sessionAffinity': 'None',
    'spec.type': 'ClusterIP',
    'spec.internalTrafficPolicy': 'Cluster',
  },
  'daemonsets.apps v1': {
    ...TEMPLATE,
    'spec.updateStrategy.type': 'RollingUpdate',
    'spec.updateStrategy.rollingUpdate.maxUnavailable': 1,
    'spec.updateStrategy.rollingUpdate.maxSurge': 0,
    'spec.revisionHistoryLimit': 10,
  },
  'deployments.apps v1': {
    ...TEMPLATE,
    'spec.replicas': 1,
    'spec.strategy.type': 'RollingUpdate',
    'spec.strategy.rollingUpdate.maxUnavailable': '25%',
    'spec.strategy.rollingUpdate.maxSurge': '25%',
    'spec.revisionHistoryLimit': 10,
    'spec.progressDeadlineSeconds': 600,
  },
  'replicasets.apps v1': { ...TEMPLATE, 'spec.replicas': 1 },
  'statefulsets.apps v1': {
    ...TEMPLATE,
    'spec.podManagementPolicy': 'OrderedReady',
    'spec.updateStrategy.type': 'RollingUpdate',
    'spec.updateStrategy.rollingUpdate.partition': 0,
    'spec.persistentVolumeClaimRetentionPolicy.whenDeleted': 'Retain',
    'spec.persistentVolumeClaimRetentionPolicy.whenScaled': 'Retain',
    'spec.replicas': 1,
    'spec.revisionHistoryLimit': 10,
  },
  'cronjobs.batch v1': {
    ...podSpec('spec.jobTemplate.spec.template.spec', {}),
    'spec.concurrencyPolicy': 'Allow',
    'spec.suspend': false,
    'spec.successfulJobsHistoryLimit': 3,
    'spec.failedJobsHistoryLimit': 1,
  },
  'jobs.batch v1': {
    ...podSpec('spec.template.spec', {}),
    'spec.completions': 1,
    'spec.parallelism': 1,
    'spec.backoffLimit': 6,
    'spec.completionMode': 'NonIndexed',
    'spec.suspend': false,
    'spec.manualSelector': false,
    'spec.podReplacementPolicy': 'TerminatingOrFailed',
  },
  'endpointslices.discovery.k8s.io v1': { 'ports[0].name': '', 'ports[0].protocol': 'TCP' },
  'networkpolicies.networking.k8s.io v1': { 'spec.policyTypes[0]': 'Ingress' },
  'rolebindings.rbac.authorization.k8s.io v1': { 'roleRef.apiGroup': 'rbac.authorization.k8s.io' },
  'clusterrolebindings.rbac.authorization.k8s.io v1': { 'roleRef.apiGroup': 'rbac.authorization.k8s.io' },
  'priorityclasses.scheduling.k8s.io v1': { preemptionPolicy: 'PreemptLowerPriority' },
  'storageclasses.storage.k8s.io v1': { reclaimPolicy: 'Delete', volumeBindingMode: 'Immediate' },
  'customresourcedefinitions.apiextensions.k8s.io v1': {
    'spec.names.listKind': 'BoatList',
    'spec.conversion.strategy': 'None',
  },
  'apiservices.apiregistration.k8s.io v1': { 'spec.service.port': 443 },
  'csidrivers.storage.k8s.io v1': {
    'spec.attachRequired': true,
    'spec.podInfoOnMount': false,
    'spec.storageCapacity': false,
    'spec.fsGroupPolicy': 'ReadWriteOnceWithFSType',
    'spec.volumeLifecycleModes[0]': 'Persistent',
    'spec.requiresRepublish': false,
    'spec.seLinuxMount': false,
  },
  'horizontalpodautoscalers.autoscaling v2': {
    'spec.minReplicas': 1,
    'spec.metrics[0].type': 'Resource',
    'spec.metrics[0].resource.name': 'cpu',
    'spec.metrics[0].resource.target.type': 'Utilization',
    'spec.metrics[0].resource.target.averageUtilization': 80,
  },
  'horizontalpodautoscalers.autoscaling v1': { 'spec.minReplicas': 1, 'spec.targetCPUUtilizationPercentage': 80 },
  'mutatingadmissionpolicies.admissionregistration.k8s.io v1': policy,
  'validatingadmissionpolicies.admissionregistration.k8s.io v1': policy,
  'mutatingwebhookconfigurations.admissionregistration.k8s.io v1': {
    ...webhook,
    'webhooks[0].reinvocationPolicy': 'Never',
  },
  'validatingwebhookconfigurations.admissionregistration.k8s.io v1': webhook,
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io v1': {
    'spec.limited.nominalConcurrencyShares': 30,
    'spec.limited.lendablePercent': 0,
  },
  'resourceclaims.resource.k8s.io v1': {
    'spec.devices.requests[0].exactly.allocationMode': 'ExactCount',
    'spec.devices.requests[0].exactly.count': 1,
  },
  'resourceclaimtemplates.resource.k8s.io v1': {
    'spec.spec.devices.requests[0].exactly.allocationMode': 'ExactCount',
    'spec.spec.devices.requests[0].exactly.count': 1,
  },
};

describe('the least of each kind gets', () => {
  it.each(
    builtinKinds
      .filter((kind) => SAMPLES[kindName(kind).split(' ')[0] as string])
      .map((kind) => [kindName(kind), kind] as const),
  )('%s', (name, kind) =>
    expect(added(kind, SAMPLES[name.split(' ')[0] as string] as KubeObject)).toEqual(MINIMAL[name] ?? {}),
  );

  it('and no kind is named that there is not', () => {
    const names = new Set(builtinKinds.map(kindName));
    expect(Object.keys(MINIMAL).filter((name) => !names.has(name))).toEqual([]);
  });
});

const kindOf = (group: string, resource: string, version = 'v1') => scheme.byResource(group, version, resource) as Kind;
const container = (more: object, spec: object = {}) => ({
  spec: { containers: [{ name: 'a', image: 'a:1', ...more }], ...spec },
});
const ofPod = (sent: object): Added => {
  const base = added(kindOf('', 'pods'), container({}));
  return Object.fromEntries(Object.entries(added(kindOf('', 'pods'), sent)).filter(([path]) => !(path in base)));
};

describe('fuller objects get', () => {
  const at = 'spec.containers[0]';
  it.each<[string, object, Added]>([
    [
      'probes',
      container({ livenessProbe: { httpGet: { port: 80 } }, readinessProbe: { grpc: { port: 9 } } }),
      {
        [`${at}.livenessProbe.httpGet.path`]: '/',
        [`${at}.livenessProbe.httpGet.scheme`]: 'HTTP',
        ...Object.fromEntries(
          ['livenessProbe', 'readinessProbe'].flatMap((probe) =>
            Object.entries({ timeoutSeconds: 1, periodSeconds: 10, successThreshold: 1, failureThreshold: 3 }).map(
              ([name, value]) => [`${at}.${probe}.${name}`, value],
            ),
          ),
        ),
        [`${at}.readinessProbe.grpc.service`]: '',
      },
    ],
    [
      'volumes',
      container(
        {},
        {
          volumes: [
            { name: 'a' },
            { name: 'b', secret: { secretName: 's' } },
            { name: 'c', projected: { sources: [{ serviceAccountToken: { path: 't' } }] } },
            { name: 'd', image: { reference: 'r' } },
            { name: 'e', iscsi: { targetPortal: 'p', iqn: 'iqn.2001-04.a:b', lun: 0 } },
          ],
        },
      ),
      {
        'spec.volumes[0].emptyDir': {},
        'spec.volumes[1].secret.defaultMode': 420,
        'spec.volumes[2].projected.defaultMode': 420,
        'spec.volumes[2].projected.sources[0].serviceAccountToken.expirationSeconds': 3600,
        'spec.volumes[3].image.pullPolicy': 'Always',
        'spec.volumes[4].iscsi.iscsiInterface': 'default',
      },
    ],
    [
      'requests from limits',
      container({ resources: { limits: { cpu: '2', memory: '1Gi' }, requests: { cpu: '1' } } }),
      { [`${at}.resources.requests.memory`]: '1Gi' },
    ],
    [
      'ports of the host network',
      container({ ports: [{ containerPort: 80 }] }, { hostNetwork: true }),
      { [`${at}.ports[0].protocol`]: 'TCP', [`${at}.ports[0].hostPort`]: 80 },
    ],
    [
      'requests of the pod, from its containers where they have some, else from its limits',
      container({ resources: { requests: { cpu: '100m' } } }, { resources: { limits: { cpu: '1', memory: '1Gi' } } }),
      { 'spec.resources.requests.cpu': '100m', 'spec.resources.requests.memory': '1Gi' },
    ],
    [
      'nothing of the kind where the pod has no limits',
      container({ resources: { requests: { cpu: '100m' } } }, { resources: { requests: { memory: '1Gi' } } }),
      {},
    ],
    [
      'huge pages of the pod from its containers',
      container(
        { resources: { limits: { 'hugepages-2Mi': '4Mi', cpu: '1' } } },
        { resources: { requests: { cpu: '1' } } },
      ),
      {
        [`${at}.resources.requests.hugepages-2Mi`]: '4Mi',
        [`${at}.resources.requests.cpu`]: '1',
        'spec.resources.limits.hugepages-2Mi': '4Mi',
        'spec.resources.requests.hugepages-2Mi': '4Mi',
      },
    ],
  ])('pods: %s', (_, sent, expected) => expect(ofPod(sent)).toEqual(expected));

  it.each<[string, object, Added]>([
    [
      'of a load balancer',
      { type: 'LoadBalancer', sessionAffinity: 'ClientIP' },
      {
        'spec.ports[0].protocol': 'TCP',
        'spec.ports[0].targetPort': 80,
        'spec.sessionAffinityConfig.clientIP.timeoutSeconds': 10800,
        'spec.externalTrafficPolicy': 'Cluster',
        'spec.allocateLoadBalancerNodePorts': true,
        'spec.internalTrafficPolicy': 'Cluster',
      },
    ],
    [
      'of an external name',
      { type: 'ExternalName', externalName: 'a.b', ports: [] },
      { 'spec.sessionAffinity': 'None' },
    ],
  ])('Services: %s', (_, spec, expected) => {
    expect(added(kindOf('', 'services'), { spec: { ports: [{ port: 80 }], ...spec } })).toEqual(expected);
  });

  it('autoscalers: rules of the directions that are named, and of the other', () => {
    const spec = {
      scaleTargetRef: { kind: 'Deployment', name: 'x', apiVersion: 'apps/v1' },
      maxReplicas: 3,
      metrics: [
        { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 5 } } },
      ],
      behavior: { scaleDown: { stabilizationWindowSeconds: 5 } },
    };
    expect(added(kindOf('autoscaling', 'horizontalpodautoscalers', 'v2'), { spec })).toEqual({
      'spec.minReplicas': 1,
      'spec.behavior.scaleUp.stabilizationWindowSeconds': 0,
      'spec.behavior.scaleUp.selectPolicy': 'Max',
      'spec.behavior.scaleUp.policies[0].type': 'Pods',
      'spec.behavior.scaleUp.policies[0].value': 4,
      'spec.behavior.scaleUp.policies[0].periodSeconds': 15,
      'spec.behavior.scaleUp.policies[1].type': 'Percent',
      'spec.behavior.scaleUp.policies[1].value': 100,
      'spec.behavior.scaleUp.policies[1].periodSeconds': 15,
      'spec.behavior.scaleDown.selectPolicy': 'Max',
      'spec.behavior.scaleDown.policies[0].type': 'Percent',
      'spec.behavior.scaleDown.policies[0].value': 100,
      'spec.behavior.scaleDown.policies[0].periodSeconds': 15,
    });
  });

  it('amounts of resources in thousandths, rounded up', () => {
    const sent = container(
      { resources: { limits: { cpu: '100u', memory: '1.5' } } },
      { overhead: { cpu: '1500001n' } },
    );
    const body = Buffer.from(JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' }, ...sent }));
    const { spec } = decodeObject(kindOf('', 'pods'), body, 'json', { scheme }).object as never as {
      spec: { overhead: object; containers: { resources: object }[] };
    };
    expect([spec.containers[0]?.resources, spec.overhead]).toEqual([
      { limits: { cpu: '1m', memory: '1500m' } },
      { cpu: '2m' },
    ]);
  });
});
