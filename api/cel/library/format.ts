// Kubernetes' named formats: `format.dns1123Label().validate(text)` is none, or what is wrong with the text.
import {
  isDns1123Label,
  isDns1123Subdomain,
  isDns1035Label,
  isLabelValue,
  isQualifiedName,
  nameIsDns1035Label,
  nameIsDnsLabel,
  nameIsDnsSubdomain,
} from '../../names.ts';
import { types } from '../types.ts';
import { fn, type Library, member, overload } from '../functions.ts';
import { CelList, CelOpaque, CelOptional, CelTimestamp, type CelValue } from '../values.ts';
import { parseDate, parseTimestamp } from './time.ts';
import { parseRequestUri } from './url.ts';

const formatType = types.opaque('kubernetes.NamedFormat');
const { string } = types;

export class CelFormat extends CelOpaque {
  readonly typeName = 'kubernetes.NamedFormat';
  readonly name: string;
  readonly check: (text: string) => string[];
  /** Characters of the pattern that a check is taken to cost. */
  readonly patternSize: number;
  constructor(name: string, patternSize: number, check: (text: string) => string[]) {
    super();
    this.name = name;
    this.check = check;
    this.patternSize = patternSize;
  }
  equals(other: CelValue): boolean {
    return other instanceof CelFormat && other.name === this.name;
  }
  override toString(): string {
    return this.name;
  }
}

const unless = (holds: boolean, problem: string): string[] => (holds ? [] : [problem]);
const UUID = /^[a-f0-9]{8}-?[a-f0-9]{4}-?[a-f0-9]{4}-?[a-f0-9]{4}-?[a-f0-9]{12}$/i;
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$/;

export const namedFormats: ReadonlyMap<string, CelFormat> = new Map(
  (
    [
      ['dns1123Label', 'DNS1123Label', 30, isDns1123Label],
      ['dns1123Subdomain', 'DNS1123Subdomain', 60, isDns1123Subdomain],
      ['dns1035Label', 'DNS1035Label', 30, isDns1035Label],
      ['qualifiedName', 'QualifiedName', 60, isQualifiedName],
      ['dns1123LabelPrefix', 'DNS1123LabelPrefix', 30, (text) => nameIsDnsLabel(text, true)],
      ['dns1123SubdomainPrefix', 'DNS1123SubdomainPrefix', 60, (text) => nameIsDnsSubdomain(text, true)],
      ['dns1035LabelPrefix', 'DNS1035LabelPrefix', 30, (text) => nameIsDns1035Label(text, true)],
      ['labelValue', 'LabelValue', 40, isLabelValue],
      [
        'uri',
        'URI',
        1089,
        (text) => {
          const parsed = parseRequestUri(text);
          return typeof parsed === 'string' ? [parsed] : [];
        },
      ],
      ['uuid', 'uuid', 76, (text) => unless(UUID.test(text), 'does not match the UUID format')],
      ['byte', 'byte', 85, (text) => unless(BASE64.test(text), 'invalid base64')],
      ['date', 'date', 131, (text) => unless(parseDate(text) instanceof CelTimestamp, 'invalid date')],
      ['datetime', 'datetime', 131, (text) => unless(parseTimestamp(text) instanceof CelTimestamp, 'invalid datetime')],
    ] as [string, string, number, (text: string) => string[]][]
  ).map(([key, name, size, check]) => [key, new CelFormat(name, size, check)]),
);

export const formatLibrary: Library = {
  name: 'format',
  types: [formatType],
  functions: [
    fn(
      'validate',
      member(
        'format-validate',
        [formatType, string],
        types.optional(types.list(string)),
        (format: CelFormat, text: string) => {
          const problems = format.check(text);
          return problems.length === 0 ? CelOptional.none : new CelOptional(new CelList(problems));
        },
      ),
    ),
    fn(
      'format.named',
      overload('format-named', [string], types.optional(formatType), (name: string) => {
        const found = namedFormats.get(name);
        return found ? new CelOptional(found) : CelOptional.none;
      }),
    ),
    ...[...namedFormats].map(([name, format]) =>
      fn(
        `format.${name}`,
        overload(`format.${name}`, [], formatType, () => format),
      ),
    ),
  ],
};
