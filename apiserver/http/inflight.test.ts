// One client that floods must not keep another from its turn.
import { describe, expect, it } from 'vitest';
import { InflightGate } from './inflight.ts';

describe('InflightGate', () => {
  it('serves users in turn and refuses what does not fit in a line', async () => {
    const gate = new InflightGate({ readOnly: 1, mutating: 1, lineLength: 3 });
    expect(gate.enter('mutating', 'flood')).toBeUndefined();
    const order: string[] = [];
    const waits = ['flood', 'flood', 'flood'].map((user, i) =>
      gate.enter('mutating', user)?.then(() => order.push(`${user}${i}`)),
    );
    expect(() => gate.enter('mutating', 'flood')).toThrow(/Too many requests/);
    waits.push(gate.enter('mutating', 'quiet')?.then(() => order.push('quiet')));
    expect(gate.waiting('mutating')).toBe(4);
    // Reads have seats of their own.
    expect(gate.enter('readOnly', 'flood')).toBeUndefined();
    for (let i = 0; i < 4; i++) gate.leave('mutating');
    await Promise.all(waits);
    expect(order).toEqual(['flood0', 'quiet', 'flood1', 'flood2']);
    gate.leave('mutating');
    expect(gate.running('mutating')).toBe(0);
  });
});
