import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ApiError } from '../api/errors.ts';
import { LineSplitter, parseWatchEvent } from './watch.ts';

describe('a watch as lines', () => {
  it('is read the same however it is cut', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme', minLength: 1 })), fc.array(fc.nat(50)), (texts, cuts) => {
        const lines = texts.map((text) => JSON.stringify(text));
        const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(''));
        const splitter = new LineSplitter();
        const seen: string[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          seen.push(...splitter.push(bytes.subarray(at, at + cut)));
          at = Math.min(bytes.length, at + cut);
        }
        expect(seen).toEqual(lines);
      }),
    );
  });

  it('ends with an error at a line without end', () => {
    const splitter = new LineSplitter(10);
    splitter.push(Buffer.from('12345'));
    expect(() => splitter.push(Buffer.from('678901'))).toThrow('exceeds 10 bytes');
  });

  it('throws what an ERROR event says', () => {
    const line = JSON.stringify({
      type: 'ERROR',
      object: { kind: 'Status', code: 410, reason: 'Expired', message: 'too old' },
    });
    expect(() => parseWatchEvent(line)).toThrow(ApiError);
    expect(() => parseWatchEvent('{"type":"NOVEL","object":{}}')).toThrow('unknown type "NOVEL"');
    expect(() => parseWatchEvent('{"type":"ADD')).toThrow('not JSON');
  });
});
