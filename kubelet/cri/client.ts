// CRI as the kubelet calls it: one typed `call` per unary method, one stream of container events. Any runtime that
// serves runtime.v1 on a unix socket will do; nothing here knows which one it is.
import { createGrpcClient } from '../../lib/grpc/client.ts';
import type { MethodDefinition } from '../../lib/grpc/proto-file.ts';
import { GrpcError, status, type StatusCode } from '../../lib/grpc/status.ts';
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

const codes: Partial<Record<StatusCode, CriErrorCode>> = {
  [status.NOT_FOUND]: 'notFound',
  [status.UNAVAILABLE]: 'unavailable',
  [status.DEADLINE_EXCEEDED]: 'deadline',
  [status.CANCELLED]: 'cancelled',
  [status.ALREADY_EXISTS]: 'alreadyExists',
  [status.UNIMPLEMENTED]: 'unimplemented',
};

function toCriError(method: string, error: unknown): CriError {
  if (error instanceof GrpcError)
    return new CriError(method, codes[error.code] ?? 'other', error.details, { cause: error });
  return new CriError(method, 'other', error instanceof Error ? error.message : String(error), { cause: error });
}

/** True when the answer means that the object is already gone. */
export function isNotFound(error: unknown): boolean {
  return error instanceof CriError && error.code === 'notFound';
}

/** Connects to the runtime's unix socket at `socketPath` when it is called; a runtime that has started again is found at once. */
export function createCriClient(socketPath: string): CriClient {
  const client = createGrpcClient({ socketPath }, { maxReceiveBytes: MAX_MESSAGE_BYTES });

  function definitionOf(method: string): MethodDefinition {
    const found = RuntimeService[method] ?? ImageService[method];
    if (!found) throw new CriError(method, 'other', `unknown CRI method ${method}`);
    return found;
  }

  return {
    async call(method, request, { signal, timeoutMs = DEFAULT_TIMEOUT_MS } = {}) {
      try {
        return await client.unary(definitionOf(method), request, { timeoutMs, signal });
      } catch (error) {
        throw toCriError(method, error);
      }
    },

    async *events(signal, onOpen) {
      // Response headers tell that the runtime has accepted the stream; a runtime that sends them late still works,
      // because the relist on the first event covers the gap.
      try {
        yield* client.stream<ContainerEventResponse>(definitionOf('GetContainerEvents'), {}, { signal, onOpen });
      } catch (error) {
        if (!signal.aborted) throw toCriError('GetContainerEvents', error);
      }
    },

    close: () => client.close(),
  };
}
