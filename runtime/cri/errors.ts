// The one error type of the CRI server: a gRPC code and a message. Everything else is translated once, in server.ts.
import { status, type StatusCode } from '../../lib/grpc/status.ts';
import { ImageError, type ImageErrorKind, messageOf } from '../images/errors.ts';
import { LaunchError } from '../launch/port.ts';
import { NameReservedError } from '../store/store.ts';

export class CriError extends Error {
  readonly code: StatusCode;
  constructor(code: StatusCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CriError';
    this.code = code;
  }
}

/** `path` is the field as the protocol names it: `config.linux.security_context.apparmor`. */
export function invalidField(path: string, why: string): CriError {
  return new CriError(status.INVALID_ARGUMENT, `${path}: ${why}`);
}

export function notFound(what: string, id: string): CriError {
  return new CriError(status.NOT_FOUND, `${what} "${id}" not found`);
}

const imageCodes: Record<ImageErrorKind, StatusCode> = {
  'not-found': status.NOT_FOUND,
  invalid: status.INVALID_ARGUMENT,
  corrupt: status.DATA_LOSS,
  unauthorized: status.PERMISSION_DENIED,
  unavailable: status.UNAVAILABLE,
  unsupported: status.UNIMPLEMENTED,
};

/** Every error as a CriError; what is not expected is INTERNAL. */
export function criError(error: unknown): CriError {
  if (error instanceof CriError) return error;
  if (error instanceof ImageError) return new CriError(imageCodes[error.kind], messageOf(error), { cause: error });
  if (error instanceof NameReservedError) return new CriError(status.ALREADY_EXISTS, error.message, { cause: error });
  if (error instanceof LaunchError) {
    return new CriError(status.UNKNOWN, `${error.step}: ${error.message}`, { cause: error });
  }
  return new CriError(status.INTERNAL, messageOf(error), { cause: error });
}
