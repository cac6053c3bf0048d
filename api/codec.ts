// From a request's body to an object: JSON, YAML or protobuf, checked against the schema in one walk. What is wrong for any
// reader is an ApiError 400 in upstream's words; unknown and doubled fields come back as problems, for `fieldValidation` to judge.
import type { CustomSchema } from './custom/port.ts';
import { setOwn } from './equality.ts';
import { ApiError, errors } from './errors.ts';
import { fieldErrors } from './field-error.ts';
import { countMembers, JsonSyntaxError, MAX_DEPTH, scanJson } from './json-scan.ts';
import { normalize, TypeMismatch } from './normalize.ts';
import { apiVersionOf, type KubeObject, parseApiVersion } from './object.ts';
import { decodeMessage, ProtobufError, readEnvelope } from './protobuf.ts';
import type { Scheme } from './scheme.ts';
import type { DeleteOptions } from './types/meta.ts';
import { parseYaml, YamlError } from './yaml.ts';

export type BodyFormat = 'json' | 'yaml' | 'protobuf';

const FORMATS: Readonly<Record<string, BodyFormat>> = {
  'application/json': 'json',
  'application/yaml': 'yaml',
  'application/vnd.kubernetes.protobuf': 'protobuf',
};

/** The media types of bodies, for a 415. */
export const BODY_MEDIA_TYPES: readonly string[] = Object.keys(FORMATS);

/** By a Content-Type without its parameters; undefined is a 415. */
export function bodyFormat(mediaType: string): BodyFormat | undefined {
  return Object.hasOwn(FORMATS, mediaType) ? FORMATS[mediaType] : undefined;
}

/** What the body must be. Every Kind is one; `schema` is '' for custom resources. */
export interface DecodeTarget {
  group: string;
  version: string;
  kind: string;
  schema: string;
  custom?: CustomSchema;
}

export interface Decoded<T = KubeObject> {
  /** With apiVersion and kind set; nothing else refers to it. */
  object: T;
  /** `unknown field "spec.foo"`, `duplicate field "spec.replicas"`; at most about a hundred. */
  problems: string[];
}

export interface DecodeOptions {
  /** Tells kinds of other resources from ones that do not exist, in messages. */
  scheme?: Scheme;
  /** False skips the search for doubled keys (`fieldValidation=Ignore`). */
  duplicates?: boolean;
}

type Json = Record<string, unknown>;

/** Why a body cannot be read, before it is known how to tell the client. */
class Unreadable extends Error {
  /** Known once apiVersion and kind could be read. */
  readonly found: { version: string; kind: string } | undefined;

  constructor(message: string, found?: { version: string; kind: string }) {
    super(message);
    this.found = found;
  }
}

interface Parsed {
  value: unknown;
  /** From the protobuf envelope; JSON has them inside. */
  envelope?: { apiVersion: string; kind: string; raw: Buffer };
  duplicates: string[];
}

/** Throws ApiError 400. */
export function decodeObject(
  target: DecodeTarget,
  body: Uint8Array,
  format: BodyFormat,
  options: DecodeOptions = {},
): Decoded {
  return readable(target, body, () => {
    const parsed = parseBody(body, format, options.duplicates ?? true);
    const found = interpret(parsed, target);
    checkKind(target, found, options.scheme);
    return finish(target, parsed, found);
  });
}

/** A body without a schema of its own (patches, ConfigMap-like blobs): the JSON value. Throws ApiError 400. */
export function decodeJson(body: Uint8Array): unknown {
  return parseJson(textOf(body)).value;
}

/** The same with the doubled keys of the text, as problems. */
export function decodeJsonWithProblems(body: Uint8Array): { value: unknown; problems: string[] } {
  try {
    const { value, duplicates } = parseJsonText(textOf(body), true);
    return { value, problems: duplicates };
  } catch (error) {
    if (error instanceof Unreadable) throw errors.badRequest(error.message);
    throw error;
  }
}

/**
 * The body of an apply, YAML or JSON, as it is: no schema, no defaults. Keys that are set twice come back as upstream's
 * problems. Throws ApiError 400.
 */
export function decodeConfiguration(body: Uint8Array): { value: unknown; problems: string[] } {
  const text = textOf(body);
  try {
    if (/^\s*\{/.test(text)) {
      try {
        const { value, duplicates } = parseJsonText(text, true);
        if (duplicates.length === 0) return { value, problems: [] };
      } catch {
        // Flow YAML looks like JSON at first; its parser says what is wrong.
      }
    }
    const { value, duplicates } = parseBody(body, 'yaml', true);
    return { value, problems: duplicates };
  } catch (error) {
    if (error instanceof Unreadable) throw errors.badRequest(`error decoding YAML: ${error.message}`);
    throw error;
  }
}

/** A DELETE's body; an empty one gives no options. Any group's apiVersion is accepted, as upstream does. Throws ApiError 400. */
export function decodeDeleteOptions(body: Uint8Array, format: BodyFormat): Decoded<DeleteOptions> {
  if (body.length === 0) return { object: {}, problems: [] };
  const target: DecodeTarget = { group: '', version: 'v1', kind: 'DeleteOptions', schema: 'meta.DeleteOptions' };
  return readable(target, body, () => {
    const parsed = parseBody(body, format, true);
    const found = interpret(parsed, target);
    if (found.kind !== 'DeleteOptions') throw errors.badRequest('decoded object cannot be converted to DeleteOptions');
    const value = parsed.envelope ? decodeMessage(target.schema, parsed.envelope.raw) : (parsed.value as Json);
    const { apiVersion: _, kind: __, ...rest } = value;
    const { object, problems } = normalize(target.schema, rest);
    return { object: object as DeleteOptions, problems: [...parsed.duplicates, ...problems] };
  });
}

/**
 * Checks and completes an object that was changed as JSON (the result of a patch). The value may be changed in place.
 * Throws ApiError 422 as upstream does for patches whose result is no such object.
 */
export function decodePatched(target: DecodeTarget, value: unknown): Decoded {
  // Upstream shows the whole result in the message.
  const text = () => JSON.stringify(value);
  const refuse = (message: string) =>
    errors.invalid({ group: '', kind: '' }, '', [fieldErrors.invalid('patch', text(), message)]);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    const found = Array.isArray(value) ? 'array' : value === null ? 'null' : typeof value;
    throw refuse(
      `couldn't get version/kind; json parse error: json: cannot unmarshal ${found} into Go value of type ${TYPE_META}`,
    );
  }
  try {
    const parsed: Parsed = { value, duplicates: [] };
    const found = interpret(parsed, target);
    checkKind(target, found, undefined);
    return finish(target, parsed, found);
  } catch (error) {
    if (error instanceof Unreadable || error instanceof TypeMismatch) throw refuse(error.message);
    throw error;
  }
}

/** What `fieldValidation=Strict` answers to problems in a body. */
export function strictBodyError(target: DecodeTarget, problems: readonly string[]): ApiError {
  return errors.badRequest(
    `${target.kind} in version "${target.version}" cannot be handled as a ${target.kind}: ${strictMessage(problems)}`,
  );
}

/** What `fieldValidation=Strict` answers to problems in a patch; `patch` is the text upstream shows. */
export function strictPatchError(patch: string, problems: readonly string[]): ApiError {
  return errors.invalid({ group: '', kind: '' }, '', [fieldErrors.invalid('patch', patch, strictMessage(problems))]);
}

export const strictMessage = (problems: readonly string[]): string => `strict decoding error: ${problems.join(', ')}`;

/** Turns what reading throws into upstream's 400. */
function readable<T>(target: DecodeTarget, body: Uint8Array, read: () => T): T {
  let found: { version: string; kind: string } | undefined;
  let message: string;
  try {
    return read();
  } catch (error) {
    if (error instanceof ApiError) throw error;
    if (!(error instanceof Unreadable) && !(error instanceof TypeMismatch) && !(error instanceof ProtobufError))
      throw error;
    message = error.message;
    if (error instanceof Unreadable) found = error.found;
    // Wrong types are found only once the kind is known to be the target's.
    else if (error instanceof TypeMismatch) found = target;
  }
  if (found && found.kind !== '') {
    throw errors.badRequest(
      `${found.kind} in version "${found.version}" cannot be handled as a ${target.kind}: ${message}`,
    );
  }
  throw errors.badRequest(
    `the object provided is unrecognized (must be of type ${target.kind}): ${message} (${summary(body)})`,
  );
}

/** The beginning of a body, as upstream shows what it could not read. */
function summary(body: Uint8Array): string {
  if (body.length === 0) return '<empty>';
  const head = Buffer.from(body.subarray(0, 30));
  const more = body.length > 30 ? ' ...' : '';
  return (body[0] === 0x7b ? head.toString('utf8') : head.toString('hex')) + more;
}

const textOf = (body: Uint8Array) => Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8');

function parseBody(body: Uint8Array, format: BodyFormat, duplicates: boolean): Parsed {
  switch (format) {
    case 'json':
      return parseJsonText(textOf(body), duplicates, "couldn't get version/kind; json parse error: ");
    case 'yaml':
      try {
        const document = parseYaml(textOf(body));
        checkDepth(document.value, 0);
        const found = document.duplicates;
        return {
          value: document.value,
          duplicates:
            found.length > 0 ? [`yaml: unmarshal errors:\n${found.map((each) => `  ${each}`).join('\n')}`] : [],
        };
      } catch (error) {
        if (error instanceof YamlError) throw new Unreadable(`error converting YAML to JSON: ${error.message}`);
        throw error;
      }
    case 'protobuf': {
      const envelope = readEnvelope(body);
      if (envelope.contentType === 'application/json') return parseJsonText(textOf(envelope.raw), duplicates);
      return { value: undefined, envelope, duplicates: [] };
    }
  }
}

function parseJson(text: string): Parsed {
  try {
    return parseJsonText(text, false);
  } catch (error) {
    if (error instanceof Unreadable) throw errors.badRequest(error.message);
    throw error;
  }
}

function parseJsonText(text: string, duplicates: boolean, prefix = ''): Parsed {
  try {
    const value = JSON.parse(text) as unknown;
    const members = countDeep(value, 0);
    // Fewer members than the text has: some key was set twice. Only then is the text walked through.
    const found = duplicates && countMembers(text) > members ? scanJson(text) : [];
    return { value, duplicates: found.map((each) => `duplicate field "${each}"`) };
  } catch (error) {
    if (error instanceof Unreadable) throw error;
    try {
      scanJson(text);
    } catch (reason) {
      if (reason instanceof JsonSyntaxError) throw new Unreadable(prefix + reason.message);
      throw reason;
    }
    throw new Unreadable(prefix + (error instanceof Error ? error.message : String(error)));
  }
}

/** How many object members the value has, all levels together. */
function countDeep(value: unknown, depth: number): number {
  if (typeof value !== 'object' || value === null) return 0;
  if (depth > MAX_DEPTH) throw new Unreadable('exceeded max depth');
  let count = 0;
  if (Array.isArray(value)) {
    for (const each of value) if (typeof each === 'object') count += countDeep(each, depth + 1);
    return count;
  }
  for (const key in value) {
    count++;
    const member = (value as Json)[key];
    if (typeof member === 'object') count += countDeep(member, depth + 1);
  }
  return count;
}

const checkDepth = countDeep;

const TYPE_META =
  'struct { APIVersion string "json:\\"apiVersion,omitempty\\""; Kind string "json:\\"kind,omitempty\\"" }';

interface Found {
  group: string;
  version: string;
  kind: string;
}

/** Whose object the body says it is; what it does not say is the target's. */
function interpret(parsed: Parsed, target: DecodeTarget): Found {
  const prefix = "couldn't get version/kind; json parse error: ";
  const { value, envelope } = parsed;
  let apiVersion: unknown;
  let kind: unknown;
  if (envelope) ({ apiVersion, kind } = envelope);
  else {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      if (value === null || value === undefined) return { ...target };
      const found = Array.isArray(value) ? 'array' : value === true || value === false ? 'bool' : typeof value;
      throw new Unreadable(`${prefix}json: cannot unmarshal ${found} into Go value of type ${TYPE_META}`);
    }
    ({ apiVersion, kind } = value as Json);
    for (const [name, each] of [
      ['apiVersion', apiVersion],
      ['kind', kind],
    ] as const) {
      if (each === undefined || each === null || typeof each === 'string') continue;
      const found = Array.isArray(each) ? 'array' : typeof each === 'boolean' ? 'bool' : typeof each;
      throw new Unreadable(`${prefix}json: cannot unmarshal ${found} into Go struct field .${name} of type string`);
    }
    if (target.schema === '' && !kind) {
      throw new Unreadable(`Object 'Kind' is missing in '${JSON.stringify(value)}'`);
    }
  }
  const gv = parseApiVersion((apiVersion as string | undefined) ?? '');
  if (!gv) throw new Unreadable(`unexpected GroupVersion string: ${apiVersion}`);
  const isBare = gv.group === '' && gv.version === '';
  return {
    group: isBare ? target.group : gv.group,
    version: gv.version || target.version,
    kind: (kind as string | undefined) || target.kind,
  };
}

function checkKind(target: DecodeTarget, found: Found, scheme: Scheme | undefined): void {
  if (found.group === target.group && found.version === target.version && found.kind === target.kind) return;
  const actual = apiVersionOf(found);
  const expected = apiVersionOf(target);
  if (
    found.kind === target.kind &&
    (found.group === target.group || scheme?.hasGroupVersion(found.group, found.version))
  ) {
    throw errors.badRequest(
      `the API version in the data (${actual}) does not match the expected API version (${expected})`,
    );
  }
  if (scheme?.byKind(found.group, found.version, found.kind)) {
    const internal = (each: { group: string }) => (each.group === '' ? 'core' : each.group.split('.')[0]);
    throw new Unreadable(
      `converting (${found.version}.${found.kind}) to (${internal(target)}.${target.kind}): unknown conversion`,
      found,
    );
  }
  throw new Unreadable(
    `no kind "${found.kind}" is registered for version "${actual}" in scheme "pkg/api/legacyscheme/scheme.go:30"`,
    found,
  );
}

/** The walk with the schema, and the head every object has. */
function finish(target: DecodeTarget, parsed: Parsed, found: Found): Decoded {
  let value: Json;
  try {
    value = parsed.envelope ? decodeMessage(target.schema, parsed.envelope.raw) : ((parsed.value ?? {}) as Json);
  } catch (error) {
    if (error instanceof ProtobufError) throw new Unreadable(error.message, found);
    throw error;
  }
  let problems: string[];
  if (target.schema === '') {
    const metadata = value['metadata'] ?? {};
    if (typeof metadata !== 'object' || Array.isArray(metadata)) {
      throw new TypeMismatch(
        `json: cannot unmarshal ${Array.isArray(metadata) ? 'array' : typeof metadata} into Go struct field .metadata of type v1.ObjectMeta`,
      );
    }
    const checked = normalize('meta.ObjectMeta', metadata as Json, 'metadata');
    value['metadata'] = checked.object;
    problems = checked.problems;
    if (target.custom) problems = [...problems, ...target.custom.prune(value)];
  } else ({ object: value, problems } = normalize(target.schema, value));
  const object = { kind: target.kind, apiVersion: apiVersionOf(target) } as unknown as KubeObject & Json;
  for (const name in value) if (name !== 'kind' && name !== 'apiVersion') setOwn(object, name, value[name]);
  object.metadata ??= {};
  return { object, problems: parsed.duplicates.length > 0 ? [...parsed.duplicates, ...problems] : problems };
}
