// No two Services get the same address or port, whichever server hands them out.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../../lib/clock.ts';
import { createMemoryStore } from '../storage/memory.ts';
import { Bitmap, formatAddress, inRange, parseAddress, parseRange } from './address-range.ts';
import { AddressAllocator, PortAllocator } from './allocators.ts';

describe('address ranges', () => {
  it('parse and bound', () => {
    const range = parseRange('10.96.7.9/12');
    expect(formatAddress(range.base)).toBe('10.96.0.0');
    const within = (text: string) => inRange(range, parseAddress(text) as number);
    expect(['10.96.0.0', '10.96.0.1', '10.111.255.254', '10.111.255.255', '10.112.0.1'].map(within)).toEqual([
      false,
      true,
      true,
      false,
      false,
    ]);
    expect(['1.2.3', '01.2.3.4', '256.1.1.1', 'x'].map(parseAddress)).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    for (const bad of ['10.0.0.0', '10.0.0.0/99', 'fd00::/64', '10.0.0.0/31'])
      expect(() => parseRange(bad)).toThrow(/not an IPv4 range/);
  });
  it('keep a bitmap as upstream stores it', () => {
    const bitmap = new Bitmap(Buffer.alloc(0), 20);
    bitmap.set(0, true);
    bitmap.set(9, true);
    expect([...bitmap.toBytes()]).toEqual([2, 1]);
    const again = new Bitmap(bitmap.toBytes(), 20);
    expect([again.has(0), again.has(1), again.has(9)]).toEqual([true, false, true]);
  });
});

describe('allocators', () => {
  it('hand out every address of a small range once, from two servers at a time', async () => {
    const store = createMemoryStore();
    const servers = [1, 2].map(
      () => new AddressAllocator({ store, range: parseRange('10.0.0.0/28'), clock: systemClock, random: Math.random }),
    );
    const got = await Promise.all(
      Array.from({ length: 14 }, (_, i) =>
        (servers[i % 2] as AddressAllocator).allocateAny({ namespace: 'n', name: `s${i}` }, false),
      ),
    );
    expect(new Set(got).size).toBe(14);
    const [first] = servers as [AddressAllocator];
    await expect(first.allocateAny({ namespace: 'n', name: 'late' }, false)).rejects.toThrow('range is full');
    await first.release(got[3] as string, { namespace: 'n', name: 'not-mine' });
    await expect(first.allocate(got[3] as string, { namespace: 'n', name: 'late' }, false)).rejects.toThrow(
      'provided IP is already allocated',
    );
    await first.release(got[3] as string, { namespace: 'n', name: 's3' });
    await first.allocate(got[3] as string, { namespace: 'n', name: 'late' }, false);
    expect(await first.repair(async (owner) => owner.name === 'late')).toBe(13);
    await store.close();
  });
  it('hand out the addresses of every ready range, those for names last', async () => {
    const store = createMemoryStore();
    const owner = (name: string) => ({ namespace: 'n', name });
    const own = new AddressAllocator({
      store,
      range: parseRange('10.0.0.0/30'),
      clock: systemClock,
      random: () => 0,
    });
    const put = async (name: string, cidrs: string[], status: string, metadata = {}) => {
      const object = {
        metadata: { name, ...metadata },
        spec: { cidrs },
        status: { conditions: [{ type: 'Ready', status }] },
      };
      const key = `/registry/servicecidrs/${name}`;
      const { kv } = await store.get(key);
      await store.commit({ key, expected: kv?.modRevision ?? 0, value: Buffer.from(JSON.stringify(object)) });
    };
    await put('waits', ['10.2.0.0/24'], 'False');
    await put('goes', ['10.3.0.0/24'], 'True', { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await expect(own.allocate('10.1.0.1', owner('x'), false)).rejects.toThrow(
      'the provided network does not match the current range',
    );
    await put('more', ['fd00::/112', '10.1.0.0/24'], 'True');
    await own.allocate('10.1.0.1', owner('named'), false);
    await expect(own.allocate('10.1.0.255', owner('x'), false)).rejects.toThrow(
      'the provided IP (10.1.0.255) is not in the valid range. The range of valid IPs is 10.1.0.0/24',
    );
    for (const name of ['waits', 'goes']) {
      const address = name === 'waits' ? '10.2.0.1' : '10.3.0.1';
      await expect(own.allocate(address, owner(name), false)).rejects.toThrow('does not match');
    }
    const got = [];
    for (let i = 0; i < 4; i++) got.push(await own.allocateAny(owner(`s${i}`), false));
    expect(got).toEqual(['10.0.0.1', '10.0.0.2', '10.1.0.17', '10.1.0.18']);
    // The range of the server itself is to go.
    await put('kubernetes', ['10.0.0.0/30'], 'False', { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await own.release('10.0.0.1', owner('s0'));
    expect(await own.allocateAny(owner('last'), false)).toBe('10.1.0.19');
    await store.close();
  });
  it('hand out ports, all or none', async () => {
    const store = createMemoryStore();
    const servers = [1, 2].map(() => new PortAllocator({ store, first: 30000, last: 30019, random: Math.random }));
    const got = await Promise.all(
      Array.from({ length: 10 }, (_, i) => (servers[i % 2] as PortAllocator).allocate([], 2, false)),
    );
    expect(new Set(got.flat()).size).toBe(20);
    const [first] = servers as [PortAllocator];
    await expect(first.allocate([], 1, false)).rejects.toThrow('range is full');
    await first.release([30005]);
    await expect(first.allocate([30005, 30006], 0, false)).rejects.toThrow('provided port is already allocated');
    expect(await first.allocate([30005], 0, false)).toEqual([]);
    await store.close();
  });
});
