// core/v1 Service: a stable name and address for a set of pods. Cluster IPs and node ports are the registry's to allocate.
import { age } from '../duration.ts';
import { formatLabels } from '../selectors.ts';
import type { Service, ServicePort } from '../types/core-v1.ts';
import { nameIsDnsLabel } from '../names.ts';
import {
  dropTypeFields,
  isExternallyAccessible,
  validateService,
  validateServiceStatus,
  validateServiceUpdate,
} from '../validation/service.ts';
import { serviceWarnings } from '../validation/service-warnings.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

export const service = defineKind<Service>({
  group: '',
  version: 'v1',
  kind: 'Service',
  resource: 'services',
  shortNames: ['svc'],
  categories: ['all'],
  namespaced: true,
  schema: 'core.v1.Service',
  columns: [NAME_COLUMN, 'Type', 'Cluster-IP', 'External-IP', 'Port(s)', 'Age', 'Selector*'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.type ?? '',
    object.spec?.clusterIPs?.[0] ?? '<none>',
    externalAddress(object),
    object.spec?.ports?.map(portText).join(',') || '<none>',
    age(object.metadata.creationTimestamp, nowMs),
    formatLabels(object.spec?.selector),
  ],
  selectableFields: {
    'spec.clusterIP': (object) => object.spec?.clusterIP ?? '',
    'spec.type': (object) => object.spec?.type ?? '',
  },
  hasStatus: true,
  allowCreateOnUpdate: true,
  subresources: [{ name: 'proxy', kind: 'ServiceProxyOptions', verbs: ['create', 'delete', 'get', 'patch', 'update'] }],

  setDefaults(object) {
    const spec = (object.spec ??= {});
    spec.sessionAffinity ||= 'None';
    spec.type ||= 'ClusterIP';
    if (spec.sessionAffinity === 'None') delete spec.sessionAffinityConfig;
    if (spec.sessionAffinity === 'ClientIP' && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined) {
      spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: 10800 } };
    }
    for (const port of spec.ports ?? []) {
      port.protocol ||= 'TCP';
      if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === '') port.targetPort = port.port;
    }
    if (isExternallyAccessible(spec)) spec.externalTrafficPolicy ||= 'Cluster';
    if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true;
    if (spec.type !== 'ExternalName') spec.internalTrafficPolicy ??= 'Cluster';
    if (spec.type === 'LoadBalancer') {
      for (const ingress of object.status?.loadBalancer?.ingress ?? []) if (ingress.ip) ingress.ipMode ??= 'VIP';
    }
  },
  prepareForCreate(object) {
    object.status = { loadBalancer: {} };
    mirrorClusterIP(object);
  },
  prepareForUpdate(object, old) {
    if (!object.spec || !old.spec) return;
    dropTypeFields(object.spec, old.spec);
    mirrorClusterIP(object, old);
    if (old.spec.type === 'LoadBalancer' && object.spec.type !== 'LoadBalancer') object.status = { loadBalancer: {} };
  },

  /** Digits may come first (RelaxedServiceNameValidation, on since 1.36). */
  validateName: nameIsDnsLabel,
  validate: validateService,
  validateUpdate: validateServiceUpdate,
  validateStatusUpdate: validateServiceStatus,
  warnings: serviceWarnings,
});

/** clusterIP and clusterIPs[0] are one thing: whichever the client changed is followed by the other. */
function mirrorClusterIP({ spec }: Service, old?: Service): void {
  if (!spec || spec.type === 'ExternalName') return;
  const was = old?.spec;
  const isSame = spec.clusterIPs?.length && was?.clusterIPs?.[0] === spec.clusterIPs[0];
  if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
  else if (spec.clusterIP && was && spec.clusterIP !== was.clusterIP && isSame) spec.clusterIPs = [spec.clusterIP];
  else if (was && !spec.clusterIP && was.clusterIP && isSame) delete spec.clusterIPs;
}

const portText = (port: ServicePort): string =>
  port.nodePort ? `${port.port}:${port.nodePort}/${port.protocol}` : `${port.port}/${port.protocol}`;

function externalAddress({ spec = {}, status }: Service): string {
  const externalIPs = spec.externalIPs ?? [];
  switch (spec.type) {
    case 'ClusterIP':
    case 'NodePort':
      return externalIPs.join(',') || '<none>';
    case 'LoadBalancer': {
      const given = new Set((status?.loadBalancer?.ingress ?? []).map((each) => each.ip || each.hostname || ''));
      given.delete('');
      return [...[...given].sort(), ...externalIPs].join(',') || '<pending>';
    }
    case 'ExternalName':
      return spec.externalName ?? '';
    default:
      return '<unknown>';
  }
}
