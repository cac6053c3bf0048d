// What the store promises when the disk does not take a record.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SandboxRecord } from './records.ts';
import { Store } from './store.ts';

test('what has happened holds in memory; what is to happen is refused', () => {
  const dir = mkdtempSync(join(tmpdir(), 'store-'));
  try {
    const { sandboxes } = new Store(dir);
    const config = { metadata: { name: 'web', uid: 'u', namespace: 'default', attempt: 0 } };
    sandboxes.add({ id: 'one', config } as unknown as SandboxRecord);
    // From here on nothing can be written.
    rmSync(join(dir, 'sandboxes'), { recursive: true });
    writeFileSync(join(dir, 'sandboxes'), '');
    expect(() => sandboxes.update('one', () => ({ hostname: 'web' }))).toThrow(/ENOTDIR|EEXIST/);
    expect(sandboxes.get('one')?.hostname).toBeUndefined();
    expect(sandboxes.note('one', () => ({ stoppedAtNs: 7 }))?.stoppedAtNs).toBe(7);
    expect(sandboxes.get('one')?.stoppedAtNs).toBe(7);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
