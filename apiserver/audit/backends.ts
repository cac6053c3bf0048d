// Where audit events go: a log file, at once or in batches, and a webhook in batches. Batches are bounded: what does not fit is
// dropped and counted, never waited for.
import type { Clock, Timer } from '../../lib/clock.ts';
import type { Logger } from '../../lib/log.ts';
import { errors } from '../../api/errors.ts';
import type { AuditBackend, AuditMetrics } from './auditor.ts';
import type { LogFile } from './log-file.ts';
import type { AuditEvent } from './record.ts';

/** `blocking`: written before the request goes on. `blocking-strict`: and a request that cannot be logged is refused. */
export type LogMode = 'batch' | 'blocking' | 'blocking-strict';

export function logBackend(file: LogFile, mode: LogMode, metrics: AuditMetrics, log: Logger): AuditBackend {
  return {
    name: 'log',
    write(event) {
      try {
        file.write(`${event.json}\n`);
      } catch (error) {
        metrics.errors('log');
        log.error({ err: error }, 'audit event not written');
        if (mode !== 'blocking-strict' || event.stage !== 'RequestReceived') return;
        metrics.rejected.inc();
        throw errors.internal('the request cannot be audited');
      }
    },
    async close() {
      file.close();
    },
  };
}

export interface BatchOptions {
  name: string;
  /** Events that may wait. */
  bufferSize: number;
  maxBatchSize: number;
  maxWaitMs: number;
  /** Sends one batch; rejects when it is lost. */
  send(events: readonly AuditEvent[]): Promise<void>;
  /** Before the close: whatever is left is sent, for this long at most. */
  closeMs: number;
  clock: Clock;
  metrics: AuditMetrics;
  log: Logger;
}

/** One batch is under way at a time. */
export function batchBackend(options: BatchOptions): AuditBackend {
  const { name, metrics, clock, log } = options;
  let waiting: AuditEvent[] = [];
  let timer: Timer | undefined;
  let sending: Promise<void> | undefined;
  let closed = false;

  function pump(): void {
    timer?.cancel();
    timer = undefined;
    if (sending || waiting.length === 0) return;
    const batch = waiting.slice(0, options.maxBatchSize);
    waiting = waiting.slice(batch.length);
    sending = options
      .send(batch)
      .catch((error: unknown) => {
        metrics.errors(name, batch.length);
        log.error({ err: error, events: batch.length }, 'audit events lost');
      })
      .finally(() => {
        sending = undefined;
        if (waiting.length >= options.maxBatchSize || closed) pump();
        else arm();
      });
  }

  function arm(): void {
    if (waiting.length > 0) timer ??= clock.after(options.maxWaitMs, pump, { background: true });
  }

  return {
    name,
    write(event) {
      if (closed || waiting.length >= options.bufferSize) {
        metrics.errors('buffered');
        return;
      }
      waiting.push(event);
      if (waiting.length >= options.maxBatchSize) pump();
      else arm();
    },
    async close() {
      closed = true;
      let late = false;
      const limit = clock.after(options.closeMs, () => (late = true), { background: true });
      pump();
      while (sending && !late) await sending;
      limit.cancel();
    },
  };
}
