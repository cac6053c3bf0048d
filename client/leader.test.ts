import { describe, expect, it } from 'vitest';
import type { Lease } from '../api/types/coordination-v1.ts';
import { aborted } from '../lib/abort.ts';
import { FakeClock } from '../lib/clock.ts';
import { silentLogger } from '../lib/log.ts';
import { LeadershipLostError, leaseRef, runLeaderElected } from './leader.ts';
import { NetworkError } from './port.ts';
import { createFakeClient } from './testing/fake-client.ts';

function cluster() {
  const clock = new FakeClock();
  const cut = new Set<string>();
  const leading: string[] = [];
  const replica = (identity: string) => {
    const stop = new AbortController();
    const lead = async (signal: AbortSignal) => {
      leading.push(identity);
      await aborted(signal);
      leading.splice(leading.indexOf(identity), 1);
    };
    const cutClient = {
      ...client,
      resource: ((ref, ns) => {
        const resource = client.resource(ref, ns);
        const guard = () => {
          if (cut.has(identity)) throw new NetworkError('cut');
        };
        return {
          ...resource,
          get: async (name: string) => (guard(), resource.get(name)),
          update: async (object: never) => (guard(), resource.update(object)),
        };
      }) as typeof client.resource,
    };
    const done = runLeaderElected(
      {
        client: cutClient,
        clock,
        random: () => 0,
        log: silentLogger,
        namespace: 'kube-system',
        name: 'test',
        identity,
        lead,
      },
      stop.signal,
    ).then(
      () => 'ended',
      (error) => error,
    );
    return { stop, done };
  };
  const client = createFakeClient({ clock });
  return { clock, client, cut, leading, replica };
}

describe('leader election', () => {
  it('lets one lead, and the next one when it releases', async () => {
    const { clock, client, leading, replica } = cluster();
    const a = replica('a');
    await clock.advance(10);
    const b = replica('b');
    await clock.advance(60_000);
    expect(leading).toEqual(['a']);
    a.stop.abort();
    expect(await a.done).toBe('ended');
    await clock.advance(3_000);
    expect(leading).toEqual(['b']);
    const lease = client.object<Lease>(leaseRef, 'kube-system/test');
    expect(lease?.spec).toMatchObject({ holderIdentity: 'b', leaseDurationSeconds: 15, leaseTransitions: 1 });
    expect(lease?.spec?.renewTime).toMatch(/\.\d{6}Z$/);
    b.stop.abort();
    await b.done;
    expect(clock.pending).toBe(0);
  });

  it.each([3600_000, -3600_000])('keeps its leader when clocks are set by %d ms', async (ms) => {
    const { clock, leading, replica } = cluster();
    const a = replica('a');
    await clock.advance(10);
    const b = replica('b');
    for (let round = 0; round < 3; round++) {
      clock.jump(ms);
      await clock.advance(30_000);
      expect(leading).toEqual(['a']);
    }
    for (const each of [a, b]) {
      each.stop.abort();
      await each.done;
    }
  });

  it('ends the work of a leader that cannot renew before another one starts', async () => {
    const { clock, cut, leading, replica } = cluster();
    const a = replica('a');
    await clock.advance(10);
    const b = replica('b');
    await clock.advance(5_000);
    cut.add('a');
    for (let i = 0; i < 300; i++) {
      await clock.advance(100);
      expect(leading.length).toBeLessThanOrEqual(1);
    }
    expect(await a.done).toBeInstanceOf(LeadershipLostError);
    expect(leading).toEqual(['b']);
    b.stop.abort();
    await b.done;
  });

  it('takes over from a holder that vanished, after its lease ran out', async () => {
    const { clock, client, leading, replica } = cluster();
    await client.resource<Lease>(leaseRef, 'kube-system').create({
      metadata: { name: 'test' },
      spec: { holderIdentity: 'ghost', leaseDurationSeconds: 15, renewTime: '2001-01-01T00:00:00.000000Z' },
    });
    const a = replica('a');
    await clock.advance(14_000);
    expect(leading).toEqual([]); // its clock may differ: only what we observed counts
    await clock.advance(5_000);
    expect(leading).toEqual(['a']);
    a.stop.abort();
    await a.done;
  });
});
