// A process that writes until it is killed: `writer.ts embedded <path>` or `writer.ts etcd <endpoint> <prefix>`.
// It prints `+ <key> <value> <revision>` after each acknowledgement, so that what it printed must be found afterwards.
import { writeSync } from 'node:fs';
import { createEmbeddedStore } from '../embedded.ts';
import type { Store } from '../port.ts';

const [kind, target, root = '/registry/'] = process.argv.slice(2) as [string, string, string?];
const store: Store =
  kind === 'embedded'
    ? createEmbeddedStore({ path: target, compactIntervalMs: 0, historyBytes: 200_000 })
    : (await import('../etcd.ts')).createEtcdStore({ endpoints: [target], prefix: root, compactIntervalMs: 0 });

/** Synchronously, so that a line is out before the next write; the pipe may be full for a moment. */
function print(line: string): void {
  const bytes = Buffer.from(line);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    }
  }
}

async function write(writer: number): Promise<never> {
  const key = `${root}pods/w${writer}`;
  let { kv } = await store.get(key);
  for (let n = 0; ; n++) {
    const value = `${process.pid}-${writer}-${n}-${'x'.repeat((n * 37) % 900)}`;
    const result = await store.commit({ key, expected: kv?.modRevision ?? 0, value: Buffer.from(value) });
    if (!result.ok) throw new Error(`${key} was changed by somebody else`);
    print(`+ ${key} ${value} ${result.revision}\n`);
    kv = { key, value: Buffer.from(value), modRevision: result.revision, createRevision: result.createRevision };
  }
}

for (let writer = 0; writer < 8; writer++) void write(writer);
