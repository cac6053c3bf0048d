// networking.k8s.io/v1 IngressClass: which controller serves an Ingress.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import type { IngressClass } from '../types/networking-v1.ts';
import { dnsLabel, domainPrefixedPath, type Findings, IMMUTABLE, optionalOneOf } from '../validation/checks.ts';
import { validateLocalReference } from '../validation/ingress.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { forbidden, invalid, required, tooLong } = fieldErrors;
const MAX_CONTROLLER = 250;

export const ingressClass = defineKind<IngressClass>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'IngressClass',
  resource: 'ingressclasses',
  namespaced: false,
  schema: 'networking.v1.IngressClass',
  columns: [NAME_COLUMN, 'Controller', 'Parameters', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    object.spec?.controller ?? '',
    parametersOf(object),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,
  setDefaults({ spec }) {
    if (spec?.parameters) spec.parameters.scope ??= 'Cluster';
  },
  validate: (object) => [...findings(object)],
  validateUpdate(object, old) {
    const controller = object.spec?.controller ?? '';
    return [
      ...(controller === (old.spec?.controller ?? '') ? [] : [invalid('spec.controller', controller, IMMUTABLE)]),
      ...findings(object),
    ];
  },
});

function parametersOf({ spec }: IngressClass): string {
  const parameters = spec?.parameters;
  if (!parameters) return '<none>';
  const group = parameters.apiGroup === undefined ? '' : `.${parameters.apiGroup}`;
  return `${parameters.kind}${group}/${parameters.name}`;
}

function* findings({ spec = {} }: IngressClass): Findings {
  const { controller = '', parameters } = spec;
  if (controller.length > MAX_CONTROLLER) yield tooLong('spec.controller', MAX_CONTROLLER);
  yield* domainPrefixedPath(controller, 'spec.controller');
  if (!parameters) return;
  const field = 'spec.parameters';
  yield* validateLocalReference(parameters, field);
  if (parameters.scope === undefined) yield required(`${field}.scope`);
  yield* optionalOneOf(parameters.scope, ['Cluster', 'Namespace'], `${field}.scope`);
  if (parameters.scope === 'Namespace') {
    const { namespace } = parameters;
    if (namespace === undefined) yield required(`${field}.namespace`, "`parameters.scope` is set to 'Namespace'");
    else yield* dnsLabel(namespace, `${field}.namespace`);
  }
  if (parameters.scope === 'Cluster' && parameters.namespace !== undefined) {
    yield forbidden(`${field}.namespace`, "`parameters.scope` is set to 'Cluster'");
  }
}
