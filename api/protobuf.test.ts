import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeObject } from './codec.ts';
import { deepClone } from './equality.ts';
import { ApiError } from './errors.ts';
import { normalize } from './normalize.ts';
import { decodeMessage, encodeMessage, encodeObject, ProtobufError, writeEnvelope } from './protobuf.ts';
import { definition, type Field, groupDefinitions, type Scalar, type TypeRef } from './schema.ts';

const POD = { group: '', version: 'v1', kind: 'Pod', schema: 'core.v1.Pod' };

const word = fc.stringMatching(/^[a-z\u00e9\u4e16]{1,8}$/);

function scalar(type: Scalar): fc.Arbitrary<unknown> {
  switch (type) {
    case 'string':
      return word;
    case 'bool':
      return fc.boolean();
    case 'int32':
      return fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    case 'int64':
      return fc.maxSafeInteger();
    case 'double':
      return fc.double({ noNaN: true, noDefaultInfinity: true }).map((each) => (Object.is(each, -0) ? 0 : each));
    case 'bytes':
      return fc.uint8Array({ maxLength: 10 }).map((each) => Buffer.from(each).toString('base64'));
    case 'time':
      return fc.integer({ min: -1e9, max: 4e9 }).map((each) => `${new Date(each * 1000).toISOString().slice(0, 19)}Z`);
    case 'microtime':
      return fc.integer({ min: 0, max: 4e12 }).map((each) => `${new Date(each).toISOString().slice(0, 23)}123Z`);
    case 'quantity':
      return fc.constantFrom('1', '100m', '5Gi', '3k', '7e3');
    case 'intstr':
      return fc.oneof(word, fc.integer({ min: -5, max: 70_000 }));
    case 'raw':
    case 'any':
      return fc.oneof(word, fc.integer(), fc.dictionary(word, fc.integer(), { maxKeys: 2 }));
    case 'object':
      return fc.constant({});
    case 'fields':
      return fc.dictionary(word, fc.constant({}), { maxKeys: 2 });
  }
}

function valueOf(type: TypeRef, depth: number): fc.Arbitrary<unknown> {
  switch (type.kind) {
    case 'scalar':
      return scalar(type.scalar);
    case 'list':
      return fc.array(valueOf(type.of, depth), { minLength: 1, maxLength: 2 });
    case 'map':
      return fc.dictionary(word, valueOf(type.of, depth), { minKeys: 1, maxKeys: 2 });
    case 'ref': {
      if (/JSONSchemaPropsOrBool/.test(type.name)) return fc.boolean();
      if (/JSONSchemaPropsOr(String)?Array/.test(type.name)) return fc.constant({ type: 'string' });
      const def = definition(type.name);
      return def.scalar === undefined ? messageOf(type.name, depth + 1) : scalar(def.scalar);
    }
  }
}

/** A random object with a few of the definition's fields. */
function messageOf(name: string, depth = 0): fc.Arbitrary<Record<string, unknown>> {
  if (depth > 5) return fc.constant({});
  const fields = [...definition(name).fields.values()].filter((each: Field) => each.number > 0);
  if (fields.length === 0) return fc.constant({});
  return fc
    .subarray(fields, { maxLength: Math.min(5, fields.length) })
    .chain((chosen) => fc.record(Object.fromEntries(chosen.map((each) => [each.name, valueOf(each.type, depth)]))));
}

const kinds = [
  'core.v1',
  'apps.v1',
  'batch.v1',
  'rbac.v1',
  'networking.v1',
  'storage.v1',
  'apiextensions.v1',
  'resource.v1',
  'certificates.v1',
  'discovery.v1',
  'events.v1',
  'coordination.v1',
  'autoscaling.v2',
  'policy.v1',
  'flowcontrol.v1',
  'admissionregistration.v1',
  'authorization.v1',
  'authentication.v1',
]
  .flatMap((group) => [...groupDefinitions(group).values()])
  .filter((each) => each.isKind && !each.name.endsWith('List'))
  .map((each) => each.name);

describe('protobuf says what JSON says', () => {
  it(`for random objects of ${kinds.length} kinds`, () => {
    expect(kinds.length).toBeGreaterThan(60);
    for (const kind of kinds) {
      fc.assert(
        fc.property(messageOf(kind), (object) => {
          const json = normalize(kind, deepClone(object)).object;
          const wire = normalize(kind, decodeMessage(kind, encodeMessage(kind, deepClone(object)))).object;
          expect(wire).toEqual(json);
        }),
        { numRuns: 15 },
      );
    }
  });
  it('in a whole body', () => {
    const pod = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'a', labels: { __proto_: 'x', app: 'é' }, creationTimestamp: '2026-01-01T00:00:00Z' },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'x', ports: [{ containerPort: 80 }], resources: { limits: { cpu: '500m' } } }],
        volumes: [{ name: 'v', secret: { secretName: 's', optional: false } }],
      },
      status: {},
    };
    expect(decodeObject(POD, encodeObject('core.v1.Pod', pod), 'protobuf')).toEqual({ object: pod, problems: [] });
  });
  it('in the groups and maps of lists of reviews', () => {
    const spec = { extra: { a: ['b', 'c'], d: [] as string[] }, user: 'u' };
    const bytes = encodeMessage('authorization.v1.SubjectAccessReview', { spec });
    expect(decodeMessage('authorization.v1.SubjectAccessReview', bytes)).toEqual({ spec });
  });
  it('skips fields it does not know, groups too', () => {
    const known = encodeMessage('core.v1.Pod', { metadata: { name: 'a' } });
    const unknown = Buffer.from([0xf8, 0x3f, 0x05, 0xfb, 0x3f, 0x08, 0x01, 0xfc, 0x3f, 0xfa, 0x3f, 0x01, 0x00]);
    expect(decodeMessage('core.v1.Pod', Buffer.concat([unknown, known, unknown]))).toEqual({ metadata: { name: 'a' } });
  });
});

describe('hostile bytes', () => {
  const read = (body: Uint8Array): string => {
    try {
      decodeObject(POD, body, 'protobuf');
      return 'read';
    } catch (error) {
      expect(error).toBeInstanceOf(ApiError);
      return `${(error as ApiError).code} ${(error as ApiError).message}`;
    }
  };
  const good = encodeObject('core.v1.Pod', {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'a', labels: { a: 'b' }, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { containers: [{ name: 'c', resources: { limits: { cpu: '1' } }, ports: [{ containerPort: 80 }] }] },
  } as object);

  it('that are cut anywhere or changed anywhere give a 400 or an object', () => {
    for (let end = 0; end < good.length; end++) read(good.subarray(0, end));
    for (let at = 4; at < good.length; at++) {
      for (const value of [0, 0x7f, 0x80, 0xff]) {
        const changed = Buffer.from(good);
        changed[at] = value;
        read(changed);
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (raw) => void read(writeEnvelope('v1', 'Pod', raw))),
      { numRuns: 500 },
    );
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (raw) => void read(raw)),
      { numRuns: 200 },
    );
  });
  it('are named', () => {
    expect(read(Buffer.alloc(0))).toBe(
      '400 the object provided is unrecognized (must be of type Pod): empty data (<empty>)',
    );
    expect(read(Buffer.from('{"kind":"Pod"}'))).toContain(
      'does not appear to be a protobuf message, expected prefix [107 56 115 0]',
    );
    expect(read(writeEnvelope('v1', 'Pod', Buffer.from([0x0a, 0x7f])))).toBe(
      '400 Pod in version "v1" cannot be handled as a Pod: unexpected EOF',
    );
    expect(read(writeEnvelope('v1', 'Foo', Buffer.alloc(0)))).toContain('no kind "Foo" is registered for version "v1"');
  });
  it('that nest without end are refused', () => {
    let raw = Buffer.alloc(0);
    for (let i = 0; i < 5000; i++) {
      const length: number[] = [];
      for (let rest = raw.length; ; rest >>>= 7) {
        length.push(rest > 127 ? (rest & 127) | 128 : rest);
        if (rest <= 127) break;
      }
      // JSONSchemaProps.not
      raw = Buffer.concat([Buffer.from([0xe2, 0x01, ...length]), raw]);
    }
    expect(() => decodeMessage('apiextensions.v1.JSONSchemaProps', raw)).toThrow(ProtobufError);
  });
});

describe('any body', () => {
  it('gives an object or an ApiError', () => {
    const targets = [POD, { group: 'apps', version: 'v1', kind: 'Deployment', schema: 'apps.v1.Deployment' }];
    const text = fc.oneof(
      fc.json({ maxDepth: 4 }),
      fc.string(),
      messageOf('core.v1.Pod').map((each) => JSON.stringify(each)),
      fc
        .record({ spec: fc.dictionary(fc.constantFrom('containers', 'volumes', 'priority', 'x'), fc.jsonValue()) })
        .map((each) => JSON.stringify(each)),
    );
    fc.assert(
      fc.property(text, fc.constantFrom('json' as const, 'yaml' as const, 'protobuf' as const), (body, format) => {
        for (const target of targets) {
          try {
            const { object } = decodeObject(target, Buffer.from(body), format);
            expect(object.kind).toBe(target.kind);
          } catch (error) {
            expect(error).toBeInstanceOf(ApiError);
            expect((error as ApiError).code).toBe(400);
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});
