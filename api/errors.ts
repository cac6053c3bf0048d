// The one error type of the API boundary: it carries the Status that the client gets
// (https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/). Messages are upstream's.
import { type FieldError, fieldErrorMessage } from './field-error.ts';
import { groupResource } from './object.ts';
import type { Status, StatusDetails } from './types/meta.ts';

type GroupResource = { group: string; resource: string };

export class ApiError extends Error {
  readonly status: Status & { code: number };

  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = 'ApiError';
    this.status = {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      ...(reason && { reason }),
      ...(details && { details }),
      code,
    };
  }

  get code(): number {
    return this.status.code;
  }

  get reason(): string {
    return this.status.reason ?? '';
  }

  /** Wraps anything thrown: an ApiError as it is, else a 500. The cause is kept for the log, not shown to the client. */
  static from(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    const wrapped = errors.internal(error instanceof Error ? error.message : String(error));
    wrapped.cause = error;
    return wrapped;
  }
}

const details = (gr: GroupResource, name?: string, more?: StatusDetails): StatusDetails => ({
  ...(name && { name }),
  ...(gr.group && { group: gr.group }),
  kind: gr.resource,
  ...more,
});

export const errors = {
  notFound: (gr: GroupResource, name: string) =>
    new ApiError(404, 'NotFound', `${groupResource(gr)} "${name}" not found`, details(gr, name)),

  /** No such path or resource type. */
  unknownPath: () => new ApiError(404, 'NotFound', 'the server could not find the requested resource', {}),

  alreadyExists: (gr: GroupResource, name: string) =>
    new ApiError(409, 'AlreadyExists', `${groupResource(gr)} "${name}" already exists`, details(gr, name)),

  generateNameConflict: (gr: GroupResource, name: string) =>
    new ApiError(
      409,
      'AlreadyExists',
      `${groupResource(gr)} "${name}" already exists, the server was not able to generate a unique name for the object`,
      details(gr, name, { retryAfterSeconds: 1 }),
    ),

  conflict: (gr: GroupResource, name: string, why?: string) =>
    new ApiError(
      409,
      'Conflict',
      `Operation cannot be fulfilled on ${groupResource(gr)} "${name}": ${
        why ?? 'the object has been modified; please apply your changes to the latest version and try again'
      }`,
      details(gr, name),
    ),

  /** `kind` is the Kind, not the resource, as upstream names it in this one. */
  invalid: (gk: { group: string; kind: string }, name: string, found: readonly FieldError[]) => {
    const qualified = gk.group === '' ? gk.kind : `${gk.kind}.${gk.group}`;
    const messages = found.map(fieldErrorMessage);
    const unique = [...new Set(messages)];
    const list = unique.length === 1 ? unique[0] : `[${unique.join(', ')}]`;
    return new ApiError(422, 'Invalid', `${qualified} "${name}" is invalid${found.length > 0 ? `: ${list}` : ''}`, {
      ...(name && { name }),
      ...(gk.group && { group: gk.group }),
      kind: gk.kind,
      causes: found.map((each) => ({ reason: each.type, message: each.body, field: each.field })),
    });
  },

  badRequest: (message: string) => new ApiError(400, 'BadRequest', message),

  unauthorized: () => new ApiError(401, 'Unauthorized', 'Unauthorized'),

  /** `name` is empty for collection requests: `pods is forbidden: ...`. */
  forbidden: (gr: GroupResource, name: string, why: string) =>
    new ApiError(
      403,
      'Forbidden',
      gr.resource === '' ? `forbidden: ${why}` : `${groupResource(gr)}${name ? ` "${name}"` : ''} is forbidden: ${why}`,
      gr.resource === '' ? {} : details(gr, name),
    ),

  methodNotAllowed: (gr: GroupResource, action: string) =>
    new ApiError(
      405,
      'MethodNotAllowed',
      `${action} is not supported on resources of kind "${groupResource(gr)}"`,
      details(gr),
    ),

  notWhileTerminating: (gr: GroupResource, message: string) =>
    new ApiError(405, 'MethodNotAllowed', message, details(gr)),

  methodNotAllowedPath: () =>
    new ApiError(405, 'MethodNotAllowed', 'the server does not allow this method on the requested resource', {}),

  notAcceptable: (accepted: readonly string[]) =>
    new ApiError(406, 'NotAcceptable', `only the following media types are accepted: ${accepted.join(', ')}`),

  unsupportedMediaType: (accepted: readonly string[]) =>
    new ApiError(
      415,
      'UnsupportedMediaType',
      `the body of the request was in an unknown format - accepted media types include: ${accepted.join(', ')}`,
    ),

  requestTooLarge: (limitBytes: number) =>
    new ApiError(413, 'RequestEntityTooLarge', `Request entity too large: limit is ${limitBytes}`),

  /** A watch or an exact read from before what the server still knows. */
  expired: (message: string) => new ApiError(410, 'Expired', message),

  gone: (message: string) => new ApiError(410, 'Gone', message),

  tooManyRequests: (message: string, retryAfterSeconds: number) =>
    new ApiError(429, 'TooManyRequests', message, { retryAfterSeconds }),

  timeout: (message: string, retryAfterSeconds = 1) =>
    new ApiError(504, 'Timeout', `Timeout: ${message}`, { retryAfterSeconds }),

  serviceUnavailable: (message: string) => new ApiError(503, 'ServiceUnavailable', message),

  /** What upstream answers with to an error that is not a Status: no reason, the text alone. */
  unknown: (message: string) => new ApiError(500, '', message),
  internal: (message: string) =>
    new ApiError(500, 'InternalError', `Internal error occurred: ${message}`, { causes: [{ message }] }),
};
