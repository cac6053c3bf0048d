import { describe, expect, it } from 'vitest';
import {
  addQuantities,
  canonicalQuantity,
  compareQuantities,
  cpuMillis,
  formatQuantity,
  milliValue,
  parseQuantity,
  quantityFromInt,
  quantityInt,
  subtractQuantities,
} from './quantity.ts';

describe('quantities are written as upstream writes them', () => {
  it.each([
    ['0', '0'],
    ['100m', '100m'],
    ['1000m', '1'],
    ['1500m', '1500m'],
    ['0.5', '500m'],
    ['.5', '500m'],
    ['2', '2'],
    ['1000', '1k'],
    ['3072', '3072'],
    ['1024Mi', '1Gi'],
    ['100Mi', '100Mi'],
    ['128Mi', '128Mi'],
    ['1.5Gi', '1536Mi'],
    ['0.1Ki', '102400m'],
    ['0.5Mi', '512Ki'],
    ['0.0001Ki', '102400u'],
    ['1e3', '1e3'],
    ['1E', '1E'],
    ['12e6', '12e6'],
    ['1000000k', '1G'],
    ['-1', '-1'],
    ['-1000m', '-1'],
    ['0.0000000001', '1n'],
    ['1.500', '1.500'],
    ['1.000', '1'],
    ['00100', '00100'],
    ['1Ei', '1Ei'],
    ['100Ei', '9223372036854775807'],
  ])('%s is stored as %s', (text, canonical) => expect(canonicalQuantity(text)).toBe(canonical));

  it.each([
    ['', 'quantities must match'],
    ['1x', 'quantities must match'],
    ['abc', 'quantities must match'],
    ['1 Gi', 'quantities must match'],
    ['1ki', "unable to parse quantity's suffix"],
    ['1mm', "unable to parse quantity's suffix"],
    ['1e999999999', "unable to parse quantity's suffix"],
  ])('%j is refused', (text, message) => expect(() => parseQuantity(text)).toThrow(message));

  it('reads numbers', () => expect(canonicalQuantity(0.25)).toBe('250m'));
});

describe('arithmetic', () => {
  it('adds, subtracts and compares exactly', () => {
    const sum = addQuantities(parseQuantity('100m'), parseQuantity('0.9'));
    expect(formatQuantity(sum)).toBe('1');
    expect(formatQuantity(subtractQuantities(parseQuantity('1Gi'), parseQuantity('512Mi')))).toBe('512Mi');
    expect(compareQuantities(parseQuantity('1Gi'), parseQuantity('1073741824'))).toBe(0);
    expect(compareQuantities(parseQuantity('1k'), parseQuantity('1Ki'))).toBeLessThan(0);
    expect(formatQuantity(addQuantities(quantityFromInt(0), parseQuantity('1Mi')))).toBe('1Mi');
  });
  it('rounds up', () => {
    expect(cpuMillis('1u')).toBe(1);
    expect(quantityInt('1500m')).toBe(2);
    expect(milliValue(parseQuantity('-1500u'))).toBe(-2);
    expect(cpuMillis(undefined)).toBe(0);
  });
});
