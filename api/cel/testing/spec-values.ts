// The conformance cases' values and types as the engine's.
import { type CelType, types } from '../types.ts';
import { CelDouble, CelList, CelTypeValue, CelUint, type CelValue, EntryMap, normalInt } from '../values.ts';
import { toDuration, toTimestamp } from '../library/conversions.ts';

type Json = Record<string, unknown>;

const PRIMITIVES: Record<string, CelType> = {
  BOOL: types.bool,
  INT64: types.int,
  UINT64: types.uint,
  DOUBLE: types.double,
  STRING: types.string,
  BYTES: types.bytes,
};
const MESSAGES: Record<string, CelType> = {
  TIMESTAMP: types.timestamp,
  DURATION: types.duration,
  'google.protobuf.Timestamp': types.timestamp,
  'google.protobuf.Duration': types.duration,
};

export function specType(type: Json): CelType {
  const of = (part: unknown) => specType((part ?? { dyn: {} }) as Json);
  if (typeof type['primitive'] === 'string') return PRIMITIVES[type['primitive']] as CelType;
  if (type['listType']) return types.list(of((type['listType'] as Json)['elemType']));
  if (type['mapType']) {
    const { keyType, valueType } = type['mapType'] as Json;
    return types.map(of(keyType), of(valueType));
  }
  const message = MESSAGES[String(type['wellKnown'] ?? type['messageType'])];
  if (message) return message;
  if ('null' in type) return types.null;
  if (type['abstractType']) {
    const { name, parameterTypes = [] } = type['abstractType'] as { name: string; parameterTypes?: Json[] };
    return types.opaque(name, ...parameterTypes.map(specType));
  }
  return type['type'] ? types.type(of(type['type'])) : types.dyn;
}

export function specValue(value: Json): CelValue {
  const [kind, held] = Object.entries(value)[0] as [string, unknown];
  switch (kind) {
    case 'nullValue':
      return null;
    case 'int64Value':
      return normalInt(BigInt(held as string));
    case 'uint64Value':
      return new CelUint(BigInt(held as string));
    case 'doubleValue':
      return new CelDouble(Number(held));
    case 'bytesValue':
      return Uint8Array.from(Buffer.from(held as string, 'base64'));
    case 'listValue':
      return new CelList(((held as Json)['values'] as Json[] | undefined)?.map(specValue) ?? []);
    case 'mapValue': {
      const map = new EntryMap();
      for (const { key, value: entry } of ((held as Json)['entries'] ?? []) as { key: Json; value: Json }[]) {
        map.add(specValue(key), specValue(entry));
      }
      return map;
    }
    case 'typeValue':
      return new CelTypeValue(held as string);
    case 'objectValue': {
      const { '@type': type, value: text } = held as { '@type': string; value: string };
      return type.endsWith('Timestamp') ? toTimestamp(text) : toDuration(text);
    }
    default:
      return held as CelValue;
  }
}
