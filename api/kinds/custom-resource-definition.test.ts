// What a CustomResourceDefinition may be: one row per rule, with the message as upstream words it.
import { describe, expect, test } from 'vitest';
import type { CustomResourceDefinition, JSONSchemaProps } from '../types/apiextensions-v1.ts';
import { customResourceDefinition } from './custom-resource-definition.ts';
import { beginnings, createErrors, created, updateErrors } from './testing.ts';

type Change = (definition: CustomResourceDefinition) => void;

function definition(change: Change = () => {}): CustomResourceDefinition {
  const object: CustomResourceDefinition = {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: 'widgets.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'widgets', kind: 'Widget' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object' } } } },
        },
      ],
    },
  };
  change(object);
  return object;
}

/** With `spec` of the schema replaced. */
const specSchema =
  (spec: unknown): Change =>
  ({ spec: { versions } }) => {
    const schema = versions[0]?.schema?.openAPIV3Schema;
    if (schema) schema.properties = { spec: spec as JSONSchemaProps };
  };
const first = (object: CustomResourceDefinition) => object.spec.versions[0] as (typeof object.spec.versions)[0];
const AT = 'spec.validation.openAPIV3Schema.properties[spec]';

test('defaults of names, conversion and stored versions', () => {
  const made = created(customResourceDefinition, definition());
  expect(made.spec.names).toEqual({ plural: 'widgets', kind: 'Widget', singular: 'widget', listKind: 'WidgetList' });
  expect(made.spec.conversion).toEqual({ strategy: 'None' });
  expect(made.status?.storedVersions).toEqual(['v1']);
});

describe('names and versions', () => {
  test.each<[string, Change, string]>([
    [
      'name',
      ({ metadata }) => (metadata.name = 'x.example.com'),
      'metadata.name: Invalid value: "x.example.com": must be spec.names.plural+"."+spec.group',
    ],
    [
      'group',
      ({ spec, metadata }) => {
        spec.group = 'apps';
        metadata.name = 'widgets.apps';
      },
      'spec.group: Invalid value: "apps": should be a domain with at least one dot',
    ],
    [
      'scope',
      ({ spec }) => (spec.scope = 'Global'),
      'spec.scope: Unsupported value: "Global": supported values: "Cluster", "Namespaced"',
    ],
    [
      'kind',
      ({ spec }) => (spec.names.kind = 'My_Kind'),
      'spec.names.kind: Invalid value: "My_Kind": may have mixed case, but should otherwise match: a DNS-1035 label',
    ],
    [
      'list kind',
      ({ spec }) => (spec.names.listKind = 'Widget'),
      'spec.names.listKind: Invalid value: "Widget": kind and listKind may not be the same',
    ],
    [
      'short name',
      ({ spec }) => (spec.names.shortNames = ['W']),
      'spec.names.shortNames[0]: Invalid value: "W": a DNS-1035 label',
    ],
    ['no storage', (each) => (first(each).storage = false), 'must have exactly one version marked as storage version'],
    ['no schema', (each) => delete first(each).schema, 'spec.versions[0].schema.openAPIV3Schema: Required value'],
    [
      'same versions',
      ({ spec }) => spec.versions.push({ ...first({ spec } as CustomResourceDefinition), storage: false }),
      'must contain unique version names',
    ],
    [
      'deprecation',
      (each) => (first(each).deprecationWarning = 'old'),
      'spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions',
    ],
    [
      'protected group',
      ({ spec, metadata }) => {
        spec.group = 'x.k8s.io';
        metadata.name = 'widgets.x.k8s.io';
      },
      'metadata.annotations[api-approved.kubernetes.io]: Required value: protected groups must have approval annotation "api-approved.kubernetes.io", see https://github.com/kubernetes/enhancements/pull/1111',
    ],
    [
      'unknown fields',
      ({ spec }) => (spec.preserveUnknownFields = true),
      'spec.preserveUnknownFields: Invalid value: true: cannot set to true, set x-kubernetes-preserve-unknown-fields to true in spec.versions[*].schema instead',
    ],
    [
      'column path',
      (each) => (first(each).additionalPrinterColumns = [{ name: 'A', type: 'string', jsonPath: 'spec.a' }]),
      'spec.additionalPrinterColumns[0].JSONPath: Invalid value: "spec.a": must be a simple json path starting with .',
    ],
    [
      'column type',
      (each) => (first(each).additionalPrinterColumns = [{ name: 'A', type: 'text', jsonPath: '.a' }]),
      'spec.additionalPrinterColumns[0].type: Invalid value: "text": must be one of boolean,date,integer,number,string',
    ],
    [
      'scale',
      (each) =>
        (first(each).subresources = { scale: { specReplicasPath: '.status.n', statusReplicasPath: '.status.n' } }),
      'spec.subresources.scale.specReplicasPath: Invalid value: ".status.n": should be a json path under .spec',
    ],
    [
      'selectable',
      (each) => (first(each).selectableFields = [{ jsonPath: '.spec.nope' }]),
      'spec.selectableFields[0].jsonPath: Invalid value: ".spec.nope": is an invalid path: does not refer to a valid field',
    ],
    [
      'selectable object',
      (each) => (first(each).selectableFields = [{ jsonPath: '.spec' }]),
      'must point to a field of type string, boolean or integer. Enum string fields and strings with formats are allowed.',
    ],
    [
      'webhook',
      ({ spec }) => (spec.conversion = { strategy: 'Webhook' }),
      'spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook',
    ],
    [
      'webhook url',
      ({ spec }) =>
        (spec.conversion = {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'http://x' }, conversionReviewVersions: ['v1'] },
        }),
      `spec.conversion.webhookClientConfig.url: Invalid value: "http": 'https' is the only allowed URL scheme; desired format: https://host[/path]`,
    ],
    [
      'review versions',
      ({ spec }) =>
        (spec.conversion = {
          strategy: 'Webhook',
          webhook: { clientConfig: { url: 'https://x' }, conversionReviewVersions: ['v9'] },
        }),
      'spec.conversion.conversionReviewVersions: Invalid value: ["v9"]: must include at least one of v1, v1beta1',
    ],
  ])('%s', (_what, change, message) => {
    expect(createErrors(customResourceDefinition, definition(change)).join('\n')).toContain(message);
  });
});

describe('schemas', () => {
  test.each<[string, unknown, string]>([
    ['no type', { properties: {} }, `${AT}.type: Required value: must not be empty for specified object fields`],
    ['no items', { type: 'array' }, `${AT}.items: Required value: must be specified`],
    [
      'unknown type',
      { type: 'text' },
      `${AT}.type: Unsupported value: "text": supported values: "array", "boolean", "integer", "number", "object", "string"`,
    ],
    ['a reference', { type: 'object', $ref: '#/x' }, `${AT}.$ref: Forbidden: $ref is not supported`],
    [
      'unique items',
      { type: 'array', items: { type: 'string' }, uniqueItems: true },
      `${AT}.uniqueItems: Forbidden: uniqueItems cannot be set to true since the runtime complexity becomes quadratic`,
    ],
    [
      'properties and additional ones',
      { type: 'object', properties: { a: { type: 'string' } }, additionalProperties: { type: 'string' } },
      `${AT}.additionalProperties: Forbidden: additionalProperties and properties are mutual exclusive`,
    ],
    [
      'a type inside a junctor',
      { type: 'object', properties: { a: { type: 'string' } }, allOf: [{ properties: { a: { type: 'string' } } }] },
      `${AT}.allOf[0].properties[a].type: Forbidden: must be empty to be structural`,
    ],
    [
      'a field only in a junctor',
      { type: 'object', anyOf: [{ properties: { a: { minLength: 1 } } }] },
      `${AT}.properties[a]: Required value: because it is defined in ${AT}.anyOf[0].properties[a]`,
    ],
    [
      'int-or-string that keeps fields',
      { 'x-kubernetes-int-or-string': true, 'x-kubernetes-preserve-unknown-fields': true },
      'must be false if x-kubernetes-int-or-string is true',
    ],
    [
      'embedded without fields',
      { type: 'object', 'x-kubernetes-embedded-resource': true },
      `${AT}.properties: Required value: must not be empty if x-kubernetes-embedded-resource is true without x-kubernetes-preserve-unknown-fields`,
    ],
    [
      'a pattern',
      { type: 'string', pattern: '(a' },
      `${AT}.pattern: Invalid value: "(a": must be a valid regular expression, but isn't: error parsing regexp: missing closing ): \`(a\``,
    ],
    [
      'map keys without a list type',
      {
        type: 'array',
        items: { type: 'object', properties: { a: { type: 'string' } } },
        'x-kubernetes-list-map-keys': ['a'],
      },
      `${AT}.x-kubernetes-list-type: Required value: must be map if x-kubernetes-list-map-keys is non-empty`,
    ],
    [
      'a map key that may be absent',
      {
        type: 'array',
        'x-kubernetes-list-type': 'map',
        items: { type: 'object', properties: { a: { type: 'string' } } },
        'x-kubernetes-list-map-keys': ['a'],
      },
      'this property is in x-kubernetes-list-map-keys, so it must have a default or be a required property',
    ],
    [
      'a set of objects',
      { type: 'array', 'x-kubernetes-list-type': 'set', items: { type: 'object' } },
      `${AT}.items.x-kubernetes-map-type: Invalid value: null: must be atomic as item of a list with x-kubernetes-list-type=set`,
    ],
    [
      'a default of another type',
      { type: 'object', properties: { a: { type: 'integer', default: 'x' } } },
      `${AT}.properties[a].default: Invalid value: "string":  in body must be of type integer: "string"`,
    ],
    [
      'a default with unknown fields',
      { type: 'object', properties: { a: { type: 'object', properties: {}, default: { b: 1 } } } },
      `${AT}.properties[a].default: Invalid value: {"b":1}: must not have unknown fields`,
    ],
    [
      'a rule without text',
      { type: 'object', 'x-kubernetes-validations': [{ rule: ' ' }] },
      `${AT}.x-kubernetes-validations[0].rule: Required value: rule is not specified`,
    ],
    [
      'a rule that does not compile',
      { type: 'object', properties: { a: { type: 'string' } }, 'x-kubernetes-validations': [{ rule: 'self.b' }] },
      `compilation failed: ERROR: <input>:1:5: undefined field 'b'`,
    ],
    [
      'a rule that is no condition',
      { type: 'object', properties: { a: { type: 'string' } }, 'x-kubernetes-validations': [{ rule: '1' }] },
      'cel expression must evaluate to a bool',
    ],
    [
      'a message that is none',
      { type: 'object', 'x-kubernetes-validations': [{ rule: 'true', messageExpression: '1' }] },
      'messageExpression must evaluate to a string',
    ],
    [
      'a path to nowhere',
      {
        type: 'object',
        properties: { a: { type: 'string' } },
        'x-kubernetes-validations': [{ rule: 'true', fieldPath: '.b' }],
      },
      `${AT}.x-kubernetes-validations[0].fieldPath: Invalid value: ".b": must be a valid path`,
    ],
    [
      'a rule that may cost too much',
      {
        type: 'array',
        items: { type: 'string' },
        'x-kubernetes-validations': [{ rule: 'self.all(a, self.all(b, a != b))' }],
      },
      `${AT}.x-kubernetes-validations[0].rule: Forbidden: estimated rule cost exceeds budget by factor of more than 100x (try simplifying the rule`,
    ],
    [
      'a transition of items that cannot be told',
      {
        type: 'array',
        maxItems: 5,
        items: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] },
      },
      `oldSelf cannot be used on the uncorrelatable portion of the schema within ${AT}`,
    ],
    [
      'an optional former value that is not used',
      { type: 'object', 'x-kubernetes-validations': [{ rule: 'true', optionalOldSelf: true }] },
      'may not be set if oldSelf is not used in rule',
    ],
  ])('%s', (_what, spec, message) => {
    expect(createErrors(customResourceDefinition, definition(specSchema(spec))).join('\n')).toContain(message);
  });

  test('what is fine is fine', () => {
    const spec = {
      type: 'object',
      required: ['size'],
      properties: {
        size: {
          'x-kubernetes-int-or-string': true,
          anyOf: [{ type: 'integer' }, { type: 'string' }],
          pattern: '^\\d+$',
        },
        any: { 'x-kubernetes-preserve-unknown-fields': true },
        template: {
          type: 'object',
          'x-kubernetes-embedded-resource': true,
          'x-kubernetes-preserve-unknown-fields': true,
        },
        labels: { type: 'object', additionalProperties: { type: 'string', maxLength: 63 } },
        list: {
          type: 'array',
          maxItems: 10,
          'x-kubernetes-list-type': 'map',
          'x-kubernetes-list-map-keys': ['name'],
          items: {
            type: 'object',
            required: ['name'],
            properties: { name: { type: 'string', maxLength: 20 }, n: { type: 'integer', default: 1 } },
            'x-kubernetes-validations': [{ rule: 'self.n >= oldSelf.n', message: 'may only grow' }],
          },
        },
      },
      oneOf: [{ required: ['any'] }, { required: ['labels'] }],
    };
    expect(createErrors(customResourceDefinition, definition(specSchema(spec)))).toEqual([]);
  });
});

test('updates: what is established keeps its kind and scope; the schema may change', () => {
  const established = definition((each) => {
    each.status = { conditions: [{ type: 'Established', status: 'True' }] };
  });
  const old = {
    ...created(customResourceDefinition, established),
    status: { ...established.status, storedVersions: ['v1'] },
  };
  const now = created(
    customResourceDefinition,
    definition(({ spec }) => {
      spec.names.kind = 'Gadget';
      spec.scope = 'Cluster';
    }),
  );
  now.status = old.status;
  const messages = customResourceDefinition.validateUpdate(now, old).map((each) => `${each.field}: ${each.body}`);
  expect(messages).toEqual([
    'spec.scope: Invalid value: "Cluster": field is immutable',
    'spec.names.kind: Invalid value: "Gadget": field is immutable',
  ]);
  expect(
    updateErrors(
      customResourceDefinition,
      definition(),
      definition(specSchema({ type: 'object', properties: { a: { type: 'string' } } })),
    ),
  ).toEqual([]);
});

const messagesOf = (change: Change) => createErrors(customResourceDefinition, definition(change));
const SELECTABLE = [{ jsonPath: '.spec.a' }];
const second = (object: CustomResourceDefinition, more: object): void => {
  object.spec.versions.push({ ...first(object), name: 'v2', storage: false, ...more });
};
const withSchema = (spec: unknown) => ({
  schema: { openAPIV3Schema: { type: 'object', properties: { spec: spec as JSONSchemaProps } } },
});

describe("what is wrong in several places, in upstream's order", () => {
  test.each<[string, Change, string[]]>([
    [
      'versions, then names, then what the versions share',
      (each) => {
        first(each).name = 'V';
        first(each).storage = false;
        first(each).deprecationWarning = 'old';
        first(each).additionalPrinterColumns = [{ name: '', type: 'string', jsonPath: '.a' }];
        each.spec.names.categories = ['A'];
      },
      [
        'spec.versions[0].name: Invalid value: "V": a DNS-1035 label',
        'spec.versions[0].deprecationWarning: Invalid value: "old": can only be set for deprecated versions',
        'spec.versions: Invalid value: [{"Name":"V","Served":true,"Storage":false,"Deprecated":false,"DeprecationWarning":"old","Schema":null,"Subresources":null,"AdditionalPrinterColumns":null,"SelectableFields":null}]: must have exactly one version marked as storage version',
        'spec.version: Invalid value: "V": a DNS-1035 label',
        'spec.names.categories[0]: Invalid value: "A": a DNS-1035 label',
        'spec.additionalPrinterColumns[0].name: Required value',
        'status.storedVersions: Invalid value: []: must have at least one stored version',
      ],
    ],
    [
      'what differs is of its version',
      (each) => {
        second(each, withSchema({ type: 'text' }));
        first(each).additionalPrinterColumns = [{ name: '', type: 'string', jsonPath: '.a' }];
      },
      [
        'spec.versions[0].additionalPrinterColumns[0].name: Required value',
        'spec.versions[1].schema.openAPIV3Schema.properties[spec].type: Unsupported value: "text"',
      ],
    ],
    [
      'only the first of two storage versions is stored',
      (each) => second(each, { storage: true }),
      [
        'spec.versions: Invalid value: [{"Name":"v1"',
        'status.storedVersions: Invalid value: ["v1"]: must have the storage version v2',
      ],
    ],
    [
      'the root, its shape, the rest of it, and rules where nothing is wrong',
      (each) => {
        first(each).subresources = { status: {} };
        first(each).schema = {
          openAPIV3Schema: {
            type: 'object',
            nullable: true,
            properties: {
              a: { type: 'object', 'x-kubernetes-validations': [{ rule: 'nope' }] },
              b: { type: 'object', id: 'x', 'x-kubernetes-validations': [{ rule: 'nope' }] },
            },
          },
        };
      },
      [
        'spec.validation.openAPIV3Schema: Invalid value: {"type":"object","nullable":true',
        'spec.validation.openAPIV3Schema.nullable: Forbidden: nullable cannot be true at the root',
        'spec.validation.openAPIV3Schema.properties[b].id: Forbidden: id is not supported',
        'spec.validation.openAPIV3Schema.properties[a].x-kubernetes-validations[0].rule: Invalid value: {"Rule":"nope"',
      ],
    ],
    [
      'no rule looks back into an atomic map',
      specSchema({
        type: 'object',
        'x-kubernetes-map-type': 'atomic',
        properties: { a: { type: 'integer', 'x-kubernetes-validations': [{ rule: 'self == oldSelf' }] } },
      }),
      [
        `${AT}.properties[a].x-kubernetes-validations[0].rule: Invalid value: "self == oldSelf": oldSelf cannot be used on the uncorrelatable portion of the schema within ${AT}`,
      ],
    ],
    [
      'unknown fields that are kept allow neither defaults nor webhooks',
      (each) => {
        specSchema({ type: 'object', properties: { a: { type: 'integer', default: 1 } } })(each);
        each.spec.preserveUnknownFields = true;
        each.spec.conversion = { strategy: 'Webhook' };
      },
      [
        'spec.preserveUnknownFields: Invalid value: true: must be false in order to use defaults in the schema',
        'spec.conversion.strategy: Invalid value: "Webhook": must be None if spec.preserveUnknownFields is true',
        'spec.conversion.webhookClientConfig: Required value: required when strategy is set to Webhook',
        'spec.conversion.conversionReviewVersions: Required value',
        'spec.preserveUnknownFields: Invalid value: true: cannot set to true',
      ],
    ],
    [
      'fields without a schema',
      (each) => {
        delete first(each).schema;
        first(each).selectableFields = SELECTABLE;
      },
      [
        'spec.versions[0].schema.openAPIV3Schema: Required value',
        'spec.selectableFields: Invalid value: "": may only be set when validations.schema is included',
      ],
    ],
    [
      'characters that cannot be printed, by the bytes before them',
      (each) => {
        first(each).deprecated = true;
        first(each).deprecationWarning = 'é\u0007';
      },
      [
        'spec.versions[0].deprecationWarning: Invalid value: "é\\a": must only contain printable UTF-8 characters; non-printable character found at index 2',
      ],
    ],
  ])('%s', (_what, change, messages) => {
    expect(beginnings(messagesOf(change), messages)).toEqual(messages);
  });

  test('versions with one list of fields and two schemas', () => {
    const change: Change = (each) => {
      specSchema({ type: 'object', properties: { a: { type: 'string' } } })(each);
      first(each).selectableFields = SELECTABLE;
      second(each, withSchema({ type: 'object', properties: { a: { type: 'string' }, b: { type: 'string' } } }));
    };
    expect(messagesOf(change)).toEqual([]);
  });
});

test('protected groups: how a definition was approved before may stay', () => {
  const approved = (value?: string) =>
    definition(({ spec, metadata }) => {
      spec.group = 'x.k8s.io';
      metadata.name = 'widgets.x.k8s.io';
      if (value) metadata.annotations = { 'api-approved.kubernetes.io': value };
    });
  const why = (value: string) => createErrors(customResourceDefinition, approved(value));
  expect(why('https://github.com/x/y/pull/1')).toEqual([]);
  expect(why('unapproved, an experiment')).toEqual([]);
  const wrong =
    'protected groups must have approval annotation "api-approved.kubernetes.io" with either a URL or a reason starting with "unapproved", see https://github.com/kubernetes/enhancements/pull/1111';
  for (const value of ['yes', '/pull/1', 'mailto:a']) {
    expect(why(value)).toEqual([
      `metadata.annotations[api-approved.kubernetes.io]: Invalid value: "${value}": ${wrong}`,
    ]);
  }
  const update = (before?: string, after?: string) =>
    updateErrors(customResourceDefinition, approved(before), approved(after)).length;
  expect([update('yes', 'no'), update(undefined, undefined), update('https://a/b', undefined)]).toEqual([0, 0, 1]);
});

test('formats that nobody knows are told, on an update those that are new', () => {
  const formats = (...list: [string, string][]) =>
    created(
      customResourceDefinition,
      definition(
        specSchema({
          type: 'object',
          properties: Object.fromEntries(list.map(([type, format], i) => [`p${i}`, { type, format }])),
        }),
      ),
    );
  const known = formats(
    ['integer', 'int32'],
    ['integer', 'int64'],
    ['number', 'float'],
    ['number', 'double'],
    ['string', 'date-time'],
    ['string', 'k8s-short-name'],
    ['string', 'password'],
  );
  expect(customResourceDefinition.warnings?.(known)).toEqual([]);
  const unknown = formats(['integer', 'uint32'], ['string', 'int32'], ['boolean', 'byte'], ['string', 'int32']);
  const all = ['uint32', 'int32', 'byte'].map((each) => `unrecognized format "${each}"`);
  expect(customResourceDefinition.warnings?.(unknown)).toEqual(all);
  expect(customResourceDefinition.warnings?.(unknown, unknown)).toEqual([]);
  expect(customResourceDefinition.warnings?.(unknown, formats(['integer', 'uint32']))).toEqual(all.slice(1));
});

test('whoever writes the status says what is stored', () => {
  const object = created(customResourceDefinition, definition());
  object.status = { ...object.status, storedVersions: ['v0'] };
  expect(customResourceDefinition.validateStatusUpdate?.(object, object)).toEqual([]);
});
