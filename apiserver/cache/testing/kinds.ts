// Two small kinds for the tests of the cache: namespaced with an index, and cluster-scoped.
import type { Kind } from '../../../api/kind.ts';
import type { KubeObject } from '../../../api/object.ts';

export interface TestPod extends KubeObject {
  spec?: { nodeName?: string };
}

export const podKind = {
  group: '',
  version: 'v1',
  kind: 'Pod',
  listKind: 'PodList',
  resource: 'pods',
  singular: 'pod',
  shortNames: ['po'],
  categories: ['all'],
  namespaced: true,
  verbs: ['create', 'delete', 'get', 'list', 'watch', 'update'],
  schema: 'core.v1.Pod',
  columns: [],
  cells: () => [],
  selectableFields: { 'spec.nodeName': (object) => (object as TestPod).spec?.nodeName ?? '' },
  hasStatus: true,
  hasGeneration: true,
  validate: () => [],
  validateUpdate: () => [],
} satisfies Kind;

export const nodeKind: Kind = {
  ...podKind,
  kind: 'Node',
  listKind: 'NodeList',
  resource: 'nodes',
  namespaced: false,
  selectableFields: {},
};

export function pod(
  namespace: string,
  name: string,
  fields: { node?: string; labels?: Record<string, string>; note?: string } = {},
): TestPod {
  return {
    kind: 'Pod',
    apiVersion: 'v1',
    metadata: {
      name,
      namespace,
      ...(fields.labels && { labels: fields.labels }),
      ...(fields.note && { annotations: { note: fields.note } }),
    },
    spec: fields.node ? { nodeName: fields.node } : {},
  };
}

export const encode = (object: unknown): Buffer => Buffer.from(JSON.stringify(object));
