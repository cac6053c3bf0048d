// The checked tree as closures. Errors are values; each step adds its cost to the run, which ends beyond its limit.
import type { CallExpr, ComprehensionExpr, Expr } from './ast.ts';
import { constantSet, dispatch, isKey, strictCall } from './calls.ts';
import { callCost, COST } from './costs.ts';
import type { FunctionDecl, Overload } from './functions.ts';
import { Run, type Step } from './run.ts';
import { index, isPresent, optionalIndex, select } from './select.ts';
import type { CelType } from './types.ts';
import { formatType } from './types.ts';
import {
  CelError,
  CelList,
  CelOptional,
  CelTypeValue,
  type CelValue,
  EntryMap,
  FieldStruct,
  isMap,
  ListBuilder,
  MapBuilder,
} from './values.ts';

export interface CompilerOptions {
  /** Makes constant lists, maps and conversions once. */
  optimize: boolean;
  functions: (name: string) => FunctionDecl | undefined;
}

export function compileSteps(expr: Expr, options: CompilerOptions): Step {
  return new Compiler(options).compile(expr).step;
}

interface Compiled {
  step: Step;
  /** Set when the value is known before evaluation. */
  constant?: CelValue;
}

/** Names, selections, indexes and choices are resolved as one attribute, whose parts cost 1 each. */
function isAttribute(expr: Expr): boolean {
  if (expr.kind === 'ident') return expr.denotes === undefined;
  if (expr.kind === 'select') return !expr.isTest;
  return expr.kind === 'call' && ['_[_]', '_[?_]', '_?._', '_?_:_'].includes(expr.name);
}

const CONVERSIONS = new Set('bool bytes double duration dyn int string timestamp type uint'.split(' '));

class Compiler {
  readonly #options: CompilerOptions;
  #scopes: Map<string, number>[] = [];
  #depth = 0;

  constructor(options: CompilerOptions) {
    this.#options = options;
  }

  compile(expr: Expr): Compiled {
    switch (expr.kind) {
      case 'literal':
        return constant(expr.value);
      case 'ident':
        return expr.denotes ? constant(new CelTypeValue(nameOfType(expr.denotes))) : { step: this.#attribute(expr, 1) };
      case 'select':
        return { step: expr.isTest ? this.#presence(expr) : this.#attribute(expr, 1) };
      case 'call':
        return this.#call(expr);
      case 'list':
        return this.#list(expr);
      case 'map':
        return this.#map(expr);
      case 'struct':
        return { step: this.#struct(expr) };
      case 'comprehension':
        return { step: this.#comprehension(expr) };
    }
  }

  /** `base` is what the attribute costs besides its parts: 0 for the branches of a choice. */
  #attribute(expr: Expr, base: 0 | 1): Step {
    if (expr.kind === 'ident') return this.#ident(expr.name, base);
    if (expr.kind === 'select') {
      const operand = this.#operand(expr.operand, base);
      const { field } = expr;
      return (run) => {
        const value = operand(run);
        run.charge(COST.identOrSelect);
        return select(value, field);
      };
    }
    const { name, args } = expr as CallExpr;
    if (name === '_?_:_') return this.#choice(args as [Expr, Expr, Expr]);
    const operand = this.#operand(args[0] as Expr, base);
    const key = this.compile(args[1] as Expr);
    const isKeyPaid = key.constant === undefined && isAttribute(args[1] as Expr);
    const cost = isKeyPaid ? 0 : COST.identOrSelect;
    const get = name === '_[_]' ? index : optionalIndex;
    return (run) => {
      const value = operand(run);
      const at = key.step(run);
      run.charge(cost);
      if (value instanceof CelError) return value;
      return at instanceof CelError ? at : get(value, at);
    };
  }

  /** What a selection or an index applies to; a value that is no attribute costs one more. */
  #operand(expr: Expr, base: 0 | 1): Step {
    if (isAttribute(expr)) return this.#attribute(expr, base);
    const { step } = this.compile(expr);
    if (base === 0) return step;
    return (run) => {
      const value = step(run);
      run.charge(1);
      return value;
    };
  }

  #ident(name: string, base: 0 | 1): Step {
    for (let at = this.#scopes.length - 1; at >= 0; at--) {
      const slot = this.#scopes[at]?.get(name);
      if (slot === undefined) continue;
      return (run) => {
        run.charge(base);
        return run.slots[slot] as CelValue;
      };
    }
    return (run) => {
      run.charge(base);
      return run.variable(name);
    };
  }

  #presence(expr: Expr & { kind: 'select' }): Step {
    const operand = this.#operand(expr.operand, 1);
    const { field } = expr;
    return (run) => isPresent(operand(run), field);
  }

  #choice([condition, whenTrue, whenFalse]: [Expr, Expr, Expr]): Step {
    const test = this.compile(condition).step;
    const branch = (expr: Expr) => (isAttribute(expr) ? this.#attribute(expr, 0) : this.compile(expr).step);
    const yes = branch(whenTrue);
    const no = branch(whenFalse);
    return (run) => {
      const value = test(run);
      if (value === true) return yes(run);
      if (value === false) return no(run);
      return value instanceof CelError ? value : new CelError('no such overload');
    };
  }

  #call(expr: CallExpr): Compiled {
    switch (expr.name) {
      case '_&&_':
        return { step: this.#logical(expr.args as [Expr, Expr], false) };
      case '_||_':
        return { step: this.#logical(expr.args as [Expr, Expr], true) };
      case '_?_:_':
      case '_[_]':
      case '_[?_]':
      case '_?._':
        return { step: this.#attribute(expr, 1) };
      case '@not_strictly_false': {
        const { step } = this.compile(expr.args[0] as Expr);
        return {
          step: (run) => {
            const value = step(run);
            run.charge(1);
            return value !== false;
          },
        };
      }
      default:
    }
    if (expr.target && (expr.name === 'or' || expr.name === 'orValue')) {
      if (expr.overloads?.some(({ id }) => id.startsWith('optional_or'))) return { step: this.#alternative(expr) };
    }
    return this.#strict(expr);
  }

  /** `decisive` true is `||`, false is `&&`: either side may decide, an error of the other is then of no matter. */
  #logical([left, right]: [Expr, Expr], decisive: boolean): Step {
    const first = this.compile(left).step;
    const second = this.compile(right).step;
    return (run) => {
      const one = first(run);
      if (one === decisive) return one;
      const two = second(run);
      if (two === decisive) return two;
      if (one === !decisive && two === !decisive) return one;
      if (one instanceof CelError) return one;
      if (two instanceof CelError) return two;
      return new CelError('no such overload');
    };
  }

  #alternative(expr: CallExpr): Step {
    const first = this.compile(expr.target as Expr).step;
    const second = this.compile(expr.args[0] as Expr).step;
    const isValue = expr.name === 'orValue';
    return (run) => {
      const optional = first(run);
      if (!(optional instanceof CelOptional)) {
        return optional instanceof CelError ? optional : new CelError('no such overload');
      }
      if (optional.value === undefined) return second(run);
      return isValue ? optional.value : optional;
    };
  }

  #strict(expr: CallExpr): Compiled {
    const nodes = expr.target ? [expr.target, ...expr.args] : expr.args;
    const parts = nodes.map((each) => this.compile(each));
    const overloads = expr.overloads ?? [];
    const membership =
      this.#options.optimize && expr.name === '@in' ? constantSet(overloads, parts[1]?.constant) : undefined;
    if (membership) {
      const { step } = parts[0] as Compiled;
      return {
        step: (run) => {
          const value = step(run);
          return value instanceof CelError ? value : membership(value);
        },
      };
    }
    const declared = this.#options.functions(expr.name) as FunctionDecl;
    const apply = dispatch(expr.name, declared, overloads, nodes);
    const cost = callCost(expr.name, overloads.length === 1 ? (overloads[0] as Overload).id : '');
    if (
      this.#options.optimize &&
      CONVERSIONS.has(expr.name) &&
      parts.length === 1 &&
      parts[0]?.constant !== undefined
    ) {
      const value = apply(parts[0].constant);
      if (!(value instanceof CelError)) return constant(value);
    }
    return {
      step: strictCall(
        parts.map(({ step }) => step),
        apply,
        cost,
      ),
    };
  }

  #list(expr: Expr & { kind: 'list' }): Compiled {
    const parts = expr.elements.map((each) => this.compile(each));
    const { optional } = expr;
    if (this.#options.optimize && optional.size === 0 && parts.every((each) => each.constant !== undefined)) {
      return constant(new CelList(parts.map((each) => each.constant)));
    }
    const steps = parts.map(({ step }) => step);
    return {
      step: (run) => {
        const items: CelValue[] = [];
        for (let at = 0; at < steps.length; at++) {
          const value = (steps[at] as Step)(run);
          if (value instanceof CelError) return value;
          if (!optional.has(at)) items.push(value);
          else if (!(value instanceof CelOptional)) return notOptional('element', value);
          else if (value.value !== undefined) items.push(value.value);
        }
        run.charge(COST.list);
        return new CelList(items);
      },
    };
  }

  #map(expr: Expr & { kind: 'map' }): Compiled {
    const entries = expr.entries.map(({ key, value, isOptional }) => ({
      key: this.compile(key),
      value: this.compile(value),
      isOptional,
    }));
    const make = (run: Run): CelValue => {
      const map = new EntryMap();
      for (const { key, value, isOptional } of entries) {
        const name = key.step(run);
        if (name instanceof CelError) return name;
        let held: CelValue | undefined = value.step(run);
        if (held instanceof CelError) return held;
        if (isOptional) {
          if (!(held instanceof CelOptional)) return notOptional('entry', held);
          held = held.value;
        }
        if (!isKey(name)) return new CelError('unsupported key type');
        if (held !== undefined && !map.add(name, held)) return new CelError('Failed with repeated key');
      }
      return map;
    };
    const isConstant = entries.every(
      ({ key, value, isOptional }) => !isOptional && key.constant !== undefined && value.constant !== undefined,
    );
    if (this.#options.optimize && isConstant) {
      const map = make(new Run(Number.POSITIVE_INFINITY, () => null));
      if (!(map instanceof CelError)) return constant(map);
    }
    return {
      step: (run) => {
        const map = make(run);
        run.charge(COST.map);
        return map;
      },
    };
  }

  #struct(expr: Expr & { kind: 'struct' }): Step {
    const fields = expr.fields.map(({ name, value, isOptional }) => ({
      name,
      step: this.compile(value).step,
      isOptional,
    }));
    const type = expr.type as CelType & { kind: 'object' };
    return (run) => {
      const values = new Map<string, CelValue>();
      for (const { name, step, isOptional } of fields) {
        let value: CelValue | undefined = step(run);
        if (value instanceof CelError) return value;
        if (isOptional) {
          if (!(value instanceof CelOptional)) return notOptional('field', value);
          value = value.value;
        }
        if (value !== undefined) values.set(name, value);
      }
      run.charge(COST.struct);
      return type.construct ? (type.construct(values) as CelValue) : new FieldStruct(expr.name, values);
    };
  }

  #comprehension(expr: ComprehensionExpr): Step {
    const range = this.compile(expr.range).step;
    const init = initialStep(expr.accuInit) ?? this.compile(expr.accuInit).step;
    const accu = this.#depth++;
    const first = this.#depth++;
    const second = this.#depth++;
    this.#scopes.push(new Map([[expr.accuVar, accu]]));
    const variables = new Map([[expr.iterVar, first]]);
    if (expr.iterVar2 !== undefined) variables.set(expr.iterVar2, second);
    this.#scopes.push(variables);
    const { step: condition, constant: always } = this.compile(expr.condition);
    const { step } = this.compile(expr.step);
    this.#scopes.pop();
    const result = this.compile(expr.result).step;
    this.#scopes.pop();
    this.#depth -= 3;

    const isUnconditional = always === true;
    /** False ends the loop. */
    const iterate = (run: Run, one: CelValue, two: CelValue): boolean => {
      run.iterate();
      run.slots[first] = one;
      run.slots[second] = two;
      if (!isUnconditional && condition(run) === false) return false;
      const value = step(run);
      run.slots[accu] = value;
      return !(isUnconditional && value instanceof CelError);
    };
    const isTwo = expr.iterVar2 !== undefined;
    return (run) => {
      const over = range(run);
      if (over instanceof CelError) return over;
      run.slots[accu] = init(run);
      if (over instanceof CelList) {
        for (let at = 0; at < over.length; at++) {
          const item = over.at(at);
          if (!(isTwo ? iterate(run, at, item) : iterate(run, item, null))) break;
        }
      } else if (isMap(over)) {
        for (const key of over.keys()) if (!iterate(run, key, isTwo ? (over.get(key) as CelValue) : null)) break;
      } else {
        return new CelError('no such overload');
      }
      const built = run.slots[accu] as CelValue;
      if (built instanceof ListBuilder || built instanceof MapBuilder) built.isOpen = false;
      return result(run);
    };
  }
}

const constant = (value: CelValue): Compiled => ({ step: () => value, constant: value });
const notOptional = (what: string, value: CelValue) =>
  new CelError(`cannot initialize optional ${what} from non-optional value ${String(value)}`);

function nameOfType(type: CelType): string {
  switch (type.kind) {
    case 'list':
    case 'map':
    case 'type':
      return type.kind;
    case 'null':
      return 'null_type';
    case 'timestamp':
      return 'google.protobuf.Timestamp';
    case 'duration':
      return 'google.protobuf.Duration';
    case 'opaque':
      return type.name;
    default:
      return formatType(type);
  }
}

/** Macros begin with an empty list or map: they fill one of their own, in place. */
function initialStep(expr: Expr): Step | undefined {
  if (expr.kind === 'list' && expr.elements.length === 0) {
    return (run) => {
      run.charge(COST.list);
      return new ListBuilder();
    };
  }
  if (expr.kind !== 'map' || expr.entries.length > 0) return undefined;
  return (run) => {
    run.charge(COST.map);
    return new MapBuilder();
  };
}
