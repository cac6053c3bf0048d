// Resource quantities as plain numbers, for arithmetic that needs no more than 53 bits. Pure.
import { cpuMillis, quantityInt } from '../../api/quantity.ts';

type Amount = string | number | undefined;

/** Whole units, rounded up; undefined counts as 0. */
export const bytesOf = (quantity: Amount): number => quantityInt(quantity);

/** Thousandths, rounded up; undefined counts as 0. */
export const milliOf = (quantity: Amount): number => cpuMillis(quantity);

/** `quantity / divisor`, rounded up, as resourceFieldRef is shown; a divisor of 0 or none counts as 1. */
export function dividedBy(quantity: Amount, divisor: Amount): number {
  const by = milliOf(divisor) || 1000;
  return Math.ceil(milliOf(quantity) / by);
}
