// fetch that gives up on a server that goes silent: before the answer, or in the middle of it.
import type { Clock } from '../../../lib/clock.ts';
import { ImageError } from '../errors.ts';

/** As long as that without a byte; containerd and CRI-O have the same switch (image_pull_progress_timeout). */
export const defaultProgressTimeoutMs = 60_000;

/**
 * Like `fetch`. Rejects, also a read of the body, with an ImageError `unavailable` when nothing comes for `timeoutMs`. Time
 * counts only while somebody waits, so a slow disk is not taken for a silent registry; a request with a body of its own may
 * take any time to send.
 */
export async function fetchWithProgress(
  clock: Clock,
  timeoutMs: number,
  url: URL,
  init: RequestInit,
): Promise<Response> {
  const controller = new AbortController();
  const within = async <T>(answer: Promise<T>): Promise<T> => {
    const give = () => {
      const what = `${init.method ?? 'GET'} ${url.origin}${url.pathname}`;
      controller.abort(new ImageError('unavailable', `${what}: no progress in ${timeoutMs / 1000}s`));
    };
    const timer = clock.after(timeoutMs, give, { background: true });
    try {
      return await answer;
    } catch (error) {
      throw controller.signal.aborted ? controller.signal.reason : error;
    } finally {
      timer.cancel();
    }
  };
  const sent = fetch(url, { ...init, signal: controller.signal });
  const response = await (init.body ? sent : within(sent));
  const reader = response.body?.getReader();
  if (!reader) return response;
  const body = new ReadableStream<Uint8Array>(
    {
      async pull(sink) {
        const { done, value } = await within(reader.read());
        if (done) sink.close();
        else sink.enqueue(value);
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  const { status, statusText, headers } = response;
  return new Response(body, { status, statusText, headers });
}
