// HTTP GET as probes and hooks do it: no keep-alive, no certificate check, redirects only on the same host, a bound
// on the body. Error texts are those that `kubectl describe` shows for a real kubelet.
import { request as httpsRequest } from 'node:https';
import type { HTTPGetAction } from '../../api/types/core-v1.ts';
import type { Clock } from '../../lib/clock.ts';

// An import would also load what `node:http` exports of fetch: 13 MB that nobody here uses.
const { request: httpRequest } = process.getBuiltinModule('node:http');

export type HttpResult =
  | { kind: 'answer'; url: string; status: number; body: string; redirectedTo?: string }
  | { kind: 'error'; url: string; message: string };

const MAX_BODY_BYTES = 10 * 1024;
const MAX_REDIRECTS = 10;

export async function httpGet(
  action: HTTPGetAction,
  podIp: string,
  port: number,
  timeoutMs: number,
  clock: Clock,
  signal?: AbortSignal,
): Promise<HttpResult> {
  const scheme = (action.scheme ?? 'HTTP').toLowerCase();
  const host = action.host || podIp;
  const path = action.path ?? '/';
  const bracketed = host.includes(':') ? `[${host}]` : host;
  let url = new URL(`${scheme}://${bracketed}:${port}${path.startsWith('/') ? path : `/${path}`}`);
  const deadlineMs = clock.monotonic() + timeoutMs;
  for (let hop = 0; ; hop++) {
    const result = await once(url, action, Math.max(1, deadlineMs - clock.monotonic()), clock, signal);
    if (result.kind === 'error' || !result.location) return result;
    if (hop >= MAX_REDIRECTS)
      return { kind: 'error', url: url.href, message: `Get "${url.href}": stopped after 10 redirects` };
    const next = new URL(result.location, url);
    // Elsewhere is not this container's matter: the redirect itself counts as an answer.
    if (next.hostname !== url.hostname) return { ...result, redirectedTo: next.href };
    url = next;
  }
}

type Hop = HttpResult & { location?: string };

function once(url: URL, action: HTTPGetAction, timeoutMs: number, clock: Clock, signal?: AbortSignal): Promise<Hop> {
  return new Promise((resolve) => {
    const headers: Record<string, string | string[]> = {
      'user-agent': 'kube-probe/1.36',
      accept: '*/*',
      connection: 'close',
    };
    for (const { name, value } of action.httpHeaders ?? []) {
      const key = name.toLowerCase();
      if (value === '' && (key === 'accept' || key === 'user-agent')) delete headers[key];
      else headers[key] = value;
    }
    const fail = (message: string) =>
      finish({ kind: 'error', url: url.href, message: `Get "${url.href}": ${message}` });
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = send(url, { method: 'GET', headers, agent: false, rejectUnauthorized: false }, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const done = () => {
        const status = response.statusCode ?? 0;
        const body = Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString('utf8');
        const { location } = response.headers;
        const redirects = status >= 301 && status <= 308 && status !== 304 && location !== undefined;
        finish({ kind: 'answer', url: url.href, status, body, ...(redirects && { location }) });
      };
      response.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        size += chunk.length;
        if (size > MAX_BODY_BYTES) done();
      });
      response.on('end', done);
      response.on('error', (error) => fail(error.message));
    });
    const timer = clock.after(timeoutMs, () =>
      fail('context deadline exceeded (Client.Timeout exceeded while awaiting headers)'),
    );
    const onAbort = () => fail('context canceled');
    signal?.addEventListener('abort', onAbort, { once: true });
    let isFinished = false;
    function finish(result: Hop): void {
      if (isFinished) return;
      isFinished = true;
      timer.cancel();
      signal?.removeEventListener('abort', onAbort);
      request.destroy();
      resolve(result);
    }
    request.on('error', (error: NodeJS.ErrnoException) => fail(networkMessage(error, url.hostname, url.port)));
    if (signal?.aborted) onAbort();
    request.end();
  });
}

/** Go's words for what a dial came to. */
export function networkMessage(error: NodeJS.ErrnoException, host: string, port: string | number): string {
  const target = `${host}:${port || 80}`;
  const reasons: Record<string, string> = {
    ECONNREFUSED: `dial tcp ${target}: connect: connection refused`,
    EHOSTUNREACH: `dial tcp ${target}: connect: no route to host`,
    ENETUNREACH: `dial tcp ${target}: connect: network is unreachable`,
    ETIMEDOUT: `dial tcp ${target}: i/o timeout`,
    ECONNRESET: 'read: connection reset by peer',
  };
  return reasons[error.code ?? ''] ?? (error.message === 'socket hang up' ? 'EOF' : error.message);
}
