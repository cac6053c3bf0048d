// Of the small kinds of the core: which rules apply when, in upstream's order, and values as its own types are written.
import { describe, expect, it } from 'vitest';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { builtinKinds } from './index.ts';
import { beginnings, createErrors, created, messagesOf, updateErrors } from './testing.ts';
import { kindName } from './testing-defaults.ts';

const kindOf = (name: string) => builtinKinds.find((each) => kindName(each) === `${name} v1`) as Kind;
const named = (rest: object): KubeObject => ({ metadata: { name: 'x', namespace: 'default' }, ...rest });
const clusterWide = (rest: object): KubeObject => ({ metadata: { name: 'x' }, ...rest });

const event = {
  involvedObject: { namespace: 'default' },
  eventTime: '2026-01-01T00:00:00.000000Z',
  reportingComponent: 'a/b',
  reportingInstance: 'i',
  action: 'act',
  reason: 'r',
  message: 'm',
  type: 'Normal',
};
const seriesEvent = {
  regarding: { namespace: 'default' },
  eventTime: event.eventTime,
  reportingController: 'a/b',
  reportingInstance: 'i',
  action: 'act',
  reason: 'r',
  note: 'm',
  type: 'Normal',
};
const service = (spec: object) => named({ spec });
const address = { type: 'InternalIP', address: '1.2.3.4' };
const MATCH = 'spec.scopeSelector.matchExpressions';

describe('what is created', () => {
  it.each<[string, string, KubeObject, string[]]>([
    [
      'events name who reports as their version does',
      'events',
      named({ ...event, reportingComponent: '' }),
      [
        'reportingComponent: Required value',
        'reportingComponent: Invalid value: "": name part must be non-empty',
        'reportingComponent: Invalid value: "": name part must consist of',
      ],
    ],
    [
      'so does the other version',
      'events.events.k8s.io',
      named({ ...seriesEvent, reportingController: 'a b', type: 'x' }),
      [
        'reportingController: Invalid value: "a b": name part must consist of',
        'type: Invalid value: "": has invalid value: x',
      ],
    ],
    [
      'one range of each family for pods',
      'nodes',
      clusterWide({ spec: { podCIDRs: ['10.0.0.0/24', '10.1.0.0/24', 'fd00::/64'] } }),
      [
        'spec.podCIDRs: Invalid value: ["10.0.0.0/24","10.1.0.0/24","fd00::/64"]: may specify no more than one CIDR for each IP family',
      ],
    ],
    ['where a node gets its configuration is not kept', 'nodes', clusterWide({ spec: { configSource: {} } }), []],
    [
      'addresses that are none have no family',
      'services',
      service({ clusterIP: 'x', clusterIPs: ['x', 'y', 'z'], ports: [{ port: 1 }] }),
      [
        'spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address',
        'spec.clusterIPs[1]: Invalid value: "y": must be a valid IP address',
        'spec.clusterIPs[2]: Invalid value: "z": must be a valid IP address',
        'spec.clusterIPs: Invalid value: ["x","y","z"]: may only hold up to 2 values',
      ],
    ],
    [
      'ports twice',
      'services',
      service({
        ports: [
          { name: 'a', port: 1 },
          { name: 'b', port: 1 },
          { name: 'a', port: 2 },
        ],
      }),
      [
        'spec.ports[2].name: Duplicate value: "a"',
        'spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":1,"TargetPort":0,"NodePort":0}',
      ],
    ],
    [
      'a type that nobody knows asks for no policy',
      'services',
      service({ type: 'Other', ports: [{ port: 1 }] }),
      ['spec.type: Unsupported value: "Other"'],
    ],
    [
      'limits of a type that nobody knows; types once',
      'limitranges',
      named({ spec: { limits: [{ type: 'X' }, { type: 'a/b' }, { type: 'Pod' }, { type: 'Pod' }] } }),
      [
        'spec.limits[0].type: Invalid value: "X": must be a standard limit type or fully qualified',
        'spec.limits[3].type: Duplicate value: "Pod"',
      ],
    ],
    [
      'finalizers of namespaces are standard or qualified',
      'namespaces',
      clusterWide({ spec: { finalizers: ['a', 'a b', 'kubernetes', 'example.com/a'] } }),
      [
        'spec.finalizers: Invalid value: "a": name is neither a standard finalizer name nor is it fully qualified',
        'spec.finalizers: Invalid value: "a b": name part must consist of',
        'spec.finalizers: Invalid value: "a b": name is neither a standard finalizer name nor is it fully qualified',
      ],
    ],
    [
      'scopes of quotas',
      'resourcequotas',
      named({
        spec: {
          scopeSelector: {
            matchExpressions: [
              { scopeName: 'X', operator: 'In' },
              { scopeName: 'BestEffort', operator: 'In', values: ['a'] },
              { scopeName: 'PriorityClass', operator: 'Z', values: ['a b'] },
            ],
          },
        },
      }),
      [
        `${MATCH}.scopeName: Invalid value: "X": unsupported scope`,
        `${MATCH}.values: Required value: must be at least one value when \`operator\` is 'In' or 'NotIn' for scope selector`,
        `${MATCH}.operator: Invalid value: "In": must be 'Exists' when scope is any of`,
        `${MATCH}.operator: Invalid value: "Z": not a valid selector operator`,
      ],
    ],
    [
      'what quotas count, and for what',
      'resourcequotas',
      named({
        spec: {
          hard: { 'requests.cpu': '1', x: '1', pods: '1.5', 'count/x': '-1' },
          scopes: ['BestEffort', 'NotBestEffort'],
        },
      }),
      [
        'spec.hard[x]: Invalid value: "x": must be a standard resource type or fully qualified',
        'spec.hard[x]: Invalid value: "x": must be a standard resource for quota',
        'spec.hard[pods]: Invalid value: "1500m": must be an integer',
        'spec.hard[count/x]: Invalid value: "-1": must be greater than or equal to 0',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: unsupported scope applied to resource',
        'spec.scopes: Invalid value: ["BestEffort","NotBestEffort"]: conflicting scopes',
      ],
    ],
  ])('%s', (_, kind, object, messages) =>
    expect(beginnings(createErrors(kindOf(kind), object), messages)).toEqual(messages),
  );
});

describe('what is changed', () => {
  it.each<[string, string, KubeObject, KubeObject, string[]]>([
    ['events of core change freely', 'events', named(event), named({ ...event, reason: 's', type: 'Warning' }), []],
    [
      'events of their own group do not',
      'events.events.k8s.io',
      named(seriesEvent),
      named({
        ...seriesEvent,
        eventTime: '2026-01-02T00:00:00.000000Z',
        reportingController: 'a/c',
        reportingInstance: 'j',
        action: 'y',
        reason: 's',
        note: 'n',
        type: 'Warning',
      }),
      [
        'reason: Invalid value: "s": field is immutable',
        'message: Invalid value: "n": field is immutable',
        'type: Invalid value: "Warning": field is immutable',
        'eventTime: Invalid value: "2026-01-02T00:00:00.000000Z": field is immutable',
        'action: Invalid value: "y": field is immutable',
        'reportingController: Invalid value: "a/c": field is immutable',
        'reportingInstance: Invalid value: "j": field is immutable',
      ],
    ],
    [
      'ranges of a node are checked, and given once',
      'nodes',
      clusterWide({ spec: { podCIDRs: ['10.0.0.0/24'], providerID: 'a' } }),
      clusterWide({ spec: { podCIDRs: ['10.0.1.0/24'], providerID: 'b', externalID: 'c' } }),
      [
        'spec.podCIDRs: Forbidden: node updates may not change podCIDR except from "" to valid',
        'spec.providerID: Forbidden: node updates may not change providerID except from "" to valid',
        'spec.externalID: Forbidden: may not be updated',
      ],
    ],
    [
      'where a node gets its configuration',
      'nodes',
      clusterWide({ spec: {} }),
      clusterWide({ spec: { configSource: { configMap: { namespace: 'a', name: 'b', kubeletConfigKey: '..' } } } }),
      ['spec.configSource.configMap.kubeletConfigKey: Invalid value: "..": must not be \'..\''],
    ],
    [
      'addresses of a node are told once',
      'nodes',
      clusterWide({ spec: {} }),
      clusterWide({ spec: {}, status: { addresses: [address, address] } }),
      ['status.addresses[1]: Duplicate value: {"Type":"InternalIP","Address":"1.2.3.4"}'],
    ],
  ])('%s', (_, kind, before, after, messages) => expect(updateErrors(kindOf(kind), before, after)).toEqual(messages));

  it('the phase of a namespace is what its deletion says', () => {
    const kind = kindOf('namespaces');
    const object = created(kind, clusterWide({}));
    const messages = (status: object) =>
      messagesOf(kind.validateStatusUpdate?.({ ...object, status } as KubeObject, object) ?? []);
    expect(messages({ phase: 'Active' })).toEqual([]);
    expect(messages({ phase: 'Terminating' })).toEqual([
      'status.Phase: Invalid value: "Terminating": may only be \'Active\' if `deletionTimestamp` is empty',
    ]);
  });
});

describe('service accounts', () => {
  const kind = kindOf('serviceaccounts');

  it('keep of secrets only the names', () => {
    const object = created(kind, named({ secrets: [{ kind: 'X', name: 'n', uid: 'u' }] })) as { secrets?: object[] };
    expect(object.secrets).toEqual([{ name: 'n' }]);
  });

  it('are warned about once when they bind themselves to their secrets', () => {
    const bound: KubeObject = {
      metadata: { name: 'x', annotations: { 'kubernetes.io/enforce-mountable-secrets': 'true' } },
    };
    const text =
      'metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets';
    expect(kind.warnings?.(bound)).toEqual([text]);
    expect(kind.warnings?.(bound, named({}))).toEqual([text]);
    expect(kind.warnings?.(bound, bound)).toEqual([]);
  });
});
