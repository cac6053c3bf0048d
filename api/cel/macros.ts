// Macros: calls that stand for loops and presence tests (https://github.com/google/cel-spec/blob/master/doc/langdef.md#macros),
// with those for optional values and the two-variable comprehensions.
import { type CallExpr, copyExpr, type Expr } from './ast.ts';

type Expansion = { expr: Expr } | { at: number; problem: string };

/** What loops collect their result in; no program can name it. */
const ACCU = '@result';

/** Undefined for a call that is no macro. */
export function expandMacro(call: CallExpr): Expansion | undefined {
  const { name, target, args } = call;
  if (!target) return name === 'has' && args.length === 1 ? expandHas(call) : undefined;
  const expand = memberMacros[`${name}:${args.length}`];
  return expand?.(call, target, args as [Expr, ...Expr[]]);
}

function expandHas({ args, at }: CallExpr): Expansion {
  const operand = args[0] as Expr;
  if (operand.kind === 'select' && !operand.isTest) {
    return { expr: { kind: 'select', at, operand: operand.operand, field: operand.field, isTest: true } };
  }
  return { at: operand.at, problem: 'invalid argument to has() macro' };
}

const NO_SIMPLE_NAME = 'argument must be a simple name';

type Macro = (call: CallExpr, target: Expr, args: [Expr, ...Expr[]]) => Expansion;

const memberMacros: Record<string, Macro> = {
  'all:2': loop(quantifier('all'), NO_SIMPLE_NAME),
  'exists:2': loop(quantifier('exists'), NO_SIMPLE_NAME),
  'exists_one:2': loop(quantifier('one'), NO_SIMPLE_NAME),
  'existsOne:2': loop(quantifier('one'), NO_SIMPLE_NAME),
  'map:2': loop((at, [transform]) => collect(at, transform as Expr, undefined)),
  'map:3': loop((at, [filter, transform]) => collect(at, transform as Expr, filter)),
  'filter:2': (call, target, args) =>
    loop((at, [filter]) => collect(at, ident(at, (args[0] as { name: string }).name), filter))(call, target, args),
  'all:3': loop2(quantifier('all')),
  'exists:3': loop2(quantifier('exists')),
  'exists_one:3': loop2(quantifier('one')),
  'existsOne:3': loop2(quantifier('one')),
  'transformList:3': loop2((at, [transform]) => collect(at, transform as Expr, undefined)),
  'transformList:4': loop2((at, [filter, transform]) => collect(at, transform as Expr, filter)),
  'transformMap:3': loop2((at, [transform], key) => insert(at, [ident(at, key), transform as Expr], undefined)),
  'transformMap:4': loop2((at, [filter, transform], key) => insert(at, [ident(at, key), transform as Expr], filter)),
  'transformMapEntry:3': loop2((at, [transform]) => insert(at, [transform as Expr], undefined)),
  'transformMapEntry:4': loop2((at, [filter, transform]) => insert(at, [transform as Expr], filter)),
  'optMap:2': (call, target, args) => expandOptional(call.at, target, args, 'optMap'),
  'optFlatMap:2': (call, target, args) => expandOptional(call.at, target, args, 'optFlatMap'),
};

interface Fold {
  init: Expr;
  condition: Expr;
  step: Expr;
  result: Expr;
}
type MakeFold = (at: number, bodies: Expr[], key: string) => Fold;

function loop(make: MakeFold, problem = 'argument is not an identifier'): Macro {
  return (call, target, [variable, ...bodies]) => {
    const name = variableName(variable, problem);
    if (typeof name !== 'string') return name;
    return comprehension(call.at, target, name, undefined, make(call.at, bodies, name));
  };
}

function loop2(make: MakeFold): Macro {
  return (call, target, [first, second, ...bodies]) => {
    const one = variableName(first, NO_SIMPLE_NAME);
    if (typeof one !== 'string') return one;
    const two = variableName(second as Expr, NO_SIMPLE_NAME);
    if (typeof two !== 'string') return two;
    if (one === two) return { at: (second as Expr).at, problem: `duplicate variable name: ${one}` };
    return comprehension(call.at, target, one, two, make(call.at, bodies, one));
  };
}

function variableName(expr: Expr, problem: string): string | { at: number; problem: string } {
  if (expr.kind !== 'ident' || expr.name.startsWith('.')) return { at: expr.at, problem };
  if (expr.name === ACCU || expr.name === '__result__') {
    return { at: expr.at, problem: 'iteration variable overwrites accumulator variable' };
  }
  return expr.name;
}

function comprehension(
  at: number,
  range: Expr,
  iterVar: string,
  iterVar2: string | undefined,
  { init, condition, step, result }: Fold,
): Expansion {
  return {
    expr: {
      kind: 'comprehension',
      at,
      iterVar,
      iterVar2,
      range,
      accuVar: ACCU,
      accuInit: init,
      condition,
      step,
      result,
    },
  };
}

function quantifier(kind: 'all' | 'exists' | 'one'): MakeFold {
  return (at, [predicate]) => {
    const accu = () => ident(at, ACCU);
    switch (kind) {
      case 'all':
        return {
          init: literal(at, true),
          condition: call(at, '@not_strictly_false', accu()),
          step: call(at, '_&&_', accu(), predicate as Expr),
          result: accu(),
        };
      case 'exists':
        return {
          init: literal(at, false),
          condition: call(at, '@not_strictly_false', call(at, '!_', accu())),
          step: call(at, '_||_', accu(), predicate as Expr),
          result: accu(),
        };
      default:
        return {
          init: literal(at, 0),
          condition: literal(at, true),
          step: call(at, '_?_:_', predicate as Expr, call(at, '_+_', accu(), literal(at, 1)), accu()),
          result: call(at, '_==_', accu(), literal(at, 1)),
        };
    }
  };
}

function collect(at: number, transform: Expr, filter: Expr | undefined): Fold {
  const accu = () => ident(at, ACCU);
  const grown = call(at, '_+_', accu(), { kind: 'list', at, elements: [transform], optional: new Set() });
  return {
    init: { kind: 'list', at, elements: [], optional: new Set() },
    condition: literal(at, true),
    step: filter ? call(at, '_?_:_', filter, grown, accu()) : grown,
    result: accu(),
  };
}

function insert(at: number, entry: Expr[], filter: Expr | undefined): Fold {
  const accu = () => ident(at, ACCU);
  const grown = call(at, 'cel.@mapInsert', accu(), ...entry);
  return {
    init: { kind: 'map', at, entries: [] },
    condition: literal(at, true),
    step: filter ? call(at, '_?_:_', filter, grown, accu()) : grown,
    result: accu(),
  };
}

function expandOptional(at: number, target: Expr, args: [Expr, ...Expr[]], macro: 'optMap' | 'optFlatMap'): Expansion {
  const [variable, body] = args;
  if (variable.kind !== 'ident' || variable.name.startsWith('.')) {
    return { at: variable.at, problem: `${macro}() variable name must be a simple identifier` };
  }
  const bound: Expr = {
    kind: 'comprehension',
    at,
    iterVar: '#unused',
    iterVar2: undefined,
    range: { kind: 'list', at, elements: [], optional: new Set() },
    accuVar: variable.name,
    accuInit: { kind: 'call', at, name: 'value', target: copyExpr(target), args: [] },
    condition: literal(at, false),
    step: ident(at, variable.name),
    result: body as Expr,
  };
  return {
    expr: call(
      at,
      '_?_:_',
      { kind: 'call', at, name: 'hasValue', target, args: [] },
      macro === 'optMap' ? call(at, 'optional.of', bound) : bound,
      call(at, 'optional.none'),
    ),
  };
}

const ident = (at: number, name: string): Expr => ({ kind: 'ident', at, name });
const literal = (at: number, value: boolean | number): Expr => ({ kind: 'literal', at, value });
const call = (at: number, name: string, ...args: Expr[]): Expr => ({ kind: 'call', at, name, target: undefined, args });
