// Somebody sets the clock of the node, by hours, forwards and backwards: nothing is hurried, nothing waits for the old time.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Lease } from '../../api/types/coordination-v1.ts';
import type { Node } from '../../api/types/core-v1.ts';
import { refs } from '../../client/refs.ts';
import { createHarness, type Harness, makePod } from '../testing/harness.ts';

const HOUR = 3600_000;
let test: Harness;
beforeEach(() => {
  test = createHarness();
});
afterEach(() => test.stop());

const appStatus = () => test.pod()?.status?.containerStatuses?.[0];
const crash = async () => {
  test.cri.exit(test.cri.container('app')?.status.id as string, 1);
  await test.quiet();
};

describe.each([
  { way: 'forwards', ms: 5 * HOUR },
  { way: 'backwards', ms: -5 * HOUR },
])('a clock that is set $way', ({ ms }) => {
  it('leaves the back-off of a container as it is', async () => {
    await test.start();
    await test.create(makePod());
    await test.advance(1000);
    await crash();
    await crash();
    expect(appStatus()?.state?.waiting?.reason).toBe('CrashLoopBackOff');
    await test.advance(4000);
    test.clock.jump(ms);
    await test.advance(5900);
    expect(test.cri.running()).toEqual([]);
    await test.advance(100);
    expect(appStatus()).toMatchObject({ restartCount: 2, ready: true });
    // And for one that ends after it.
    await crash();
    expect(appStatus()?.state?.waiting?.message).toContain('back-off 20s');
    await test.advance(19_900);
    expect(test.cri.running()).toEqual([]);
    await test.advance(100);
    expect(appStatus()?.restartCount).toBe(3);
  });

  it('neither misses nor doubles probes, and ends nothing by its deadline', async () => {
    await test.start();
    let asked = 0;
    test.cri.execSync = () => {
      asked++;
      return { exitCode: 0, stdout: '' };
    };
    const livenessProbe = { exec: { command: ['check'] }, periodSeconds: 5 };
    await test.create(
      makePod({ containers: [{ name: 'app', image: 'app:1', livenessProbe }], activeDeadlineSeconds: 1800 }),
    );
    await test.advance(12_000);
    expect(asked).toBe(2);
    test.clock.jump(ms);
    await test.advance(10_000);
    expect(asked).toBe(4);
    await test.advance(60_000);
    expect(appStatus()).toMatchObject({ restartCount: 0, ready: true });
    await test.advance(1800_000);
    expect(test.pod()?.status).toMatchObject({ phase: 'Failed', reason: 'DeadlineExceeded' });
  });

  it('renews what the new time has made invalid at once, and its lease as ever', async () => {
    await test.start();
    const volumes = [{ name: 'api', projected: { sources: [{ serviceAccountToken: { path: 'token' } }] } }];
    await test.create(makePod({ volumes }));
    const uid = test.pod()?.metadata.uid ?? '';
    const token = () => readFileSync(join(test.stateDir, 'memory', uid, 'api/token'), 'utf8');
    const renewals = () => test.api.writes.filter((each) => each.ref.kind === 'Lease').length;
    expect(token()).toBe('token-1');
    await test.advance(20_000);
    expect(token()).toBe('token-1');
    const before = renewals();
    test.clock.jump(ms);
    await test.advance(30_000);
    expect(token()).toBe('token-2');
    expect(renewals()).toBe(before + 3);
    const lease = test.api.object<Lease>(refs.leases, 'kube-node-lease/node-1');
    expect(Math.abs(Date.parse(lease?.spec?.renewTime ?? '') - test.clock.now())).toBeLessThanOrEqual(10_000);
    const node = test.api.object<Node>(refs.nodes, 'node-1');
    expect(node?.status?.conditions?.find((each) => each.type === 'Ready')?.status).toBe('True');
    expect(test.cri.running()).toHaveLength(1);
  });
});
