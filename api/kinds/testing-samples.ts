// For tests: the least of each kind that a server accepts, by `resource.group` (`resource` for core), as a client sends it.
// Names are the test's to give, but where a kind ties them to its content.
import { generateKeyPairSync, sign } from 'node:crypto';
import type { KubeObject } from '../object.ts';

type Sample = Omit<KubeObject, 'metadata'> & { metadata?: KubeObject['metadata'] } & Record<string, unknown>;

const template = {
  metadata: { labels: { app: 'web' } },
  spec: { containers: [{ name: 'app', image: 'nginx:1' }] },
};
const selector = { matchLabels: { app: 'web' } };
const webhook = {
  name: 'check.example.com',
  clientConfig: { url: 'https://example.com/check' },
  sideEffects: 'None',
  admissionReviewVersions: ['v1'],
};
const matchConstraints = {
  resourceRules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['limitranges'] }],
};

export const SAMPLES: Readonly<Record<string, Sample>> = {
  configmaps: { data: { color: 'blue' } },
  endpoints: { subsets: [{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80 }] }] },
  events: { involvedObject: { kind: 'Pod', name: 'web', namespace: 'default' }, reason: 'Tested', message: 'Once' },
  limitranges: { spec: { limits: [{ type: 'Container', max: { cpu: '2' } }] } },
  namespaces: {},
  nodes: {},
  persistentvolumeclaims: {
    spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
  },
  persistentvolumes: {
    spec: { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/data' } },
  },
  pods: { spec: { containers: [{ name: 'app', image: 'nginx:1' }] } },
  podtemplates: { template },
  replicationcontrollers: { spec: { selector: { app: 'web' }, template } },
  resourcequotas: { spec: { hard: { pods: '10' } } },
  secrets: { data: { key: 'dmFsdWU=' } },
  serviceaccounts: {},
  services: { spec: { selector: { app: 'web' }, ports: [{ port: 80 }] } },
  'mutatingwebhookconfigurations.admissionregistration.k8s.io': { webhooks: [webhook] },
  'validatingwebhookconfigurations.admissionregistration.k8s.io': { webhooks: [webhook] },
  'validatingadmissionpolicies.admissionregistration.k8s.io': {
    spec: { matchConstraints, validations: [{ expression: 'true' }] },
  },
  'validatingadmissionpolicybindings.admissionregistration.k8s.io': {
    spec: { policyName: 'nothing', validationActions: ['Deny'] },
  },
  'mutatingadmissionpolicies.admissionregistration.k8s.io': {
    spec: {
      matchConstraints,
      reinvocationPolicy: 'Never',
      mutations: [
        {
          patchType: 'JSONPatch',
          jsonPatch: { expression: `[JSONPatch{op: 'add', path: '/metadata/labels/x', value: 'y'}]` },
        },
      ],
    },
  },
  'mutatingadmissionpolicybindings.admissionregistration.k8s.io': { spec: { policyName: 'nothing' } },
  'customresourcedefinitions.apiextensions.k8s.io': {
    metadata: { name: 'boats.samples.example.com' },
    spec: {
      group: 'samples.example.com',
      names: { plural: 'boats', singular: 'boat', kind: 'Boat' },
      scope: 'Namespaced',
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  },
  'apiservices.apiregistration.k8s.io': {
    metadata: { name: 'v1alpha1.samples.example.com' },
    spec: {
      group: 'samples.example.com',
      version: 'v1alpha1',
      service: { namespace: 'default', name: 'samples' },
      groupPriorityMinimum: 100,
      versionPriority: 10,
    },
  },
  'controllerrevisions.apps': { revision: 1, data: { spec: {} } },
  'daemonsets.apps': { spec: { selector, template } },
  'deployments.apps': { spec: { selector, template } },
  'replicasets.apps': { spec: { selector, template } },
  'statefulsets.apps': { spec: { selector, template, serviceName: 'web' } },
  'horizontalpodautoscalers.autoscaling': {
    spec: { scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }, maxReplicas: 3 },
  },
  'cronjobs.batch': {
    spec: {
      schedule: '0 0 1 1 *',
      jobTemplate: { spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } } },
    },
  },
  'jobs.batch': { spec: { template: { spec: { ...template.spec, restartPolicy: 'Never' } } } },
  'certificatesigningrequests.certificates.k8s.io': {
    spec: { request: signingRequest(), signerName: 'example.com/sample', usages: ['digital signature'] },
  },
  'leases.coordination.k8s.io': { spec: { holderIdentity: 'me', leaseDurationSeconds: 15 } },
  'endpointslices.discovery.k8s.io': {
    addressType: 'IPv4',
    endpoints: [{ addresses: ['10.0.0.1'] }],
    ports: [{ port: 80 }],
  },
  'events.events.k8s.io': {
    eventTime: '2026-01-01T00:00:00.000000Z',
    regarding: { kind: 'Pod', name: 'web', namespace: 'default' },
    reportingController: 'example.com/tester',
    reportingInstance: 'one',
    action: 'Test',
    reason: 'Tested',
    type: 'Normal',
  },
  'flowschemas.flowcontrol.apiserver.k8s.io': {
    spec: { priorityLevelConfiguration: { name: 'workload-low' }, matchingPrecedence: 9000 },
  },
  'prioritylevelconfigurations.flowcontrol.apiserver.k8s.io': {
    spec: { type: 'Limited', limited: { limitResponse: { type: 'Reject' } } },
  },
  'ingressclasses.networking.k8s.io': { spec: { controller: 'example.com/ingress' } },
  'ingresses.networking.k8s.io': {
    spec: { defaultBackend: { service: { name: 'web', port: { number: 80 } } } },
  },
  'ipaddresses.networking.k8s.io': {
    metadata: { name: '192.168.7.9' },
    spec: { parentRef: { resource: 'services', namespace: 'default', name: 'nobody' } },
  },
  'networkpolicies.networking.k8s.io': { spec: { podSelector: {} } },
  'servicecidrs.networking.k8s.io': { spec: { cidrs: ['192.168.0.0/24'] } },
  'runtimeclasses.node.k8s.io': { handler: 'runc' },
  'poddisruptionbudgets.policy': { spec: { minAvailable: 1, selector } },
  'clusterrolebindings.rbac.authorization.k8s.io': { roleRef: { kind: 'ClusterRole', name: 'view' } },
  'clusterroles.rbac.authorization.k8s.io': { rules: [] },
  'rolebindings.rbac.authorization.k8s.io': { roleRef: { kind: 'ClusterRole', name: 'view' } },
  'roles.rbac.authorization.k8s.io': { rules: [] },
  'deviceclasses.resource.k8s.io': { spec: {} },
  'resourceclaims.resource.k8s.io': {
    spec: { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } }] } },
  },
  'resourceclaimtemplates.resource.k8s.io': {
    spec: { spec: { devices: { requests: [{ name: 'gpu', exactly: { deviceClassName: 'gpu.example.com' } }] } } },
  },
  'resourceslices.resource.k8s.io': {
    spec: {
      driver: 'gpu.example.com',
      pool: { name: 'pool', generation: 1, resourceSliceCount: 1 },
      nodeName: 'node-a',
      devices: [{ name: 'gpu-0', attributes: { model: { string: 'A' } } }],
    },
  },
  'priorityclasses.scheduling.k8s.io': { value: 1000 },
  'csidrivers.storage.k8s.io': { spec: {} },
  'csinodes.storage.k8s.io': {
    spec: { drivers: [{ name: 'disk.example.com', nodeID: 'n1', topologyKeys: ['zone'] }] },
  },
  'csistoragecapacities.storage.k8s.io': { storageClassName: 'fast', capacity: '1Gi' },
  'storageclasses.storage.k8s.io': { provisioner: 'disk.example.com' },
  'volumeattachments.storage.k8s.io': {
    spec: { attacher: 'disk.example.com', nodeName: 'node-a', source: { persistentVolumeName: 'pv' } },
  },
  'volumeattributesclasses.storage.k8s.io': { driverName: 'disk.example.com', parameters: { iops: '100' } },
};

/** A certificate request (PKCS#10, EC P-256) for `CN=sample`, as spec.request has it: PEM in base64. */
export function signingRequest(): string {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
  const element = (tag: number, ...parts: Buffer[]) => {
    const content = Buffer.concat(parts);
    const { length } = content;
    const size = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
    return Buffer.concat([Buffer.from([tag, ...size]), content]);
  };
  const hex = (text: string) => Buffer.from(text, 'hex');
  const commonName = element(0x30, element(0x06, hex('550403')), element(0x0c, Buffer.from('sample')));
  const info = element(
    0x30,
    element(0x02, hex('00')),
    element(0x30, element(0x31, commonName)),
    publicKey.export({ type: 'spki', format: 'der' }),
    element(0xa0),
  );
  const signature = sign('sha256', info, privateKey);
  const ecdsaWithSha256 = element(0x30, element(0x06, hex('2a8648ce3d040302')));
  const der = element(0x30, info, ecdsaWithSha256, element(0x03, hex('00'), signature));
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n');
  const pem = `-----BEGIN CERTIFICATE REQUEST-----\n${lines}\n-----END CERTIFICATE REQUEST-----\n`;
  return Buffer.from(pem).toString('base64');
}
