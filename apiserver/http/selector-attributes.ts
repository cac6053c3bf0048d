// The selectors of a list, watch or deletecollection as authorizers see them. What cannot be read is left out: the
// request is then judged as if it were not narrowed, and refused later for its selector. Pure.
import { parseFieldSelector, parseLabelSelector } from '../../api/selectors.ts';
import type { LabelOperator } from '../../api/selectors.ts';
import type { Attributes, SelectorTerm } from '../auth/identity.ts';
import type { RequestInfo } from './request-info.ts';

type Selectors = Pick<Attributes, 'fieldSelector' | 'labelSelector'>;

const NONE: Selectors = {};

export function selectorAttributes({ verb, query }: RequestInfo): Selectors {
  if (verb !== 'list' && verb !== 'watch' && verb !== 'deletecollection') return NONE;
  const fields = query.get('fieldSelector');
  const labels = query.get('labelSelector');
  if (!fields && !labels) return NONE;
  const found: Selectors = {};
  const fieldTerms = fields && fieldSelectorTerms(fields);
  if (fieldTerms) found.fieldSelector = fieldTerms;
  const labelTerms = labels && labelSelectorTerms(labels);
  if (labelTerms) found.labelSelector = labelTerms;
  return found;
}

/** Undefined when the text is no selector. */
export function fieldSelectorTerms(text: string): SelectorTerm[] | undefined {
  return orUndefined(() =>
    parseFieldSelector(text).requirements.map(({ field, operator, value }) => ({
      key: field,
      operator: operator === '=' ? 'In' : 'NotIn',
      values: [value],
    })),
  );
}

const OPERATORS: Partial<Record<LabelOperator, string>> = {
  in: 'In',
  '=': 'In',
  '==': 'In',
  notin: 'NotIn',
  '!=': 'NotIn',
  exists: 'Exists',
  '!': 'DoesNotExist',
};

/** Undefined when the text is no selector; `gt` and `lt` cannot be said to an authorizer and are left out. */
export function labelSelectorTerms(text: string): SelectorTerm[] | undefined {
  return orUndefined(() =>
    parseLabelSelector(text).requirements.flatMap(({ key, operator, values }) => {
      const name = OPERATORS[operator];
      return name ? [{ key, operator: name, values }] : [];
    }),
  );
}

function orUndefined<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
