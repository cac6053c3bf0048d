// Durable writes per second: `scripts/node bench/storage.ts [seconds per row]`. The three stores and a raw etcd3 client, each
// in its own process, the same 1 kB values, etcd the same process for both. Compare ratios; absolutes are the machine's.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { createEmbeddedStore } from '../apiserver/storage/embedded.ts';
import { createEtcdStore } from '../apiserver/storage/etcd.ts';
import { createMemoryStore } from '../apiserver/storage/memory.ts';
import type { Store } from '../apiserver/storage/port.ts';
import { findEtcd, startEtcd } from '../apiserver/storage/testing/etcd.ts';

const IN_FLIGHT = [1, 16, 64];
const VALUE_BYTES = 1024;

interface Row {
  perSecond: number;
  /** CPU of the writing process per write, all its threads. */
  cpuMicros: number;
  p99Ms: number;
}

/** `write` overwrites key `n` and resolves when it is durable. */
async function measure(
  inFlight: number,
  seconds: number,
  write: (n: number, value: Buffer) => Promise<void>,
): Promise<Row> {
  const latencies: number[] = [];
  const run = async (untilMs: number, record: boolean): Promise<void> => {
    await Promise.all(
      Array.from({ length: inFlight }, async (_, writer) => {
        for (let n = 0; performance.now() < untilMs; n++) {
          const value = Buffer.alloc(VALUE_BYTES, `${writer}-${n}-`);
          const startMs = performance.now();
          await write(writer, value);
          if (record) latencies.push(performance.now() - startMs);
        }
      }),
    );
  };
  await run(performance.now() + 500, false);
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  await run(startMs + seconds * 1000, true);
  const tookMs = performance.now() - startMs;
  const used = process.cpuUsage(cpu);
  latencies.sort((a, b) => a - b);
  return {
    perSecond: (latencies.length / tookMs) * 1000,
    cpuMicros: (used.user + used.system) / latencies.length,
    p99Ms: latencies[Math.floor(latencies.length * 0.99)] ?? 0,
  };
}

/** Compare-and-set, each writer on its own object: `oneKind` all of one resource, else spread over eight. */
function casWriter(store: Store, oneKind: boolean): (n: number, value: Buffer) => Promise<void> {
  const revisions = new Map<number, number>();
  return async (n, value) => {
    const key = `/registry/${oneKind ? 'pods' : `kind${n % 8}`}/bench/${n}`;
    const expected = revisions.get(n) ?? (await store.get(key)).kv?.modRevision ?? 0;
    const result = await store.commit({ key, expected, value });
    if (!result.ok) throw new Error(`${key}: lost a race it was not in`);
    revisions.set(n, result.revision);
  };
}

async function measureOne(subject: string, inFlight: number, seconds: number, target: string): Promise<Row> {
  if (subject === 'raw etcd3 put') {
    const etcd = new Etcd3({ hosts: [target] });
    try {
      return await measure(inFlight, seconds, async (n, value) => {
        await etcd.kv.put({ key: Buffer.from(`/raw/${n}`), value });
      });
    } finally {
      etcd.close();
    }
  }
  const store =
    subject === 'memory'
      ? createMemoryStore()
      : subject === 'embedded'
        ? createEmbeddedStore({ path: join(target, 'bench.db') })
        : createEtcdStore({ endpoints: [target] });
  try {
    return await measure(inFlight, seconds, casWriter(store, subject !== 'etcd, 8 kinds'));
  } finally {
    await store.close();
  }
}

async function main(): Promise<void> {
  const seconds = Number(process.argv[2] ?? 2);
  const directory = mkdtempSync(join(tmpdir(), 'sampan-bench-'));
  const etcd = findEtcd() ? await startEtcd() : undefined;
  try {
    const subjects = ['memory', 'embedded', ...(etcd ? ['raw etcd3 put', 'etcd, one kind', 'etcd, 8 kinds'] : [])];
    const rows = new Map<string, Row[]>();
    for (const subject of subjects) {
      for (const inFlight of IN_FLIGHT) {
        const target = subject === 'embedded' || subject === 'memory' ? directory : (etcd?.endpoint as string);
        const args = [import.meta.filename, '--one', subject, String(inFlight), String(seconds), target];
        const child = spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
          encoding: 'utf8',
        });
        if (child.status !== 0) throw new Error(`${subject}: ${child.stderr}`);
        rows.set(subject, [...(rows.get(subject) ?? []), JSON.parse(child.stdout) as Row]);
      }
    }
    const raw = rows.get('raw etcd3 put');
    console.log(`durable writes of ${VALUE_BYTES} bytes; ratio to the raw etcd client at the same concurrency`);
    for (const [subject, measured] of rows) {
      for (const [index, row] of measured.entries()) {
        const ratio = raw ? ` ${(row.perSecond / (raw[index] as Row).perSecond).toFixed(2)}x` : '';
        const figures = `${row.perSecond.toFixed(0).padStart(8)}/s${ratio.padStart(10)}`;
        const costs = `${row.cpuMicros.toFixed(0).padStart(6)} µs CPU  p99 ${row.p99Ms.toFixed(2)} ms`;
        console.log(`${subject.padEnd(16)} ${String(IN_FLIGHT[index]).padStart(3)} in flight ${figures} ${costs}`);
      }
    }
  } finally {
    await etcd?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
}

if (process.argv[2] === '--one') {
  const [subject, inFlight, seconds, target] = process.argv.slice(3) as [string, string, string, string];
  console.log(JSON.stringify(await measureOne(subject, Number(inFlight), Number(seconds), target)));
  process.exit(0);
} else await main();
