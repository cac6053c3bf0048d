// networking.k8s.io/v1 Ingress: HTTP from outside, by host and path.
import { age } from '../duration.ts';
import type { Ingress } from '../types/networking-v1.ts';
import { CLASS_ANNOTATION, validateIngress, validateIngressStatus } from '../validation/ingress.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';
import { firstThree } from './parts/cells.ts';

export const ingress = defineKind<Ingress>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'Ingress',
  resource: 'ingresses',
  shortNames: ['ing'],
  namespaced: true,
  schema: 'networking.v1.Ingress',
  columns: [NAME_COLUMN, 'Class', 'Hosts', 'Address', 'Ports', 'Age'],
  cells: ({ metadata, spec, status }, { nowMs }) => [
    nameOf({ metadata }),
    spec?.ingressClassName ?? '<none>',
    firstThree(
      (spec?.rules ?? []).flatMap(({ host }) => (host ? [host] : [])),
      '*',
    ),
    (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip || hostname || []).join(','),
    (spec?.tls ?? []).length > 0 ? '80, 443' : '80',
    age(metadata.creationTimestamp, nowMs),
  ],
  hasStatus: true,
  hasGeneration: true,
  prepareForCreate(object) {
    object.status = { loadBalancer: {} };
  },
  warnings: ({ metadata, spec }, old) =>
    old || metadata.annotations?.[CLASS_ANNOTATION] === undefined || spec?.ingressClassName !== undefined
      ? []
      : [`annotation "${CLASS_ANNOTATION}" is deprecated, please use 'spec.ingressClassName' instead`],
  validate: (object) => [...validateIngress(object)],
  validateUpdate: (object, old) => [...validateIngress(object, old)],
  validateStatusUpdate: (object) => [...validateIngressStatus(object)],
});
