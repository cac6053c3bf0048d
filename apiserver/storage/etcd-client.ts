// The connection to etcd: `etcd3` for connection, KV and leases, with its retries and circuit breakers off (it would repeat a
// transaction whose outcome is unknown). Errors are translated here, once.
import { Etcd3, type IOptions, type IRangeResponse } from 'etcd3';
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { CompactedError, FutureRevisionError, type KeyValue, StoreFullError, StoreUnavailableError } from './port.ts';

export interface EtcdTls {
  caPem?: string | Buffer;
  certificatePem?: string | Buffer;
  keyPem?: string | Buffer;
}

export interface EtcdConnectionOptions {
  /** `http://127.0.0.1:2379`, `https://...` */
  endpoints: readonly string[];
  tls?: EtcdTls;
}

/** Longest wait for one answer. */
export const CALL_TIMEOUT_MS = 5_000;
/** How long reads are repeated while etcd cannot be reached. */
const READ_PATIENCE_MS = 5_000;

export function connect(options: EtcdConnectionOptions, clock: Clock): Etcd3 {
  const { tls } = options;
  const once = { execute: async (run: (context: unknown) => unknown) => run({}) };
  return new Etcd3({
    hosts: [...options.endpoints],
    ...(tls?.caPem && {
      credentials: {
        rootCertificate: Buffer.from(tls.caPem),
        ...(tls.keyPem && { privateKey: Buffer.from(tls.keyPem) }),
        ...(tls.certificatePem && { certChain: Buffer.from(tls.certificatePem) }),
      },
    }),
    grpcOptions: {
      'grpc.max_receive_message_length': -1,
      'grpc.max_send_message_length': -1,
      'grpc.keepalive_time_ms': 10_000,
      'grpc.keepalive_timeout_ms': 5_000,
      'grpc.initial_reconnect_backoff_ms': 100,
      'grpc.max_reconnect_backoff_ms': 1_000,
    },
    defaultCallOptions: (context: { isStream: boolean }) =>
      context.isStream ? {} : { deadline: clock.now() + CALL_TIMEOUT_MS },
    faultHandling: { global: once, host: () => once },
  } as unknown as IOptions);
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** True when nothing is known of what the call did, or when trying again may help. */
export function isTransient(error: unknown): boolean {
  const message = messageOf(error);
  return (
    /UNAVAILABLE|DEADLINE_EXCEEDED|CANCELLED|UNKNOWN|INTERNAL|ABORTED|RESOURCE_EXHAUSTED: etcdserver: too many/i.test(
      message,
    ) || /request timed out|leader changed|no leader|server stopped|not capable|connection|closed/i.test(message)
  );
}

/** `revision`: the one asked for, if any. */
export function translate(error: unknown, revision?: number): Error {
  const message = messageOf(error);
  // etcd does not say what is left; the revision after the one asked for is the most that is known.
  if (message.includes('has been compacted')) return new CompactedError((revision ?? 0) + 1);
  if (message.includes('future revision')) return new FutureRevisionError(revision ?? 0, 0);
  if (error instanceof StoreUnavailableError) return error;
  if (message.includes('database space exceeded'))
    return new StoreFullError('etcdserver: mvcc: database space exceeded', { cause: error });
  return new StoreUnavailableError(`etcd: ${message}`, { cause: error });
}

/** Repeats a read while etcd cannot be reached. */
export async function reading<T>(
  read: () => Promise<T>,
  context: { clock: Clock; random: Random; signal: AbortSignal; revision?: number },
): Promise<T> {
  const { clock, random, signal, revision } = context;
  const endMs = clock.monotonic() + READ_PATIENCE_MS;
  for (let failures = 1; ; failures++) {
    try {
      if (signal.aborted) throw new StoreUnavailableError('the store is closed');
      return await read();
    } catch (error) {
      const isLast = !isTransient(error) || signal.aborted || clock.monotonic() > endMs;
      if (
        isLast ||
        !(await sleep(clock, backoffMs({ initialMs: 20, maxMs: 500, jitter: 0.5 }, failures, random), signal))
      ) {
        throw translate(error, revision);
      }
    }
  }
}

export function toKeyValue(kv: IRangeResponse['kvs'][number]): KeyValue {
  return {
    key: kv.key.toString(),
    value: kv.value,
    modRevision: Number(kv.mod_revision),
    createRevision: Number(kv.create_revision),
  };
}

/** The first key after all that start with `prefix`. */
export function endOf(prefix: string): Buffer {
  const end = Buffer.from(prefix);
  for (let at = end.length - 1; at >= 0; at--) {
    if (end[at] === 0xff) continue;
    end[at] = (end[at] as number) + 1;
    return end.subarray(0, at + 1);
  }
  return Buffer.from([0]);
}
