// An OpenAPI 2.0 document as gnostic's protobuf (openapi.v2.Document), which kubectl asks for. Field numbers are those of
// OpenAPIv2.proto; only what our own documents contain is written.
import { BYTES, FIXED64, VARINT, WireWriter } from './protobuf-wire.ts';

type Json = Record<string, unknown>;

/** One field of a message: its number and how its JSON value is written. */
type Rule =
  | { number: number; as: 'string' | 'bool' | 'int' | 'double' }
  | { number: number; as: 'strings' }
  | { number: number; as: 'message'; of: (value: unknown) => Buffer }
  | { number: number; as: 'messages'; of: (value: unknown) => Buffer };

interface MessageRules {
  fields: Readonly<Record<string, Rule>>;
  /** The number of `repeated NamedAny vendor_extension`. */
  extensions: number;
}

const string = (number: number): Rule => ({ number, as: 'string' });
const strings = (number: number): Rule => ({ number, as: 'strings' });
const bool = (number: number): Rule => ({ number, as: 'bool' });
const message = (number: number, of: (value: unknown) => Buffer): Rule => ({ number, as: 'message', of });
const messages = (number: number, of: (value: unknown) => Buffer): Rule => ({ number, as: 'messages', of });

const SCHEMA: MessageRules = {
  fields: {
    $ref: string(1),
    format: string(2),
    title: string(3),
    description: string(4),
    default: message(5, any),
    multipleOf: { number: 6, as: 'double' },
    maximum: { number: 7, as: 'double' },
    minimum: { number: 9, as: 'double' },
    maxLength: { number: 11, as: 'int' },
    minLength: { number: 12, as: 'int' },
    pattern: string(13),
    maxItems: { number: 14, as: 'int' },
    minItems: { number: 15, as: 'int' },
    uniqueItems: bool(16),
    required: strings(19),
    enum: messages(20, any),
    // AdditionalPropertiesItem { schema = 1; boolean = 2 }
    additionalProperties: message(21, (value) =>
      typeof value === 'boolean'
        ? new WireWriter()
            .tag(2, VARINT)
            .varint(value ? 1 : 0)
            .finish()
        : wrap(1, schema(value)),
    ),
    // TypeItem { repeated string value = 1 }
    type: message(22, (value) => new WireWriter().tag(1, BYTES).string(String(value)).finish()),
    // ItemsItem { repeated Schema schema = 1 }
    items: message(23, (value) => wrap(1, schema(value))),
    allOf: messages(24, schema),
    properties: message(25, (value) => named(1, value, schema)),
    readOnly: bool(27),
  },
  extensions: 31,
};

const QUERY_PARAMETER: MessageRules = {
  fields: {
    required: bool(1),
    in: string(2),
    description: string(3),
    name: string(4),
    type: string(6),
    format: string(7),
    uniqueItems: bool(20),
  },
  extensions: 23,
};

const PATH_PARAMETER: MessageRules = {
  fields: {
    required: bool(1),
    in: string(2),
    description: string(3),
    name: string(4),
    type: string(5),
    format: string(6),
    uniqueItems: bool(19),
  },
  extensions: 22,
};

const BODY_PARAMETER: MessageRules = {
  fields: { description: string(1), name: string(2), in: string(3), required: bool(4), schema: message(5, schema) },
  extensions: 6,
};

const RESPONSE: MessageRules = {
  // SchemaItem { schema = 1 }
  fields: { description: string(1), schema: message(2, (value) => wrap(1, schema(value))) },
  extensions: 5,
};

const OPERATION: MessageRules = {
  fields: {
    tags: strings(1),
    summary: string(2),
    description: string(3),
    operationId: string(5),
    produces: strings(6),
    consumes: strings(7),
    parameters: messages(8, parameter),
    // Responses { repeated NamedResponseValue response_code = 1 }; ResponseValue { response = 1 }
    responses: message(9, (value) => named(1, value, (each) => wrap(1, write(RESPONSE, each)))),
    schemes: strings(10),
  },
  extensions: 13,
};

const operation = (value: unknown) => write(OPERATION, value);

const PATH_ITEM: MessageRules = {
  fields: {
    get: message(2, operation),
    put: message(3, operation),
    post: message(4, operation),
    delete: message(5, operation),
    patch: message(8, operation),
    parameters: messages(9, parameter),
  },
  extensions: 10,
};

const INFO: MessageRules = { fields: { title: string(1), version: string(2), description: string(3) }, extensions: 7 };

const API_KEY: MessageRules = {
  fields: { type: string(1), name: string(2), in: string(3), description: string(4) },
  extensions: 5,
};

const DOCUMENT: MessageRules = {
  fields: {
    swagger: string(1),
    info: message(2, (value) => write(INFO, value)),
    // Paths { repeated NamedPathItem path = 2 }
    paths: message(8, (value) => named(2, value, (each) => write(PATH_ITEM, each))),
    definitions: message(9, (value) => named(1, value, schema)),
    // ParameterDefinitions { repeated NamedParameter additional_properties = 1 }
    parameters: message(10, (value) => named(1, value, wholeParameter)),
    // SecurityRequirement { repeated NamedStringArray additional_properties = 1 }
    security: messages(12, (value) => named(1, value, () => Buffer.alloc(0))),
    // SecurityDefinitionsItem { api_key_security = 2 }
    securityDefinitions: message(13, (value) => named(1, value, (each) => wrap(2, write(API_KEY, each)))),
  },
  extensions: 16,
};

/** The bytes of a document made by api/openapi.ts. Throws on a member that has no rule, rather than losing it. */
export function encodeGnostic(document: Json): Buffer {
  return write(DOCUMENT, document);
}

function schema(value: unknown): Buffer {
  return write(SCHEMA, value);
}

/** ParametersItem { Parameter parameter = 1; JsonReference json_reference = 2 { $ref = 1 } } */
function parameter(value: unknown): Buffer {
  const { $ref: reference } = value as Json;
  if (reference === undefined) return wrap(1, wholeParameter(value));
  return wrap(2, new WireWriter().tag(1, BYTES).string(String(reference)).finish());
}

/** Parameter { body_parameter = 1; non_body_parameter = 2 { query = 3; path = 4 } } */
function wholeParameter(value: unknown): Buffer {
  const place = (value as Json)['in'];
  if (place === 'body') return wrap(1, write(BODY_PARAMETER, value));
  return wrap(2, place === 'path' ? wrap(4, write(PATH_PARAMETER, value)) : wrap(3, write(QUERY_PARAMETER, value)));
}

/** Any { yaml = 2 }; JSON is YAML. */
function any(value: unknown): Buffer {
  return new WireWriter()
    .tag(2, BYTES)
    .string(`${JSON.stringify(value)}\n`)
    .finish();
}

function wrap(number: number, bytes: Buffer): Buffer {
  return new WireWriter().tag(number, BYTES).bytes(bytes).finish();
}

/** A map as the repeated field `number` of { name = 1; value = 2 }. */
function named(number: number, value: unknown, write: (each: unknown) => Buffer): Buffer {
  const writer = new WireWriter();
  for (const [name, each] of Object.entries(value as Json)) {
    writer
      .tag(number, BYTES)
      .bytes(new WireWriter().tag(1, BYTES).string(name).tag(2, BYTES).bytes(write(each)).finish());
  }
  return writer.finish();
}

function write(rules: MessageRules, value: unknown): Buffer {
  const writer = new WireWriter();
  for (const [name, member] of Object.entries(value as Json)) {
    if (member === undefined) continue;
    if (name.startsWith('x-')) {
      const entry = new WireWriter().tag(1, BYTES).string(name).tag(2, BYTES).bytes(any(member)).finish();
      writer.tag(rules.extensions, BYTES).bytes(entry);
      continue;
    }
    const rule = Object.hasOwn(rules.fields, name) ? rules.fields[name] : undefined;
    if (!rule) throw new Error(`no gnostic field for ${name}`);
    writeMember(writer, rule, member);
  }
  return writer.finish();
}

function writeMember(writer: WireWriter, rule: Rule, value: unknown): void {
  switch (rule.as) {
    case 'string':
      writer.tag(rule.number, BYTES).string(String(value));
      return;
    case 'strings':
      for (const each of value as string[]) writer.tag(rule.number, BYTES).string(each);
      return;
    case 'bool':
      writer.tag(rule.number, VARINT).varint(value ? 1 : 0);
      return;
    case 'int':
      writer.tag(rule.number, VARINT).varint(value as number);
      return;
    case 'double':
      writer.tag(rule.number, FIXED64).double(value as number);
      return;
    case 'message':
      writer.tag(rule.number, BYTES).bytes(rule.of(value));
      return;
    case 'messages':
      for (const each of value as unknown[]) writer.tag(rule.number, BYTES).bytes(rule.of(each));
  }
}
