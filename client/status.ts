// What a server answered when it refused, as an ApiError.
import { ApiError } from '../api/errors.ts';
import type { Status } from '../api/types/meta.ts';

/** The reason that client-go deduces when the body is not a Status. */
const reasons: Readonly<Record<number, string>> = {
  400: 'BadRequest',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'NotFound',
  405: 'MethodNotAllowed',
  406: 'NotAcceptable',
  409: 'Conflict',
  410: 'Gone',
  413: 'RequestEntityTooLarge',
  415: 'UnsupportedMediaType',
  422: 'Invalid',
  429: 'TooManyRequests',
  500: 'InternalError',
  503: 'ServiceUnavailable',
  504: 'Timeout',
};

const isStatus = (value: unknown): value is Status =>
  typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'Status';

/** Reads an ERROR event's object or an error answer's body; `httpCode` is used where the Status has no code. */
export function apiErrorOf(body: unknown, httpCode: number): ApiError {
  if (isStatus(body)) {
    const code = body.code ?? httpCode;
    return new ApiError(
      code,
      body.reason ?? reasons[code] ?? '',
      body.message ?? `the server answered ${code}`,
      body.details,
    );
  }
  const text = typeof body === 'string' ? body.trim().slice(0, 500) : '';
  return new ApiError(httpCode, reasons[httpCode] ?? '', text === '' ? `the server answered ${httpCode}` : text);
}

export function apiErrorOfText(text: string, httpCode: number): ApiError {
  try {
    return apiErrorOf(JSON.parse(text), httpCode);
  } catch {
    return apiErrorOf(text, httpCode);
  }
}

export const isNotFound = (error: unknown): boolean => error instanceof ApiError && error.code === 404;
/** A write lost against another one, resourceVersion or uid precondition. */
export const isConflict = (error: unknown): boolean =>
  error instanceof ApiError && error.code === 409 && error.reason === 'Conflict';
export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof ApiError && error.reason === 'AlreadyExists';
/** The resource version asked for is older than what the server remembers: relist. */
export const isExpired = (error: unknown): boolean => error instanceof ApiError && error.code === 410;
/** A create refused because its namespace is going away (a Forbidden with this cause). */
export const isNamespaceTerminating = (error: unknown): boolean =>
  error instanceof ApiError &&
  error.code === 403 &&
  ((error.status.details?.causes ?? []).some((cause) => cause.reason === 'NamespaceTerminating') ||
    error.message.includes('because it is being terminated'));
