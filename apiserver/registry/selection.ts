// Label and field selectors of a list or watch, turned into a query of the cache.
import { errors } from '../../api/errors.ts';
import type { Kind } from '../../api/kind.ts';
import { apiVersionOf, type KubeObject } from '../../api/object.ts';
import { type FieldSelector, parseFieldSelector, parseLabelSelector } from '../../api/selectors.ts';
import type { Query } from '../cache/port.ts';

export interface Selection {
  query: Query;
  /** True when no selector is given: then the number of remaining items is known. */
  everything: boolean;
  /** Names the query: the same text selects the same objects. */
  text: string;
}

export function selectionOf(
  kind: Kind,
  namespace: string,
  labelText: string | null,
  fieldText: string | null,
): Selection {
  const labels = parseLabelSelector(labelText ?? '');
  const fields = parseFieldSelector(fieldText ?? '');
  const readers = fieldReaders(kind, fields);
  const query: Query = {};
  if (kind.namespaced && namespace !== '') query.namespace = namespace;
  const name = fields.exact('metadata.name');
  if (name !== undefined) query.name = name;
  const byNamespace = fields.exact('metadata.namespace');
  if (byNamespace !== undefined && kind.namespaced && query.namespace === undefined) query.namespace = byNamespace;
  const indexed = fields.requirements.find((each) => each.operator === '=' && !each.field.startsWith('metadata.'));
  if (indexed) query.index = { field: indexed.field, value: indexed.value };
  if (!labels.everything || !fields.everything) {
    query.matches = (object: KubeObject) =>
      labels.matches(object.metadata.labels ?? undefined) &&
      fields.matches((field) => readers.get(field)?.(object) ?? '');
  }
  return {
    query,
    everything: labels.everything && fields.everything,
    text: `${apiVersionOf(kind)}/${kind.resource} ${query.namespace ?? ''} ${labels.toString()} ${fields.toString()}`,
  };
}

function fieldReaders(kind: Kind, selector: FieldSelector): Map<string, (object: KubeObject) => string> {
  const readers = new Map<string, (object: KubeObject) => string>();
  for (const { field } of selector.requirements) {
    if (field === 'metadata.name') readers.set(field, (object) => object.metadata.name ?? '');
    else if (field === 'metadata.namespace') readers.set(field, (object) => object.metadata.namespace ?? '');
    else {
      const own = kind.selectableFields?.[field];
      if (!own) throw errors.badRequest(unknownField(kind, field));
      readers.set(field, own);
    }
  }
  return readers;
}

/** Upstream has one text for kinds with fields of their own, and custom ones, and another for all others. */
function unknownField(kind: Kind, field: string): string {
  if (kind.selectableFields || kind.schema === '') return `field label not supported: ${field}`;
  return `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`;
}
