// What is wrong with a source text, printed as cel-go prints it: position, message, the line, and an arrow below it.

export interface Issue {
  /** Offset into the source in UTF-16 units; -1 for an issue of the whole text. */
  at: number;
  message: string;
}

/** More than this many are counted, not shown. */
const MAX_SHOWN = 100;

export function formatIssues(source: string, issues: readonly Issue[]): string {
  const sorted = issues.toSorted((left, right) => left.at - right.at);
  const shown = sorted.slice(0, MAX_SHOWN).map((issue) => formatIssue(source, issue));
  if (sorted.length > MAX_SHOWN) shown.push(`${sorted.length - MAX_SHOWN} more errors were truncated`);
  return shown.join('\n');
}

function formatIssue(source: string, { at, message }: Issue): string {
  if (at < 0) return `ERROR: <input>:-1:0: ${message}`;
  const { line, column, text } = locate(source, at);
  const dots = [...text].slice(0, column).map((each) => (isWide(each) ? '．' : '.'));
  const arrow = isWide([...text][column]) ? '＾' : '^';
  return `ERROR: <input>:${line}:${column + 1}: ${message}\n | ${text}\n | ${dots.join('')}${arrow}`;
}

/** Line from 1, column from 0 in characters, and the line's text with tabs as spaces. */
export function locate(source: string, at: number): { line: number; column: number; text: string } {
  const before = source.slice(0, at);
  const start = before.lastIndexOf('\n') + 1;
  const end = source.indexOf('\n', at);
  const text = source.slice(start, end < 0 ? undefined : end);
  return {
    line: before.split('\n').length,
    column: [...before.slice(start)].length,
    text: text.replaceAll('\t', ' '),
  };
}

/** Characters that take two bytes or more: the arrow is drawn with wide characters below them. */
const isWide = (character: string | undefined) => character !== undefined && (character.codePointAt(0) as number) > 127;
