// Calls of functions: which overload applies, what it costs, and the calls that can be prepared before.
import type { Expr } from './ast.ts';
import type { CallCost } from './costs.ts';
import { argumentTest, type FunctionDecl, noSuchOverload, type Overload } from './functions.ts';
import type { Run, Step } from './run.ts';
import { isWildcard } from './unify.ts';
import { CelError, CelList, type CelValue, equals, normalKey } from './values.ts';

/** `x in [1, 2, 3]` of plain constants is a look-up, and costs nothing. */
export function constantSet(
  overloads: readonly Overload[],
  list: CelValue | undefined,
): ((value: CelValue) => boolean) | undefined {
  if (overloads.length !== 1 || overloads[0]?.id !== 'in_list') return undefined;
  if (!(list instanceof CelList) || list.length === 0) return undefined;
  const items = [...list];
  if (!items.every((each) => each !== null && isKey(each))) return undefined;
  const set = new Set(items.map(normalKey));
  return (value) =>
    set.has(normalKey(value)) || (typeof value === 'object' && items.some((each) => equals(each, value)));
}

/** The implementation for whatever arguments come; those whose types are not known before are tested. */
export function dispatch(
  name: string,
  declared: FunctionDecl,
  overloads: readonly Overload[],
  nodes: readonly Expr[],
): Overload['call'] {
  if (declared.dynamic) return declared.dynamic;
  const isKnown = nodes.map((each) => each.type !== undefined && !isWildcard(each.type));
  const candidates = overloads.map(({ args, call }) => ({
    call,
    tests: args.map((type, at) => (overloads.length === 1 && isKnown[at] ? undefined : argumentTest(type))),
  }));
  const [only] = candidates;
  if (candidates.length === 1 && only?.tests.every((test) => test === undefined)) return only.call;
  return (...args) => {
    for (const { call, tests } of candidates) {
      if (tests.every((test, at) => test === undefined || test(args[at] as CelValue))) return call(...args);
    }
    return noSuchOverload(name, args);
  };
}

/** What grows with its arguments is paid for before it is done: a call that is too dear never begins. */
export function strictCall(steps: readonly Step[], apply: Overload['call'], cost: CallCost): Step {
  const [first, second] = steps as [Step, Step];
  if (steps.length === 2 && typeof cost === 'number') {
    return (run: Run) => {
      const left = first(run);
      if (left instanceof CelError) return left;
      const right = second(run);
      if (right instanceof CelError) return right;
      run.charge(cost);
      return apply(left, right);
    };
  }
  return (run: Run) => {
    const args: CelValue[] = [];
    for (const step of steps) {
      const value = step(run);
      if (value instanceof CelError) return value;
      args.push(value);
    }
    if (typeof cost === 'object') {
      const result = apply(...args);
      run.charge(cost.ofResult(result));
      return result;
    }
    run.charge(typeof cost === 'number' ? cost : cost(args));
    return apply(...args);
  };
}

/** Whether a map may have it as a key. */
export const isKey = (value: CelValue) =>
  value !== null && normalKey(value) !== undefined && typeof normalKey(value) !== 'object';
