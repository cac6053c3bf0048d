// Types of every part of an expression, overloads of every call; messages as cel-go words them.
import { type CallExpr, type Expr, qualifiedName, type SelectExpr, type StructExpr } from './ast.ts';
import type { FunctionDecl, Overload } from './functions.ts';
import type { Issue } from './issues.ts';
import { type CelType, formatType, types } from './types.ts';
import { CelUint } from './values.ts';
import { isExactly, isWildcard, moreGeneral, Substitutions } from './unify.ts';

/** What an environment declares, by name. */
export interface Declarations {
  variable(name: string): CelType | undefined;
  /** The type that a name means: `int`, `google.protobuf.Timestamp`, `Object.spec`. */
  typeNamed(name: string): CelType | undefined;
  function(name: string): FunctionDecl | undefined;
  /** True makes a list or map of several types one of `dyn`. */
  readonly allowsMixedLiterals: boolean;
}

/** Annotates the tree in place; the result is what is wrong with it. */
export function check(expr: Expr, declarations: Declarations): Issue[] {
  const checker = new Checker(declarations);
  checker.check(expr);
  if (checker.issues.length === 0) checker.finish(expr);
  return checker.issues;
}

class Checker {
  readonly issues: Issue[] = [];
  readonly #declarations: Declarations;
  readonly #substitutions = new Substitutions();
  readonly #checked: Expr[] = [];
  #scopes: ReadonlyMap<string, CelType>[] = [];
  #parameters = 0;

  constructor(declarations: Declarations) {
    this.#declarations = declarations;
  }

  finish(_expr: Expr): void {
    for (const each of this.#checked) each.type = this.#substitutions.apply(each.type as CelType, true);
  }

  check(expr: Expr): CelType {
    const type = this.#typeOf(expr);
    expr.type = type;
    this.#checked.push(expr);
    return type;
  }

  #issue(at: number, message: string): void {
    this.issues.push({ at, message });
  }
  #undeclared(at: number, name: string): CelType {
    this.#issue(at, `undeclared reference to '${name}' (in container '')`);
    return types.error;
  }
  #mismatch(at: number, expected: CelType, found: CelType): void {
    const show = (type: CelType) => formatType(this.#substitutions.apply(type, true));
    this.#issue(at, `expected type '${show(expected)}' but found '${show(found)}'`);
  }
  #fresh(): CelType {
    return types.param(`_var${this.#parameters++}`);
  }
  #resolved(type: CelType): CelType {
    return this.#substitutions.apply(type, false);
  }

  #typeOf(expr: Expr): CelType {
    switch (expr.kind) {
      case 'literal':
        return literalType(expr.value);
      case 'ident':
        return this.#ident(expr, expr.name) ?? this.#undeclared(expr.at, expr.name);
      case 'select':
        return this.#select(expr);
      case 'call':
        return this.#call(expr);
      case 'list': {
        let elements: CelType | undefined;
        expr.elements.forEach((each, index) => {
          const type = this.#maybeOptional(each, expr.optional.has(index));
          elements = this.#join(each.at, elements, type);
        });
        return types.list(elements ?? this.#fresh());
      }
      case 'map': {
        let keys: CelType | undefined;
        let values: CelType | undefined;
        for (const { key, value, isOptional } of expr.entries) {
          keys = this.#join(key.at, keys, this.check(key));
          values = this.#join(value.at, values, this.#maybeOptional(value, isOptional));
        }
        return types.map(keys ?? this.#fresh(), values ?? this.#fresh());
      }
      case 'struct':
        return this.#struct(expr);
      case 'comprehension':
        return this.#comprehension(expr);
    }
  }

  /** The type of the innermost variable, else of the environment's, else of the type's name. */
  #ident(expr: Expr, name: string): CelType | undefined {
    const plain = name.startsWith('.') ? name.slice(1) : name;
    const local = name.startsWith('.') ? undefined : this.#local(plain);
    const variable = local ?? this.#declarations.variable(plain);
    if (variable) {
      become(expr, { kind: 'ident', at: expr.at, name: plain });
      return variable;
    }
    const named = this.#declarations.typeNamed(plain);
    if (!named) return undefined;
    become(expr, { kind: 'ident', at: expr.at, name: plain, denotes: named });
    return types.type(named);
  }

  #local(name: string): CelType | undefined {
    for (let index = this.#scopes.length - 1; index >= 0; index--) {
      const found = this.#scopes[index]?.get(name);
      if (found) return found;
    }
    return undefined;
  }

  #select(expr: SelectExpr): CelType {
    const name = qualifiedName(expr);
    if (name !== undefined && this.#local(name.split('.', 1)[0] as string) === undefined) {
      const type = this.#ident(expr, name);
      if (type) return type;
    }
    const field = this.#field(expr.at, expr.operand, expr.field, false);
    return expr.isTest ? types.bool : this.#resolved(field);
  }

  #field(at: number, operand: Expr, field: string, isOptional: boolean): CelType {
    const from = this.#resolved(this.check(operand));
    const wrapped = unwrapOptional(from);
    const target = wrapped ?? from;
    let result: CelType = types.dyn;
    switch (target.kind) {
      case 'map':
        result = target.value;
        break;
      case 'object': {
        const known = target.fields.get(field)?.type;
        if (known) result = known;
        else if (!target.isOpen) {
          this.#issue(at, `undefined field '${field}'`);
          result = types.error;
        }
        break;
      }
      case 'param':
        this.#substitutions.assign(types.dyn, target);
        break;
      default:
        if (!isWildcard(target)) this.#issue(at, `type '${formatType(target)}' does not support field selection`);
    }
    return wrapped || isOptional ? types.optional(result) : result;
  }

  #call(expr: CallExpr): CelType {
    if (expr.name === '_?._') {
      const [operand, field] = expr.args as [Expr, Expr & { kind: 'literal' }];
      field.type = types.string;
      return this.#resolved(this.#field(expr.at, operand, field.value as string, true));
    }
    for (const each of expr.args) this.check(each);
    if (!expr.target) {
      const plain = expr.name.startsWith('.') ? expr.name.slice(1) : expr.name;
      const found = this.#declarations.function(plain);
      if (!found) return this.#undeclared(expr.at, expr.name);
      expr.name = plain;
      return this.#resolve(expr, found);
    }
    const prefix = qualifiedName(expr.target);
    const namespaced = prefix === undefined ? undefined : this.#declarations.function(`${prefix}.${expr.name}`);
    if (namespaced && this.#local((prefix as string).split('.', 1)[0] as string) === undefined) {
      expr.name = namespaced.name;
      expr.target = undefined;
      return this.#resolve(expr, namespaced);
    }
    this.check(expr.target);
    const found = this.#declarations.function(expr.name);
    return found ? this.#resolve(expr, found) : this.#undeclared(expr.at, expr.name);
  }

  #resolve(expr: CallExpr, found: FunctionDecl): CelType {
    const nodes = expr.target ? [expr.target, ...expr.args] : expr.args;
    const args = nodes.map((each) => each.type as CelType);
    const isMember = expr.target !== undefined;
    if (found.name === '_&&_' || found.name === '_||_') return this.#logical(expr, found, args);
    const fitting: Overload[] = [];
    let result: CelType | undefined;
    for (const candidate of found.overloads) {
      if (candidate.isMember !== isMember || candidate.args.length !== args.length) continue;
      const instance = this.#instance(candidate);
      if (!this.#substitutions.assignAll(args, instance.args)) continue;
      fitting.push(candidate);
      const type = this.#resolved(instance.result);
      if (!result) result = type;
      else if (result.kind !== 'dyn' && !isExactly(type, result)) result = types.dyn;
    }
    if (!result) {
      const shown = args.map((each) => formatType(this.#substitutions.apply(each, true)));
      const signature = isMember ? `${shown[0]}.(${shown.slice(1).join(', ')})` : `(${shown.join(', ')})`;
      this.#issue(expr.at, `found no matching overload for '${found.name}' applied to '${signature}'`);
      return types.error;
    }
    expr.overloads = fitting;
    return result;
  }

  #logical(expr: CallExpr, found: FunctionDecl, args: readonly CelType[]): CelType {
    let isWrong = false;
    args.forEach((each, index) => {
      if (this.#substitutions.assign(each, types.bool)) return;
      this.#mismatch((expr.args[index] as Expr).at, types.bool, each);
      isWrong = true;
    });
    expr.overloads = found.overloads;
    return isWrong ? types.error : types.bool;
  }

  /** The overload with fresh names for its type parameters. */
  #instance({ args, result }: Overload): { args: CelType[]; result: CelType } {
    const names = new Map<string, CelType>();
    const rename = (type: CelType): CelType => {
      switch (type.kind) {
        case 'param': {
          const known = names.get(type.name) ?? this.#fresh();
          names.set(type.name, known);
          return known;
        }
        case 'list':
          return { kind: 'list', element: rename(type.element) };
        case 'map':
          return { kind: 'map', key: rename(type.key), value: rename(type.value) };
        case 'opaque':
          return type.parameters.length === 0 ? type : { ...type, parameters: type.parameters.map(rename) };
        case 'type':
          return type.of ? { kind: 'type', of: rename(type.of) } : type;
        default:
          return type;
      }
    };
    return { args: args.map(rename), result: rename(result) };
  }

  /** The type of an element or entry; of one written `?x`, what the optional holds. */
  #maybeOptional(expr: Expr, isOptional: boolean): CelType {
    const type = this.check(expr);
    if (!isOptional) return type;
    const wrapped = unwrapOptional(this.#resolved(type));
    if (wrapped) return wrapped;
    if (type.kind !== 'dyn') this.#mismatch(expr.at, types.optional(type), type);
    return type;
  }

  #join(at: number, previous: CelType | undefined, current: CelType): CelType {
    if (!previous) return current;
    if (this.#substitutions.assign(previous, current)) return moreGeneral(previous, current);
    if (this.#declarations.allowsMixedLiterals) return types.dyn;
    this.#mismatch(at, previous, current);
    return types.error;
  }

  #struct(expr: StructExpr): CelType {
    const name = expr.name.startsWith('.') ? expr.name.slice(1) : expr.name;
    const type = this.#declarations.typeNamed(name);
    let result: CelType = types.error;
    if (!type) {
      const variable = this.#local(name) ?? this.#declarations.variable(name);
      if (!variable) return this.#undeclared(expr.at, expr.name);
      this.#issue(expr.at, `'${formatType(variable)}' is not a type`);
    } else if (type.kind === 'object') {
      result = type;
    } else {
      this.#issue(expr.at, `'${formatType(type)}' is not a message type`);
    }
    expr.name = name;
    for (const field of expr.fields) {
      const value = this.#maybeOptional(field.value, field.isOptional);
      if (result.kind !== 'object') continue;
      const expected = result.fields.get(field.name)?.type ?? (result.isOpen ? types.dyn : undefined);
      if (!expected) this.#issue(field.at, `undefined field '${field.name}'`);
      else if (!this.#substitutions.assign(expected, value)) {
        const [want, got] = [expected, value].map((each) => formatType(this.#substitutions.apply(each, true)));
        this.#issue(field.at, `expected type of field '${field.name}' is '${want}' but provided type is '${got}'`);
      }
    }
    return result;
  }

  #comprehension(expr: Expr & { kind: 'comprehension' }): CelType {
    const range = this.#resolved(this.check(expr.range));
    const accu = this.check(expr.accuInit);
    const [first, second] = this.#iteration(expr.range.at, range, expr.iterVar2 !== undefined);
    this.#scopes.push(new Map([[expr.accuVar, accu]]));
    const variables = new Map([[expr.iterVar, first]]);
    if (expr.iterVar2 !== undefined) variables.set(expr.iterVar2, second);
    this.#scopes.push(variables);
    this.#assert(expr.condition, types.bool);
    this.#assert(expr.step, accu);
    this.#scopes.pop();
    const result = this.check(expr.result);
    this.#scopes.pop();
    return this.#resolved(result);
  }

  #iteration(at: number, range: CelType, isTwo: boolean): [CelType, CelType] {
    switch (range.kind) {
      case 'list':
        return isTwo ? [types.int, range.element] : [range.element, types.error];
      case 'map':
        return [range.key, range.value];
      case 'dyn':
      case 'any':
      case 'error':
      case 'param':
        this.#substitutions.assign(types.dyn, range);
        return [types.dyn, types.dyn];
      default:
        this.#issue(
          at,
          `expression of type '${formatType(range)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
        );
        return [types.error, types.error];
    }
  }

  #assert(expr: Expr, expected: CelType): void {
    const found = this.check(expr);
    if (!this.#substitutions.assign(expected, found)) this.#mismatch(expr.at, expected, found);
  }
}

function unwrapOptional(type: CelType): CelType | undefined {
  return type.kind === 'opaque' && type.name === 'optional_type' ? type.parameters[0] : undefined;
}

function become(expr: Expr, other: Expr): void {
  for (const key of Object.keys(expr)) delete (expr as unknown as Record<string, unknown>)[key];
  Object.assign(expr, other);
}

function literalType(value: unknown): CelType {
  switch (typeof value) {
    case 'boolean':
      return types.bool;
    case 'string':
      return types.string;
    case 'number':
    case 'bigint':
      return types.int;
    default:
  }
  if (value === null) return types.null;
  if (value instanceof Uint8Array) return types.bytes;
  return value instanceof CelUint ? types.uint : types.double;
}
