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

function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const NAMES = ['a', 'b', 'metadata', 'kind', 'x-y', '__proto__', 'status'];

class Generator {
  #random: () => number;

  constructor(seed: number) {
    this.#random = randomOf(seed);
  }

  pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)] as T;
  }

  maybe(chance: number): boolean {
    return this.#random() < chance;
  }

  value(depth: number): unknown {
    switch (this.pick(['null', 'text', 'number', 'fraction', 'flag', 'list', 'map', 'map'])) {
      case 'null':
        return null;
      case 'text':
        return this.pick(['', 'a', '12', 'ä😀', '2020-01-01T00:00:00Z']);
      case 'number':
        return this.pick([0, -1, 7, 2 ** 40]);
      case 'fraction':
        return 1.5;
      case 'flag':
        return this.maybe(0.5);
      case 'list':
        return depth <= 0 ? [] : Array.from({ length: 3 }, () => this.value(depth - 1));
      default:
        return depth <= 0 ? {} : this.#record(() => this.value(depth - 1));
    }
  }

  #record(of: () => unknown): Record<string, unknown> {
    const found: Record<string, unknown> = Object.create(null);
    for (const name of NAMES) if (this.maybe(0.4)) found[name] = of();
    return JSON.parse(JSON.stringify(found));
  }

  /** Not always one that a server would take. */
  schema(depth: number): Record<string, unknown> {
    const type = this.pick(['object', 'object', 'array', 'string', 'integer', 'number', 'boolean', '']);
    const schema: Record<string, unknown> = type === '' ? {} : { type };
    const flags = [
      'nullable',
      'x-kubernetes-preserve-unknown-fields',
      'x-kubernetes-int-or-string',
      'x-kubernetes-embedded-resource',
    ];
    for (const flag of flags) if (this.maybe(0.15)) schema[flag] = true;
    if (this.maybe(0.2)) schema['default'] = this.value(1);
    if (this.maybe(0.1)) schema['enum'] = [this.value(0), 'a'];
    if (this.maybe(0.1)) schema['pattern'] = this.pick(['^a', '(', '[[:alpha:]]+', '\\pL']);
    if (this.maybe(0.1)) schema['minimum'] = 3;
    if (this.maybe(0.1)) schema['maxLength'] = 1;
    if (this.maybe(0.1)) schema['format'] = this.pick(['date-time', 'ipv4', 'nothing', 'int32']);
    if (this.maybe(0.1)) schema['x-kubernetes-list-type'] = this.pick(['set', 'map', 'atomic', 'other']);
    if (this.maybe(0.1)) schema['x-kubernetes-list-map-keys'] = ['a'];
    if (this.maybe(0.1)) schema['x-kubernetes-map-type'] = 'atomic';
    if (this.maybe(0.1))
      schema['x-kubernetes-validations'] = [
        { rule: this.pick(['self == self', 'self.a > 1', ')', 'oldSelf != self']) },
      ];
    if (depth <= 0) return schema;
    if (this.maybe(0.6)) schema['properties'] = this.#record(() => this.schema(depth - 1));
    if (this.maybe(0.3)) schema['items'] = this.schema(depth - 1);
    if (this.maybe(0.2)) schema['additionalProperties'] = this.maybe(0.3) ? this.maybe(0.5) : this.schema(depth - 1);
    if (this.maybe(0.1)) schema['required'] = ['a', 'b'];
    for (const name of ['anyOf', 'oneOf', 'allOf']) {
      if (this.maybe(0.08)) schema[name] = [this.schema(0), this.schema(depth - 1)];
    }
    if (this.maybe(0.05)) schema['not'] = this.schema(0);
    return schema;
  }
}

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
