import { expect, it } from 'vitest';
import { warningTexts } from './warnings.ts';

it('few and short warnings are sent as they are', () => {
  expect(warningTexts(['a', '', 'b'.repeat(4000)])).toEqual(['a', 'b'.repeat(4000)]);
});

it('too much of them is cut, each to 256 characters, and ends at 4096', () => {
  const texts = warningTexts(Array.from({ length: 100 }, (_, i) => `${i}-${'ü'.repeat(1000)}`));
  expect(texts).toHaveLength(16);
  expect(texts.every((each) => [...each].length === 256)).toBe(true);
});
