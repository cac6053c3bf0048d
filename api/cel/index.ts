// The CEL engine: what other folders import.
export type * from './port.ts';
export { compile } from './compile.ts';
export { createEnvironment } from './environment.ts';
export { types, formatType } from './types.ts';
export { escapeName, type StructuralSchema, typeFromSchema, type TypeFromSchemaOptions } from './schema-types.ts';
export { CelError, CelList, CelOptional, FieldStruct, isStruct, LazyStruct, toJson } from './values.ts';
export { wrapper } from './wrap.ts';
export { compilePattern, type Pattern } from './regex/index.ts';
