import { expect, it } from 'vitest';
import { customKinds, renameVersion } from '../../api/custom/kinds.ts';
import { createScheme } from '../../api/kinds/index.ts';
import { validatingAdmissionPolicy as policyKind } from '../../api/kinds/validating-admission-policy.ts';
import type { KubeObject } from '../../api/object.ts';
import type {
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicySpec,
} from '../../api/types/admissionregistration-v1.ts';
import type { CustomResourceDefinition } from '../../api/types/apiextensions-v1.ts';
import { startHarness } from '../testing/harness.ts';
import { runValidatingPolicyStatus } from './controller.ts';
import { typeWarnings } from './plan.ts';

const rule = (apiGroups: string[], resources: string[]) => ({
  apiGroups,
  apiVersions: ['v1'],
  operations: ['CREATE'],
  resources,
});
const spec = (expression: string, ...rules: ReturnType<typeof rule>[]): ValidatingAdmissionPolicySpec => ({
  matchConstraints: { resourceRules: rules },
  validations: [{ expression }],
});
const wrong = "ERROR: <input>:1:7: undefined field 'replicas'\n | object.replicas > 1\n | ......^";

it.each([
  [
    'a field that is not there',
    spec('object.replicas > 1', rule(['apps'], ['deployments'])),
    [`apps/v1, Kind=Deployment: ${wrong}`],
  ],
  [
    'each kind that it does not fit',
    spec('object.replicas > 1', rule(['apps'], ['deployments']), rule([''], ['pods'])),
    [`apps/v1, Kind=Deployment: ${wrong}\n/v1, Kind=Pod: ${wrong}`],
  ],
  ['nothing where all is well', spec('object.spec.replicas > 1', rule(['apps'], ['deployments'])), []],
  ['nothing where no kind is named', spec('object.replicas > 1', rule(['*'], ['*'])), []],
  [
    'types that do not go together',
    spec("object.spec.replicas == 'x'", rule(['apps'], ['deployments'])),
    [
      "apps/v1, Kind=Deployment: ERROR: <input>:1:22: found no matching overload for '_==_' applied to '(int, string)'\n | object.spec.replicas == 'x'\n | .....................^",
    ],
  ],
] as const)('tells %s', (_, policy, warnings) => {
  const found = typeWarnings(policy, createScheme());
  expect(found.map(({ warning }) => warning)).toEqual(warnings);
  for (const { fieldRef } of found) expect(fieldRef).toBe('spec.validations[0].expression');
});

it('knows the types of custom resources', () => {
  const definition = {
    metadata: { name: 'boats.example.com' },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural: 'boats', singular: 'boat', kind: 'Boat', listKind: 'BoatList' },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: { spec: { type: 'object', properties: { replicas: { type: 'integer' } } } },
            },
          },
        },
      ],
    },
    status: { acceptedNames: { plural: 'boats', singular: 'boat', kind: 'Boat', listKind: 'BoatList' } },
  } as unknown as CustomResourceDefinition;
  const scheme = createScheme();
  for (const kind of customKinds(definition, renameVersion).served) scheme.add(kind);
  const check = (expression: string) => typeWarnings(spec(expression, rule(['example.com'], ['boats'])), scheme);
  expect(check('object.spec.replicas > 1 && object.metadata.name != object.metadata.namespace')).toEqual([]);
  expect(check("object.spec.replicas > '0'")).toEqual([
    {
      fieldRef: 'spec.validations[0].expression',
      warning:
        "example.com/v1, Kind=Boat: ERROR: <input>:1:22: found no matching overload for '_>_' applied to '(int, string)'\n | object.spec.replicas > '0'\n | .....................^",
    },
  ]);
});

it('writes the status once for each generation', async () => {
  const harness = startHarness([runValidatingPolicyStatus]);
  try {
    const policy = {
      metadata: { name: 'p', generation: 1 },
      spec: spec('object.replicas > 1', rule(['apps'], ['deployments'])),
    } as ValidatingAdmissionPolicy & KubeObject;
    await harness.create(policyKind, policy);
    await harness.run();
    const { status } = await harness.client.resource<ValidatingAdmissionPolicy & KubeObject>(policyKind).get('p');
    expect(status).toEqual({
      observedGeneration: 1,
      typeChecking: {
        expressionWarnings: [
          { fieldRef: 'spec.validations[0].expression', warning: `apps/v1, Kind=Deployment: ${wrong}` },
        ],
      },
    });
    harness.takeWrites();
    await harness.run(60_000);
    expect(harness.takeWrites()).toEqual([]);
  } finally {
    await harness.stop();
  }
});
