// A pod against a level: which checks say no, and why. Pure; the order and the words are upstream's.
import type { ObjectMeta } from '../../../api/types/meta.ts';
import type { PodSpec } from '../../../api/types/core-v1.ts';
import { BASELINE } from './baseline.ts';
import type { Level, LevelVersion } from './levels.ts';
import { RESTRICTED } from './restricted.ts';

/** `reason (detail)`. */
export interface Violation {
  reason: string;
  detail: string;
}

export interface Check {
  id: string;
  /** Ids of baseline checks that this one makes superfluous. */
  overrides?: readonly string[];
  /** By the minor version from which they hold, rising. */
  versions: readonly { from: number; check(spec: PodSpec, meta: PodMeta): Violation | undefined }[];
}

export type PodMeta = Pick<ObjectMeta, 'annotations'>;

export function violations({ level, version }: LevelVersion, spec: PodSpec, meta: PodMeta): Violation[] {
  return checksOf(level).flatMap((check) => {
    const held = check.versions.findLast((each) => version === 'latest' || each.from <= version);
    return held?.check(spec, meta) ?? [];
  });
}

const ALL: Readonly<Record<Level, readonly Check[]>> = {
  privileged: [],
  baseline: BASELINE,
  restricted: [...BASELINE.filter(({ id }) => !RESTRICTED.some((each) => each.overrides?.includes(id))), ...RESTRICTED],
};

const checksOf = (level: Level): readonly Check[] => ALL[level];

export const detailText = (found: readonly Violation[]): string =>
  found.map(({ reason, detail }) => (detail ? `${reason} (${detail})` : reason)).join(', ');

export const reasonText = (found: readonly Violation[]): string => found.map(({ reason }) => reason).join(', ');
