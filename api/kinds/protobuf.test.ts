// A protobuf body of every built-in kind says what its JSON says: with every field set that the schema knows, down to the
// last, and with fields that it does not know.
import { expect, it } from 'vitest';
import { decodeObject } from '../codec.ts';
import { apiVersionOf } from '../object.ts';
import { encodeObject, readEnvelope, writeEnvelope } from '../protobuf.ts';
import { definition, type Field, type Scalar, type TypeRef } from '../schema.ts';
import { builtinKinds } from './index.ts';

/** Two values of each type: the second goes into lists and maps as well, and into every other field. */
const VALUES: Readonly<Record<Scalar, readonly [unknown, unknown]>> = {
  string: ['text', 'Größe 世界'],
  bool: [true, true],
  int32: [7, -(2 ** 31)],
  int64: [2 ** 40, -(2 ** 45)],
  double: [0.5, -1e300],
  bytes: ['AAEC/w==', 'eA=='],
  time: ['2026-01-02T03:04:05Z', '1969-12-31T23:59:59Z'],
  microtime: ['2026-01-02T03:04:05.000006Z', '1999-01-01T00:00:00.999999Z'],
  quantity: ['1500m', '3Gi'],
  intstr: [8080, '25%'],
  raw: [{ any: ['thing', 1, null, { deep: true }] }, { kind: 'Other' }],
  any: [{ any: ['thing'] }, [1, 'two']],
  object: [{}, {}],
  fields: [{ 'f:spec': { 'k:{"name":"a"}': { '.': {} } } }, {}],
};

class Filler {
  readonly seen = new Set<string>();
  #turn = 0;

  /** An object of the definition with every field; a definition within itself is empty the second time. */
  message(name: string, path: readonly string[]): Record<string, unknown> {
    if (path.filter((each) => each === name).length > 1) return {};
    const object: Record<string, unknown> = {};
    for (const field of definition(name).fields.values()) {
      if (field.number === 0) continue;
      this.seen.add(`${name}.${field.name}`);
      object[field.name] = this.value(field.type, [...path, name]);
    }
    return object;
  }

  value(type: TypeRef, path: readonly string[]): unknown {
    switch (type.kind) {
      case 'scalar':
        return VALUES[type.scalar][this.#turn++ % 2];
      case 'list':
        return [this.value(type.of, path), this.value(type.of, path)];
      case 'map':
        return { first: this.value(type.of, path), 'example.com/second': this.value(type.of, path) };
      case 'ref': {
        // One message stands for either of two things in JSON.
        if (type.name.endsWith('JSONSchemaPropsOrBool')) return true;
        if (/JSONSchemaPropsOr(String)?Array$/.test(type.name)) return { type: 'string' };
        const known = definition(type.name);
        return known.scalar ? VALUES[known.scalar][this.#turn++ % 2] : this.message(type.name, path);
      }
    }
  }
}

const WITH_UNKNOWN = Buffer.from([0xf8, 0x7f, 0x05, 0xfa, 0x7f, 0x02, 0x68, 0x69]);

it.each(builtinKinds.map((kind) => [`${apiVersionOf(kind)} ${kind.kind}`, kind] as const))('%s', (_, kind) => {
  const filler = new Filler();
  const { apiVersion: _a, kind: _k, ...members } = filler.message(kind.schema, []);
  const object = { apiVersion: apiVersionOf(kind), kind: kind.kind, ...members };
  const json = decodeObject(kind, Buffer.from(JSON.stringify(object)), 'json');
  expect(json.problems).toEqual([]);
  const bytes = encodeObject(kind.schema, object);
  expect(decodeObject(kind, bytes, 'protobuf')).toEqual(json);
  const { apiVersion, kind: name, raw } = readEnvelope(bytes);
  const more = writeEnvelope(apiVersion, name, Buffer.concat([WITH_UNKNOWN, raw, WITH_UNKNOWN]));
  expect(decodeObject(kind, more, 'protobuf')).toEqual(json);
  // Nothing was left out: each field of each definition that a kind is made of.
  expect(unseen(kind.schema, filler.seen)).toEqual([]);
});

function unseen(name: string, seen: ReadonlySet<string>, done = new Set<string>()): string[] {
  if (done.has(name) || /JSONSchemaPropsOr/.test(name)) return [];
  done.add(name);
  const fields = [...definition(name).fields.values()].filter((each: Field) => each.number > 0);
  return fields.flatMap((field) => {
    let type = field.type;
    while (type.kind === 'list' || type.kind === 'map') type = type.of;
    const below = type.kind === 'ref' && !definition(type.name).scalar ? unseen(type.name, seen, done) : [];
    return seen.has(`${name}.${field.name}`) ? below : [`${name}.${field.name}`, ...below];
  });
}
