import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FakeClock } from '../../lib/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import type { CriClient } from '../cri/client.ts';
import { rotateOnce } from './log-rotation.ts';
import { RuntimeCache } from './runtime-cache.ts';

it('sets large logs aside, keeps four, and takes a refused rotation back', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'rotation-test-'));
  try {
    const path = join(dir, '0.log');
    const clock = new FakeClock();
    const cache = new RuntimeCache(new FakeClock(), () => {});
    const labels = {
      'io.kubernetes.pod.uid': 'u',
      'io.kubernetes.pod.name': 'p',
      'io.kubernetes.pod.namespace': 'n',
      'io.kubernetes.container.name': 'c',
    };
    cache.applyContainer({ id: 'c1', labels, state: 'CONTAINER_RUNNING', logPath: path });
    let refuse = false;
    const cri = {
      async call() {
        if (refuse) throw new Error('no');
        writeFileSync(path, '');
        return {};
      },
    } as unknown as CriClient;
    const once = () => rotateOnce({ cri, cache, clock, log: silentLogger, maxBytes: 10 });

    writeFileSync(path, 'short');
    await once();
    expect(readdirSync(dir)).toEqual(['0.log']);
    for (let round = 0; round < 6; round++) {
      writeFileSync(path, 'longer than ten bytes');
      await once();
      await clock.advance(1000);
    }
    const kept = readdirSync(dir).sort();
    expect(kept).toHaveLength(5);
    // All but the newest, which may still be written to, are compressed.
    expect(kept.slice(1).map((name) => name.endsWith('.gz'))).toEqual([true, true, true, false]);
    expect(gunzipSync(readFileSync(join(dir, kept[1] as string))).toString()).toBe('longer than ten bytes');
    refuse = true;
    writeFileSync(path, 'longer than ten bytes');
    await once();
    expect(existsSync(path)).toBe(true);
    expect(readdirSync(dir).length).toBeLessThanOrEqual(5);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
