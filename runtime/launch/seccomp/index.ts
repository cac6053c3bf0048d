export const createSeccompLoader =
  () =>
  (_filter: unknown, _caps: unknown): Uint8Array | undefined =>
    undefined;
