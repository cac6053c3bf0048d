// The client over HTTP/2: verbs as methods, errors as ApiError or NetworkError. A request is sent again only when it
// surely never reached the server, or when the server said 429 (Retry-After honoured, with a cap and an end).
import { constants } from 'node:http2';
import { apiVersionOf, type KubeObject } from '../api/object.ts';
import { sleep } from '../lib/abort.ts';
import type { Clock } from '../lib/clock.ts';
import type { Logger } from '../lib/log.ts';
import { type Answer, Connection, type Outgoing, UnsentError } from './connection.ts';
import { listQuery, pathOf, watchQuery, writeQuery } from './paths.ts';
import {
  type Client,
  type ClientConfig,
  NetworkError,
  type ListOptions,
  type ObjectList,
  type PatchType,
  type ResourceClient,
  type ResourceRef,
} from './port.ts';
import { measureRequests } from './metrics.ts';
import { apiErrorOfText } from './status.ts';
import { watchEvents } from './watch.ts';

const maxUnsentRetries = 3;
const maxThrottledRetries = 10;
const maxRetryAfterMs = 30_000;
/** A unary request that got no answer for so long fails; the server's own limit is 60 s. */
const requestTimeoutMs = 75_000;

const patchMediaTypes: Record<PatchType, string> = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

export interface ClientDependencies {
  clock: Clock;
  log: Logger;
}

/** Connects lazily. `https://` with TLS, `http://` as HTTP/2 with prior knowledge. */
export function createClient(config: ClientConfig, { clock, log }: ClientDependencies): Client {
  return clientOver(new Connection(config, clock, log), config, clock);
}

/** `user`: whom every request impersonates. */
function clientOver(connection: Connection, config: ClientConfig, clock: Clock, user?: string): Client {
  const measure = measureRequests(config.server);

  async function send(request: Outgoing): Promise<Answer> {
    const started = performance.now();
    try {
      const answer = await sendAgain(request);
      measure(request.method, answer.status, (performance.now() - started) / 1000);
      return answer;
    } catch (error) {
      measure(request.method, '<error>', (performance.now() - started) / 1000);
      throw error;
    }
  }

  async function sendAgain(request: Outgoing): Promise<Answer> {
    const outgoing =
      user === undefined ? request : { ...request, headers: { ...request.headers, 'impersonate-user': user } };
    let unsent = 0;
    let throttled = 0;
    for (;;) {
      let answer: Answer;
      try {
        answer = await connection.open(outgoing);
      } catch (error) {
        if (!(error instanceof UnsentError) || ++unsent > maxUnsentRetries) throw error;
        await sleep(clock, 10 * unsent, outgoing.signal);
        continue;
      }
      if (answer.status !== 429 || ++throttled > maxThrottledRetries) return answer;
      const seconds = Number(answer.headers['retry-after'] ?? 1);
      answer.stream.close(constants.NGHTTP2_CANCEL);
      await sleep(
        clock,
        Math.min(maxRetryAfterMs, (Number.isFinite(seconds) && seconds >= 0 ? seconds : 1) * 1000),
        outgoing.signal,
      );
    }
  }

  async function unary(outgoing: Outgoing): Promise<unknown> {
    const deadline = new AbortController();
    const onAbort = () => deadline.abort(outgoing.signal?.reason);
    if (outgoing.signal?.aborted) onAbort();
    outgoing.signal?.addEventListener('abort', onAbort, { once: true });
    const timer = clock.after(
      requestTimeoutMs,
      () =>
        deadline.abort(
          new NetworkError(`${outgoing.method} ${outgoing.path}: no answer within ${requestTimeoutMs} ms`),
        ),
      { background: true },
    );
    try {
      const answer = await send({ ...outgoing, signal: deadline.signal });
      const text = await readAll(answer, outgoing, deadline.signal);
      if (answer.status >= 400) throw apiErrorOfText(text, answer.status);
      if (text === '') return undefined;
      const type = String(answer.headers['content-type'] ?? '');
      return type === '' || type.includes('json') ? parseBody(text, outgoing) : text;
    } finally {
      timer.cancel();
      outgoing.signal?.removeEventListener('abort', onAbort);
    }
  }

  const json = (
    method: string,
    path: string,
    body?: unknown,
    options: { type?: string; signal?: AbortSignal; headers?: Record<string, string> } = {},
  ) =>
    unary({
      method,
      path,
      headers: {
        accept: 'application/json',
        ...(body !== undefined && { 'content-type': options.type ?? 'application/json' }),
        ...options.headers,
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: options.signal,
    });

  async function openStream(outgoing: Outgoing): Promise<{ status: number; body: AsyncIterable<Uint8Array> }> {
    const answer = await send(outgoing);
    return { status: answer.status, body: bodyChunks(answer, outgoing) };
  }

  function resource<T extends KubeObject>(ref: ResourceRef, namespace?: string): ResourceClient<T> {
    const collection = pathOf(ref, namespace);
    const one = (name: string, subresource?: string) => pathOf(ref, namespace, name, subresource);
    const nameOf = (object: T): string => {
      if (!object.metadata.name) throw new TypeError(`${ref.kind}: metadata.name is required to update`);
      return object.metadata.name;
    };
    const list = async (options: ListOptions = {}) =>
      withKinds<T>(ref, (await json('GET', collection + listQuery(options), undefined, options)) as ObjectList<T>);

    return {
      get: async (name, options = {}) => {
        const rv =
          options.resourceVersion === undefined
            ? ''
            : `?resourceVersion=${encodeURIComponent(options.resourceVersion)}`;
        return (await json('GET', one(name) + rv, undefined, options)) as T;
      },
      list,
      async listAll(options = {}) {
        const first = await list(options);
        const items = first.items;
        for (let next = first.metadata.continue; next; ) {
          const page = await list({ ...options, resourceVersion: undefined, continue: next });
          for (const item of page.items) items.push(item);
          next = page.metadata.continue;
        }
        return { metadata: { resourceVersion: first.metadata.resourceVersion }, items };
      },
      async *watch(options) {
        const path = collection + watchQuery(options);
        const outgoing: Outgoing = {
          method: 'GET',
          path,
          headers: { accept: 'application/json' },
          signal: options.signal,
        };
        const answer = await send(outgoing);
        if (answer.status !== 200) throw apiErrorOfText(await readAll(answer, outgoing, options.signal), answer.status);
        yield* watchEvents<T>(bodyChunks(answer, outgoing));
      },
      create: async (object, options = {}) =>
        (await json(
          'POST',
          (options.subresource ? one(nameOf(object), options.subresource) : collection) + writeQuery(options),
          withKind(ref, object),
          options,
        )) as T,
      update: async (object, options = {}) =>
        (await json(
          'PUT',
          one(nameOf(object), options.subresource) + writeQuery(options),
          withKind(ref, object),
          options,
        )) as T,
      patch: async (name, type, body, options = {}) =>
        (await json('PATCH', one(name, options.subresource) + writeQuery(options), body, {
          type: patchMediaTypes[type],
          signal: options.signal,
        })) as T,
      delete: async (name, { signal, ...options } = {}) =>
        (await json('DELETE', one(name), deleteBody(options), { signal })) as T,
      async deleteCollection({ deleteOptions, ...options } = {}) {
        await json('DELETE', collection + listQuery(options), deleteBody(deleteOptions), options);
      },
      createSubresource: async <Body, Reply>(name: string, subresource: string, body: Body) =>
        (await json('POST', one(name, subresource), body)) as Reply,
    };
  }

  return {
    config,
    resource,
    request: async <Reply>(method: string, path: string, body?: unknown, options = {}) =>
      (await json(method, path, body, options)) as Reply,
    stream: (method, path, options = {}) =>
      openStream({ method, path, headers: options.headers ?? {}, signal: options.signal }),
    as: (other) => clientOver(connection, config, clock, other),
    close: () => connection.close(),
  };
}

const deleteBody = (options: object | undefined) =>
  options && Object.keys(options).length > 0 ? { kind: 'DeleteOptions', apiVersion: 'v1', ...options } : undefined;

const withKind = <T extends KubeObject>(ref: ResourceRef, object: T): T =>
  object.apiVersion !== undefined && object.kind !== undefined
    ? object
    : { apiVersion: apiVersionOf(ref), kind: ref.kind, ...object };

/** Items of a list carry no kind on the wire; ours do, so that an object means the same wherever it came from. */
function withKinds<T extends KubeObject>(ref: ResourceRef, list: ObjectList<T>): ObjectList<T> {
  list.items ??= [];
  const apiVersion = apiVersionOf(ref);
  for (const item of list.items) {
    item.apiVersion ??= apiVersion;
    item.kind ??= ref.kind;
  }
  return list;
}

function parseBody(text: string, outgoing: Outgoing): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new NetworkError(`${outgoing.method} ${outgoing.path}: the answer is not JSON`, { cause });
  }
}

function readAll(answer: Answer, outgoing: Outgoing, signal: AbortSignal | undefined): Promise<string> {
  const { stream } = answer;
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let ended = false;
    const onAbort = () => {
      stream.close(constants.NGHTTP2_CANCEL);
      reject(signal?.reason);
    };
    if (signal?.aborted) return onAbort();
    if (stream.destroyed)
      return reject(new NetworkError(`${outgoing.method} ${outgoing.path}: connection lost within the answer`));
    signal?.addEventListener('abort', onAbort, { once: true });
    stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    stream.on('end', () => {
      ended = true;
    });
    stream.on('close', () => {
      signal?.removeEventListener('abort', onAbort);
      if (ended && stream.rstCode === constants.NGHTTP2_NO_ERROR) resolve(Buffer.concat(chunks).toString('utf8'));
      else reject(new NetworkError(`${outgoing.method} ${outgoing.path}: connection lost within the answer`));
    });
  });
}

/** Ends when the server ends the body or the signal aborts; a cut connection throws NetworkError. */
async function* bodyChunks(answer: Answer, outgoing: Outgoing): AsyncGenerator<Uint8Array> {
  const { stream } = answer;
  const { signal } = outgoing;
  const onAbort = () => stream.close(constants.NGHTTP2_CANCEL);
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    for await (const chunk of stream) yield chunk as Buffer;
    if (!signal?.aborted && stream.rstCode) throw new Error(`HTTP/2 code ${stream.rstCode}`);
  } catch (cause) {
    if (signal?.aborted) return;
    throw new NetworkError(`${outgoing.method} ${outgoing.path}: connection lost within the stream`, { cause });
  } finally {
    signal?.removeEventListener('abort', onAbort);
    if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL);
  }
}
