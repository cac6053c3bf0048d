// Files of environment variables that a container of the pod has written (env.valueFrom.fileKeyRef). Pure. The format is a part of a shell's:
// NAME='value', where a value may span lines and nothing in it means anything.
const BLANK = /^[ \t]+/;

/** The value of `key`; undefined when the file does not have it. Throws with upstream's words where the file is not of the format. */
export function envFileValue(text: string, key: string): string | undefined {
  const lines = text.split('\n').map((each) => each.replace(/\r$/, ''));
  if (lines.at(-1) === '') lines.pop();
  const wrong = (line: number, what: string, starting = 'at') =>
    new Error(`invalid environment variable format ${starting} line ${line}: ${what}`);
  for (let at = 0; at < lines.length; at++) {
    const line = (lines[at] as string).replace(BLANK, '');
    if (line === '' || line.startsWith('#')) continue;
    const equals = line.indexOf('=');
    if (equals < 0) throw wrong(at + 1, "missing '='");
    const name = line.slice(0, equals);
    if (name.trimEnd() === '') throw wrong(at + 1, 'empty variable name');
    if (/[ \t]$/.test(name)) throw wrong(at + 1, "whitespace before '=' is not allowed");
    let rest = line.slice(equals + 1);
    // As in a shell: what follows a blank is not the value.
    if (BLANK.test(rest)) {
      if (name === key) return undefined;
      continue;
    }
    if (!rest.startsWith("'")) throw wrong(at + 1, 'value must be enclosed in single quotes');
    const from = at;
    let value = '';
    rest = rest.slice(1);
    for (let end = rest.indexOf("'"); end < 0; end = rest.indexOf("'")) {
      value += `${rest}\n`;
      if (++at >= lines.length) throw wrong(from + 1, 'unclosed single quote', 'starting at');
      rest = lines[at] as string;
    }
    const end = rest.indexOf("'");
    const after = rest.slice(end + 1).replace(BLANK, '');
    if (after !== '' && !after.startsWith('#')) throw wrong(at + 1, 'unexpected content after closing quote');
    // An empty value is none, as upstream has it.
    if (name === key) return value + rest.slice(0, end) || undefined;
  }
  return undefined;
}
