// The smallest checks that many kinds share. A check gives its findings one by one: as a generator (`yield` one, `yield*`
// another check's) or, where it is small and called often, as a list that is nearly always the empty one.
// Field paths, values and messages are upstream's (k8s.io/kubernetes/pkg/apis/core/validation).
import { type FieldError, fieldErrors } from '../field-error.ts';
import {
  isDns1123Label,
  isDns1123Subdomain,
  isPortName,
  isPortNumber,
  isQualifiedName,
  nameIsPathSegment,
  rangeError,
  regexError,
} from '../names.ts';

const { invalid, notSupported, required } = fieldErrors;

export type Findings = Iterable<FieldError>;

const NONE: readonly FieldError[] = [];

export const NOT_NEGATIVE = 'must be greater than or equal to 0';
export const POSITIVE = 'must be greater than zero';
export const IMMUTABLE = 'field is immutable';
export const MAX_INT32 = 2_147_483_647;

/** One finding for each message. */
export function invalidEach(field: string, value: unknown, messages: readonly string[]): Findings {
  return messages.length === 0 ? NONE : messages.map((message) => invalid(field, value, message));
}

export function nonNegative(value: number | undefined, field: string): Findings {
  return (value ?? 0) < 0 ? [invalid(field, value, NOT_NEGATIVE)] : NONE;
}

export const dnsLabel = (value: string, field: string): Findings => invalidEach(field, value, isDns1123Label(value));

export const dnsSubdomain = (value: string, field: string): Findings =>
  invalidEach(field, value, isDns1123Subdomain(value));

export const qualifiedName = (value: string, field: string): Findings =>
  invalidEach(field, value, isQualifiedName(value));

/** What stands in a URL's path: required, without `/` and `%`, not `.` or `..`. */
export function pathSegment(value: string | undefined, field: string): Findings {
  return value ? invalidEach(field, value, nameIsPathSegment(value, false)) : [required(field)];
}

/** A label key: the same rule as a qualified name. */
export const labelKey = qualifiedName;

export const userId = (value: number | undefined, field: string): Findings => idInRange(value, field);
export const groupId = userId;

function idInRange(value: number | undefined, field: string): Findings {
  if (value === undefined || (value >= 0 && value <= MAX_INT32)) return NONE;
  return [invalid(field, value, rangeError(0, MAX_INT32))];
}

/** Empty is a required value, anything not listed unsupported; the list is shown in the order given. */
export function oneOf(value: string | undefined, supported: readonly string[], field: string): Findings {
  if (!value) return [required(field)];
  return supported.includes(value) ? NONE : [notSupported(field, value, supported)];
}

/** The same, but absent is fine. */
export function optionalOneOf(value: string | undefined, supported: readonly string[], field: string): Findings {
  return value === undefined || supported.includes(value) ? NONE : [notSupported(field, value, supported)];
}

export const PROTOCOLS = ['SCTP', 'TCP', 'UDP'];

export function portNumberOrName(port: number | string | undefined, field: string): Findings {
  return typeof port === 'string' ? invalidEach(field, port, isPortName(port)) : portNumber(port, field);
}

export function portNumber(port: number | undefined, field: string): Findings {
  return invalidEach(field, port ?? 0, isPortNumber(port ?? 0));
}

/** No `..` element. */
export function pathWithoutBacksteps(path: string, field: string): Findings {
  return path.split('/').includes('..') ? [invalid(field, path, "must not contain '..'")] : NONE;
}

/** Relative, without `..` elements. */
export function* descendingPath(path: string, field: string): Findings {
  if (path.startsWith('/')) yield invalid(field, path, 'must be a relative path');
  yield* pathWithoutBacksteps(path, field);
}

/** A descending path whose first element does not start with `..`: the kubelet keeps such names for itself. */
export function* unreservedPath(path: string, field: string): Findings {
  yield* descendingPath(path, field);
  if (path.startsWith('..') && !path.startsWith('../')) yield invalid(field, path, "must not start with '..'");
}

export function fileMode(mode: number | undefined, field: string): Findings {
  if (mode === undefined || (mode >= 0 && mode <= 0o777)) return NONE;
  return [invalid(field, mode, 'must be a number between 0 and 0777 (octal), both inclusive')];
}

const HTTP_PATH = "[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+";
const httpPath = new RegExp(`^${HTTP_PATH}$`);

/** `acme.io/foo`. */
export function* domainPrefixedPath(value: string, field: string): Findings {
  const slash = value.indexOf('/');
  const path = value.slice(slash + 1);
  if (!value) yield required(field);
  else if (slash <= 0 || path === '') {
    yield invalid(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")');
  } else {
    yield* dnsSubdomain(value.slice(0, slash), field);
    if (!httpPath.test(path)) yield invalid(field, path, regexError('Invalid path', HTTP_PATH));
  }
}
