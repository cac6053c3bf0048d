// The type facts of api/schema/*.txt, read on first use: what decoding, protobuf, patches, OpenAPI and defaults know.
// The format is described in api/schema/README.md. Files are read synchronously, once per group.
import { readFileSync } from 'node:fs';

export type Scalar =
  | 'string'
  | 'bool'
  | 'int32'
  | 'int64'
  | 'double'
  | 'bytes'
  | 'time'
  | 'microtime'
  | 'quantity'
  | 'intstr'
  | 'raw'
  | 'any'
  | 'object'
  | 'fields';

/** `ref.name` is a full definition name, such as `core.v1.Pod` or `meta.ObjectMeta`. */
export type TypeRef =
  | { kind: 'scalar'; scalar: Scalar }
  | { kind: 'list'; of: TypeRef }
  | { kind: 'map'; of: TypeRef }
  | { kind: 'ref'; name: string };

export interface Field {
  /** JSON name. */
  name: string;
  /** Protobuf field number; 0 where the field is not on the protobuf wire. */
  number: number;
  type: TypeRef;
  required: boolean;
  /**
   * How Go holds it, which decides what a zero value means. `pointer`: 0, "" or {} says something, absence something else.
   * `value`: zero and absence are the same; an optional one is dropped when zero, a struct is always there.
   * `kept`: as `value`, but never dropped.
   */
  presence: 'pointer' | 'value' | 'kept';
  /** For lists; absent facts mean atomic. */
  listType: 'atomic' | 'set' | 'map';
  /** For `listType: 'map'`. */
  mapKeys: readonly string[];
  /** Strategic merge patch strategies; empty means replace. */
  patchStrategy: readonly ('merge' | 'retainKeys' | 'replace')[];
  patchMergeKey: string | undefined;
  /** For maps and structs: `atomic` is replaced as a whole by server-side apply. */
  mapType: 'atomic' | 'granular';
  enum: readonly string[] | undefined;
  /** The schema's own default, a JSON value. */
  default: unknown;
}

/** An inlined message: its fields are the outer object's in JSON and nested under `number` in protobuf. */
export interface Inline {
  number: number;
  name: string;
}

export interface Definition {
  /** Full name: `core.v1.Pod`. */
  name: string;
  /** True when objects of this type carry apiVersion and kind. */
  isKind: boolean;
  /** True for definitions that exist only to be inlined. */
  isInlineOnly: boolean;
  mapType: 'atomic' | 'granular';
  /** Every JSON field, inlined ones included, by JSON name. */
  fields: ReadonlyMap<string, Field>;
  /** Fields that are this message's own on the protobuf wire. */
  ownFields: readonly Field[];
  inlines: readonly Inline[];
  /** Set for definitions that are no structs (`any`, `object`). */
  scalar: Scalar | undefined;
}

const SCALARS = new Set<string>(
  'string bool int32 int64 double bytes time microtime quantity intstr raw any object fields'.split(' '),
);

const folder = new URL('./schema/', import.meta.url);
const groups = new Map<string, Map<string, Definition>>();

/** The definition called `name` (`core.v1.Pod`), or undefined. */
export function findDefinition(name: string): Definition | undefined {
  const dot = name.lastIndexOf('.');
  return groupDefinitions(name.slice(0, dot)).get(name);
}

/** As findDefinition; throws on a name that does not exist, which is a programming error. */
export function definition(name: string): Definition {
  const found = findDefinition(name);
  if (!found) throw new Error(`no schema definition ${JSON.stringify(name)}`);
  return found;
}

/** All definitions of a schema file, such as `core.v1` or `meta`; empty for an unknown one. */
export function groupDefinitions(group: string): ReadonlyMap<string, Definition> {
  let found = groups.get(group);
  if (!found) {
    let text = '';
    try {
      text = readFileSync(new URL(`${group}.txt`, folder), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    found = parseGroup(group, text);
    groups.set(group, found);
  }
  return found;
}

/** Parses one schema file; exported for tests. Fields are read when somebody asks for them: most kinds are never used. */
export function parseGroup(group: string, text: string): Map<string, Definition> {
  const definitions = new Map<string, ParsedDefinition>();
  let current: ParsedDefinition | undefined;
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    if (!line.startsWith('  ')) {
      current = new ParsedDefinition(group, line, definitions);
      definitions.set(current.name, current);
    } else if (current) current.lines.push(line.slice(2));
    else throw new Error(`schema ${group}: field before any definition: ${line}`);
  }
  return definitions as Map<string, Definition>;
}

class ParsedDefinition implements Definition {
  readonly name: string;
  readonly isKind: boolean;
  readonly isInlineOnly: boolean;
  readonly mapType: 'atomic' | 'granular';
  readonly scalar: Scalar | undefined;
  /** As in the file, without their indentation. */
  readonly lines: string[] = [];
  #group: string;
  /** Of the same file. */
  #local: ReadonlyMap<string, Definition>;
  #own: { fields: Field[]; inlines: Inline[] } | undefined;
  #all: Map<string, Field> | undefined;

  constructor(group: string, line: string, local: ReadonlyMap<string, Definition>) {
    const [head = '', ...facts] = line.split(' ');
    this.isInlineOnly = head.startsWith('~');
    this.name = `${group}.${this.isInlineOnly ? head.slice(1) : head}`;
    this.isKind = facts.includes('gvk');
    this.mapType = facts.includes('atomic') ? 'atomic' : 'granular';
    this.scalar = facts.find((fact) => SCALARS.has(fact)) as Scalar | undefined;
    this.#group = group;
    this.#local = local;
  }

  get ownFields(): readonly Field[] {
    return (this.#own ??= this.#parse()).fields;
  }

  get inlines(): readonly Inline[] {
    return (this.#own ??= this.#parse()).inlines;
  }

  get fields(): ReadonlyMap<string, Field> {
    if (this.#all) return this.#all;
    const all = new Map(this.ownFields.map((field) => [field.name, field]));
    for (const inline of this.inlines) {
      const inlined = this.#local.get(inline.name) ?? definition(inline.name);
      for (const field of inlined.fields.values()) all.set(field.name, field);
    }
    this.#all = all;
    return all;
  }

  #parse(): { fields: Field[]; inlines: Inline[] } {
    const fields: Field[] = [];
    const inlines: Inline[] = [];
    for (const line of this.lines) {
      if (!line.startsWith('...')) {
        fields.push(parseField(this.#group, line));
        continue;
      }
      const [name = '', number = '0'] = line.slice(3).split(' ');
      inlines.push({ number: Number(number), name: name.includes('.') ? name : `${this.#group}.${name}` });
    }
    return { fields, inlines };
  }
}

function parseField(group: string, text: string): Field {
  const [name = '', number = '-', ...rest] = text.split(' ');
  let typeText = rest.shift() ?? '';
  // "map T" is the only type of two words; "map(" is a list type and comes after the type.
  if (typeText.endsWith('map')) typeText += ` ${rest.shift() ?? ''}`;
  while (typeText.endsWith(' map')) typeText += ` ${rest.shift() ?? ''}`;
  const required = typeText.endsWith('!');
  const field: Field = {
    name,
    number: number === '-' ? 0 : Number(number),
    type: parseType(group, required ? typeText.slice(0, -1) : typeText),
    required,
    presence: required ? 'kept' : 'value',
    listType: 'atomic',
    mapKeys: [],
    patchStrategy: [],
    patchMergeKey: undefined,
    mapType: 'granular',
    enum: undefined,
    default: undefined,
  };
  for (const fact of rest) {
    const open = fact.indexOf('(');
    const word = open < 0 ? fact : fact.slice(0, open);
    const value = open < 0 ? '' : fact.slice(open + 1, -1);
    if (word === 'set') field.listType = 'set';
    else if (word === 'map') {
      field.listType = 'map';
      field.mapKeys = value.split(',');
    } else if (word === 'atomic' || word === 'granular') field.mapType = word;
    else if (word === 'ptr') field.presence = 'pointer';
    else if (word === 'keep') field.presence = 'kept';
    else if (word === 'omit') field.presence = 'value';
    else if (word === 'enum') field.enum = value.split('|');
    else if (word === 'default') field.default = JSON.parse(value);
    else if (/^(merge|retainKeys|replace)(,|$)/.test(word)) {
      field.patchStrategy = word.split(',') as Field['patchStrategy'];
      if (value) field.patchMergeKey = value;
    } else throw new Error(`schema ${group}: unknown fact ${fact} in ${text}`);
  }
  return field;
}

function parseType(group: string, text: string): TypeRef {
  if (text.startsWith('[]')) return { kind: 'list', of: parseType(group, text.slice(2)) };
  if (text.startsWith('map ')) return { kind: 'map', of: parseType(group, text.slice(4)) };
  if (SCALARS.has(text)) return { kind: 'scalar', scalar: text as Scalar };
  return { kind: 'ref', name: text.includes('.') ? text : `${group}.${text}` };
}
