// Label and field selectors in their query form, for the fake client.
import type { KubeObject } from '../../api/object.ts';

export function matchesSelectors(
  object: KubeObject,
  { labelSelector, fieldSelector }: { labelSelector?: string; fieldSelector?: string },
): boolean {
  const labels = object.metadata.labels ?? {};
  return (
    terms(labelSelector).every((term) => matchesLabel(labels, term)) &&
    terms(fieldSelector).every((term) => matchesField(object, term))
  );
}

/** Splits at the commas outside of parentheses. */
const terms = (selector: string | undefined): string[] =>
  (selector ?? '').split(/,(?![^(]*\))/).filter((term) => term.trim() !== '');

function matchesLabel(labels: Record<string, string>, term: string): boolean {
  const set = /^\s*(\S+)\s+(in|notin)\s*\(([^)]*)\)\s*$/.exec(term);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    const isIn = list.split(',').some((value) => value.trim() === labels[key]);
    return operator === 'in' ? isIn : !isIn;
  }
  const pair = /^\s*([^!=\s]+)\s*(==|=|!=)\s*(\S*)\s*$/.exec(term);
  if (pair) return (labels[pair[1] as string] === pair[3]) === (pair[2] !== '!=');
  const key = term.trim();
  return key.startsWith('!') ? !(key.slice(1) in labels) : key in labels;
}

function matchesField(object: KubeObject, term: string): boolean {
  const [, path = '', operator, value = ''] = /^\s*([^!=\s]+)\s*(==|=|!=)\s*(.*)$/.exec(term) ?? [];
  let found: unknown = object;
  for (const key of path.split('.')) found = (found as Record<string, unknown> | undefined)?.[key];
  return ((found ?? '') === value) === (operator !== '!=');
}
