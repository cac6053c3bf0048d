// Sends batches of audit events to another server as an EventList, again with back-off when it is not there.
import { request as httpsRequest } from 'node:https';
import { sleep } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { AuditEvent } from './record.ts';
import { http } from '../../lib/node-http.ts';

export interface WebhookOptions {
  url: string;
  caPem?: string | undefined;
  certificatePem?: string | undefined;
  keyPem?: string | undefined;
  token?: string | undefined;
  /** Before the second try; half as long again before each later one. */
  initialBackoffMs: number;
  clock: Clock;
  signal: AbortSignal;
}

const TRIES = 5;
const TIMEOUT_MS = 30_000;

/** Rejects when all tries failed. */
export async function sendEvents(options: WebhookOptions, events: readonly AuditEvent[]): Promise<void> {
  const items = events.map((each) => each.json).join(',');
  const body = Buffer.from(`{"kind":"EventList","apiVersion":"audit.k8s.io/v1","metadata":{},"items":[${items}]}`);
  let backoffMs = options.initialBackoffMs;
  for (let attempt = 1; ; attempt++) {
    const outcome = await post(options, body).catch((error: Error) => error);
    if (typeof outcome === 'number' && outcome < 300) return;
    const isHopeless = typeof outcome === 'number' && outcome < 500 && outcome !== 429;
    if (isHopeless || attempt >= TRIES || options.signal.aborted) {
      throw outcome instanceof Error ? outcome : new Error(`the audit webhook answered ${outcome}`);
    }
    await sleep(options.clock, backoffMs, options.signal);
    backoffMs *= 1.5;
  }
}

function post(options: WebhookOptions, body: Buffer): Promise<number> {
  const { url, caPem, certificatePem, keyPem, token } = options;
  return new Promise((resolve, reject) => {
    const send = url.startsWith('http:') ? http.request : httpsRequest;
    const sent = send(
      url,
      {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'content-length': body.length,
          ...(token && { authorization: `Bearer ${token}` }),
        },
        ...(caPem && { ca: caPem }),
        ...(certificatePem && { cert: certificatePem, key: keyPem }),
        timeout: TIMEOUT_MS,
        agent: false,
      },
      (answer) => {
        answer.resume();
        answer.on('error', reject);
        answer.on('end', () => resolve(answer.statusCode ?? 0));
      },
    );
    sent.on('timeout', () => sent.destroy(new Error('the audit webhook did not answer')));
    sent.on('error', reject);
    sent.end(body);
  });
}
