// Webhook configurations and admission policies: defaults, and one row for each rule with upstream's words.
import { describe, expect, it } from 'vitest';
import { mutatingAdmissionPolicy } from './mutating-admission-policy.ts';
import { mutatingWebhookConfiguration } from './mutating-webhook-configuration.ts';
import { created, createErrors, updateErrors, variant } from './testing.ts';
import { SAMPLES } from './testing-samples.ts';
import { validatingAdmissionPolicy } from './validating-admission-policy.ts';
import { validatingAdmissionPolicyBinding } from './validating-admission-policy-binding.ts';
import { validatingWebhookConfiguration } from './validating-webhook-configuration.ts';

const group = 'admissionregistration.k8s.io';
const sampleOf = (resource: string) => SAMPLES[`${resource}.${group}`] as object;

describe('webhook configurations', () => {
  const sample = sampleOf('mutatingwebhookconfigurations');
  const [hook] = (sample as { webhooks: [object] }).webhooks;
  const rule = { operations: ['CREATE'], apiGroups: ['apps'], apiVersions: ['v1'], resources: ['deployments'] };
  const withHook = (patch: object) => variant<never>(sample, { webhooks: [variant(hook, patch)] });

  it('get defaults', () => {
    const { webhooks } = created(mutatingWebhookConfiguration, withHook({ metadata: null, rules: [rule] })) as any;
    expect(webhooks).toEqual([
      {
        ...hook,
        rules: [{ ...rule, scope: '*' }],
        failurePolicy: 'Fail',
        matchPolicy: 'Equivalent',
        namespaceSelector: {},
        objectSelector: {},
        timeoutSeconds: 10,
        reinvocationPolicy: 'Never',
      },
    ]);
    const service = { service: { namespace: 'a', name: 'b' } };
    const validating = created(
      validatingWebhookConfiguration,
      withHook({ clientConfig: { url: null, ...service } }),
    ) as any;
    expect([validating.webhooks[0].clientConfig.service.port, validating.webhooks[0].reinvocationPolicy]).toEqual([
      443,
      undefined,
    ]);
  });

  it.each<[object, string[]]>([
    [{}, []],
    [
      { name: 'short.name' },
      [
        'webhooks[0].name: Invalid value: "short.name": should be a domain with at least three segments separated by dots',
      ],
    ],
    [{ name: '' }, ['webhooks[0].name: Required value']],
    [
      { sideEffects: 'Some' },
      ['webhooks[0].sideEffects: Unsupported value: "Some": supported values: "None", "NoneOnDryRun"'],
    ],
    [{ sideEffects: null }, ['webhooks[0].sideEffects: Required value: must specify one of None, NoneOnDryRun']],
    [
      { timeoutSeconds: 31 },
      ['webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds'],
    ],
    [
      { failurePolicy: 'Maybe' },
      ['webhooks[0].failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"'],
    ],
    [
      { matchPolicy: 'Sometimes' },
      ['webhooks[0].matchPolicy: Unsupported value: "Sometimes": supported values: "Equivalent", "Exact"'],
    ],
    [
      { reinvocationPolicy: 'Always' },
      ['webhooks[0].reinvocationPolicy: Unsupported value: "Always": supported values: "IfNeeded", "Never"'],
    ],
    [
      { admissionReviewVersions: [] },
      ['webhooks[0].admissionReviewVersions: Required value: must specify one of v1, v1beta1'],
    ],
    [
      { admissionReviewVersions: ['v9'] },
      ['webhooks[0].admissionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1'],
    ],
    [
      { admissionReviewVersions: ['v1', 'v1'] },
      ['webhooks[0].admissionReviewVersions[1]: Invalid value: "v1": duplicate version'],
    ],
    [
      { clientConfig: { url: null } },
      ['webhooks[0].clientConfig: Required value: exactly one of url or service is required'],
    ],
    [
      { clientConfig: { url: 'http://u@example.com/x?y=1#z' } },
      [
        'webhooks[0].clientConfig.url: Invalid value: "http": \'https\' is the only allowed URL scheme; desired format: https://host[/path]',
        'webhooks[0].clientConfig.url: Invalid value: "u": user information is not permitted in the URL; desired format: https://host[/path]',
        'webhooks[0].clientConfig.url: Invalid value: "z": fragments are not permitted in the URL; desired format: https://host[/path]',
        'webhooks[0].clientConfig.url: Invalid value: "y=1": query parameters are not permitted in the URL; desired format: https://host[/path]',
      ],
    ],
    [
      { clientConfig: { url: 'https:///x' } },
      ['webhooks[0].clientConfig.url: Invalid value: "": host must be specified; desired format: https://host[/path]'],
    ],
    [
      { clientConfig: { url: null, service: { port: 70000, path: 'x//y' } } },
      [
        'webhooks[0].clientConfig.service.name: Required value: service name is required',
        'webhooks[0].clientConfig.service.namespace: Required value: service namespace is required',
        'webhooks[0].clientConfig.service.port: Invalid value: 70000: port is not valid: must be between 1 and 65535, inclusive',
        'webhooks[0].clientConfig.service.path: Invalid value: "x//y": must start with a \'/\'',
        'webhooks[0].clientConfig.service.path: Invalid value: "x//y": segment[0] may not be empty',
        'webhooks[0].clientConfig.service.path: Invalid value: "x//y": segment[1] may not be empty',
      ],
    ],
    [
      { namespaceSelector: { matchExpressions: [{ key: 'a', operator: 'Like' }] } },
      [
        'webhooks[0].namespaceSelector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator',
      ],
    ],
    [
      { rules: [{}] },
      ['operations', 'apiGroups', 'apiVersions', 'resources'].map(
        (each) => `webhooks[0].rules[0].${each}: Required value`,
      ),
    ],
    [
      { rules: [{ ...rule, operations: ['*', 'MERGE'], apiGroups: ['*', 'apps'], scope: 'Galaxy' }] },
      [
        'webhooks[0].rules[0].operations: Invalid value: ["*","MERGE"]: if \'*\' is present, must not specify other operations',
        'webhooks[0].rules[0].operations[1]: Unsupported value: "MERGE": supported values: "*", "CONNECT", "CREATE", "DELETE", "UPDATE"',
        'webhooks[0].rules[0].apiGroups: Invalid value: ["*","apps"]: if \'*\' is present, must not specify other API groups',
        'webhooks[0].rules[0].scope: Unsupported value: "Galaxy": supported values: "*", "Cluster", "Namespaced"',
      ],
    ],
    [
      { rules: [{ ...rule, resources: ['pods/*', 'pods/status', '*/scale', 'a/scale', '*', 'a', ''] }] },
      [
        'webhooks[0].rules[0].resources[1]: Invalid value: "pods/status": if \'pods/*\' is present, must not specify pods/status',
        'webhooks[0].rules[0].resources[3]: Invalid value: "a/scale": if \'*/scale\' is present, must not specify a/scale',
        'webhooks[0].rules[0].resources[6]: Required value',
        'webhooks[0].rules[0].resources: Invalid value: ["pods/*","pods/status","*/scale","a/scale","*","a",""]: if \'*\' is present, must not specify other resources without subresources',
      ],
    ],
    [
      {
        matchConditions: [
          { name: '', expression: ' ' },
          { name: 'a', expression: 'true' },
          { name: 'a', expression: 'true' },
        ],
      },
      [
        'webhooks[0].matchConditions[0].expression: Required value',
        'webhooks[0].matchConditions[0].name: Required value',
        'webhooks[0].matchConditions[2].name: Duplicate value: "a"',
      ],
    ],
  ])('%j', (patch, messages) => {
    expect(createErrors(mutatingWebhookConfiguration, withHook(patch))).toEqual(messages);
  });

  it('have names of their own, and keep what they had', () => {
    const twice = variant<never>(sample, { webhooks: [hook, hook] });
    expect(createErrors(validatingWebhookConfiguration, twice)).toEqual([
      'webhooks[1].name: Duplicate value: "check.example.com"',
    ]);
    expect(updateErrors(validatingWebhookConfiguration, twice, twice)).toEqual([]);
    const lax = withHook({ sideEffects: 'Unknown', admissionReviewVersions: ['v9'] });
    expect(updateErrors(validatingWebhookConfiguration, lax, lax)).toEqual([]);
  });

  it('count their generations', () => {
    const old = created(mutatingWebhookConfiguration, withHook({})) as any;
    old.metadata.generation = 1;
    const object = created(mutatingWebhookConfiguration, withHook({ timeoutSeconds: 3 })) as any;
    object.metadata.generation = 1;
    mutatingWebhookConfiguration.prepareForUpdate?.(object, old, { nowMs: 0, user: 'x' });
    expect(object.metadata.generation).toBe(2);
  });
});

describe('policies', () => {
  const sample = sampleOf('validatingadmissionpolicies');
  it.each<[object, string[]]>([
    [{}, []],
    [{ failurePolicy: 'x' }, ['spec.failurePolicy: Unsupported value: "x": supported values: "Fail", "Ignore"']],
    [{ matchConstraints: null }, ['spec.matchConstraints: Required value']],
    [{ matchConstraints: { resourceRules: null } }, ['spec.matchConstraints.resourceRules: Required value']],
    [
      { validations: null },
      [
        'spec.validations: Required value: validations or auditAnnotations must contain at least one item',
        'spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item',
      ],
    ],
    [
      { validations: [{ expression: ' ', message: 'a\nb', messageExpression: ' ', reason: 'Because' }] },
      [
        'spec.validations[0].expression: Required value: expression is not specified',
        'spec.validations[0].messageExpression: Invalid value: " ": must be non-empty if specified',
        'spec.validations[0].message: Invalid value: "a\\nb": message must not contain line breaks',
        'spec.validations[0].reason: Unsupported value: "Because": supported values: "Forbidden", "Invalid", "RequestEntityTooLarge"',
      ],
    ],
    [
      { variables: [{ name: 'for', expression: '' }] },
      [
        'spec.variables[0].name: Invalid value: "for": name is not a valid CEL identifier',
        'spec.variables[0].expression: Required value: expression is not specified',
      ],
    ],
    [
      { paramKind: { apiVersion: 'a/b/c', kind: '' } },
      [
        'spec.paramKind.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c',
        'spec.paramKind.kind: Required value',
      ],
    ],
    [
      {
        auditAnnotations: [
          { key: 'k', valueExpression: '' },
          { key: 'k', valueExpression: "'1'" },
        ],
      },
      [
        'spec.auditAnnotations[0].valueExpression: Required value: valueExpression is not specified',
        'spec.auditAnnotations[1].key: Duplicate value: "k"',
      ],
    ],
  ])('%j', (spec, messages) => {
    expect(createErrors(validatingAdmissionPolicy, variant(sample, { spec }))).toEqual(messages);
  });

  it.each<[object, string[]]>([
    [{ mutations: [] }, ['spec.mutations: Required value: mutations must contain at least one item']],
    [{ mutations: [{}] }, ['spec.mutations[0].patchType: Required value']],
    [
      { mutations: [{ patchType: 'Merge' }] },
      ['spec.mutations[0].patchType: Unsupported value: "Merge": supported values: "ApplyConfiguration", "JSONPatch"'],
    ],
  ])('that mutate: %j', (spec, messages) => {
    const mutating = sampleOf('mutatingadmissionpolicies');
    expect(createErrors(mutatingAdmissionPolicy, variant(mutating, { spec }))).toEqual(messages);
  });

  it.each<[object, string[]]>([
    [{}, []],
    [{ policyName: '' }, ['spec.policyName: Required value']],
    [{ validationActions: [] }, ['spec.validationActions: Required value: at least one validation action is required']],
    [
      { validationActions: ['Deny', 'Warn', 'Deny', 'Log'] },
      [
        'spec.validationActions[2]: Duplicate value: "Deny"',
        'spec.validationActions[3]: Unsupported value: "Log": supported values: "Audit", "Deny", "Warn"',
        'spec.validationActions: Invalid value: ["Deny","Warn","Deny","Log"]: must not contain both Deny and Warn (repeating the same validation failure information in the API response and headers serves no purpose)',
      ],
    ],
    [
      { paramRef: {} },
      [
        'spec.paramRef: Required value: one of name or selector must be specified',
        'spec.paramRef.parameterNotFoundAction: Required value',
      ],
    ],
    [
      { paramRef: { name: 'a', selector: {}, parameterNotFoundAction: 'Ask' } },
      [
        'spec.paramRef.name: Forbidden: name and selector are mutually exclusive',
        'spec.paramRef.selector: Forbidden: name and selector are mutually exclusive',
        'spec.paramRef.parameterNotFoundAction: Unsupported value: "Ask": supported values: "Deny", "Allow"',
      ],
    ],
  ])('bindings: %j', (spec, messages) => {
    const binding = sampleOf('validatingadmissionpolicybindings');
    expect(createErrors(validatingAdmissionPolicyBinding, variant(binding, { spec }))).toEqual(messages);
  });

  it('tell of expressions that do not compile where they are, and of conditions that were there before no more', () => {
    const condition = { name: 'a', expression: 'nope' };
    const wrong = variant<never>(sample, {
      spec: { matchConditions: [condition], validations: [{ expression: 'nope' }, { expression: '' }] },
    });
    const fieldsOf = (messages: string[]) => messages.map((each) => each.slice(0, each.indexOf(': ')));
    const fields = [
      'spec.matchConditions[0].expression',
      'spec.validations[0].expression',
      'spec.validations[1].expression',
    ];
    expect(fieldsOf(createErrors(validatingAdmissionPolicy, wrong))).toEqual(fields);
    const before = variant<never>(sample, { spec: { matchConditions: [condition] } });
    const changed = variant<never>(before, { metadata: { labels: { a: 'b' } } });
    expect(updateErrors(validatingAdmissionPolicy, before, changed)).toEqual([]);
  });

  it('have conditions of the common form', () => {
    const object = created(validatingAdmissionPolicy, variant(sample, {})) as any;
    object.status = {
      conditions: [
        { type: 'A b', status: 'Yes', reason: 'no way' },
        { type: 'A b', status: 'True' },
      ],
    };
    expect(
      validatingAdmissionPolicy.validateStatusUpdate?.(object, object).map(({ field, type }) => [field, type]),
    ).toEqual([
      ['status.conditions[0].type', 'FieldValueInvalid'],
      ['status.conditions[0].status', 'FieldValueNotSupported'],
      ['status.conditions[0].lastTransitionTime', 'FieldValueRequired'],
      ['status.conditions[0].reason', 'FieldValueInvalid'],
      ['status.conditions[1].type', 'FieldValueDuplicate'],
      ['status.conditions[1].type', 'FieldValueInvalid'],
      ['status.conditions[1].lastTransitionTime', 'FieldValueRequired'],
      ['status.conditions[1].reason', 'FieldValueRequired'],
    ]);
  });
});
