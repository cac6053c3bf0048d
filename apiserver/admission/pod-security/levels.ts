// The policy of a namespace, from its labels (pod-security.kubernetes.io/...). Pure.
import { type FieldError, fieldErrors } from '../../../api/field-error.ts';

export type Level = 'privileged' | 'baseline' | 'restricted';
const LEVELS: readonly Level[] = ['privileged', 'baseline', 'restricted'];

/** A minor version of Kubernetes 1, or the newest rules there are. */
export type Version = number | 'latest';

export interface LevelVersion {
  level: Level;
  version: Version;
}

export interface Policy {
  enforce: LevelVersion;
  audit: LevelVersion;
  warn: LevelVersion;
}

const PRIVILEGED: LevelVersion = { level: 'privileged', version: 'latest' };
export const PRIVILEGED_POLICY: Policy = { enforce: PRIVILEGED, audit: PRIVILEGED, warn: PRIVILEGED };

export const MODES = ['enforce', 'audit', 'warn'] as const;
export const labelOf = (mode: (typeof MODES)[number], part = '') => `pod-security.kubernetes.io/${mode}${part}`;

/** `restricted:latest`, `baseline:v1.24`. */
export const levelText = ({ level, version }: LevelVersion): string =>
  `${level}:${version === 'latest' ? 'latest' : `v1.${version}`}`;

/** Negative when `left` is less strict. */
export const compareLevels = (left: Level, right: Level): number => LEVELS.indexOf(left) - LEVELS.indexOf(right);

export const isPrivileged = ({ level }: LevelVersion): boolean => level === 'privileged';

export const sameLevel = (left: LevelVersion, right: LevelVersion): boolean =>
  left.level === right.level && left.version === right.version;

/**
 * Labels that cannot be read count as the strictest for `enforce`, as privileged for the others, and are told. Where
 * only `enforce` is said, `warn` follows it.
 */
export function policyOf(
  labels: Readonly<Record<string, string>> | undefined,
  defaults: Policy,
): { policy: Policy; problems: FieldError[] } {
  if (!labels) return { policy: defaults, problems: [] };
  const problems: FieldError[] = [];
  const read = (mode: (typeof MODES)[number]): LevelVersion => {
    let { level, version } = defaults[mode];
    const levelLabel = labels[labelOf(mode)];
    if (levelLabel !== undefined) {
      if ((LEVELS as readonly string[]).includes(levelLabel)) level = levelLabel as Level;
      else {
        level = mode === 'enforce' ? 'restricted' : 'privileged';
        problems.push(invalid(labelOf(mode), levelLabel, `must be one of ${LEVELS.join(', ')}`));
      }
    }
    const versionLabel = labels[labelOf(mode, '-version')];
    if (versionLabel !== undefined) {
      const match = /^v1\.(0|[1-9]\d*)$/.exec(versionLabel);
      if (match) version = Number(match[1]);
      else {
        version = 'latest';
        if (versionLabel !== 'latest') {
          problems.push(invalid(labelOf(mode, '-version'), versionLabel, 'must be "latest" or "v1.x"'));
        }
      }
    }
    return { level, version };
  };
  const policy = { enforce: read('enforce'), audit: read('audit'), warn: read('warn') };
  if (labels[labelOf('enforce')] !== undefined && labels[labelOf('warn')] === undefined) {
    if (compareLevels(policy.enforce.level, policy.warn.level) > 0) {
      const { version } = labels[labelOf('warn', '-version')] === undefined ? policy.enforce : policy.warn;
      policy.warn = { level: policy.enforce.level, version };
    }
  }
  return { policy, problems };
}

const invalid = (label: string, value: string, why: string) =>
  fieldErrors.invalid(`metadata.labels[${label}]`, value, why);
