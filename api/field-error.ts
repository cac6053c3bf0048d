// What validation finds: a field path, the value that failed, and upstream's words for it
// (k8s.io/apimachinery/pkg/util/validation/field). Pure.

export type FieldErrorType =
  | 'FieldValueNotFound'
  | 'FieldValueRequired'
  | 'FieldValueDuplicate'
  | 'FieldValueInvalid'
  | 'FieldValueNotSupported'
  | 'FieldValueForbidden'
  | 'FieldValueTooLong'
  | 'FieldValueTooMany'
  | 'InternalError'
  | 'FieldValueTypeInvalid';

export interface FieldError {
  type: FieldErrorType;
  /** `spec.containers[0].name`; a map key is written `metadata.labels[a/b]`. */
  field: string;
  /** The message without the field: `Invalid value: "x": must be ...`. */
  body: string;
  /** Of a rule that is younger than what is stored: a value that the object has already may stay (`validation/ratcheting.ts`). */
  isNewRule?: boolean;
  /** The name of a rule that does not bind an object which breaks it already, whatever the value (`validation/ratcheting.ts`). */
  rule?: string;
}

/** How a value is written in a message: strings quoted as Go's %q, structures as Go's JSON. */
export function formatValue(value: unknown): string {
  if (value === undefined || value === null) return 'null';
  if (typeof value === 'string') return goQuoted(value);
  const text = JSON.stringify(value);
  return /[<>&]/.test(text) ? text.replace(/[<>&]/g, escapedInJson) : text;
}

const escapedInJson = (char: string) => `\\u00${char.charCodeAt(0).toString(16)}`;

// What JSON.stringify writes as Go's %q does not: other control characters, and what cannot be printed.
const SPECIAL_IN_GO = /\\u00[01][0-9a-f]|[\u007f-\u00a0\u00ad\u2028\u2029\ufeff]/g;

function goQuoted(value: string): string {
  return JSON.stringify(value).replace(SPECIAL_IN_GO, (found) => {
    if (found.length === 1) {
      const code = found.charCodeAt(0);
      return code === 0x7f ? '\\x7f' : `\\u${code.toString(16).padStart(4, '0')}`;
    }
    if (found === '\\u0007') return '\\a';
    if (found === '\\u000b') return '\\v';
    return `\\x${found.slice(-2)}`;
  });
}

/**
 * A structure as upstream's internal type of it is written: members in the order of `members`, under their names in Go, each
 * with what stands there when it is not set.
 */
export function goStruct(value: object | undefined, members: Readonly<Record<string, unknown>>): object {
  const given = (value ?? {}) as Record<string, unknown>;
  return Object.fromEntries(
    Object.entries(members).map(([name, zero]) => {
      const member = Object.entries(given).find(([each]) => each.toLowerCase() === name.toLowerCase());
      return [name, member?.[1] ?? zero];
    }),
  );
}

const withDetail = (text: string, detail: string) => (detail === '' ? text : `${text}: ${detail}`);

export const fieldErrors = {
  notFound: (field: string, value: unknown): FieldError => ({
    type: 'FieldValueNotFound',
    field,
    body: `Not found: ${formatValue(value)}`,
  }),
  required: (field: string, detail = ''): FieldError => ({
    type: 'FieldValueRequired',
    field,
    body: withDetail('Required value', detail),
  }),
  duplicate: (field: string, value: unknown): FieldError => ({
    type: 'FieldValueDuplicate',
    field,
    body: `Duplicate value: ${formatValue(value)}`,
  }),
  invalid: (field: string, value: unknown, detail: string): FieldError => ({
    type: 'FieldValueInvalid',
    field,
    body: withDetail(`Invalid value: ${formatValue(value)}`, detail),
  }),
  /** The supported values are listed in the order given. */
  notSupported: (field: string, value: unknown, supported: readonly string[]): FieldError => ({
    type: 'FieldValueNotSupported',
    field,
    body: withDetail(
      `Unsupported value: ${formatValue(value)}`,
      supported.length > 0 ? `supported values: ${supported.map((each) => JSON.stringify(each)).join(', ')}` : '',
    ),
  }),
  forbidden: (field: string, detail: string): FieldError => ({
    type: 'FieldValueForbidden',
    field,
    body: withDetail('Forbidden', detail),
  }),
  tooLong: (field: string, maxBytes: number): FieldError => ({
    type: 'FieldValueTooLong',
    field,
    body: maxBytes >= 0 ? `Too long: may not be more than ${maxBytes} bytes` : 'Too long: value is too long',
  }),
  tooMany: (field: string, count: number, max: number): FieldError => ({
    type: 'FieldValueTooMany',
    field,
    body: max >= 0 ? `Too many: ${count}: must have at most ${max} items` : `Too many: ${count}: has too many items`,
  }),
  internal: (field: string, error: unknown): FieldError => ({
    type: 'InternalError',
    field,
    body: `Internal error: ${error instanceof Error ? error.message : String(error)}`,
  }),
  typeInvalid: (field: string, value: unknown, detail: string): FieldError => ({
    type: 'FieldValueTypeInvalid',
    field,
    body: withDetail(`Invalid value: ${formatValue(value)}`, detail),
  }),
};

/** `field: body`, one error as upstream prints it. */
export function fieldErrorMessage(error: FieldError): string {
  return `${error.field}: ${error.body}`;
}
