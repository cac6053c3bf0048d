// Resource versions of one resource are ordered (Kubernetes 1.35 and newer promise it; every etcd revision is).

/** Negative when `a` is older than `b`; both are decimal numbers without leading zeros. */
export function compareResourceVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a < b ? -1 : a > b ? 1 : 0;
}
