// A certificate is taken from disk while it is good, asked for when it is not, and replaced before it ends.
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FakeClock, settle } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import { rotateAtMs } from './lifetime.ts';
import { CertificateRotation } from './rotation.ts';
import { selfSigned } from './self-signed.ts';

const DAY = 24 * 3600_000;
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'rotation-test-'));
});
afterEach(() => rmSync(dir, { recursive: true }));

it('is asked for until it is signed, kept, and replaced between 70 and 90 percent of its life', async () => {
  const clock = new FakeClock();
  const calls: number[] = [];
  const make = () =>
    new CertificateRotation({
      client: undefined as never,
      wanted: { signerName: 'kubernetes.io/kubelet-serving', nodeName: 'n' },
      dir: join(dir, 'pki'),
      name: 'kubelet-server',
      clock,
      random: () => 0.5,
      log: silentLogger,
      async request() {
        calls.push(clock.now());
        if (calls.length === 1) throw new Error('nobody has approved it');
        return selfSigned('n', ['127.0.0.1'], clock.now());
      },
    });
  const abort = new AbortController();
  const served: string[] = [];
  const start = clock.now();
  const running = make().run((keys) => served.push(keys.certificatePem), abort.signal);
  for (let round = 0; round < 40; round++) {
    await settle();
    await clock.advance(1000);
  }
  await expect.poll(() => served.length).toBe(1);
  expect(rotateAtMs(served[0] as string, () => 0.5) - start).toBeGreaterThan(0.79 * 365 * DAY);
  expect(statSync(join(dir, 'pki/kubelet-server-current.pem')).mode & 0o777).toBe(0o600);
  expect(make().stored()?.certificatePem).toBe(served[0]);
  await clock.advance(0.81 * 365 * DAY);
  await expect.poll(() => served.length).toBe(2);
  await clock.advance(2 * 365 * DAY);
  abort.abort();
  await running;
  expect(make().stored()).toBeUndefined();
});
