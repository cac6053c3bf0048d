// $(VAR) expansion as containers get it: `$$` is a literal dollar, an unknown reference stays as written. Pure.
// https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/

export function expand(text: string, lookup: (name: string) => string | undefined): string {
  if (!text.includes('$')) return text;
  let out = '';
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== '$' || at + 1 >= text.length) {
      out += text[at];
      continue;
    }
    const next = text[at + 1];
    if (next === '$') {
      out += '$';
      at++;
    } else if (next === '(') {
      const end = text.indexOf(')', at + 2);
      if (end < 0) {
        out += '$(';
        at++;
        continue;
      }
      const name = text.slice(at + 2, end);
      out += lookup(name) ?? `$(${name})`;
      at = end;
    } else {
      out += '$';
    }
  }
  return out;
}
