// Which names Kubernetes accepts, with upstream's messages (k8s.io/apimachinery/pkg/util/validation). Every function returns
// the list of what is wrong, empty when the value is good. Lengths are in bytes, as upstream counts them.
import type { Random } from '../lib/clock.ts';

const DNS1123_LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const DNS1123_SUBDOMAIN = `${DNS1123_LABEL}(\\.${DNS1123_LABEL})*`;
const DNS1123_LABEL_UNDERSCORE = '_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?';
const DNS1123_SUBDOMAIN_UNDERSCORE = `${DNS1123_LABEL_UNDERSCORE}(\\.${DNS1123_LABEL_UNDERSCORE})*`;
const DNS1035_LABEL = '[a-z]([-a-z0-9]*[a-z0-9])?';
const QUALIFIED_NAME = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const LABEL_VALUE = `(${QUALIFIED_NAME})?`;
const WILDCARD = `\\*\\.${DNS1123_SUBDOMAIN}`;
const C_IDENTIFIER = '[A-Za-z_][A-Za-z0-9_]*';
const CONFIG_KEY = '[-._a-zA-Z0-9]+';
const ENV_NAME = '[-._a-zA-Z][-._a-zA-Z0-9]*';
const HTTP_HEADER = '[-A-Za-z0-9]+';
const PERCENT = '[0-9]+%';

// Regular expressions that cannot backtrack badly: each class is bounded by what follows it, and long input is cut first.
const whole = (pattern: string) => new RegExp(`^(?:${pattern})$`);
const dns1123Label = whole(DNS1123_LABEL);
const dns1123Subdomain = whole(DNS1123_SUBDOMAIN);
const dns1123SubdomainUnderscore = whole(DNS1123_SUBDOMAIN_UNDERSCORE);
const dns1035Label = whole(DNS1035_LABEL);
const qualifiedName = whole(QUALIFIED_NAME);
const labelValue = whole(LABEL_VALUE);
const wildcard = whole(WILDCARD);
const cIdentifier = whole(C_IDENTIFIER);
const configKey = whole(CONFIG_KEY);
const envName = whole(ENV_NAME);
const httpHeader = whole(HTTP_HEADER);
const percent = whole(PERCENT);

export const LABEL_VALUE_MAX = 63;
export const DNS1123_LABEL_MAX = 63;
export const DNS1123_SUBDOMAIN_MAX = 253;
/** Nothing valid is longer; longer input is refused without running a pattern over it. */
const PATTERN_MAX = 1024;

/** The message of a failed pattern, with examples of what passes. */
export function regexError(message: string, pattern: string, ...examples: string[]): string {
  if (examples.length === 0) return `${message} (regex used for validation is '${pattern}')`;
  // The comma before "or", and the two blanks, are upstream's.
  return `${message} (e.g. ${examples.map((each) => `'${each}', `).join(' or ')}regex used for validation is '${pattern}')`;
}

export const maxLengthError = (length: number) => `must be no more than ${length} bytes`;
export const emptyError = () => 'must be non-empty';
export const rangeError = (low: number, high: number) => `must be between ${low} and ${high}, inclusive`;

/** Length in UTF-8 bytes. */
export function byteLength(text: string): number {
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 127) return Buffer.byteLength(text);
  return text.length;
}

const test = (pattern: RegExp, value: string) => value.length <= PATTERN_MAX && pattern.test(value);

export function isDns1123Label(value: string): string[] {
  const found: string[] = [];
  if (byteLength(value) > DNS1123_LABEL_MAX) found.push(maxLengthError(DNS1123_LABEL_MAX));
  if (!test(dns1123Label, value)) {
    found.push(
      test(dns1123Subdomain, value)
        ? 'must not contain dots'
        : regexError(
            "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
            DNS1123_LABEL,
            'my-name',
            '123-abc',
          ),
    );
  }
  return found;
}

export function isDns1123Subdomain(value: string): string[] {
  const found: string[] = [];
  if (byteLength(value) > DNS1123_SUBDOMAIN_MAX) found.push(maxLengthError(DNS1123_SUBDOMAIN_MAX));
  if (!test(dns1123Subdomain, value)) {
    found.push(
      regexError(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        DNS1123_SUBDOMAIN,
        'example.com',
      ),
    );
  }
  return found;
}

export function isDns1123SubdomainWithUnderscore(value: string): string[] {
  const found: string[] = [];
  if (byteLength(value) > DNS1123_SUBDOMAIN_MAX) found.push(maxLengthError(DNS1123_SUBDOMAIN_MAX));
  if (!test(dns1123SubdomainUnderscore, value)) {
    found.push(
      regexError(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character",
        DNS1123_SUBDOMAIN,
        'example.com',
      ),
    );
  }
  return found;
}

export function isWildcardDns1123Subdomain(value: string): string[] {
  const found: string[] = [];
  if (byteLength(value) > DNS1123_SUBDOMAIN_MAX) found.push(maxLengthError(DNS1123_SUBDOMAIN_MAX));
  if (!test(wildcard, value)) {
    found.push(
      regexError(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        WILDCARD,
        '*.example.com',
      ),
    );
  }
  return found;
}

export function isDns1035Label(value: string): string[] {
  const found: string[] = [];
  if (byteLength(value) > DNS1123_LABEL_MAX) found.push(maxLengthError(DNS1123_LABEL_MAX));
  if (!test(dns1035Label, value)) {
    found.push(
      regexError(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        DNS1035_LABEL,
        'my-name',
        'abc-123',
      ),
    );
  }
  return found;
}

const QUALIFIED_MESSAGE =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

/** Label keys, finalizers, resource names: `name` or `prefix/name`. */
export function isQualifiedName(value: string): string[] {
  const found: string[] = [];
  const parts = value.split('/');
  let name = value;
  if (parts.length === 2) {
    const prefix = parts[0] as string;
    name = parts[1] as string;
    if (prefix === '') found.push(`prefix part ${emptyError()}`);
    else for (const each of isDns1123Subdomain(prefix)) found.push(`prefix part ${each}`);
  } else if (parts.length > 2) {
    found.push(
      `a qualified name ${regexError(QUALIFIED_MESSAGE, QUALIFIED_NAME, 'MyName', 'my.name', '123-abc')} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    );
    return found;
  }
  if (name === '') found.push(`name part ${emptyError()}`);
  else if (byteLength(name) > 63) found.push(`name part ${maxLengthError(63)}`);
  if (!test(qualifiedName, name)) {
    found.push(`name part ${regexError(QUALIFIED_MESSAGE, QUALIFIED_NAME, 'MyName', 'my.name', '123-abc')}`);
  }
  return found;
}

export function isLabelValue(value: string): string[] {
  const found: string[] = [];
  if (byteLength(value) > LABEL_VALUE_MAX) found.push(maxLengthError(LABEL_VALUE_MAX));
  if (!test(labelValue, value)) {
    found.push(
      regexError(
        "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
        LABEL_VALUE,
        'MyValue',
        'my_value',
        '12345',
      ),
    );
  }
  return found;
}

export function isCIdentifier(value: string): string[] {
  if (test(cIdentifier, value)) return [];
  return [
    regexError(
      "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'",
      C_IDENTIFIER,
      'my_name',
      'MY_NAME',
      'MyName',
    ),
  ];
}

export function isPortNumber(port: number): string[] {
  return port >= 1 && port <= 65535 ? [] : [rangeError(1, 65535)];
}

/** The name of a container or service port: an IANA service name. */
export function isPortName(port: string): string[] {
  const found: string[] = [];
  if (byteLength(port) > 15) found.push(maxLengthError(15));
  if (!/^[-a-z0-9]+$/.test(port)) {
    found.push('must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)');
  }
  if (!/[a-z]/.test(port)) found.push('must contain at least one letter (a-z)');
  if (port.includes('--')) found.push('must not contain consecutive hyphens');
  if (port.startsWith('-') || port.endsWith('-')) found.push('must not begin or end with a hyphen');
  return found;
}

/** Keys of ConfigMaps and Secrets. */
export function isConfigMapKey(value: string): string[] {
  const found: string[] = [];
  if (byteLength(value) > DNS1123_SUBDOMAIN_MAX) found.push(maxLengthError(DNS1123_SUBDOMAIN_MAX));
  if (!test(configKey, value)) {
    found.push(
      regexError(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        CONFIG_KEY,
        'key.name',
        'KEY_NAME',
        'key-name',
      ),
    );
  }
  if (value === '.') found.push("must not be '.'");
  else if (value === '..') found.push("must not be '..'");
  else if (value.startsWith('..')) found.push("must not start with '..'");
  return found;
}

/** Environment variable names: any printable ASCII but `=` (the relaxed rule, upstream's default since 1.34). */
export function isRelaxedEnvVarName(value: string): string[] {
  if (value === '') return [`environment variable name ${emptyError()}`];
  for (let i = 0; i < value.length; i++) {
    const code = value.charCodeAt(i);
    if (code < 32 || code > 126 || code === 61) {
      return ["a valid environment variable name must consist only of printable ASCII characters other than '='"];
    }
  }
  return [];
}

/** The strict rule for environment variable names. */
export function isEnvVarName(value: string): string[] {
  const found: string[] = [];
  if (!test(envName, value)) {
    found.push(
      regexError(
        "a valid environment variable name must consist of alphabetic characters, digits, '_', '-', or '.', and must not start with a digit",
        ENV_NAME,
        'my.env-name',
        'MY_ENV.NAME',
        'MyEnvName1',
      ),
    );
  }
  if (value === '.') found.push("must not be '.'");
  else if (value === '..') found.push("must not be '..'");
  else if (value.startsWith('..')) found.push("must not start with '..'");
  return found;
}

export function isHttpHeaderName(value: string): string[] {
  if (test(httpHeader, value)) return [];
  return [
    regexError("a valid HTTP header must consist of alphanumeric characters or '-'", HTTP_HEADER, 'X-Header-Name'),
  ];
}

export function isPercent(value: string): string[] {
  if (test(percent, value)) return [];
  return [
    regexError("a valid percent string must be a numeric string followed by an ending '%'", PERCENT, '1%', '93%'),
  ];
}

/** Checks a name, or with `prefix` a generateName, whose trailing dash a suffix will follow. */
export type NameCheck = (name: string, prefix: boolean) => string[];

const masked =
  (check: (name: string) => string[]): NameCheck =>
  (name, prefix) =>
    check(prefix && name.length > 1 && name.endsWith('-') ? `${name.slice(0, -2)}a` : name);

export const nameIsDnsSubdomain: NameCheck = masked(isDns1123Subdomain);
export const nameIsDnsLabel: NameCheck = masked(isDns1123Label);
export const nameIsDns1035Label: NameCheck = masked(isDns1035Label);

/** Names used as one segment of a URL path (RBAC objects): anything but `.`, `..`, `/` and `%`. */
export const nameIsPathSegment: NameCheck = (name, prefix) => {
  if (!prefix && (name === '.' || name === '..')) return [`may not be '${name}'`];
  const found: string[] = [];
  for (const illegal of ['/', '%']) if (name.includes(illegal)) found.push(`may not contain '${illegal}'`);
  return found;
};

/** No vowels, and nothing that looks like another: upstream's alphabet for random names. */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789';

/** `length` random characters that are safe in names. */
export function randomSuffix(random: Random, length = 5): string {
  let suffix = '';
  for (let i = 0; i < length; i++) suffix += SUFFIX_ALPHABET[Math.floor(random() * SUFFIX_ALPHABET.length)];
  return suffix;
}

/** metadata.generateName + 5 random characters; a base too long is cut so that the name has at most 63. */
export function generateName(base: string, random: Random): string {
  return base.slice(0, 63 - 5) + randomSuffix(random);
}
