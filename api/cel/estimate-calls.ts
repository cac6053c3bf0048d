// Estimates of single calls: cel-go's for its standard functions, Kubernetes' for its own.
import type { Expr } from './ast.ts';
import { AUTHORIZATION_CHECK, REGEX_FACTOR, selectorCost, STRING_FACTOR } from './costs.ts';
import { add, fixed, MOST, type Range, scale, times, UNKNOWN } from './range.ts';
import type { CelType } from './types.ts';

/** An argument, as far as estimates need it. */
export interface CallNode {
  expr: Expr;
  type: CelType;
  size: Range;
  /** Of a list; undefined for other types. */
  elementSize(): { type: CelType; size: Range } | undefined;
}

export interface CallEstimate {
  cost: Range;
  /** Of the result, where it has a size. */
  resultSize?: Range;
}

/** Size of the largest pattern behind a named format. */
const FORMAT_PATTERN = 128;

/** `target` is the receiver. Costs of the arguments themselves are not included. */
export function estimateCall(
  name: string,
  overload: string,
  target: CallNode | undefined,
  args: readonly CallNode[],
): CallEstimate {
  return byFunction(name, overload, target, args) ?? byOverload(overload, target, args) ?? { cost: fixed(1) };
}

function byFunction(
  name: string,
  overload: string,
  target: CallNode | undefined,
  args: readonly CallNode[],
): CallEstimate | undefined {
  const subject = target ?? args[0];
  switch (name) {
    case 'check':
      return { cost: fixed(AUTHORIZATION_CHECK) };
    case 'fieldSelector':
    case 'labelSelector':
      return { cost: { min: selectorCost(size(args[0]).min), max: Math.min(MOST, selectorCost(size(args[0]).max)) } };
    case 'isSorted':
    case 'sum':
    case 'max':
    case 'min':
    case 'indexOf':
    case 'lastIndexOf':
      return target && listOrString(target);
    case 'url':
    case 'jsonpatch.escapeKey':
    case 'lowerAscii':
    case 'upperAscii':
    case 'substring':
    case 'trim':
      return { cost: scale(size(subject), STRING_FACTOR), resultSize: size(subject) };
    case 'replace':
      return target && args.length >= 2
        ? {
            cost: scale(target.size, 2 * STRING_FACTOR),
            resultSize: replacedSize(target.size, size(args[0]), size(args[1])),
          }
        : undefined;
    case 'split':
      return (
        target && {
          cost: scale(target.size, 2 * STRING_FACTOR),
          resultSize: { min: 0, max: splitMax(target, args[1]) },
        }
      );
    case 'join':
      return target && joined(target, args[0]);
    case 'find':
    case 'findAll':
      return target && { ...pattern(target.size, size(args[0])), resultSize: { min: 0, max: target.size.max } };
    case 'cidr':
    case 'isIP':
    case 'isCIDR':
    case 'quantity':
    case 'isQuantity':
    case 'semver':
    case 'isSemver':
      return { cost: scale(size(args[0]), STRING_FACTOR) };
    case 'ip':
      return { cost: overload === 'cidr_ip' ? fixed(1) : scale(size(args[0]), STRING_FACTOR) };
    case 'ip.isCanonical':
      return { cost: scale(size(args[0]), 2 * STRING_FACTOR) };
    case 'containsIP':
      return { cost: addressCost(overload === 'cidr_contains_ip_string' ? args[0] : undefined, ZERO) };
    case 'containsCIDR':
      return {
        cost: addressCost(
          overload === 'cidr_contains_cidr_string' ? args[0] : undefined,
          add(scale(ADDRESS, STRING_FACTOR), fixed(1)),
        ),
      };
    case 'validate':
      return { cost: scale(scale(size(args[0]), STRING_FACTOR), FORMAT_PATTERN * REGEX_FACTOR) };
    case '_==_':
      return opaqueEquality(args);
    case 'sets.contains':
    case 'sets.intersects':
      return { cost: add(fixed(1), times(size(args[0]), size(args[1]))) };
    case 'sets.equivalent':
      return { cost: add(fixed(1), scale(times(size(args[0]), size(args[1])), 2)) };
    default:
      return undefined;
  }
}

const ZERO = fixed(0);
/** Bytes of an address: four or sixteen. */
const ADDRESS: Range = { min: 4, max: 16 };
const size = (node: CallNode | undefined): Range => node?.size ?? UNKNOWN;

function listOrString(target: CallNode): CallEstimate {
  const element = target.elementSize();
  if (!element) return { cost: scale(target.size, STRING_FACTOR) };
  const isText = element.type.kind === 'string' || element.type.kind === 'bytes';
  const each = isText ? add(fixed(1), scale(element.size, STRING_FACTOR)) : fixed(1);
  return { cost: times(target.size, each) };
}

function replacedSize(text: Range, old: Range, by: Range): Range {
  const count = { ...ZERO };
  const kept = { ...ZERO };
  if (old.min === 0) {
    count.max = Math.min(MOST, text.max + 1);
    kept.max = text.max;
  } else if (by.max <= old.min) kept.max = text.max;
  else count.max = Math.ceil(text.max / old.min);
  if (old.max === 0) {
    count.min = text.min + 1;
    kept.min = text.min;
  } else if (old.max <= by.min) kept.min = text.min;
  else count.min = Math.ceil(text.min / old.max);
  return add(times(count, by), kept);
}

function splitMax(target: CallNode, limit: CallNode | undefined): number {
  if (limit?.expr.kind === 'literal' && typeof limit.expr.value === 'number' && limit.expr.value >= 0) {
    return limit.expr.value;
  }
  return target.size.max;
}

function joined(target: CallNode, separator: CallNode | undefined): CallEstimate {
  const element = target.elementSize();
  let length = element ? times(target.size, element.size) : ZERO;
  if (separator) {
    const count = { min: Math.max(0, target.size.min - 1), max: Math.max(0, target.size.max - 1) };
    length = add(length, times(separator.size, count));
  }
  return { cost: scale(length, STRING_FACTOR), resultSize: length };
}

function pattern(text: Range, expression: Range): CallEstimate {
  return { cost: times(scale(add(text, fixed(1)), STRING_FACTOR), scale(expression, REGEX_FACTOR)) };
}

function addressCost(text: CallNode | undefined, more: Range): Range {
  const cost = add(scale(add(ADDRESS, ADDRESS), STRING_FACTOR), more);
  return text ? add(cost, scale(text.size, STRING_FACTOR)) : cost;
}

/** Types whose equality costs the same for all values. */
const CONSTANT_EQUALITY = new Set(['net.IP', 'net.CIDR', 'kubernetes.Quantity', 'kubernetes.Semver']);

function opaqueEquality(args: readonly CallNode[]): CallEstimate | undefined {
  const type = args[0]?.type;
  if (type?.kind !== 'opaque') return undefined;
  if (CONSTANT_EQUALITY.has(type.name) || type.name.startsWith('kubernetes.authorization.')) return { cost: fixed(1) };
  if (type.name === 'kubernetes.NamedFormat') return { cost: scale({ min: 1, max: 64 }, STRING_FACTOR) };
  if (type.name === 'kubernetes.URL') return { cost: scale({ min: 1, max: size(args[1]).max }, STRING_FACTOR) };
  return undefined;
}

function byOverload(id: string, target: CallNode | undefined, args: readonly CallNode[]): CallEstimate | undefined {
  const [first, second] = args;
  switch (id) {
    case 'string_format':
      return target && { cost: scale(target.size, STRING_FACTOR) };
    case 'strings_quote':
      return {
        cost: scale(size(first), STRING_FACTOR),
        resultSize: { min: size(first).min + 2, max: Math.min(MOST, size(first).max * 2 + 2) },
      };
    case 'string_to_bytes':
      return {
        cost: scale(size(first), STRING_FACTOR),
        resultSize: { min: size(first).min, max: Math.min(MOST, size(first).max * 4) },
      };
    case 'bytes_to_string':
      return {
        cost: scale(size(first), STRING_FACTOR),
        resultSize: { min: Math.floor(size(first).min / 4), max: size(first).max },
      };
    case 'starts_with_string':
    case 'ends_with_string':
      return { cost: scale(size(first), STRING_FACTOR) };
    case 'in_list':
      return { cost: size(second) };
    case 'matches_string':
      return target && pattern(target.size, size(first));
    case 'contains_string':
      return target && { cost: times(scale(target.size, STRING_FACTOR), scale(size(first), STRING_FACTOR)) };
    case 'add_list':
      return { cost: fixed(1), resultSize: add(size(first), size(second)) };
    case 'add_string':
    case 'add_bytes': {
      const length = add(size(first), size(second));
      return { cost: scale(length, STRING_FACTOR), resultSize: length };
    }
    default:
      return /^(?:equals|not_equals|(?:less|greater)(?:_equals)?_(?:string|bytes))$/.test(id)
        ? { cost: smallerOf(size(first), size(second)) }
        : undefined;
  }
}

function smallerOf(left: Range, right: Range): Range {
  const most = Math.min(left.max, right.max);
  return scale({ min: most > 0 ? 1 : 0, max: most }, STRING_FACTOR);
}
