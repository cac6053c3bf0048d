// Variables in Dockerfiles, as the Dockerfile reference describes them: $name, ${name}, and with - + ? (and : before
// them) # ## % %% / //. Words inside braces are expanded too; `\$` stays a dollar. Pure.

export class ExpansionError extends Error {}

type Variables = ReadonlyMap<string, string>;

/** Throws ExpansionError for a brace that is not closed, an unknown operator, or `${name:?words}` without a value. */
export function expand(text: string, variables: Variables): string {
  let result = '';
  for (let at = 0; at < text.length; ) {
    const char = text[at] as string;
    if (char === '\\' && text[at + 1] === '$') {
      result += '$';
      at += 2;
    } else if (char !== '$') {
      result += char;
      at++;
    } else if (text[at + 1] === '{') {
      const end = closingBrace(text, at + 1);
      result += braced(text.slice(at + 2, end), variables);
      at = end + 1;
    } else {
      const [name = ''] = /^\w+/.exec(text.slice(at + 1)) ?? [];
      result += name === '' ? '$' : (variables.get(name) ?? '');
      at += 1 + name.length;
    }
  }
  return result;
}

function closingBrace(text: string, open: number): number {
  let depth = 0;
  for (let at = open; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '{') depth++;
    else if (text[at] === '}' && --depth === 0) return at;
  }
  throw new ExpansionError(`"${text.slice(open - 1)}": the brace is not closed`);
}

function braced(inner: string, variables: Variables): string {
  const [, name, operator, word = ''] = /^(\w+)(?:(:?[-+?]|##?|%%?|\/\/?)(.*))?$/s.exec(inner) ?? [];
  if (name === undefined) throw new ExpansionError(`"\${${inner}}" is not a variable`);
  const value = variables.get(name);
  // With a colon an empty value counts as none.
  const isSet = operator?.startsWith(':') ? value !== undefined && value !== '' : value !== undefined;
  switch (operator) {
    case undefined:
      return value ?? '';
    case ':-':
    case '-':
      return isSet ? (value as string) : expand(word, variables);
    case ':+':
    case '+':
      return isSet ? expand(word, variables) : '';
    case ':?':
    case '?':
      if (isSet) return value as string;
      throw new ExpansionError(`${name}: ${expand(word, variables) || 'not set'}`);
    default:
      return edited(value ?? '', operator, word, variables);
  }
}

function edited(value: string, operator: string, word: string, variables: Variables): string {
  if (operator.startsWith('/')) {
    const [pattern = '', replacement = ''] = splitOnce(word);
    const expression = new RegExp(source(expand(pattern, variables), true), operator === '//' ? 'gs' : 's');
    return value.replace(expression, () => expand(replacement, variables));
  }
  const pattern = expand(word, variables);
  const isGreedy = operator.length === 2;
  if (operator.startsWith('#')) return value.replace(new RegExp(`^${source(pattern, isGreedy)}`, 's'), '');
  // The shortest suffix starts as late as possible.
  const suffix = new RegExp(`^${source(pattern, true)}$`, 's');
  const starts = Array.from({ length: value.length + 1 }, (_, at) => at);
  const start = (isGreedy ? starts : starts.reverse()).find((at) => suffix.test(value.slice(at)));
  return start === undefined ? value : value.slice(0, start);
}

function splitOnce(word: string): [string, string] {
  const slash = /(?<!\\)\//.exec(word)?.index ?? word.length;
  return [word.slice(0, slash).replaceAll('\\/', '/'), word.slice(slash + 1)];
}

/** A shell pattern (`*`, `?`) as the source of a regular expression. */
function source(pattern: string, isGreedy: boolean): string {
  return pattern.replace(/\\(.)|[*?]|[.+^${}()|[\]\\]/gs, (whole, escaped?: string) => {
    if (escaped !== undefined) return escaped.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    if (whole === '*') return isGreedy ? '.*' : '.*?';
    return whole === '?' ? '.' : `\\${whole}`;
  });
}
