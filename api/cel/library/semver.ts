// Kubernetes' semantic versions (https://semver.org), strict or, when asked, normalized first.
import { types } from '../types.ts';
import { fn, type Library, member, overload } from '../functions.ts';
import { CelError, CelOpaque, type CelValue, normalInt } from '../values.ts';
import { failure } from './arithmetic.ts';

const semverType = types.opaque('kubernetes.Semver');
const { string, bool, int } = types;
const STRICT =
  /^(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)\.(0|[1-9][0-9]*)(?:-([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?(?:\+([0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*))?$/;

class CelSemver extends CelOpaque {
  readonly typeName = 'kubernetes.Semver';
  readonly text: string;
  readonly numbers: readonly bigint[];
  readonly prerelease: readonly string[];
  constructor(text: string, numbers: readonly bigint[], prerelease: readonly string[]) {
    super();
    this.text = text;
    this.numbers = numbers;
    this.prerelease = prerelease;
  }
  equals(other: CelValue): boolean {
    return other instanceof CelSemver && compareVersions(this, other) === 0;
  }
  override toString(): string {
    return this.text;
  }
}

function toSemver(text: string, isLoose = false): CelSemver | CelError {
  const meant = isLoose ? normalize(text) : text;
  if (meant === undefined) return failure('short version cannot contain PreRelease/Build meta data');
  const match = STRICT.exec(meant);
  if (!match) return failure(problemOf(meant));
  const prerelease = match[4]?.split('.') ?? [];
  const zero = prerelease.find((each) => /^0[0-9]+$/.test(each));
  if (zero) return failure(`Numeric PreRelease version must not contain leading zeroes ${JSON.stringify(zero)}`);
  return new CelSemver(
    meant,
    [match[1], match[2], match[3]].map((each) => BigInt(each as string)),
    prerelease,
  );
}

function problemOf(text: string): string {
  if (text === '') return 'Version string empty';
  const parts = text.split('.');
  if (parts.length < 3) return 'No Major.Minor.Patch elements found';
  const names = ['Major', 'Minor', 'Patch'];
  for (let index = 0; index < 3; index++) {
    const part = index === 2 ? (/^[^+-]*/.exec(parts[2] as string)?.[0] as string) : (parts[index] as string);
    const shown = JSON.stringify(part);
    if (!/^[0-9]+$/.test(part))
      return `Invalid character(s) found in ${(names[index] as string).toLowerCase()} number ${shown}`;
    if (/^0[0-9]/.test(part)) return `${names[index]} number must not contain leading zeroes ${shown}`;
  }
  return `Invalid character(s) found in ${text.includes('-') ? 'prerelease' : 'build meta data'} ${JSON.stringify(text)}`;
}

/** Drops a `v` and leading zeros, fills in minor and patch; undefined when that makes no sense. */
function normalize(text: string): string | undefined {
  const [major = '', minor, ...rest] = text.replace(/^v/, '').split('.');
  const parts = [major, ...(minor === undefined ? [] : [minor]), ...(rest.length > 0 ? [rest.join('.')] : [])].map(
    (part) => (part.length > 1 ? part.replace(/^0+(?=$|.)/, '').replace(/^(?![0-9])/, '0') : part),
  );
  if (parts.length < 3 && /[+-]/.test(parts.at(-1) as string)) return undefined;
  while (parts.length < 3) parts.push('0');
  return parts.join('.');
}

function compareVersions(left: CelSemver, right: CelSemver): number {
  for (let index = 0; index < 3; index++) {
    const a = left.numbers[index] as bigint;
    const b = right.numbers[index] as bigint;
    if (a !== b) return a < b ? -1 : 1;
  }
  if (left.prerelease.length === 0 || right.prerelease.length === 0) {
    return Math.sign(right.prerelease.length - left.prerelease.length);
  }
  for (let index = 0; ; index++) {
    const a = left.prerelease[index];
    const b = right.prerelease[index];
    if (a === undefined || b === undefined) return a === b ? 0 : a === undefined ? -1 : 1;
    if (a !== b) return comparePrerelease(a, b);
  }
}

/** Numbers before words; numbers by value. */
function comparePrerelease(left: string, right: string): number {
  const [a, b] = [left, right].map((each) => (/^[0-9]+$/.test(each) ? BigInt(each) : undefined));
  if (a !== undefined && b !== undefined) return a < b ? -1 : a > b ? 1 : 0;
  if (a !== undefined || b !== undefined) return a === undefined ? 1 : -1;
  return left < right ? -1 : 1;
}

const isSemver = (text: string, isLoose?: boolean) => toSemver(text, isLoose) instanceof CelSemver;
const part = (name: string, index: number) =>
  fn(
    name,
    member(`semver_${name}`, [semverType], int, ({ numbers }: CelSemver) => normalInt(numbers[index] as bigint)),
  );

export const semverLibrary: Library = {
  name: 'kubernetes.Semver',
  types: [semverType],
  functions: [
    fn(
      'semver',
      overload('string_to_semver', [string], semverType, toSemver),
      overload('string_bool_to_semver', [string, bool], semverType, toSemver),
    ),
    fn(
      'isSemver',
      overload('is_semver_string', [string], bool, isSemver),
      overload('is_semver_string_bool', [string, bool], bool, isSemver),
    ),
    fn(
      'isGreaterThan',
      member(
        'semver_is_greater_than',
        [semverType, semverType],
        bool,
        (a: CelSemver, b: CelSemver) => compareVersions(a, b) > 0,
      ),
    ),
    fn(
      'isLessThan',
      member(
        'semver_is_less_than',
        [semverType, semverType],
        bool,
        (a: CelSemver, b: CelSemver) => compareVersions(a, b) < 0,
      ),
    ),
    fn('compareTo', member('semver_compare_to', [semverType, semverType], int, compareVersions)),
    part('major', 0),
    part('minor', 1),
    part('patch', 2),
  ],
};
