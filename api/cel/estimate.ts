// What an expression may cost at least and at most, before it runs, from the sizes that schemas and literals give
// (cel-go's checker/cost.go, k8s.io/apiserver/pkg/cel/library/cost.go). CRDs are accepted or refused by these figures.
import type { CallExpr, ComprehensionExpr, Expr } from './ast.ts';
import { COST } from './costs.ts';
import { type CallEstimate, type CallNode, estimateCall } from './estimate-calls.ts';
import { add, fixed, type Range, scale, times, union, UNKNOWN } from './range.ts';
import type { CelType } from './types.ts';
import { codePoints } from './values.ts';

/** Sizes of variables, by path: `self`, `spec`, `@items`, `@keys`, `@values`. */
export type SizeOf = (path: readonly string[], type: CelType) => Range | undefined;

export function estimateCost(expr: Expr, sizeOf: SizeOf): Range {
  return new Estimator(sizeOf).cost(expr);
}

interface EntrySize {
  container: 'list' | 'map';
  key: Range;
  value: Range;
}
interface Local {
  path: readonly string[];
  size: Range | undefined;
  entry: EntrySize | undefined;
}

const ZERO = fixed(0);
const ACCU = '@result';

class Estimator {
  readonly #sizeOf: SizeOf;
  readonly #paths = new Map<Expr, readonly string[]>();
  readonly #sizes = new Map<Expr, Range>();
  readonly #entries = new Map<Expr, EntrySize>();
  readonly #locals = new Map<string, Local[]>();

  constructor(sizeOf: SizeOf) {
    this.#sizeOf = sizeOf;
  }

  cost(expr: Expr): Range {
    switch (expr.kind) {
      case 'literal':
        return ZERO;
      case 'ident':
        if (expr.denotes) return ZERO;
        this.#paths.set(expr, this.#local(expr.name)?.path ?? [expr.name]);
        return fixed(COST.identOrSelect);
      case 'select':
        return this.#select(expr);
      case 'call':
        return this.#call(expr);
      case 'list':
        return this.#list(expr);
      case 'map':
        return this.#map(expr);
      case 'struct':
        return expr.fields.reduce((sum, { value }) => add(sum, this.cost(value)), fixed(COST.struct));
      case 'comprehension':
        return this.#comprehension(expr);
    }
  }

  #select(expr: Expr & { kind: 'select' }): Range {
    const operand = this.cost(expr.operand);
    if (expr.isTest) return operand;
    this.#paths.set(expr, [...this.#path(expr.operand), expr.field]);
    const { kind } = expr.operand.type as CelType;
    return kind === 'map' || kind === 'object' || kind === 'param' ? add(operand, fixed(COST.identOrSelect)) : operand;
  }

  #list(expr: Expr & { kind: 'list' }): Range {
    let cost = fixed(COST.list);
    let item: Range = expr.elements.length === 0 ? { min: 0, max: 0 } : { min: UNKNOWN.max, max: 0 };
    for (const each of expr.elements) {
      cost = add(cost, this.cost(each));
      item = union(item, this.#sizeOrUnknown(each));
    }
    this.#entries.set(expr, { container: 'list', key: fixed(1), value: item });
    return cost;
  }

  #map(expr: Expr & { kind: 'map' }): Range {
    const none: Range = expr.entries.length === 0 ? { min: 0, max: 0 } : { min: UNKNOWN.max, max: 0 };
    let cost = fixed(COST.map);
    let key = none;
    let value = none;
    for (const entry of expr.entries) {
      cost = add(add(cost, this.cost(entry.key)), this.cost(entry.value));
      key = union(key, this.#sizeOrUnknown(entry.key));
      value = union(value, this.#sizeOrUnknown(entry.value));
    }
    this.#entries.set(expr, { container: 'map', key, value });
    return cost;
  }

  #call(expr: CallExpr): Range {
    if (expr.name === 'dyn' && expr.args.length === 1) {
      const [inner] = expr.args as [Expr];
      const cost = add(fixed(1), this.cost(inner));
      this.#setSize(expr, this.#size(inner));
      this.#setEntry(expr, this.#entry(inner));
      return cost;
    }
    const args = expr.args.map((each) => this.cost(each));
    const target = expr.target ? this.cost(expr.target) : ZERO;
    const overloads = expr.overloads ?? [];
    if (overloads.length === 0) return ZERO;
    let cost: Range = { min: UNKNOWN.max, max: 0 };
    let size: Range | undefined;
    for (const { id } of overloads) {
      const each = this.#overload(expr, id, args);
      cost = union(cost, each.cost);
      if (each.resultSize) size = size ? union(size, each.resultSize) : each.resultSize;
      if (id === 'index_list' || id === 'index_map') {
        const [container] = expr.args as [Expr];
        size = this.#entry(container)?.value;
        this.#paths.set(expr, [...this.#path(container), id === 'index_list' ? '@items' : '@values']);
      }
      size ??= this.#size(expr);
    }
    this.#setSize(expr, size);
    return add(target, cost);
  }

  #overload(expr: CallExpr, id: string, args: readonly Range[]): CallEstimate {
    const sum = args.reduce(add, ZERO);
    const [first, second] = args as [Range, Range];
    const [one, two, three] = expr.args as [Expr, Expr, Expr];
    switch (id) {
      case 'logical_and':
      case 'logical_or':
        return { cost: { min: first.min, max: add(first, second).max } };
      case 'conditional': {
        const [yes, no] = [this.#entry(two), this.#entry(three)];
        this.#setEntry(expr, unionEntries(yes, no));
        return {
          cost: add(first, union(second, args[2] as Range)),
          resultSize: union(this.#sizeOrUnknown(two), this.#sizeOrUnknown(three)),
        };
      }
      case 'add_string':
      case 'add_bytes':
      case 'add_list':
        this.#setEntry(expr, unionEntries(this.#entry(one), this.#entry(two)));
        break;
      default:
    }
    const estimate = estimateCall(
      expr.name,
      id,
      this.#node(expr.target),
      expr.args.map((each) => this.#node(each) as CallNode),
    );
    return { ...estimate, cost: add(estimate.cost, sum) };
  }

  #node(expr: Expr | undefined): CallNode | undefined {
    if (!expr) return undefined;
    const path = this.#path(expr);
    const type = expr.type as CelType;
    return {
      expr,
      type,
      size: this.#size(expr) ?? UNKNOWN,
      elementSize: () => {
        const of = type.kind === 'list' ? type.element : type.kind === 'opaque' ? type.parameters[0] : undefined;
        if (!of) return undefined;
        return { type: of, size: this.#sizeOf(isAccu(path) ? [] : [...path, '@items'], of) ?? UNKNOWN };
      },
    };
  }

  #comprehension(expr: ComprehensionExpr): Range {
    const range = this.cost(expr.range);
    const init = this.cost(expr.accuInit);
    if (isBinding(expr)) return add(add(range, init), this.#bound(expr));
    this.#push(expr.accuVar, this.#localOf(expr.accuInit));
    const entry = this.#entry(expr.range);
    const isList = (entry?.container ?? (expr.range.type as CelType).kind) === 'list';
    const path = this.#path(expr.range);
    if (expr.iterVar2 === undefined) {
      this.#push(expr.iterVar, {
        path: [...path, isList ? '@items' : '@keys'],
        size: isList ? entry?.value : entry?.key,
        entry: undefined,
      });
    } else {
      this.#push(expr.iterVar, { path: [...path, isList ? '@indices' : '@keys'], size: entry?.key, entry: undefined });
      this.#push(expr.iterVar2, {
        path: [...path, isList ? '@items' : '@values'],
        size: entry?.value,
        entry: undefined,
      });
    }
    const loop = add(this.cost(expr.step), this.cost(expr.condition));
    this.#pop(expr.iterVar);
    if (expr.iterVar2 !== undefined) this.#pop(expr.iterVar2);
    const result = this.cost(expr.result);
    this.#pop(expr.accuVar);
    const count = this.#sizeOrUnknown(expr.range);
    if (expr.accuInit.kind === 'literal') this.#setSize(expr, this.#size(expr.accuInit));
    else if (expr.accuInit.kind === 'list' || expr.accuInit.kind === 'map') {
      this.#setSize(expr, count);
      this.#setEntry(expr, this.#entry(expr.step));
    }
    return [init, result, times(count, loop)].reduce(add, range);
  }

  #bound(expr: ComprehensionExpr): Range {
    this.#push(expr.accuVar, this.#localOf(expr.accuInit));
    const cost = this.cost(expr.result);
    this.#pop(expr.accuVar);
    this.#setSize(expr, this.#size(expr.result));
    this.#setEntry(expr, this.#entry(expr.result));
    return cost;
  }

  #localOf(expr: Expr): Local {
    return { path: this.#path(expr), size: this.#size(expr), entry: this.#entry(expr) };
  }
  #push(name: string, local: Local): void {
    const stack = this.#locals.get(name);
    if (stack) stack.push(local);
    else this.#locals.set(name, [local]);
  }
  #pop(name: string): void {
    this.#locals.get(name)?.pop();
  }
  #local(name: string): Local | undefined {
    return this.#locals.get(name)?.at(-1);
  }

  #path(expr: Expr): readonly string[] {
    if (expr.kind === 'ident') {
      const local = this.#local(expr.name);
      if (local) return local.path;
    }
    return this.#paths.get(expr) ?? [];
  }
  #setSize(expr: Expr, size: Range | undefined): void {
    if (size) this.#sizes.set(expr, size);
  }
  #setEntry(expr: Expr, entry: EntrySize | undefined): void {
    if (entry) this.#entries.set(expr, entry);
  }
  #entry(expr: Expr): EntrySize | undefined {
    const known = this.#entries.get(expr);
    if (known) return known;
    return expr.kind === 'ident' ? this.#local(expr.name)?.entry : undefined;
  }
  #sizeOrUnknown(expr: Expr): Range {
    return this.#size(expr) ?? UNKNOWN;
  }
  #size(expr: Expr): Range | undefined {
    const known = this.#sizes.get(expr) ?? literalSize(expr);
    if (known) return known;
    const type = expr.type as CelType;
    const path = this.#path(expr);
    const declared = this.#sizeOf(isAccu(path) ? [] : path, type);
    if (declared) {
      this.#sizes.set(expr, declared);
      return declared;
    }
    if (isScalar(type)) return fixed(1);
    return expr.kind === 'ident' ? this.#local(expr.name)?.size : undefined;
  }
}

const isAccu = (path: readonly string[]) => path[0] === ACCU;

/** What optMap makes: one value under a name. */
function isBinding({ range, condition, accuVar }: ComprehensionExpr): boolean {
  return (
    range.kind === 'list' &&
    range.elements.length === 0 &&
    condition.kind === 'literal' &&
    condition.value === false &&
    accuVar !== ACCU
  );
}

function unionEntries(left: EntrySize | undefined, right: EntrySize | undefined): EntrySize | undefined {
  if (!left || !right) return undefined;
  return { container: left.container, key: union(left.key, right.key), value: union(left.value, right.value) };
}

function literalSize(expr: Expr): Range | undefined {
  if (expr.kind === 'list') return fixed(expr.elements.length);
  if (expr.kind === 'map') return fixed(expr.entries.length);
  if (expr.kind !== 'literal') return undefined;
  if (typeof expr.value === 'string') return fixed(codePoints(expr.value));
  return fixed(expr.value instanceof Uint8Array ? expr.value.length : 1);
}

function isScalar(type: CelType): boolean {
  if (type.kind === 'opaque') return type.name === 'optional_type' && isScalar(type.parameters[0] as CelType);
  return ['bool', 'double', 'duration', 'int', 'timestamp', 'uint'].includes(type.kind);
}

/** Sizes of variables by the bounds in their declared types. */
export function sizesOf(variables: (name: string) => CelType | undefined): SizeOf {
  return (path) => {
    const [name, ...rest] = path;
    let type = name === undefined ? undefined : variables(name);
    for (const part of rest) type = type && partOf(type, part);
    return type?.maxElements === undefined ? undefined : scale({ min: 0, max: type.maxElements }, 1);
  };
}

function partOf(type: CelType, part: string): CelType | undefined {
  switch (part) {
    case '@items':
      return type.kind === 'list' ? type.element : undefined;
    case '@values':
      return type.kind === 'map' ? type.value : undefined;
    case '@keys':
      return type.kind === 'map' ? type.key : undefined;
    default:
      return type.kind === 'object' ? type.fields.get(part)?.type : undefined;
  }
}
