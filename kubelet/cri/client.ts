// CRI as the kubelet calls it: one typed `call` per unary method, one stream of container events. Any runtime that
// serves runtime.v1 on a unix socket will do; nothing here knows which one it is.
import {
  type CallOptions,
  Client,
  credentials,
  type ServiceDefinition,
  type ServiceError,
  status,
} from '@grpc/grpc-js';
import { ImageService, RuntimeService } from '../../proto/cri.ts';
import type { ContainerEventResponse, ImageServiceMethods, RuntimeServiceMethods } from '../../proto/cri-types.ts';

type Methods = RuntimeServiceMethods & ImageServiceMethods;
/** Names of the unary methods of both services. */
export type CriMethod = { [M in keyof Methods]: Methods[M][2] extends false ? M : never }[keyof Methods];
export type CriRequest<M extends CriMethod> = Methods[M][0];
export type CriResponse<M extends CriMethod> = Methods[M][1];

export interface CriCallOptions {
  /** Deadline; default 2 minutes. StopContainer and PullImage callers give their own. */
  timeoutMs?: number;
  signal?: AbortSignal;
}

export type CriErrorCode =
  | 'notFound'
  | 'unavailable'
  | 'deadline'
  | 'cancelled'
  | 'alreadyExists'
  | 'unimplemented'
  | 'other';

/** What a runtime answered, or that it did not: `message` is the runtime's own text. */
export class CriError extends Error {
  readonly code: CriErrorCode;
  readonly method: string;
  constructor(method: string, code: CriErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CriError';
    this.method = method;
    this.code = code;
  }
}

export interface CriClient {
  call<M extends CriMethod>(method: M, request: CriRequest<M>, options?: CriCallOptions): Promise<CriResponse<M>>;
  /** Events from now on; ends or throws when the runtime goes away. `onOpen` is called once the stream is up. */
  events(signal: AbortSignal, onOpen?: () => void): AsyncIterable<ContainerEventResponse>;
  close(): void;
}

const DEFAULT_TIMEOUT_MS = 120_000;
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;

const codes: Partial<Record<status, CriErrorCode>> = {
  [status.NOT_FOUND]: 'notFound',
  [status.UNAVAILABLE]: 'unavailable',
  [status.DEADLINE_EXCEEDED]: 'deadline',
  [status.CANCELLED]: 'cancelled',
  [status.ALREADY_EXISTS]: 'alreadyExists',
  [status.UNIMPLEMENTED]: 'unimplemented',
};

function toCriError(method: string, error: ServiceError): CriError {
  return new CriError(method, codes[error.code] ?? 'other', error.details || error.message, { cause: error });
}

/** True when the answer means that the object is already gone. */
export function isNotFound(error: unknown): boolean {
  return error instanceof CriError && error.code === 'notFound';
}

/** Connects lazily to the runtime's unix socket at `socketPath`. */
export function createCriClient(socketPath: string, options: { now?: () => number } = {}): CriClient {
  const now = options.now ?? Date.now;
  const client = new Client(`unix:${socketPath}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': MAX_MESSAGE_BYTES,
    'grpc.max_send_message_length': MAX_MESSAGE_BYTES,
    // A runtime that restarts is back in milliseconds: do not sit out a long reconnect back-off.
    'grpc.initial_reconnect_backoff_ms': 100,
    'grpc.min_reconnect_backoff_ms': 100,
    'grpc.max_reconnect_backoff_ms': 1000,
    'grpc.use_local_subchannel_pool': 1,
    // What a unix socket has no use for, and every call would pay for.
    'grpc.enable_retries': 0,
    'grpc.enable_channelz': 0,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
  });
  const services: ServiceDefinition[] = [RuntimeService.service, ImageService.service];

  function definitionOf(method: string) {
    for (const service of services) {
      const found = service[method];
      if (found) return found;
    }
    throw new CriError(method, 'other', `unknown CRI method ${method}`);
  }

  return {
    call(method, request, callOptions = {}) {
      const definition = definitionOf(method);
      const { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = callOptions;
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(new CriError(method, 'cancelled', 'cancelled before the call'));
        const settings: CallOptions = { deadline: now() + timeoutMs };
        const call = client.makeUnaryRequest(
          definition.path,
          definition.requestSerialize,
          definition.responseDeserialize,
          request,
          settings,
          (error, answer) => {
            signal?.removeEventListener('abort', cancel);
            if (error) reject(toCriError(method, error));
            else resolve(answer as never);
          },
        );
        const cancel = () => call.cancel();
        signal?.addEventListener('abort', cancel, { once: true });
      });
    },

    async *events(signal, onOpen) {
      const definition = definitionOf('GetContainerEvents');
      const stream = client.makeServerStreamRequest(
        definition.path,
        definition.requestSerialize,
        definition.responseDeserialize,
        {},
      );
      // Response headers tell that the runtime has accepted the stream; a runtime that sends them late still works,
      // because the relist on the first event covers the gap.
      stream.once('metadata', () => onOpen?.());
      const cancel = () => stream.cancel();
      signal.addEventListener('abort', cancel, { once: true });
      try {
        for await (const event of stream) yield event as ContainerEventResponse;
      } catch (error) {
        if (!signal.aborted) throw toCriError('GetContainerEvents', error as ServiceError);
      } finally {
        signal.removeEventListener('abort', cancel);
        stream.cancel();
      }
    },

    close: () => client.close(),
  };
}
