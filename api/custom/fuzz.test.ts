// Random schemas and random objects: nothing throws, pruning and defaulting settle, and what they make fits the schema's shape.
import { expect, test } from 'vitest';
import { compareObjects } from '../managed-fields/compare.ts';
import { deepClone } from '../equality.ts';
import { customResourceDefinition } from '../kinds/custom-resource-definition.ts';
import type { CustomResourceDefinition } from '../types/apiextensions-v1.ts';
import { applyDefaults } from './defaults.ts';
import { customKinds, renameVersion } from './kinds.ts';
import { publishedSchema } from './open-api.ts';
import { pruneObject } from './prune.ts';
import { structuralOf } from './structural.ts';
import { Generator } from './testing/generator.ts';

const definition = (schema: object): CustomResourceDefinition => ({
  metadata: { name: 'things.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'things', kind: 'Thing', singular: 'thing', listKind: 'ThingList' },
    versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: schema } }],
    conversion: { strategy: 'None' },
  },
  status: { storedVersions: ['v1'] },
});

test('any schema and any object', () => {
  let accepted = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const make = new Generator(seed);
    // The root is compared with its metadata, which always changes: junctors there are asked every time.
    const { anyOf: _a, oneOf: _o, allOf: _l, not: _n, ...root } = make.schema(3);
    const schema = { ...root, type: 'object' };
    const made = definition(schema);
    if (customResourceDefinition.validate(made).length === 0) accepted++;
    const structural = structuralOf(schema);
    const [kind] = customKinds(made, renameVersion).served;
    if (!kind) throw new Error('not served');
    publishedSchema(schema, 'v2');
    for (let i = 0; i < 3; i++) {
      const body = {
        ...(make.value(4) as object),
        apiVersion: 'example.com/v1',
        kind: 'Thing',
        metadata: { name: 'x', namespace: 'default' },
      } as Record<string, unknown>;
      pruneObject(body, structural);
      applyDefaults(body, structural);
      // Defaults may bring what pruning takes: it settles with the second round at the latest.
      pruneObject(body, structural);
      applyDefaults(body, structural);
      const settled = JSON.stringify(body);
      pruneObject(body, structural);
      applyDefaults(body, structural);
      expect(JSON.stringify(body), `seed ${seed}`).toBe(settled);
      const object = body as never;
      kind.validate(object);
      const other = deepClone(body) as Record<string, unknown>;
      other['a'] = make.value(2);
      // The root always changes, and a rule that cannot be asked is no matter of values.
      const again = kind.validateUpdate(object, deepClone(body) as never);
      const serious = again.filter(
        (each) => each.field !== '<nil>' && !/rule compile error|evaluating rule|for rule:|oldSelf/.test(each.body),
      );
      const inside = serious.filter((each) => !structural.values.required.includes(each.field));
      expect(inside, `seed ${seed}: unchanged is tolerated`).toEqual([]);
      kind.validateUpdate(other as never, object);
      kind.cells(object, { nowMs: 0 });
      compareObjects(kind.custom?.shape as never, body, other);
    }
  }
  // Random schemas are hardly ever structural; some are.
  expect(accepted).toBeGreaterThan(0);
});
