// Streaming lists come in pages, so that no message grows with the node. An empty list is one empty page.

const pageSize = 100;

export function* inPages<T>(items: readonly T[]): Generator<T[]> {
  if (items.length === 0) yield [];
  for (let at = 0; at < items.length; at += pageSize) yield items.slice(at, at + pageSize);
}
