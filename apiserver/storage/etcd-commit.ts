// Compare-and-set against etcd, many in one request: each write is a transaction nested in one Txn.
//
// All writes of a Txn share one revision. A client that resumes a watch from that revision would miss the siblings it had
// not received, so a request carries at most one object per resource (see prefixOfKey); several requests are in flight.
import type { Etcd3, IRequestOp, ITxnRequest, ITxnResponse } from 'etcd3';
import { sleep } from '../../lib/abort.ts';
import { backoffMs } from '../../lib/backoff.ts';
import type { Clock, Random } from '../../lib/clock.ts';
import { isTransient, messageOf, toKeyValue, translate } from './etcd-client.ts';
import { prefixOfKey } from './keys.ts';
import { type CommitResult, type KeyValue, StoreUnavailableError, type Write } from './port.ts';

interface Pending {
  write: Write;
  resolve: (result: CommitResult) => void;
  reject: (error: unknown) => void;
}

export interface CommitContext {
  etcd: Etcd3;
  clock: Clock;
  random: Random;
  signal: AbortSignal;
  get(key: string, revision?: number): Promise<{ kv: KeyValue | undefined; revision: number }>;
  /** Called with every revision that etcd tells. */
  saw(revision: number): void;
}

const WRITES_PER_REQUEST = 60;
/** etcd refuses requests above 1.5 MiB. */
const BYTES_PER_REQUEST = 1 << 20;
const REQUESTS_IN_FLIGHT = 32;
/** How long the outcome of an interrupted write is looked for. */
const RESOLVE_MS = 10_000;
/** Versions of a key read back to find the one that followed what was expected. */
const HISTORY_STEPS = 20;

export class CommitQueue {
  #context: CommitContext;
  #leases: LeasePool;
  #queue: Pending[] = [];
  #inFlight = 0;
  #scheduled = false;
  #idle: (() => void)[] = [];

  constructor(context: CommitContext) {
    this.#context = context;
    this.#leases = new LeasePool(context);
  }

  commit(write: Write): Promise<CommitResult> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when nothing is queued or in flight. */
  async drained(): Promise<void> {
    if (this.#inFlight === 0 && this.#queue.length === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** After the present turn, so that all who write in it share requests. */
  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      while (this.#queue.length > 0 && this.#inFlight < REQUESTS_IN_FLIGHT) void this.#send(this.#nextBatch());
    });
  }

  #nextBatch(): Pending[] {
    const batch: Pending[] = [];
    const rest: Pending[] = [];
    const resources = new Set<string>();
    let bytes = 0;
    for (const each of this.#queue) {
      const resource = prefixOfKey(each.write.key);
      const size = each.write.value?.length ?? 0;
      const fits = batch.length === 0 || (batch.length < WRITES_PER_REQUEST && bytes + size <= BYTES_PER_REQUEST);
      if (!fits || resources.has(resource)) {
        rest.push(each);
        continue;
      }
      resources.add(resource);
      bytes += size;
      batch.push(each);
    }
    this.#queue = rest;
    return batch;
  }

  async #send(batch: Pending[]): Promise<void> {
    this.#inFlight++;
    try {
      const results = await this.#request(batch.map((each) => each.write));
      batch.forEach((each, index) => each.resolve(results[index] as CommitResult));
    } catch (error) {
      if (messageOf(error).includes('lease not found')) {
        // Refused as a whole: nothing was written.
        this.#leases.forget();
        this.#queue.unshift(...batch);
      } else if (isTransient(error)) {
        await Promise.all(
          batch.map((each) =>
            this.#resolveOutcome(each.write, error).then(each.resolve, (failure) => each.reject(failure)),
          ),
        );
      } else for (const each of batch) each.reject(translate(error));
    } finally {
      this.#inFlight--;
      if (this.#queue.length > 0) this.#schedule();
      else if (this.#inFlight === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  async #request(writes: readonly Write[]): Promise<CommitResult[]> {
    const transactions: ITxnRequest[] = [];
    for (const write of writes) {
      const lease = write.value && write.ttlSeconds ? await this.#leases.lease(write.ttlSeconds) : undefined;
      transactions.push(transactionOf(write, lease));
    }
    const isSingle = transactions.length === 1;
    const response = await this.#context.etcd.kv.txn(
      isSingle
        ? (transactions[0] as ITxnRequest)
        : { success: transactions.map((each): IRequestOp => ({ request_txn: each })) },
    );
    const revision = Number(response.header.revision);
    this.#context.saw(revision);
    const parts = isSingle ? [response] : response.responses.map((each) => each.response_txn);
    return parts.map((part, index) => resultOf(writes[index] as Write, part, revision));
  }

  /**
   * The request was interrupted: it may have been applied, may be applied yet, or never. Looks at the key; while it is
   * still what was expected the same comparison is sent again, of which at most one can succeed.
   */
  async #resolveOutcome(write: Write, cause: unknown): Promise<CommitResult> {
    const { clock, random, signal } = this.#context;
    const endMs = clock.monotonic() + RESOLVE_MS;
    let error = cause;
    for (let failures = 1; clock.monotonic() < endMs && !signal.aborted; failures++) {
      try {
        const { kv, revision } = await this.#context.get(write.key);
        if ((kv?.modRevision ?? 0) !== write.expected) return await this.#judge(write, kv, revision);
        // Absent and expected to be: a key created by us and deleted since looks the same, so it is not tried again.
        if (write.expected === 0) break;
        const [result] = await this.#request([write]);
        if (result?.ok) return result;
      } catch (failure) {
        if (!isTransient(failure)) throw translate(failure);
        error = failure;
      }
      await sleep(clock, backoffMs({ initialMs: 20, maxMs: 500, jitter: 0.5 }, failures, random), signal);
    }
    throw new StoreUnavailableError(`etcd: outcome of the write to ${write.key} is unknown: ${messageOf(error)}`, {
      cause,
    });
  }

  /**
   * The key has moved on. The version that followed the expected one tells who won: with our bytes it is ours (of two
   * writers of the same bytes on the same version both are told so).
   */
  async #judge(write: Write, current: KeyValue | undefined, revision: number): Promise<CommitResult> {
    const unknown = () =>
      new StoreUnavailableError(`etcd: outcome of the write to ${write.key} is unknown: it was changed again since`);
    if (!current) throw unknown();
    if (write.value === null && current.createRevision > write.expected) throw unknown();
    let winner = current;
    for (let step = 0; step < HISTORY_STEPS; step++) {
      let before: KeyValue | undefined;
      try {
        before = (await this.#context.get(write.key, winner.modRevision - 1)).kv;
      } catch {
        throw unknown();
      }
      if ((before?.modRevision ?? 0) === write.expected) {
        if (!write.value || Buffer.compare(winner.value, write.value) !== 0) return { ok: false, current, revision };
        return { ok: true, revision: winner.modRevision, createRevision: winner.createRevision };
      }
      if (!before) throw unknown();
      winner = before;
    }
    throw unknown();
  }
}

function transactionOf(write: Write, lease: string | undefined): ITxnRequest {
  const key = Buffer.from(write.key);
  const change: IRequestOp = write.value
    ? {
        request_put: {
          key,
          value: Buffer.from(write.value.buffer, write.value.byteOffset, write.value.length),
          ...(lease && { lease }),
        },
      }
    : { request_delete_range: { key } };
  // A put does not answer with the key's createRevision; a read of the key alone in the same transaction does.
  const success = write.expected === 0 ? [change] : [change, { request_range: { key, keys_only: true } }];
  return {
    compare: [{ key, target: 'Mod', result: 'Equal', mod_revision: write.expected }],
    success,
    failure: [{ request_range: { key } }],
  };
}

function resultOf(write: Write, response: ITxnResponse, revision: number): CommitResult {
  const { succeeded, responses } = response;
  if (!succeeded) {
    const kv = responses[0]?.response_range?.kvs[0];
    return { ok: false, current: kv && toKeyValue(kv), revision };
  }
  const kv = responses[1]?.response_range?.kvs[0];
  return { ok: true, revision, createRevision: kv ? Number(kv.create_revision) : revision };
}

/** Leases shared by keys that expire at about the same time, so that a thousand Events do not need a thousand leases. */
class LeasePool {
  #context: CommitContext;
  #leases = new Map<number, { id: Promise<string>; untilMs: number; keys: number }>();

  constructor(context: CommitContext) {
    this.#context = context;
  }

  /** A lease under which a key lives at least `ttlSeconds`, at most 5 % (a minute) longer. */
  async lease(ttlSeconds: number): Promise<string> {
    const slackSeconds = Math.min(60, Math.floor(ttlSeconds * 0.05));
    const known = this.#leases.get(ttlSeconds);
    if (known && known.untilMs > this.#context.clock.monotonic() && known.keys++ < 1000) return known.id;
    const id = this.#context.etcd.leaseClient
      .leaseGrant({ TTL: Math.ceil(ttlSeconds) + slackSeconds, ID: 0 })
      .then((granted) => granted.ID);
    id.catch(() => this.#leases.delete(ttlSeconds));
    this.#leases.set(ttlSeconds, { id, untilMs: this.#context.clock.monotonic() + slackSeconds * 1000, keys: 1 });
    return id;
  }

  forget(): void {
    this.#leases.clear();
  }
}
