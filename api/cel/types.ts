// CEL's types as the checker sees them, and their bounds as the cost estimate needs them.

import type { ListIdentity } from './values.ts';

/** Bounds that a schema gives to a type; absent means unknown. */
interface Bounds {
  /** Largest `size()` of a value: characters, bytes, items or entries. */
  maxElements?: number;
  /** Fewest bytes of a value as JSON. */
  minSerializedSize?: number;
}

export type SimpleKind =
  | 'dyn'
  | 'error'
  | 'null'
  | 'bool'
  | 'int'
  | 'uint'
  | 'double'
  | 'string'
  | 'bytes'
  | 'timestamp'
  | 'duration'
  | 'any';

export interface SimpleType extends Bounds {
  kind: SimpleKind;
}
export interface ListType extends Bounds {
  kind: 'list';
  element: CelType;
  /** `x-kubernetes-list-type` of a set or a keyed list: what equality and `+` go by. */
  identity?: ListIdentity;
}
export interface MapType extends Bounds {
  kind: 'map';
  key: CelType;
  value: CelType;
}
export interface FieldType {
  type: CelType;
  /** The name in JSON, where it is not the name in expressions: `foo-bar` is `foo__dash__bar`. */
  jsonName?: string;
}
/** A message with known fields. Two object types are the same when their names are. */
export interface ObjectType extends Bounds {
  kind: 'object';
  name: string;
  fields: ReadonlyMap<string, FieldType>;
  /** When set, any field may be selected and has type `dyn`; values of it are made by this function. */
  construct?: (fields: ReadonlyMap<string, unknown>) => unknown;
  /** True when any field name is accepted (with type `dyn`) besides those in `fields`. */
  isOpen?: boolean;
}
/** A type of a library, such as `net.IP`, or `optional_type(T)`. */
export interface OpaqueType extends Bounds {
  kind: 'opaque';
  name: string;
  parameters: readonly CelType[];
}
/** `type(T)`: the type of types. */
export interface TypeType extends Bounds {
  kind: 'type';
  of: CelType | undefined;
}
export interface ParamType extends Bounds {
  kind: 'param';
  name: string;
}

export type CelType = SimpleType | ListType | MapType | ObjectType | OpaqueType | TypeType | ParamType;

const simple = (kind: SimpleKind): SimpleType => Object.freeze({ kind });

export const types = {
  dyn: simple('dyn'),
  error: simple('error'),
  null: simple('null'),
  bool: simple('bool'),
  int: simple('int'),
  uint: simple('uint'),
  double: simple('double'),
  string: simple('string'),
  bytes: simple('bytes'),
  timestamp: simple('timestamp'),
  duration: simple('duration'),
  any: simple('any'),
  list: (element: CelType, maxElements?: number): ListType => ({
    kind: 'list',
    element,
    ...(maxElements !== undefined && { maxElements }),
  }),
  map: (key: CelType, value: CelType, maxElements?: number): MapType => ({
    kind: 'map',
    key,
    value,
    ...(maxElements !== undefined && { maxElements }),
  }),
  object: (name: string, fields: Readonly<Record<string, CelType>>): ObjectType => ({
    kind: 'object',
    name,
    fields: new Map(Object.entries(fields).map(([field, type]) => [field, { type }])),
  }),
  opaque: (name: string, ...parameters: CelType[]): OpaqueType => ({ kind: 'opaque', name, parameters }),
  optional: (of: CelType): OpaqueType => ({ kind: 'opaque', name: 'optional_type', parameters: [of] }),
  type: (of?: CelType): TypeType => ({ kind: 'type', of }),
  param: (name: string): ParamType => ({ kind: 'param', name }),
} as const;

const wellKnownNames: Partial<Record<SimpleKind, string>> = {
  null: 'null',
  error: '!error!',
};

/** As cel-go names it in messages: `list(string)`, `map(string, dyn)`, `timestamp`. */
export function formatType(type: CelType): string {
  switch (type.kind) {
    case 'list':
      return `list(${formatType(type.element)})`;
    case 'map':
      return `map(${formatType(type.key)}, ${formatType(type.value)})`;
    case 'object':
      return type.name;
    case 'opaque':
      return type.parameters.length === 0 ? type.name : `${type.name}(${type.parameters.map(formatType).join(', ')})`;
    case 'type':
      return type.of ? `type(${formatType(type.of)})` : 'type';
    case 'param':
      return type.name;
    default:
      return wellKnownNames[type.kind] ?? type.kind;
  }
}
