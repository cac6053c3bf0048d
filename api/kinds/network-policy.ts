// networking.k8s.io/v1 NetworkPolicy: who may talk to some pods.
import { age } from '../duration.ts';
import { fieldErrors } from '../field-error.ts';
import { formatLabelSelector, validateLabelSelector } from '../selectors.ts';
import type { NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from '../types/networking-v1.ts';
import { type Findings, optionalOneOf, portNumber, portNumberOrName } from '../validation/checks.ts';
import { cidrWarnings } from '../validation/ip-warnings.ts';
import { isStrictlyWithin, validCidr } from '../validation/ip.ts';
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
  validate: (object) => [...findings(object)],
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

function* findings({ spec = {} }: NetworkPolicy): Findings {
  yield* validateLabelSelector(spec.podSelector, 'spec.podSelector');
  for (const [i, { ports, from }] of (spec.ingress ?? []).entries()) {
    yield* rule(ports, from, `spec.ingress[${i}]`, 'from');
  }
  for (const [i, { ports, to }] of (spec.egress ?? []).entries()) yield* rule(ports, to, `spec.egress[${i}]`, 'to');
  const types = spec.policyTypes ?? [];
  if (types.length > 2) yield invalid('spec.policyTypes', types, 'may not specify more than two policyTypes');
  else {
    for (const [i, type] of types.entries()) {
      yield* optionalOneOf(type, ['Egress', 'Ingress'], `spec.policyTypes[${i}]`);
    }
  }
}

function* rule(
  ports: readonly NetworkPolicyPort[] = [],
  peers: readonly NetworkPolicyPeer[] = [],
  field: string,
  direction: string,
): Findings {
  for (const [i, each] of ports.entries()) yield* port(each, `${field}.ports[${i}]`);
  for (const [i, each] of peers.entries()) yield* peer(each, `${field}.${direction}[${i}]`);
}

function* port({ protocol, port: number, endPort }: NetworkPolicyPort, field: string): Findings {
  yield* optionalOneOf(protocol, ['TCP', 'UDP', 'SCTP'], `${field}.protocol`);
  if (number === undefined) {
    if (endPort !== undefined) yield required(`${field}.port`, 'must be specified when `endPort` is specified');
    return;
  }
  yield* portNumberOrName(number, `${field}.port`);
  if (endPort === undefined) return;
  if (typeof number === 'string') {
    yield invalid(`${field}.endPort`, endPort, 'may not be specified when `port` is non-numeric');
    return;
  }
  if (endPort < number) yield invalid(`${field}.endPort`, endPort, 'must be greater than or equal to `port`');
  yield* portNumber(endPort, `${field}.endPort`);
}

function* peer({ podSelector, namespaceSelector, ipBlock }: NetworkPolicyPeer, field: string): Findings {
  yield* validateLabelSelector(podSelector, `${field}.podSelector`);
  yield* validateLabelSelector(namespaceSelector, `${field}.namespaceSelector`);
  if (!podSelector && !namespaceSelector && !ipBlock) yield required(field, 'must specify a peer');
  if (!ipBlock) return;
  if (podSelector || namespaceSelector) yield forbidden(field, 'may not specify both ipBlock and another peer');
  const { cidr = '', except = [] } = ipBlock;
  if (!cidr) {
    yield required(`${field}.ipBlock.cidr`);
    return;
  }
  const found = [...validCidr(cidr, `${field}.ipBlock.cidr`)];
  yield* found;
  for (const [i, each] of except.entries()) {
    const at = `${field}.ipBlock.except[${i}]`;
    const wrong = [...validCidr(each, at)];
    yield* wrong;
    if (found.length + wrong.length === 0 && !isStrictlyWithin(each, cidr)) {
      yield invalid(at, each, 'must be a strict subset of `cidr`');
    }
  }
}
