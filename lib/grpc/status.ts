// gRPC's codes (https://grpc.github.io/grpc/core/md_doc_statuscodes.html) and the one error of calls.

export const status = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;

export type StatusCode = (typeof status)[keyof typeof status];

const names = Object.keys(status);

/** What a call ended with; `details` is the peer's own text. */
export class GrpcError extends Error {
  readonly code: StatusCode;
  readonly details: string;
  constructor(code: StatusCode, details: string, options?: ErrorOptions) {
    super(`${code} ${names[code]}: ${details}`, options);
    this.name = 'GrpcError';
    this.code = code;
    this.details = details;
  }
}

/** A header may hold printable ASCII only; the rest is percent-encoded. */
export function encodeDetails(details: string): string {
  return encodeURI(details.toWellFormed()).replace(/%(20|22|3C|3E|5B|5C|5D|5E|60|7B|7C|7D)/g, (code) =>
    decodeURIComponent(code),
  );
}

export function decodeDetails(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
