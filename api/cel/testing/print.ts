// A syntax tree as one line, in the words of the conformance cases' trees.
import type { Expr } from '../ast.ts';
import { CelDouble, CelUint, type CelValue } from '../values.ts';

export function printExpr(expr: Expr): string {
  const list = (parts: readonly Expr[]) => parts.map(printExpr).join(',');
  switch (expr.kind) {
    case 'literal':
      return printLiteral(expr.value);
    case 'ident':
      return expr.name;
    case 'select':
      return `${printExpr(expr.operand)}.${expr.field}${expr.isTest ? '~test-only~' : ''}`;
    case 'call':
      return `${expr.target ? `${printExpr(expr.target)}.` : ''}${expr.name}(${list(expr.args)})`;
    case 'list':
      return `[${list(expr.elements)}]`;
    case 'map':
      return `{${expr.entries.map((each) => `${each.isOptional ? '?' : ''}${printExpr(each.key)}:${printExpr(each.value)}`).join(',')}}`;
    case 'struct':
      return `${expr.name}{${expr.fields.map((each) => `${each.isOptional ? '?' : ''}${each.name}:${printExpr(each.value)}`).join(',')}}`;
    case 'comprehension':
      return `__comprehension__(//Variable${expr.iterVar},//Target${printExpr(expr.range)},//Accumulator${expr.accuVar},//Init${printExpr(expr.accuInit)},//LoopCondition${printExpr(expr.condition)},//LoopStep${printExpr(expr.step)},//Result${printExpr(expr.result)})`;
  }
}

function printLiteral(value: CelValue): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (value instanceof Uint8Array) return `b${JSON.stringify(Buffer.from(value).toString('latin1'))}`;
  if (value instanceof CelUint) return `${value.value}u`;
  if (value instanceof CelDouble) return Object.is(value.value, -0) ? '-0' : String(value.value);
  return String(value);
}
