// Whatever shape of object decoding lets through: rules answer with findings, never with an exception, and defaults settle.
import { expect, it } from 'vitest';
import { deepClone } from '../equality.ts';
import type { Kind } from '../kind.ts';
import type { KubeObject } from '../object.ts';
import { normalize } from '../normalize.ts';
import { definition, type Scalar, type TypeRef } from '../schema.ts';
import { builtinKinds } from './index.ts';

const CONTEXT = { nowMs: 0, user: 'tester' };
const ROUNDS = 150;

/** A linear congruential generator: the same objects in every run. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const TEXTS = [
  '',
  'a',
  'web',
  'Bad_Name',
  '..',
  '../x',
  '/abs',
  '10.0.0.1',
  '::1',
  'None',
  'Always',
  'Localhost',
  'x'.repeat(300),
  '%',
];
const SCALARS: Record<Scalar, readonly unknown[]> = {
  string: TEXTS,
  bool: [true, false],
  int32: [0, 1, -1, 80, 70000],
  int64: [0, 1, -1, 2 ** 40],
  double: [0, 1.5],
  bytes: ['', 'YQ==', 'YWI='],
  time: ['2026-01-01T00:00:00Z'],
  microtime: ['2026-01-01T00:00:00.000000Z'],
  quantity: ['0', '1', '500m', '-1', '1Gi'],
  intstr: [0, 1, -1, '25%', '101%', 'http', 'Bad_'],
  raw: [{}],
  any: ['x', {}],
  object: [{}],
  fields: [{}],
};

function valueOf(type: TypeRef, random: () => number, depth: number): unknown {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  switch (type.kind) {
    case 'scalar':
      return pick(SCALARS[type.scalar]);
    case 'list':
      return Array.from({ length: Math.floor(random() * 3) }, () => valueOf(type.of, random, depth + 1));
    case 'map':
      return Object.fromEntries(
        Array.from({ length: Math.floor(random() * 3) }, () => [pick(TEXTS), valueOf(type.of, random, depth + 1)]),
      );
    case 'ref': {
      const known = definition(type.name);
      if (known.scalar) return pick(SCALARS[known.scalar]);
      const object: Record<string, unknown> = {};
      const chance = depth < 3 ? 0.6 : 0.25;
      for (const field of known.fields.values()) {
        if (depth < 9 && random() < chance) object[field.name] = valueOf(field.type, random, depth + 1);
      }
      return object;
    }
  }
}

function objectOf(kind: Kind, random: () => number): KubeObject {
  const sent = valueOf({ kind: 'ref', name: kind.schema }, random, 0) as Record<string, unknown>;
  return normalize(kind.schema, sent).object as unknown as KubeObject;
}

it.each(builtinKinds.map((kind) => [kind.kind, kind] as const))('%s stands any object', (_, kind) => {
  const random = randomFrom(kind.kind.length * 7919);
  let refused = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const [old, object] = [objectOf(kind, random), objectOf(kind, random)];
    for (const each of [old, object]) {
      kind.setDefaults?.(each);
      const again = deepClone(each);
      kind.setDefaults?.(again);
      expect(again).toEqual(deepClone(each));
    }
    kind.prepareForCreate?.(old, CONTEXT);
    if (kind.validate(old).length > 0) refused++;
    kind.prepareForUpdate?.(object, old, CONTEXT);
    kind.validateUpdate(object, old);
    kind.validateStatusUpdate?.(object, old);
    kind.prepareForStatusUpdate?.(object, old, CONTEXT);
    kind.warnings?.(object);
    kind.gracefulDelete?.(object, undefined);
    expect(kind.cells(object, CONTEXT)).toHaveLength(kind.columns.length);
    for (const read of Object.values(kind.selectableFields ?? {})) expect(typeof read(object)).toBe('string');
    kind.scale?.specReplicas(object);
  }
  expect(refused).toBeLessThanOrEqual(ROUNDS);
});
