// The syntax tree. Macros are expanded while parsing, so that comprehensions are the only loops. The checker writes what
// it finds (`type`, `overloads`, `names`) into the nodes.
import type { Overload } from './functions.ts';
import type { CelType } from './types.ts';
import type { CelValue } from './values.ts';

interface Node {
  /** Where messages point to: an offset into the source, in UTF-16 units. */
  at: number;
  /** Set by the checker. */
  type?: CelType;
}

export interface LiteralExpr extends Node {
  kind: 'literal';
  value: CelValue;
}
export interface IdentExpr extends Node {
  kind: 'ident';
  name: string;
  /** Set by the checker when the name is a type's. */
  denotes?: CelType;
}
export interface SelectExpr extends Node {
  kind: 'select';
  operand: Expr;
  field: string;
  /** `has(operand.field)`. */
  isTest: boolean;
}
export interface CallExpr extends Node {
  kind: 'call';
  /** `_+_`, `size`, `math.greatest` once a namespace was recognized. */
  name: string;
  target: Expr | undefined;
  args: Expr[];
  /** Set by the checker: those that the argument types allow. */
  overloads?: readonly Overload[];
}
export interface ListExpr extends Node {
  kind: 'list';
  elements: Expr[];
  /** Indices of elements written `?x`. */
  optional: ReadonlySet<number>;
}
export interface MapEntry {
  at: number;
  key: Expr;
  value: Expr;
  isOptional: boolean;
}
export interface MapExpr extends Node {
  kind: 'map';
  entries: MapEntry[];
}
export interface StructField {
  at: number;
  name: string;
  value: Expr;
  isOptional: boolean;
}
export interface StructExpr extends Node {
  kind: 'struct';
  name: string;
  fields: StructField[];
}
/** for (iterVar[, iterVar2] of range) { if (!condition) break; accu = step }; return result */
export interface ComprehensionExpr extends Node {
  kind: 'comprehension';
  iterVar: string;
  iterVar2: string | undefined;
  range: Expr;
  accuVar: string;
  accuInit: Expr;
  condition: Expr;
  step: Expr;
  result: Expr;
}

export type Expr =
  | LiteralExpr
  | IdentExpr
  | SelectExpr
  | CallExpr
  | ListExpr
  | MapExpr
  | StructExpr
  | ComprehensionExpr;

/** `a.b.c` as a dotted name, or undefined for anything else. A leading dot is kept. */
export function qualifiedName(expr: Expr): string | undefined {
  if (expr.kind === 'ident') return expr.name;
  if (expr.kind !== 'select' || expr.isTest) return undefined;
  const prefix = qualifiedName(expr.operand);
  return prefix === undefined ? undefined : `${prefix}.${expr.field}`;
}

/** The direct parts of a node. */
export function children(expr: Expr): Expr[] {
  switch (expr.kind) {
    case 'literal':
    case 'ident':
      return [];
    case 'select':
      return [expr.operand];
    case 'call':
      return expr.target ? [expr.target, ...expr.args] : expr.args;
    case 'list':
      return expr.elements;
    case 'map':
      return expr.entries.flatMap(({ key, value }) => [key, value]);
    case 'struct':
      return expr.fields.map(({ value }) => value);
    case 'comprehension':
      return [expr.range, expr.accuInit, expr.condition, expr.step, expr.result];
  }
}

/** A copy that shares nothing; for macros that use an argument twice. */
export function copyExpr(expr: Expr): Expr {
  switch (expr.kind) {
    case 'literal':
    case 'ident':
      return { ...expr };
    case 'select':
      return { ...expr, operand: copyExpr(expr.operand) };
    case 'call':
      return { ...expr, target: expr.target && copyExpr(expr.target), args: expr.args.map(copyExpr) };
    case 'list':
      return { ...expr, elements: expr.elements.map(copyExpr) };
    case 'map':
      return {
        ...expr,
        entries: expr.entries.map((each) => ({ ...each, key: copyExpr(each.key), value: copyExpr(each.value) })),
      };
    case 'struct':
      return { ...expr, fields: expr.fields.map((each) => ({ ...each, value: copyExpr(each.value) })) };
    case 'comprehension':
      return {
        ...expr,
        range: copyExpr(expr.range),
        accuInit: copyExpr(expr.accuInit),
        condition: copyExpr(expr.condition),
        step: copyExpr(expr.step),
        result: copyExpr(expr.result),
      };
  }
}
