// The one error type of images: a kind to decide on, and a message to show.

export type ImageErrorKind =
  | 'not-found'
  | 'invalid' // a name, a digest, an archive or a Dockerfile that cannot be right
  | 'corrupt' // content that does not have the digest it was asked by
  | 'unauthorized'
  | 'unavailable' // network or server trouble; worth another try
  | 'unsupported';

export class ImageError extends Error {
  readonly kind: ImageErrorKind;
  constructor(kind: ImageErrorKind, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ImageError';
    this.kind = kind;
  }
}

/** Message of whatever was thrown, with the causes that it does not tell itself. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const said = error.message || error.name;
  const cause = error.cause === undefined ? '' : messageOf(error.cause);
  return cause === '' || said.endsWith(cause) ? said : `${said}: ${cause}`;
}
