// What the rest of the server may ask of the CEL engine (https://github.com/google/cel-spec, as Kubernetes 1.36 configures
// it). Pure: an environment says which variables and functions exist, `compile` checks a source text against it, a
// program is evaluated any number of times. Nothing here throws on bad input: issues and errors are values.
import type { CelType } from './types.ts';
import type { CelValue } from './values.ts';

export type { CelType, FieldType, ObjectType } from './types.ts';
export type { CelValue } from './values.ts';

export interface EnvironmentOptions {
  /** What expressions may name, with its type. */
  variables: Readonly<Record<string, CelType>>;
  /** Message types that `Name{field: value}` may make, by full name. */
  types?: (name: string) => CelType | undefined;
  /** Function libraries besides those that every Kubernetes expression has. */
  libraries?: readonly 'jsonpatch'[];
  /**
   * False leaves constant lists, maps and conversions to be made (and paid) anew at each evaluation. Default true, as
   * the API server; tests with upstream's figures turn it off.
   */
  optimize?: boolean;
  /** True lets lists and maps mix types, as CEL itself does; Kubernetes does not. Default false. */
  mixedLiterals?: boolean;
}

/** Made by `createEnvironment`; immutable, and dear enough (tens of microseconds) to be kept. */
export interface Environment {
  readonly options: EnvironmentOptions;
  /** The same environment with more variables; those of the same name are replaced. */
  extend(variables: Readonly<Record<string, CelType>>): Environment;
}

export interface CompileOptions {
  /** Types of which the result must be one, exactly: `dyn` is none of them. Without it any type will do. */
  expects?: readonly CelType[];
}

export type Compiled =
  | { ok: true; program: Program }
  /**
   * `issues` as cel-go prints them, one after the other:
   * `ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x.y\n | ^`.
   * For a result of a wrong type it is `must evaluate to bool but got int`; `phase` tells them apart.
   */
  | { ok: false; phase: 'syntax' | 'check' | 'result'; issues: string };

/** Units of CEL's cost model; about 50 ns each. `max` is at most 2^64. */
export interface CostEstimate {
  min: number;
  max: number;
}

export interface EvaluateOptions {
  /** Evaluation ends with an error once it has cost more. Default 1,000,000 (PerCallLimit). */
  costLimit?: number;
}

/**
 * What a variable is bound to: a JSON value, read lazily by the variable's declared type and never copied, or a value of
 * the engine (a result of another program, an authorizer, `LazyObject`). A variable without binding is an error when used.
 */
export type Bindings = Readonly<Record<string, unknown>>;

export type Evaluated =
  | { ok: true; value: CelValue; cost: number }
  /** `error` in cel-go's words: `no such key: x`, `operation cancelled: actual cost limit exceeded`. */
  | { ok: false; error: string; cost: number; isCostExceeded: boolean };

export interface Program {
  readonly source: string;
  readonly outputType: CelType;
  /** Bounds before evaluation; sizes of variables come from their declared types (`maxElements`). */
  estimateCost(): CostEstimate;
  evaluate(bindings: Bindings, options?: EvaluateOptions): Evaluated;
  /** True when the expression names the variable, or (`name.field`) selects that field of it. */
  uses(path: string): boolean;
}
