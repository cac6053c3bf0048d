// Arithmetic on lists of resources: what is used, asked for and allowed, by resource name. Pure; nothing is changed in place.
import { addQuantities, compareQuantities, formatQuantity, type Quantity, quantityOf } from '../quantity.ts';
import type { Resources } from '../pod-resources.ts';

export type Amounts = ReadonlyMap<string, Quantity>;
export type ResourceList = Readonly<Record<string, string | number>>;

export const NOTHING: Amounts = new Map();

export const amountsOf = (list: ResourceList | undefined): Resources =>
  new Map(Object.entries(list ?? {}).map(([name, value]) => [name, quantityOf(value)]));

export const listOf = (amounts: Amounts): Record<string, string> =>
  Object.fromEntries([...amounts].map(([name, quantity]) => [name, formatQuantity(quantity)]));

export function add(left: Amounts, right: Amounts): Resources {
  const sum: Resources = new Map(left);
  for (const [name, quantity] of right) {
    const known = sum.get(name);
    sum.set(name, known ? addQuantities(known, quantity) : quantity);
  }
  return sum;
}

/** `left` without `right`, never below zero. */
export function subtract(left: Amounts, right: Amounts): Resources {
  const rest: Resources = new Map();
  for (const [name, quantity] of left) {
    const nanos = quantity.nanos - (right.get(name)?.nanos ?? 0n);
    rest.set(name, { nanos: nanos > 0n ? nanos : 0n, format: quantity.format });
  }
  return rest;
}

/** Only the resources that are named. */
export function mask(amounts: Amounts, names: Iterable<string>): Resources {
  const wanted = names instanceof Set ? (names as ReadonlySet<string>) : new Set(names);
  return new Map([...amounts].filter(([name]) => wanted.has(name)));
}

export const withoutZeros = (amounts: Amounts): Resources =>
  new Map([...amounts].filter(([, quantity]) => quantity.nanos !== 0n));

/** Names of what is above its bound; what has no bound is not. */
export const exceeding = (amounts: Amounts, bounds: Amounts): string[] =>
  [...amounts].flatMap(([name, quantity]) => {
    const bound = bounds.get(name);
    return bound && compareQuantities(quantity, bound) > 0 ? [name] : [];
  });

export const sameAmounts = (left: Amounts, right: Amounts): boolean =>
  left.size === right.size &&
  [...left].every(([name, quantity]) => right.has(name) && right.get(name)?.nanos === quantity.nanos);

/** `cpu=1,pods=2`, by name. */
export const printAmounts = (amounts: Amounts): string =>
  [...amounts]
    .sort(([left], [right]) => (left < right ? -1 : 1))
    .map(([name, quantity]) => `${name}=${formatQuantity(quantity)}`)
    .join(',');
