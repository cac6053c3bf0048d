// JSON values as YAML, in the form in which Go's libraries write objects: sorted keys, lists as deep as their key, text of many
// lines as a block. What a reader of YAML 1.1 would take for something else (`yes`, `0644`, `1:20`) is quoted.

const INDENT = '  ';
/** What resolves to null, a truth value, a number, a time, a merge key: in any reader. */
const AMBIGUOUS =
  /^(?:~|\.\.\.|null|true|false|yes|no|on|off|y|n|<<|=|[-+]?(?:\.[0-9]|[0-9])[0-9a-fxob_.:eE+-]*|[-+]?\.(?:inf|nan)|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*)$/i;
/** Nothing that has a meaning in YAML, at the start or within. */
// oxlint-disable-next-line no-control-regex
const PLAIN = /^[A-Za-z0-9_/.$(+][^\u0000-\u001f\u007f-\uffff:#{}[\],&*!|>'"%@`\\]*$/;
/** Addresses and images are plain too: a colon means something only before a blank, a hash after one. */
const PLAIN_WITH_COLONS = /^[A-Za-z0-9_/.][A-Za-z0-9_/.:@-]*[A-Za-z0-9_/.@-]$/;
/** Lines that stay as they are in a block: no other breaks, no blanks at their ends. */
// oxlint-disable-next-line no-control-regex
const BLOCK = /^[^\s][^\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff\ud800-\udfff]*$/;

/** Ends with a line break. */
export function writeYaml(value: unknown): string {
  const lines: string[] = [];
  if (isFilled(value)) writeCollection(value, '', lines);
  else lines.push(inline(value, ''));
  return `${lines.join('\n')}\n`;
}

/** `writeYaml` of `head` with a list of many items in it under `key`, a piece at a time. */
export function* writeYamlList(
  head: Readonly<Record<string, unknown>>,
  key: string,
  items: Iterable<unknown>,
): Generator<string> {
  for (const name of [...Object.keys(head), key].sort()) {
    if (name !== key) {
      yield writeYaml({ [name]: head[name] });
      continue;
    }
    let isEmpty = true;
    for (const item of items) {
      yield `${isEmpty ? `${scalar(key)}:\n` : ''}${writeYaml([item])}`;
      isEmpty = false;
    }
    if (isEmpty) yield `${scalar(key)}: []\n`;
  }
}

type Collection = unknown[] | Record<string, unknown>;

const isFilled = (value: unknown): value is Collection =>
  typeof value === 'object' && value !== null && (Array.isArray(value) ? value.length : Object.keys(value).length) > 0;

function writeCollection(value: Collection, indent: string, lines: string[]): void {
  if (Array.isArray(value)) {
    for (const item of value) {
      if (!isFilled(item)) {
        lines.push(`${indent}- ${inline(item, indent)}`);
        continue;
      }
      // The first line of what the item holds stands beside the dash.
      const from = lines.length;
      writeCollection(item, indent + INDENT, lines);
      lines[from] = `${indent}- ${(lines[from] as string).slice(indent.length + INDENT.length)}`;
    }
    return;
  }
  for (const key of Object.keys(value).sort()) {
    const member = value[key];
    if (member === undefined) continue;
    const name = `${indent}${scalar(key)}:`;
    if (!isFilled(member)) lines.push(`${name} ${inline(member, indent)}`);
    else {
      lines.push(name);
      writeCollection(member, Array.isArray(member) ? indent : indent + INDENT, lines);
    }
  }
}

/** A scalar or an empty collection. `indent` is that of what holds it. */
function inline(value: unknown, indent: string): string {
  if (typeof value === 'string') return isBlock(value) ? block(value, indent + INDENT) : scalar(value);
  if (Array.isArray(value)) return '[]';
  return typeof value === 'object' && value !== null ? '{}' : (JSON.stringify(value) ?? 'null');
}

function scalar(text: string): string {
  if (text === '' || AMBIGUOUS.test(text)) return JSON.stringify(text);
  if (text.endsWith(' ')) return JSON.stringify(text);
  if (PLAIN.test(text) || PLAIN_WITH_COLONS.test(text)) return text;
  return /^[\u0020-\u007e]*$/.test(text) && !text.includes('\\')
    ? `'${text.replaceAll("'", "''")}'`
    : JSON.stringify(text);
}

const isBlock = (text: string): boolean => text.includes('\n') && BLOCK.test(text) && !/[ ]\n|[ ]$/.test(text);

function block(text: string, indent: string): string {
  const body = text.replace(/\n+$/, '');
  const breaks = text.length - body.length;
  const chomping = breaks === 0 ? '-' : breaks === 1 ? '' : '+';
  const lines = [...body.split('\n'), ...Array.from({ length: Math.max(0, breaks - 1) }, () => '')];
  return [`|${chomping}`, ...lines.map((line) => (line === '' ? '' : indent + line))].join('\n');
}
