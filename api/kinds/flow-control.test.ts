// FlowSchemas and PriorityLevelConfigurations: defaults, and one row for each rule with upstream's words.
import { describe, expect, it } from 'vitest';
import { flowSchema } from './flow-schema.ts';
import { MANDATORY_FLOW_SCHEMAS, MANDATORY_PRIORITY_LEVELS } from './parts/mandatory-flow-control.ts';
import { priorityLevelConfiguration } from './priority-level-configuration.ts';
import { created, createErrors, variant } from './testing.ts';
import { SAMPLES } from './testing-samples.ts';

const schema = SAMPLES['flowschemas.flowcontrol.apiserver.k8s.io'] as object;
const level = SAMPLES['prioritylevelconfigurations.flowcontrol.apiserver.k8s.io'] as object;

describe('flow schemas', () => {
  const resourceRules = [{ verbs: ['get'], apiGroups: [''], resources: ['pods'], namespaces: ['default'] }];
  const subjects = [{ kind: 'Group', group: { name: 'g' } }];
  it.each<[object, string[]]>([
    [{}, []],
    [
      { matchingPrecedence: 1 },
      ["spec.matchingPrecedence: Invalid value: 1: only the schema named 'exempt' may have matchingPrecedence 1"],
    ],
    [{ matchingPrecedence: -1 }, ['spec.matchingPrecedence: Invalid value: -1: must be a positive value']],
    [{ matchingPrecedence: 10001 }, ['spec.matchingPrecedence: Invalid value: 10001: must not be greater than 10000']],
    [
      { priorityLevelConfiguration: { name: '' } },
      ['spec.priorityLevelConfiguration.name: Required value: must reference a priority level'],
    ],
    [
      { distinguisherMethod: { type: 'ByAge' } },
      ['spec.distinguisherMethod.type: Unsupported value: {"Type":"ByAge"}: supported values: "ByNamespace", "ByUser"'],
    ],
    [
      { rules: [{}] },
      [
        'spec.rules[0].subjects: Required value: subjects must contain at least one value',
        'spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be non-empty',
      ],
    ],
    [
      { rules: [{ resourceRules, subjects: [{ kind: 'User', group: { name: 'g' } }, { kind: 'Robot' }] }] },
      [
        "spec.rules[0].subjects[0].user: Required value: user is required when subject kind is 'User'",
        "spec.rules[0].subjects[0].group: Forbidden: group is forbidden when subject kind is not 'Group'",
        'spec.rules[0].subjects[1].kind: Unsupported value: "Robot": supported values: "Group", "ServiceAccount", "User"',
      ],
    ],
    [
      {
        rules: [{ resourceRules, subjects: [{ kind: 'ServiceAccount', serviceAccount: { name: '', namespace: '' } }] }],
      },
      [
        'spec.rules[0].subjects[0].serviceAccount.name: Required value',
        'spec.rules[0].subjects[0].serviceAccount.namespace: Required value: must specify namespace for service account',
      ],
    ],
    [
      { rules: [{ subjects, resourceRules: [{ verbs: ['*', 'get'], apiGroups: [], resources: ['*', 'a'] }] }] },
      [
        'spec.rules[0].resourceRules[0].verbs: Invalid value: ["*","get"]: if \'*\' is present, must not specify other verbs',
        'spec.rules[0].resourceRules[0].apiGroups: Required value: resource rules must supply at least one api group',
        'spec.rules[0].resourceRules[0].resources: Invalid value: ["*","a"]: if \'*\' is present, must not specify other resources',
        'spec.rules[0].resourceRules[0].namespaces: Required value: resource rules that are not cluster scoped must supply at least one namespace',
      ],
    ],
    [
      {
        rules: [
          { subjects, nonResourceRules: [{ verbs: ['peek'], nonResourceURLs: ['a', '/a b', '/a//b', '/*/b', ''] }] },
        ],
      },
      [
        'spec.rules[0].nonResourceRules[0].verbs: Unsupported value: ["peek"]: supported values: "create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[0]: Invalid value: "a": must start with slash',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[1]: Invalid value: "/a b": must not contain white-space',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[2]: Invalid value: "/a//b": must not contain double slash',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[3]: Invalid value: "/*/b": wildcard can only do suffix matching',
        'spec.rules[0].nonResourceRules[0].nonResourceURLs[4]: Invalid value: "": must not be empty',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(flowSchema, variant(schema, { spec }))).toEqual(messages);
  });

  it('that are mandatory are as they are', () => {
    for (const [name, spec] of Object.entries(MANDATORY_FLOW_SCHEMAS)) {
      expect(createErrors(flowSchema, { metadata: { name }, spec })).toEqual([]);
      const other = { metadata: { name }, spec: { ...spec, rules: [] } };
      expect(createErrors(flowSchema, other)[0]).toContain(`spec of '${name}' must equal the fixed value`);
    }
  });
});

describe('priority levels', () => {
  it('get defaults', () => {
    const queue = { limited: { limitResponse: { type: 'Queue', queuing: {} } } };
    expect((created(priorityLevelConfiguration, variant(level, { spec: queue })) as any).spec.limited).toEqual({
      nominalConcurrencyShares: 30,
      lendablePercent: 0,
      limitResponse: { type: 'Queue', queuing: { handSize: 8, queues: 64, queueLengthLimit: 50 } },
    });
  });
  it.each<[object, string[]]>([
    [{}, []],
    [
      { type: 'Exempt', limited: null },
      ["spec.type: Invalid value: \"Exempt\": type must be 'Exempt' if and only if name is 'exempt'"],
    ],
    [{ type: 'Endless' }, ['spec.type: Unsupported value: "Endless": supported values: "Exempt", "Limited"']],
    [{ limited: null }, ['spec.limited: Required value: must not be empty when type is Limited']],
    [{ exempt: {} }, ['spec.exempt: Forbidden: must be nil if the type is Limited']],
    [
      { limited: { nominalConcurrencyShares: -1, lendablePercent: 101, borrowingLimitPercent: -1 } },
      [
        'spec.limited.nominalConcurrencyShares: Invalid value: -1: must be a non-negative integer',
        'spec.limited.lendablePercent: Invalid value: 101: must be between 0 and 100, inclusive',
        'spec.limited.borrowingLimitPercent: Invalid value: -1: if specified, must be a non-negative integer',
      ],
    ],
    [
      { limited: { limitResponse: { type: 'Queue' } } },
      [
        'spec.limited.limitResponse.queuing: Required value: must not be empty if limited.limitResponse.type is Limited',
      ],
    ],
    [
      { limited: { limitResponse: { queuing: {} } } },
      ['spec.limited.limitResponse.queuing: Forbidden: must be nil if limited.limitResponse.type is not Limited'],
    ],
    [
      { limited: { limitResponse: { type: 'Queue', queuing: { queues: 4, handSize: 5, queueLengthLimit: -1 } } } },
      [
        'spec.limited.limitResponse.queuing.queueLengthLimit: Invalid value: -1: must be positive',
        'spec.limited.limitResponse.queuing.handSize: Invalid value: 5: should not be greater than queues (4)',
      ],
    ],
    [
      { limited: { limitResponse: { type: 'Queue', queuing: { queues: 512, handSize: 8 } } } },
      [
        'spec.limited.limitResponse.queuing.handSize: Invalid value: 8: required entropy bits of deckSize 512 and handSize 8 should not be greater than 60',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(priorityLevelConfiguration, variant(level, { spec }))).toEqual(messages);
  });
  it('that are mandatory are as they are, but for what the exempt one lends', () => {
    for (const [name, spec] of Object.entries(MANDATORY_PRIORITY_LEVELS)) {
      expect(createErrors(priorityLevelConfiguration, { metadata: { name }, spec })).toEqual([]);
    }
    const lending = { type: 'Exempt', exempt: { nominalConcurrencyShares: 7, lendablePercent: 50 } };
    expect(createErrors(priorityLevelConfiguration, { metadata: { name: 'exempt' }, spec: lending })).toEqual([]);
  });
});
