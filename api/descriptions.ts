// What the types, fields, requests and columns of the API are for, in sentences: api/descriptions/*.txt, read when somebody
// asks for a document that shows them. The format is described in api/descriptions/README.md. Nothing is read before.
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { type Definition, definition } from './schema.ts';

/** A type, or whatever else a section of a file is about. */
export interface Section {
  text: string;
  /** The section that tells the fields which this one does not tell: `core.v1.Container`. */
  like: string | undefined;
  fields: ReadonlyMap<string, FieldText>;
}

export interface FieldText {
  text: string;
  /** What the values of an enumeration mean, by value; those that explain themselves are absent. */
  meanings: ReadonlyMap<string, string>;
}

const folder = new URL('./descriptions/', import.meta.url);
const files = new Map<string, ReadonlyMap<string, Section>>();

/** What a type is; undefined when nobody wrote it. `name` is a definition's (`core.v1.Pod`) or a scalar's (`meta.Time`). */
export function typeText(name: string): string | undefined {
  const { group, short } = split(name);
  const own = sections(group).get(short)?.text;
  if (own) return own;
  for (const { section, star } of patterns(short)) if (section.text) return fill(section.text, { '*': star });
  return undefined;
}

/** What a field of `owner` is; an inlined field is told where it is inlined from. `apiVersion` and `kind` are fields, too. */
export function fieldText(owner: Definition, field: string): string | undefined {
  const told = ownField(owner, field);
  if (told) return told;
  for (const { section, star } of patterns(split(owner.name).short)) {
    const found = section.fields.get(field);
    if (found) return fill(whole(found), { '*': star });
  }
  return undefined;
}

/** What a section of a file says of a field; `{name}` in it becomes what `values` has for it. */
export function sectionText(
  file: string,
  section: string,
  field: string,
  values: Readonly<Record<string, string>> = {},
): string | undefined {
  const found = sections(file).get(section)?.fields.get(field);
  return found && fill(whole(found), values);
}

/** Changes when any description does. Reads every file once, keeps none. */
export function descriptionsDigest(): string {
  if (digest === undefined) {
    const hash = createHash('sha256');
    for (const name of readdirSync(folder).sort()) {
      if (name.endsWith('.txt')) hash.update(name).update(readFileSync(new URL(name, folder)));
    }
    digest = hash.digest('hex');
  }
  return digest;
}
let digest: string | undefined;

/** Everything that a file says, by section; empty for an unknown file. */
export function sections(file: string): ReadonlyMap<string, Section> {
  let found = files.get(file);
  if (!found) {
    let text = '';
    try {
      text = readFileSync(new URL(`${file}.txt`, folder), 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    found = parseSections(file, text);
    files.set(file, found);
  }
  return found;
}

/** Parses one file; exported for tests. Throws on a line that is none of the format's, or that is said twice. */
export function parseSections(file: string, text: string): Map<string, Section> {
  const found = new Map<string, Section>();
  let fields = new Map<string, FieldText>();
  let meanings = new Map<string, string>();
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    const [, indent = '', name = '', told = ''] = /^( *)(\S.*?):(?: (.*))?$/.exec(line) ?? [];
    const into = indent === '' ? found : indent.length === 2 ? fields : indent.length === 4 ? meanings : undefined;
    if (name === '' || !into) throw new Error(`descriptions ${file}: not a description: ${line}`);
    const [head = '', like] = indent === '' ? name.split(' like ') : [name];
    if (into.has(head)) throw new Error(`descriptions ${file}: ${head} is described twice`);
    if (into === meanings) meanings.set(head, told);
    else if (into === fields) fields.set(head, { text: told, meanings: (meanings = new Map()) });
    else {
      fields = new Map();
      found.set(head, { text: told, like: like && (like.includes('.') ? like : `${file}.${like}`), fields });
    }
  }
  return found;
}

function ownField(owner: Definition, field: string): string | undefined {
  const { group, short } = split(owner.name);
  const section = sections(group).get(short);
  const found = section?.fields.get(field);
  if (found) return whole(found);
  const like = section?.like && ownField(definition(section.like), field);
  if (like) return like;
  for (const inline of owner.inlines) {
    const inlined = definition(inline.name);
    const told = inlined.fields.has(field) ? ownField(inlined, field) : undefined;
    if (told) return told;
  }
  return undefined;
}

/** The sections of shared.txt for a type of this name, the narrowest first, and what the star stands for. */
function patterns(short: string): { section: Section; star: string }[] {
  const found: { section: Section; star: string; length: number }[] = [];
  for (const [pattern, section] of sections('shared')) {
    const [start = '', end = ''] = pattern.split('*');
    if (short.length < start.length + end.length || !short.startsWith(start) || !short.endsWith(end)) continue;
    found.push({ section, star: short.slice(start.length, short.length - end.length), length: pattern.length });
  }
  return found.sort((a, b) => b.length - a.length);
}

/** The meanings of values below the sentence, as clients of Kubernetes know them. */
function whole({ text, meanings }: FieldText): string {
  if (meanings.size === 0) return text;
  const lines = [...meanings].map(([value, meaning]) => ` - \`${JSON.stringify(value)}\`: ${meaning}`);
  return `${text}\n\nPossible enum values:\n${lines.join('\n')}`;
}

const fill = (text: string, values: Readonly<Record<string, string>>) =>
  text.replace(/\{(\*|\w+)\}/g, (all, name: string) => values[name] ?? all);

function split(name: string): { group: string; short: string } {
  const dot = name.lastIndexOf('.');
  return { group: name.slice(0, dot), short: name.slice(dot + 1) };
}
