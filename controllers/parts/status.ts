// A status as upstream's encoder writes it: counts that are zero are left out, so that equal statuses compare equal.

/** Drops fields that are 0 or undefined, but those named in `keep`. */
export function withoutZeros<T extends object>(status: T, keep: readonly (keyof T)[] = []): T {
  const kept = Object.entries(status).filter(
    ([field, value]) => keep.includes(field as keyof T) || (value !== 0 && value !== undefined),
  );
  return Object.fromEntries(kept) as T;
}
