// Another server that is asked with reviews: one JSON POST over TLS each, with a deadline and a bounded answer.
import { Agent, request } from 'node:https';

/** Where it is, and who this server is to it. PEM texts. */
export interface ReviewWebhookConfig {
  server: string;
  caPem?: string | undefined;
  certificatePem?: string | undefined;
  keyPem?: string | undefined;
  token?: string | undefined;
  /** Default 10,000. */
  timeoutMs?: number | undefined;
}

/** The answered review. Rejects with what went wrong, without the review: it may hold a token. */
export type AskReview = (review: object) => Promise<{ status?: Record<string, unknown> }>;

const TIMEOUT_MS = 10_000;
const ANSWER_LIMIT_BYTES = 1024 * 1024;

export function reviewWebhook(config: ReviewWebhookConfig): AskReview {
  const url = new URL(config.server);
  const timeoutMs = config.timeoutMs ?? TIMEOUT_MS;
  const agent = new Agent({
    keepAlive: true,
    maxFreeSockets: 8,
    ...(config.caPem && { ca: config.caPem }),
    ...(config.certificatePem && { cert: config.certificatePem, key: config.keyPem }),
  });
  return (review) =>
    new Promise((resolve, reject) => {
      const body = JSON.stringify(review);
      const sent = request(
        url,
        {
          method: 'POST',
          agent,
          timeout: timeoutMs,
          headers: {
            'content-type': 'application/json',
            accept: 'application/json',
            'content-length': Buffer.byteLength(body),
            ...(config.token && { authorization: `Bearer ${config.token}` }),
          },
        },
        (answer) => {
          const chunks: Buffer[] = [];
          let size = 0;
          answer.on('data', (chunk: Buffer) => {
            size += chunk.length;
            if (size > ANSWER_LIMIT_BYTES) sent.destroy(new Error('the answer is too large'));
            else chunks.push(chunk);
          });
          answer.on('error', reject);
          answer.on('end', () => {
            const code = answer.statusCode ?? 0;
            if (code < 200 || code > 299) return reject(new Error(`${url.host} answered ${code}`));
            try {
              resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as { status?: Record<string, unknown> });
            } catch {
              reject(new Error(`${url.host} did not answer with JSON`));
            }
          });
        },
      );
      sent.on('timeout', () => sent.destroy(new Error(`${url.host} did not answer within ${timeoutMs} ms`)));
      sent.on('error', reject);
      sent.end(body);
    });
}

/** Answers for a while: upstream's caches of both webhooks. At most `capacity`, the oldest goes. */
export class AnswerCache<T> {
  #answers = new Map<string, { answer: T; untilMs: number }>();
  #capacity: number;

  constructor(capacity = 8192) {
    this.#capacity = capacity;
  }

  get(key: string, nowMs: number): T | undefined {
    const found = this.#answers.get(key);
    if (found && found.untilMs > nowMs) return found.answer;
    this.#answers.delete(key);
    return undefined;
  }

  set(key: string, answer: T, untilMs: number): void {
    if (this.#answers.size >= this.#capacity) this.#answers.delete(this.#answers.keys().next().value as string);
    this.#answers.set(key, { answer, untilMs });
  }
}
