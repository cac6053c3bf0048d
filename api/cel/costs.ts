// What evaluation costs, in the units of cel-go's cost model with Kubernetes' figures for its functions
// (interpreter/runtimecost.go, k8s.io/apiserver/pkg/cel/library/cost.go). estimate.ts says what the same may cost before.
import { CelFormat } from './library/format.ts';
import { CelList, CelOpaque, type CelValue, isMap, isStruct, sizeOf } from './values.ts';

export const PER_CALL_LIMIT = 1_000_000;

/** Costs of single steps. */
export const COST = { identOrSelect: 1, list: 10, map: 30, struct: 40 } as const;
/** Per character. */
export const STRING_FACTOR = 0.1;
export const REGEX_FACTOR = 0.25;
export const AUTHORIZATION_CHECK = 350_000;

/** A fixed cost, one that depends on the arguments (receiver first), or one that only the result tells. */
export type CallCost = number | ((args: readonly CelValue[]) => number) | { ofResult: (result: CelValue) => number };

const first = (args: readonly CelValue[]) => sizeOf(args[0] as CelValue);
const second = (args: readonly CelValue[]) => sizeOf(args[1] as CelValue);
const traverse = (factor: number) => (args: readonly CelValue[]) => Math.ceil(first(args) * factor);
const regex = (args: readonly CelValue[]) =>
  Math.ceil((1 + first(args)) * STRING_FACTOR) * Math.ceil(second(args) * REGEX_FACTOR);
const smaller = (args: readonly CelValue[]) => Math.ceil(Math.min(first(args), second(args)) * STRING_FACTOR);
const total = (args: readonly CelValue[]) => Math.ceil((first(args) + second(args)) * STRING_FACTOR);
const ofList = (args: readonly CelValue[]) => traversal(args[0] as CelValue);

/** Of a value seen as a tree. */
function traversal(value: CelValue): number {
  if (typeof value === 'string') return Math.floor(Buffer.byteLength(value) * STRING_FACTOR);
  if (value instanceof Uint8Array) return Math.floor(value.length * STRING_FACTOR);
  let cost = 0;
  if (value instanceof CelList) for (const each of value) cost += traversal(each);
  else if (isMap(value)) for (const key of value.keys()) cost += traversal(key) + traversal(value.get(key) as CelValue);
  else if (isStruct(value)) {
    for (const name of value.fields()) cost += traversal(name) + traversal(value.get(name) as CelValue);
  } else return 1;
  return cost;
}

/** Kubernetes' figures, by function name. */
const byFunction: Record<string, CallCost> = {
  check: AUTHORIZATION_CHECK,
  fieldSelector: (args: readonly CelValue[]) => selectorCost(second(args)),
  labelSelector: (args: readonly CelValue[]) => selectorCost(second(args)),
  isSorted: ofList,
  sum: ofList,
  max: ofList,
  min: ofList,
  indexOf: ofList,
  lastIndexOf: ofList,
  url: traverse(STRING_FACTOR),
  lowerAscii: traverse(STRING_FACTOR),
  upperAscii: traverse(STRING_FACTOR),
  substring: traverse(STRING_FACTOR),
  trim: traverse(STRING_FACTOR),
  'jsonpatch.escapeKey': traverse(STRING_FACTOR),
  replace: traverse(2 * STRING_FACTOR),
  split: traverse(2 * STRING_FACTOR),
  join: { ofResult: (result: CelValue) => Math.ceil(sizeOf(result) * 2 * STRING_FACTOR) },
  find: regex,
  findAll: regex,
  cidr: traverse(STRING_FACTOR),
  isIP: traverse(STRING_FACTOR),
  isCIDR: traverse(STRING_FACTOR),
  'ip.isCanonical': traverse(2 * STRING_FACTOR),
  quantity: traverse(STRING_FACTOR),
  isQuantity: traverse(STRING_FACTOR),
  semver: traverse(STRING_FACTOR),
  isSemver: traverse(STRING_FACTOR),
  validate: (args: readonly CelValue[]) =>
    Math.ceil((1 + second(args)) * STRING_FACTOR) *
    Math.ceil((args[0] instanceof CelFormat ? args[0].patternSize : 0) * REGEX_FACTOR),
};

/** Figures by overload, where a function has several. */
const byOverload: Record<string, CallCost> = {
  string_to_ip: traverse(STRING_FACTOR),
  cidr_ip: 1,
  cidr_contains_ip_ip: (args) => Math.ceil(2 * first(args) * STRING_FACTOR),
  cidr_contains_ip_string: (args) =>
    Math.ceil(2 * first(args) * STRING_FACTOR) + Math.ceil(second(args) * STRING_FACTOR),
  cidr_contains_cidr: (args) => containsCidr(first(args)),
  cidr_contains_cidr_string: (args) => containsCidr(first(args)) + Math.ceil(second(args) * STRING_FACTOR),
  starts_with_string: traverse(STRING_FACTOR),
  ends_with_string: traverse(STRING_FACTOR),
  string_to_bytes: traverse(STRING_FACTOR),
  bytes_to_string: traverse(STRING_FACTOR),
  strings_quote: traverse(STRING_FACTOR),
  string_format: traverse(STRING_FACTOR),
  in_list: second,
  equals: (args) => (args[0] instanceof CelOpaque ? 1 : smaller(args)),
  not_equals: smaller,
  add_string: total,
  add_bytes: total,
  matches_string: regex,
  contains_string: (args) => Math.ceil(first(args) * STRING_FACTOR) * Math.ceil(second(args) * STRING_FACTOR),
  list_sets_contains_list: (args) => 1 + first(args) * second(args),
  list_sets_intersects_list: (args) => 1 + first(args) * second(args),
  list_sets_equivalent_list: (args) => 1 + 2 * first(args) * second(args),
  ...Object.fromEntries(
    ['less', 'less_equals', 'greater', 'greater_equals'].flatMap((name) => [
      [`${name}_string`, smaller],
      [`${name}_bytes`, smaller],
    ]),
  ),
};

const containsCidr = (size: number) => Math.ceil(2 * size * STRING_FACTOR) + Math.ceil(size * STRING_FACTOR) + 1;

/** Parsing, and a requirement for every two characters. */
export function selectorCost(length: number): number {
  return COST.list + Math.ceil(length * STRING_FACTOR) + Math.ceil(length * 0.5) * (COST.list + COST.struct);
}

/** `overload` is empty where the types of the arguments leave several. */
export function callCost(name: string, overload: string): CallCost {
  return byOverload[overload] ?? byFunction[name] ?? 1;
}
