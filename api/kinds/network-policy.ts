// networking.k8s.io/v1 NetworkPolicy: who may talk to some pods.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import { formatLabelSelector, validateLabelSelector } from '../selectors.ts';
import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../types/networking-v1.ts';
import { type Findings, optionalOneOf, portNumber, portNumberOrName } from '../validation/checks.ts';
import { cidrWarnings } from '../validation/ip-warnings.ts';
import { isCidr, isStrictlyWithin, validCidr } from '../validation/ip.ts';
import { defineKind, NAME_COLUMN, nameOf } from './define.ts';

const { forbidden, invalid, required } = fieldErrors;

export const networkPolicy = defineKind<NetworkPolicy>({
  group: 'networking.k8s.io',
  version: 'v1',
  kind: 'NetworkPolicy',
  resource: 'networkpolicies',
  shortNames: ['netpol'],
  namespaced: true,
  schema: 'networking.v1.NetworkPolicy',
  columns: [NAME_COLUMN, 'Pod-Selector', 'Age'],
  cells: (object, { nowMs }) => [
    nameOf(object),
    formatLabelSelector(object.spec?.podSelector ?? {}),
    age(object.metadata.creationTimestamp, nowMs),
  ],
  hasGeneration: true,
  setDefaults(object) {
    const spec = (object.spec ??= {});
    spec.podSelector ??= {};
    for (const { ports } of [...(spec.ingress ?? []), ...(spec.egress ?? [])]) {
      for (const port of ports ?? []) port.protocol ??= 'TCP';
    }
    if ((spec.policyTypes ?? []).length === 0) {
      spec.policyTypes = (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress'];
    }
  },
  validate: (object) => [...findings(object, {})],
  validateUpdate: (object, old) => [
    ...findings(object, { allowInvalidValues: validateLabelSelector(old.spec?.podSelector, '').length > 0 }),
  ],
  warnings: (object) => [...addressWarnings(object)],
});

function* addressWarnings({ spec = {} }: NetworkPolicy): Generator<string, void, undefined> {
  const lists = [
    ['ingress', 'from', (spec.ingress ?? []).map(({ from }) => from)],
    ['egress', 'to', (spec.egress ?? []).map(({ to }) => to)],
  ] as const;
  for (const [name, direction, rules] of lists) {
    for (const [i, peers] of rules.entries()) {
      for (const [j, { ipBlock }] of (peers ?? []).entries()) {
        if (!ipBlock) continue;
        const field = `spec.${name}[${i}].${direction}[${j}].ipBlock`;
        yield* cidrWarnings(ipBlock.cidr ?? '', `${field}.cidr`);
        for (const [k, each] of (ipBlock.except ?? []).entries()) yield* cidrWarnings(each, `${field}.except[${k}]`);
      }
    }
  }
}

type SelectorOptions = Parameters<typeof validateLabelSelector>[2];

function* findings({ spec = {} }: NetworkPolicy, options: SelectorOptions): Findings {
  yield* validateLabelSelector(spec.podSelector, 'spec.podSelector', options);
  for (const [i, { ports, from }] of (spec.ingress ?? []).entries()) {
    yield* rule(ports, from, `spec.ingress[${i}]`, 'from', options);
  }
  for (const [i, { ports, to }] of (spec.egress ?? []).entries()) {
    yield* rule(ports, to, `spec.egress[${i}]`, 'to', options);
  }
  const types = spec.policyTypes ?? [];
  if (types.length > 2) yield invalid('spec.policyTypes', types, 'may not specify more than two policyTypes');
  else {
    for (const [i, type] of types.entries()) {
      yield* optionalOneOf(type, ['Ingress', 'Egress'], `spec.policyTypes[${i}]`);
    }
  }
}

function* rule(
  ports: readonly NetworkPolicyPort[] = [],
  peers: readonly NetworkPolicyPeer[] = [],
  field: string,
  direction: string,
  options: SelectorOptions,
): Findings {
  for (const [i, each] of ports.entries()) yield* port(each, `${field}.ports[${i}]`);
  for (const [i, each] of peers.entries()) yield* peer(each, `${field}.${direction}[${i}]`, options);
}

function* port({ protocol, port: number, endPort }: NetworkPolicyPort, field: string): Findings {
  yield* optionalOneOf(protocol, ['TCP', 'UDP', 'SCTP'], `${field}.protocol`);
  if (number === undefined) {
    if (endPort !== undefined) {
      yield invalid(`${field}.endPort`, endPort, 'may not be specified when `port` is not specified');
    }
    return;
  }
  if (typeof number === 'string' && endPort !== undefined) {
    yield invalid(`${field}.endPort`, endPort, 'may not be specified when `port` is non-numeric');
  }
  yield* portNumberOrName(number, `${field}.port`);
  if (endPort === undefined || typeof number === 'string') return;
  if (endPort < number) yield invalid(`${field}.endPort`, endPort, 'must be greater than or equal to `port`');
  yield* portNumber(endPort, `${field}.endPort`);
}

function* peer(each: NetworkPolicyPeer, field: string, options: SelectorOptions): Findings {
  const { podSelector, namespaceSelector, ipBlock } = each;
  yield* validateLabelSelector(podSelector, `${field}.podSelector`, options);
  yield* validateLabelSelector(namespaceSelector, `${field}.namespaceSelector`, options);
  if (ipBlock) yield* block(ipBlock, `${field}.ipBlock`);
  else if (!podSelector && !namespaceSelector) yield required(field, 'must specify a peer');
  if (ipBlock && (podSelector || namespaceSelector)) {
    yield forbidden(field, 'may not specify both ipBlock and another peer');
  }
}

function* block({ cidr = '', except = [] }: IPBlock, field: string): Findings {
  if (!cidr) {
    yield required(`${field}.cidr`);
    return;
  }
  yield* validCidr(cidr, `${field}.cidr`);
  if (!isCidr(cidr)) return;
  for (const [i, each] of except.entries()) {
    const at = `${field}.except[${i}]`;
    yield* validCidr(each, at);
    if (isCidr(each) && !isStrictlyWithin(each, cidr)) yield invalid(at, each, 'must be a strict subset of `cidr`');
  }
}
