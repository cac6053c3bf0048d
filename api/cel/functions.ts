// Functions as declarations: overloads with argument types, and what they do. Costs are in costs.ts.
import type { CelType } from './types.ts';
import {
  CelDouble,
  CelDuration,
  CelError,
  CelList,
  CelOpaque,
  CelOptional,
  CelTimestamp,
  CelTypeValue,
  CelUint,
  type CelValue,
  isInt,
  isMap,
  isStruct,
  typeName,
} from './values.ts';

// Implementations name the types that their declared arguments guarantee; the engine checks before it calls.
// biome-ignore lint: arguments are checked against `args` before the call
type Implementation = (...args: never[]) => CelValue;

export interface Overload {
  id: string;
  isMember: boolean;
  /** With the receiver first. */
  args: readonly CelType[];
  result: CelType;
  call: (...args: CelValue[]) => CelValue;
}

export interface FunctionDecl {
  name: string;
  overloads: Overload[];
  /** For operators: works for any arguments and refuses those it has no overload for. */
  dynamic?: (...args: CelValue[]) => CelValue;
}

export interface Library {
  name: string;
  functions: readonly FunctionDecl[];
  /** Type names that expressions may mention: `net.IP`. */
  types?: readonly CelType[];
}

/** An overload called as `function(args)`. */
export function overload(id: string, args: readonly CelType[], result: CelType, call: Implementation): Overload {
  return { id, isMember: false, args, result, call: call as Overload['call'] };
}

/** An overload called as `args[0].function(rest)`. */
export function member(id: string, args: readonly CelType[], result: CelType, call: Implementation): Overload {
  return { id, isMember: true, args, result, call: call as Overload['call'] };
}

export function fn(name: string, ...overloads: Overload[]): FunctionDecl {
  return { name, overloads };
}

export function operator(
  name: string,
  dynamic: (...args: never[]) => CelValue,
  overloads: readonly [id: string, args: readonly CelType[], result: CelType][],
): FunctionDecl {
  const call = dynamic as Overload['call'];
  return {
    name,
    overloads: overloads.map(([id, args, result]) => ({ id, isMember: false, args, result, call })),
    dynamic: call,
  };
}

/** As cel-go words a call that no overload fits. */
export function noSuchOverload(name: string, args: readonly CelValue[]): CelError {
  return new CelError(`no such overload: ${name}(${args.map(typeName).join(', ')})`);
}

/** A test whether a value may be an argument of that type; undefined when every value may. */
export function argumentTest(type: CelType): ((value: CelValue) => boolean) | undefined {
  switch (type.kind) {
    case 'dyn':
    case 'any':
    case 'param':
    case 'error':
      return undefined;
    case 'bool':
      return (value) => typeof value === 'boolean';
    case 'string':
      return (value) => typeof value === 'string';
    case 'int':
      return isInt;
    case 'uint':
      return (value) => value instanceof CelUint;
    case 'double':
      return (value) => value instanceof CelDouble;
    case 'bytes':
      return (value) => value instanceof Uint8Array;
    case 'null':
      return (value) => value === null;
    case 'timestamp':
      return (value) => value instanceof CelTimestamp;
    case 'duration':
      return (value) => value instanceof CelDuration;
    case 'list':
      return (value) => value instanceof CelList;
    case 'map':
      return isMap;
    case 'type':
      return (value) => value instanceof CelTypeValue;
    case 'object':
      return (value) => isStruct(value) && value.typeName === type.name;
    case 'opaque':
      if (type.name === 'optional_type') return (value) => value instanceof CelOptional;
      return (value) => value instanceof CelOpaque && value.typeName === type.name;
  }
}
