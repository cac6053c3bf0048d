// What volumes and claims print alike.
import type { ObjectMeta } from '../../types/meta.ts';

const SHORT_MODES: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
};

/** `RWO,ROX`, always in the same order. */
export const shortAccessModes = (modes: readonly string[] | undefined): string =>
  Object.keys(SHORT_MODES)
    .filter((mode) => modes?.includes(mode))
    .map((mode) => SHORT_MODES[mode])
    .join(',');

/** The annotation is older than the field and goes before it. */
export const storageClassOf = (metadata: ObjectMeta, name: string | undefined): string =>
  metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? name ?? '';
