// The CEL engine: what other folders import.
export type * from './port.ts';
export { types, formatType } from './types.ts';
export { escapeName, type StructuralSchema, typeFromSchema, type TypeFromSchemaOptions } from './schema-types.ts';
export { toJson } from './values.ts';
