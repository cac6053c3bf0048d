import { expect, it } from 'vitest';
import { messageOf } from './errors.ts';

it('tells every cause once', () => {
  const refused = new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED 127.0.0.1:80') });
  expect(messageOf(refused)).toBe('fetch failed: connect ECONNREFUSED 127.0.0.1:80');
  expect(messageOf(new Error(`GET http://localhost/: ${messageOf(refused)}`, { cause: refused }))).toBe(
    'GET http://localhost/: fetch failed: connect ECONNREFUSED 127.0.0.1:80',
  );
});
